/** Carries out the planned faults, while commands run. What is struck is put right again before a fault is over. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import type { Fault, FaultKind } from './fault-plan.ts'
import type { Rig, RigProcess } from './rig.ts'

/** How many faults of each kind there were. */
export type FaultCounts = Partial<Record<FaultKind, number>>

/** A worker is not frozen before it is in the middle of connecting, unless it has nothing to do for so long. */
const BEFORE_FREEZE_MS = 10_000
/** Connections half made are enough for that. */
const HALF_CONNECTED = 3
/** Tickets of each kind that are delivered again. */
const REDELIVERED = 100
const REDELIVER_EVERY_MS = 500
/** What a ticket of ours is called; it is not delivered again itself. */
const AGAIN = 'delivered again'
const LOOK_MS = 100

/** Strikes with each fault when its time has come; two at once only on different targets. Resolves when all is well. */
export async function injectFaults(options: {
  readonly faults: readonly Fault[]
  readonly rig: Rig
  /** How many commands have been submitted so far. */
  readonly submitted: () => number
  readonly signal: AbortSignal
  readonly say: (line: string) => void
}): Promise<FaultCounts> {
  const { faults, rig, submitted, signal, say } = options
  const counts: FaultCounts = {}
  const last = new Map<Fault['target'], Promise<void>>()
  for (const fault of faults) {
    while (submitted() < fault.atCommand && !signal.aborted) await sleep(LOOK_MS)
    if (signal.aborted) break
    counts[fault.kind] = (counts[fault.kind] ?? 0) + 1
    const before = last.get(fault.target) ?? Promise.resolve()
    const struck = before.then(async () => {
      say(`${fault.kind} ${fault.target} ${fault.holdMs} ms`)
      await strike(rig, fault)
    })
    last.set(fault.target, struck)
    // The next one waits only for what it needs; a failure is met at the end.
    struck.catch(() => {})
  }
  await Promise.all(last.values())
  return counts
}

async function strike(rig: Rig, fault: Fault): Promise<void> {
  const { kind, holdMs, bytes } = fault
  switch (kind) {
    case 'kill_worker':
    case 'kill_server':
      return await processOf(rig, fault).process.restart('SIGKILL', holdMs)
    case 'restart_worker':
      return await processOf(rig, fault).process.restart('SIGTERM', holdMs)
    case 'stop_worker':
    case 'stop_server':
      return await processOf(rig, fault).process.freeze(holdMs)
    case 'freeze_worker':
      return await freezeWhileConnecting(rig, fault)
    case 'kill_redis':
      return await rig.redis.process.restart('SIGKILL', holdMs)
    case 'tear_redis':
      return await rig.redis.process.restart('SIGKILL', holdMs, () => rig.redis.tear(bytes))
    case 'stop_redis':
      return await rig.redis.process.freeze(holdMs)
    case 'kill_sshd':
      return await rig.sshd.restart(holdMs)
    case 'cut_redis':
      return processOf(rig, fault).redisLink.cut()
    case 'lose_redis_reply':
      return processOf(rig, fault).redisLink.loseNextReply(bytes)
    case 'stall_redis':
      return await stall(processOf(rig, fault).redisLink, holdMs)
    case 'cut_ssh':
      return workerOf(rig, fault).sshLink.cut()
    case 'lose_ssh_reply':
      return workerOf(rig, fault).sshLink.loseNextReply(bytes)
    case 'stall_ssh':
      return await stall(workerOf(rig, fault).sshLink, holdMs)
    case 'redeliver':
      return await redeliver(rig, holdMs)
    default:
      return kind satisfies never
  }
}

function processOf(rig: Rig, { kind, target }: Fault): RigProcess {
  const parts: Readonly<Record<string, RigProcess>> = { ...rig.servers, ...rig.workers }
  const found = parts[target]
  if (found === undefined) throw new Error(`${kind} cannot strike ${target}`)
  return found
}

function workerOf(rig: Rig, { kind, target }: Fault): Rig['workers'][keyof Rig['workers']] {
  const workers: Readonly<Record<string, Rig['workers'][keyof Rig['workers']]>> = rig.workers
  const found = workers[target]
  if (found === undefined) throw new Error(`${kind} cannot strike ${target}`)
  return found
}

async function stall(link: { stall(): void; resume(): void }, holdMs: number): Promise<void> {
  link.stall()
  await sleep(holdMs)
  link.resume()
}

/** The worker sleeps longer than its lease with connections half made, and wakes up to find them ready. */
async function freezeWhileConnecting(rig: Rig, fault: Fault): Promise<void> {
  const { process, sshLink } = workerOf(rig, fault)
  sshLink.stall()
  const latestMs = performance.now() + BEFORE_FREEZE_MS
  while (sshLink.heldBack < HALF_CONNECTED && performance.now() < latestMs) await sleep(LOOK_MS)
  // What has connected over TCP is known to the worker by now.
  await sleep(LOOK_MS)
  const frozen = process.freeze(fault.holdMs)
  await sleep(fault.holdMs / 2)
  sshLink.resume()
  await frozen
}

/** Tickets are delivered again and again, as BullMQ may do after a stall: those at hand and those just done. */
async function redeliver(rig: Rig, forMs: number): Promise<void> {
  const connection = new Redis(rig.redis.port, '127.0.0.1', { maxRetriesPerRequest: null })
  // Redis may be away right now; the client goes on trying.
  connection.on('error', () => {})
  const tickets = new Queue('tickets', { connection, prefix: `{${rig.prefix}}` })
  tickets.on('error', () => {})
  const overMs = performance.now() + forMs
  try {
    do {
      // Redis may be killed under it by another fault; what could not be delivered again is not.
      await deliverAgain(tickets).catch(() => {})
      await sleep(REDELIVER_EVERY_MS)
    } while (performance.now() < overMs)
  } finally {
    await tickets.close()
    connection.disconnect()
  }
}

async function deliverAgain(tickets: Queue): Promise<void> {
  const active = await tickets.getJobs(['active'], 0, REDELIVERED)
  const completed = await tickets.getJobs(['completed'], 0, REDELIVERED)
  const again = [...active, ...completed].filter(({ name }) => name !== AGAIN)
  await tickets.addBulk(again.map(({ data }) => ({ name: AGAIN, data, opts: { removeOnComplete: true } })))
}
