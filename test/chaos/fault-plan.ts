/** Which fault strikes what, in which order: drawn from the seed, so that the same seed gives the same plan. */
import { drawFrom } from './seeded.ts'

/** Every kind of fault, and what it strikes. What each does is faults.ts. */
export const FAULT_TARGETS = {
  kill_worker: 'worker',
  kill_server: 'server',
  kill_redis: 'redis',
  tear_redis: 'redis',
  kill_sshd: 'sshd',
  restart_worker: 'worker',
  stop_worker: 'worker',
  freeze_worker: 'worker',
  stop_server: 'server',
  stop_redis: 'redis',
  cut_redis: 'process',
  lose_redis_reply: 'process',
  stall_redis: 'process',
  cut_ssh: 'worker',
  lose_ssh_reply: 'worker',
  stall_ssh: 'worker',
  redeliver: 'tickets',
} as const satisfies Record<string, 'worker' | 'server' | 'redis' | 'sshd' | 'process' | 'tickets'>
export type FaultKind = keyof typeof FAULT_TARGETS

/** The names of the processes that are struck. */
export const WORKERS = ['worker0', 'worker1', 'worker2'] as const
export const SERVERS = ['server0', 'server1'] as const
export type WorkerName = (typeof WORKERS)[number]
export type ServerName = (typeof SERVERS)[number]

/** One fault. */
export type Fault = {
  readonly kind: FaultKind
  readonly target: WorkerName | ServerName | 'redis' | 'sshd' | 'tickets'
  /** How long it lasts: the process is away or stopped, the connection stalled. Without meaning for the others. */
  readonly holdMs: number
  /** How much of what is under way it spoils, in bytes: of a log, or of a reply. */
  readonly bytes: number
  /** It strikes when so many commands have been submitted. */
  readonly atCommand: number
}

const FAULT_KINDS = Object.keys(FAULT_TARGETS).flatMap((name) => (isFaultKind(name) ? [name] : []))

function isFaultKind(name: string): name is FaultKind {
  return name in FAULT_TARGETS
}

/** The faults in order. Every kind comes once before any comes again; `only` leaves out all others. */
export function planFaults(options: {
  readonly seed: number
  readonly faults: number
  readonly commands: number
  readonly only?: readonly FaultKind[]
}): Fault[] {
  const draw = drawFrom(options.seed, 'faults')
  const kinds: FaultKind[] = []
  while (kinds.length < options.faults) kinds.push(...draw.shuffle(options.only ?? FAULT_KINDS))
  return kinds.slice(0, options.faults).map((kind, i) => ({
    kind,
    target: targetOf(draw.pick, kind),
    holdMs: draw.integer(...holdRange(kind)),
    bytes: draw.integer(1, 400),
    atCommand: Math.floor(((i + 0.5) / (options.faults + 1)) * options.commands),
  }))
}

/** Least and most, in milliseconds. */
function holdRange(kind: FaultKind): [number, number] {
  // Longer than the lease of 15 s and a sweep of 5 s: what was not dispatched is given to another worker meanwhile.
  if (kind === 'freeze_worker') return [22_000, 26_000]
  // All hosts at once; for longer, and most of the fleet would just be unreachable.
  return kind === 'kill_sshd' ? [200, 1_500] : [200, 6_000]
}

function targetOf(pick: <T>(from: readonly T[]) => T, kind: FaultKind): Fault['target'] {
  const target = FAULT_TARGETS[kind]
  switch (target) {
    case 'worker':
      return pick(WORKERS)
    case 'server':
      return pick(SERVERS)
    case 'process':
      return pick([...WORKERS, ...SERVERS])
    default:
      return target
  }
}
