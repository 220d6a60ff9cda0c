/**
 * The jobs of a chaos run, drawn from the seed: which command, on which hosts, how it ends, whether it is cancelled.
 * One job on one host is one command. What a command does on its host is script.ts.
 */
import { type Draw, drawFrom } from './seeded.ts'

/** What a command does, and how often of 100. Those that are stopped cost the most time. */
const WEIGHTS = [
  ['quick', 22],
  ['sleep', 22],
  ['output', 14],
  ['flood', 8],
  ['fail', 8],
  ['signal', 6],
  ['loop', 10],
  ['stubborn', 5],
  ['family', 5],
] as const
export type Kind = (typeof WEIGHTS)[number][0]

/** These would go on for long: they are stopped. */
const STOPPED: ReadonlySet<Kind> = new Set<Kind>(['loop', 'stubborn', 'family'])
const KINDS = WEIGHTS.flatMap(([kind, weight]) => Array.from({ length: weight }, () => kind))
const LARGEST_JOB = 60
const HOSTS_PER_NET = 250
/** One host in so many is not reachable. */
const UNREACHABLE_EVERY = 50
/** On one host in so many the account brings stderr into stdout, as a session recorder does. */
const MERGED_EVERY = 10

/** A host of the fleet. Nothing listens where a host is not reachable. */
export type ChaosHost = {
  readonly name: string
  readonly address: string
  readonly isReachable: boolean
  /** Whether what a command writes to stderr comes on stdout. */
  readonly isMerged: boolean
}

/** When to cancel a job, and which of its hosts; all of them when `hosts` is undefined. */
type CancelPlan = { readonly afterMs: number; readonly hosts: readonly string[] | undefined }

/** One job. */
export type PlannedJob = {
  readonly id: string
  readonly kind: Kind
  readonly hosts: readonly ChaosHost[]
  readonly concurrency: number
  readonly durable: boolean
  readonly execTimeoutS: number
  readonly outputLimitBytes: number
  /** Of `sleep`. */
  readonly seconds: number
  /** Of `fail`. */
  readonly exitCode: number
  /** Of `signal`, without SIG. */
  readonly signal: string
  /** Lines on each stream, of `output` and `flood`. */
  readonly lines: { readonly stdout: number; readonly stderr: number }
  readonly cancel: CancelPlan | undefined
  /** Whether other runs may be on its hosts at the same time; else it waits for them. */
  readonly isAlone: boolean
  /** Submitted once more when it was accepted: that must give the same job. */
  readonly isRepeated: boolean
}

/** The fleet: `h0001` and so on, each with an address of its own. */
export function planHosts(count: number): ChaosHost[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `h${String(i + 1).padStart(4, '0')}`,
    address: `127.0.${1 + Math.floor(i / HOSTS_PER_NET)}.${1 + (i % HOSTS_PER_NET)}`,
    isReachable: count === 1 || i % UNREACHABLE_EVERY !== 1,
    isMerged: i % MERGED_EVERY === 5,
  }))
}

/** Jobs that come to exactly so many commands. */
export function planJobs(options: {
  readonly seed: number
  readonly commands: number
  readonly hosts: readonly ChaosHost[]
}): PlannedJob[] {
  const draw = drawFrom(options.seed, 'commands')
  const jobs: PlannedJob[] = []
  for (let left = options.commands; left > 0; ) {
    const size = Math.min(left, options.hosts.length, drawSize(draw))
    jobs.push(planJob(draw, `c${String(jobs.length + 1).padStart(5, '0')}`, draw.shuffle(options.hosts).slice(0, size)))
    left -= size
  }
  return jobs
}

function drawSize(draw: Draw): number {
  if (draw.chance(0.4)) return 1
  return draw.chance(0.7) ? draw.integer(2, 10) : draw.integer(11, LARGEST_JOB)
}

function planJob(draw: Draw, id: string, hosts: readonly ChaosHost[]): PlannedJob {
  const kind = draw.pick(KINDS)
  const isStopped = STOPPED.has(kind)
  const isCancelled = draw.chance(isStopped ? 0.5 : 0.1)
  return {
    id,
    kind,
    hosts,
    concurrency: draw.integer(2, 50),
    durable: draw.chance(1 / 3),
    // Enough for all that is not to be stopped, even while the machine is busy.
    execTimeoutS: isStopped && !isCancelled ? draw.integer(1, 4) : 120,
    outputLimitBytes: kind === 'flood' ? 16 * 1024 : 1024 * 1024,
    seconds: draw.integer(1, 5),
    exitCode: draw.pick([1, 2, 7, 42, 126, 127, 128, 143, 254, 255]),
    signal: draw.pick(['TERM', 'KILL', 'SEGV', 'USR1']),
    lines: drawLines(draw, kind),
    cancel: isCancelled ? { afterMs: draw.integer(50, 6_000), hosts: drawPart(draw, hosts) } : undefined,
    isRepeated: draw.chance(0.1),
    isAlone: draw.chance(0.3),
  }
}

function drawLines(draw: Draw, kind: Kind): PlannedJob['lines'] {
  if (kind === 'output') return { stdout: draw.integer(1, 800), stderr: draw.integer(0, 400) }
  // Some far beyond the limit, some just about at it.
  if (kind === 'flood') return { stdout: draw.integer(300, 12_000), stderr: draw.integer(0, 2_000) }
  return { stdout: 0, stderr: 0 }
}

function drawPart(draw: Draw, hosts: readonly ChaosHost[]): string[] | undefined {
  if (hosts.length < 2 || draw.chance(0.6)) return undefined
  return hosts.slice(0, draw.integer(1, hosts.length - 1)).map(({ name }) => name)
}
