/** Lists a directory on hosts, with types. Hosts where it holds the same are one group. */
import type { DirectoryEntry, DirectoryList, Input, NextCall } from '@muster/contract'
import type { Ledger } from '@muster/ledger'
import type { Caller, OperationDeps } from '../call/operation.ts'
import { directoryCommand, type ReadDirectory, readDirectory } from './directory-program.ts'
import { readAfter, writeAfter } from './host-path.ts'
import {
  callAgain,
  countsOf,
  expressionOf,
  type Look,
  type Looked,
  lookAtHosts,
  namesOf,
  nextOf,
  titleOf,
} from './look.ts'
import { problemsOf } from './look-problems.ts'
import { type Beginning, hostsOf, readOutputs, type Understood } from './read-outputs.ts'

const EXEC_TIMEOUT_S = 30
/** Enough for a thousand names and link targets of usual length; what is longer comes on the next page. */
const READ_BYTES = 512 * 1024
/** Most different outputs that are read and compared. */
const OUTPUTS_LIMIT = 100
/** Most groups in an answer. */
const GROUPS_LIMIT = 20
/** All groups together may show this many times what one group may. */
const SHARED_LIMITS = 2
/** Every group shows at least this many entries, however many groups there are. */
const ENTRIES_LEAST = 5

/**
 * Lists the entries of a directory, or describes whatever else is at the path.
 * @throws {MusterError} invalid_request for `after`; invalid_target, unknown_target, no_targets, idempotency_conflict
 */
export async function listDirectory(
  deps: OperationDeps,
  input: Input<'list_directory'>,
  caller: Caller,
): Promise<DirectoryList> {
  const { path, limit } = input
  const after = input.after === undefined ? undefined : readAfter(input.after)
  const look: Look = {
    tool: 'list_directory',
    title: titleOf('list directory', path),
    argv: directoryCommand(path, limit, after),
    execTimeoutS: EXEC_TIMEOUT_S,
    input,
  }
  const looked = await lookAtHosts(deps, look, caller)
  const { found, unread, problems } = await readAll(deps.ledger, looked, limit, after)
  const groups = alike(found)
  const shown = groups.slice(0, GROUPS_LIMIT)
  const share = Math.floor((SHARED_LIMITS * limit) / Math.max(1, shown.length))
  const most = Math.min(limit, Math.max(ENTRIES_LEAST, share))
  const told = shown.map((group) => ({ group, ...pageOf(group, most) }))
  const leftOut = [...groups.slice(GROUPS_LIMIT).flatMap(({ hosts }) => hosts), ...unread]
  return {
    ...countsOf(looked),
    problems: await problemsOf(deps.ledger, looked, problems),
    groups: told.map(({ group, entries, next_after }) => ({
      hosts: namesOf(group.hosts),
      count: group.hosts.length,
      is_directory: group.read.isDirectory,
      entries,
      total_entries: group.read.total,
      ...(next_after === undefined ? {} : { next_after }),
    })),
    hosts_left_out: leftOut.length,
    ...nextOf(looked, () => nextPage(look, told) ?? theOthers(look, leftOut)),
  }
}

/** Hosts with the same entries. */
type Alike = { readonly hosts: string[]; readonly read: ReadDirectory; isSameTime: boolean[] }
type Found = { readonly hosts: readonly string[]; readonly found: ReadDirectory }

async function readAll(ledger: Ledger, { jobId, groups }: Looked, limit: number, after: Buffer | undefined) {
  const understand = ({ bytes, isAll }: Beginning): Understood<ReadDirectory> => {
    const read = readDirectory(bytes, after)
    if (read === undefined)
      return { problem: 'the answer of the host cannot be read: something else prints in its shell' }
    // One entry beyond the limit shows that there is a next page, also when not all of the output was read.
    return { found: isAll ? read : { ...read, entries: read.entries.slice(0, limit + 1) } }
  }
  // One after the other: an output may be long.
  const looked = { jobId, groups: groups.slice(0, OUTPUTS_LIMIT) }
  const { found, problems } = await readOutputs(ledger, looked, { mostBytes: READ_BYTES, atOnce: 1, understand })
  return { found, problems, unread: groups.slice(OUTPUTS_LIMIT).flatMap(({ runs }) => hostsOf(runs)) }
}

/** Groups hosts with the same entries. Modification times may differ: they nearly always do between two hosts. */
function alike(found: readonly Found[]): Alike[] {
  const groups = new Map<string, Alike>()
  for (const { hosts, found: read } of found) {
    const key = JSON.stringify([read.isDirectory, read.total, read.entries.map(factsOf)])
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { hosts: [...hosts], read, isSameTime: read.entries.map(() => true) })
    else {
      group.hosts.push(...hosts)
      const isSame = (same: boolean, i: number) =>
        same && group.read.entries[i]?.modified_at === read.entries[i]?.modified_at
      group.isSameTime = group.isSameTime.map(isSame)
    }
  }
  return [...groups.values()].sort((a, b) => b.hosts.length - a.hosts.length)
}

function factsOf({ bytes, type, size_bytes, mode, owner, group, target }: ReadDirectory['entries'][number]) {
  return [bytes.toString('latin1'), type, size_bytes, mode, owner, group, target]
}

function pageOf({ read, isSameTime }: Alike, most: number) {
  const shown = read.entries.slice(0, most)
  const last = shown.at(-1)
  const entries = shown.map(({ bytes: _bytes, modified_at: modifiedAt, ...entry }, i): DirectoryEntry => {
    return isSameTime[i] === true && modifiedAt !== undefined ? { ...entry, modified_at: modifiedAt } : entry
  })
  return { entries, next_after: last !== undefined && read.entries.length > most ? writeAfter(last.bytes) : undefined }
}

function nextPage(
  look: Look,
  told: readonly { group: Alike; entries: readonly DirectoryEntry[]; next_after: string | undefined }[],
): NextCall | undefined {
  const first = told.find(({ next_after }) => next_after !== undefined)
  if (first === undefined) return undefined
  const given = look.input.targets
  const targets = told.length === 1 ? given : expressionOf(first.group.hosts, given)
  return callAgain(look, 'more entries', { targets, after: first.next_after })
}

function theOthers(look: Look, hosts: readonly string[]): NextCall | undefined {
  const targets = expressionOf(hosts, '')
  if (hosts.length === 0 || targets === '') return undefined
  return callAgain(look, 'the hosts left out', { targets })
}
