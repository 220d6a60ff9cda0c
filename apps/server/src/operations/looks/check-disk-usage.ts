/** Tells how full the file systems of hosts are, the fullest first. Hosts with an equally full one share a row. */
import type { DiskRow, DiskUsage, Input, NextCall } from '@muster/contract'
import { type Ledger, type OutcomeGroup, readBeginningBytes } from '@muster/ledger'
import type { Caller, OperationDeps } from '../call/operation.ts'
import { diskCommand, isDisk, type ReadDisk, readDisks } from './disk-program.ts'
import { callAgain, countsOf, type Look, type Looked, lookAtHosts, namesOf, nextOf, titleOf } from './look.ts'
import { problemsOf } from './look-problems.ts'
import { type Beginning, readOutputs, type Understood } from './read-outputs.ts'

const EXEC_TIMEOUT_S = 30
/** Enough for hundreds of file systems; any beyond that are left out. */
const READ_BYTES = 128 * 1024
/** How many outputs are read side by side. */
const READ_AT_ONCE = 50
/** Most rows that a call can ask for, and the least that a next call asks for. */
const ROWS_LIMIT = 500
const MORE_ROWS = 60

/**
 * Reports the file systems of the hosts, or the one that holds a path.
 * @throws {MusterError} invalid_target, unknown_target, no_targets, idempotency_conflict
 */
export async function checkDiskUsage(
  deps: OperationDeps,
  input: Input<'check_disk_usage'>,
  caller: Caller,
): Promise<DiskUsage> {
  const { path, min_used_percent: minPercent, limit } = input
  const look: Look = {
    tool: 'check_disk_usage',
    title: path === undefined ? 'disk usage' : titleOf('disk usage of', path),
    argv: diskCommand(path),
    execTimeoutS: EXEC_TIMEOUT_S,
    input,
  }
  const looked = await lookAtHosts(deps, look, caller)
  const { disks, problems } = await readAll(deps.ledger, looked, path !== undefined)
  const rows = rowsOf(disks.filter(({ disk }) => disk.usedPercent >= minPercent))
  const left = Math.max(0, rows.length - limit)
  return {
    ...countsOf(looked),
    problems: await problemsOf(deps.ledger, looked, problems),
    filesystems: rows.slice(0, limit),
    filesystems_left_out: left,
    ...nextOf(looked, () => moreRows(looked, { limit, left })),
  }
}

type HostDisk = { readonly host: string; readonly disk: ReadDisk }

async function readAll(ledger: Ledger, { jobId, groups }: Looked, hasPath: boolean) {
  const understand = async ({ bytes }: Beginning, first: OutcomeGroup['first']): Promise<Understood<ReadDisk[]>> => {
    const all = readDisks(bytes.toString('utf8'))
    const found = hasPath ? all : all.filter(isDisk)
    if (first.bytes.stderr > 0) {
      const said = await readBeginningBytes(ledger, jobId, first.index, 'stderr', 1_000)
      const [line = ''] = said.bytes.toString('utf8').split('\n', 1)
      return { found, problem: `not all file systems could be looked at: ${line}` }
    }
    return all.length > 0 ? { found } : { problem: 'the answer of the host cannot be read: it names no file system' }
  }
  // Hardly two hosts are full to the same byte, so there are nearly as many outputs as hosts.
  const reading = { mostBytes: READ_BYTES, atOnce: READ_AT_ONCE, understand }
  const { found, problems } = await readOutputs(ledger, { jobId, groups }, reading)
  const disks = found.flatMap(({ hosts, found: some }) => some.flatMap((disk) => hosts.map((host) => ({ host, disk }))))
  return { disks, problems }
}

/** The rows, the fullest first; among equally full ones, the one with the least room. */
function rowsOf(disks: readonly HostDisk[]): DiskRow[] {
  const rows = new Map<string, { hosts: string[]; disk: ReadDisk; used: number; available: number }>()
  for (const { host, disk } of disks) {
    const key = JSON.stringify([disk.mount, disk.filesystem, disk.sizeBytes, disk.usedPercent, disk.inodesUsedPercent])
    const row = rows.get(key) ?? { hosts: [], disk, used: disk.usedBytes, available: disk.availableBytes }
    row.hosts.push(host)
    row.used = Math.max(row.used, disk.usedBytes)
    row.available = Math.min(row.available, disk.availableBytes)
    rows.set(key, row)
  }
  return [...rows.values()]
    .sort((a, b) => b.disk.usedPercent - a.disk.usedPercent || a.available - b.available)
    .map(({ hosts, disk, used, available }) => ({
      hosts: namesOf(hosts),
      count: hosts.length,
      mount: disk.mount,
      filesystem: disk.filesystem,
      size_bytes: disk.sizeBytes,
      used_bytes: used,
      available_bytes: available,
      used_percent: disk.usedPercent,
      ...(disk.inodesUsedPercent === undefined ? {} : { inodes_used_percent: disk.inodesUsedPercent }),
    }))
}

/** More rows of the same look: the limit is not part of the job, so the same key finds it. */
function moreRows({ look, key }: Looked, { limit, left }: { limit: number; left: number }): NextCall | undefined {
  if (left === 0 || limit >= ROWS_LIMIT) return undefined
  const wanted = Math.min(ROWS_LIMIT, Math.max(MORE_ROWS, limit * 2))
  const why = `${left} less full file systems; min_used_percent leaves out the others`
  return callAgain(look, why, { limit: wanted, idempotency_key: key })
}
