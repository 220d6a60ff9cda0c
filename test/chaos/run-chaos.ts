/**
 * One chaos run from beginning to end: start everything, submit, spoil, wait until it is quiet, and compare what
 * Muster says with what happened on the hosts.
 */
import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Closers } from '@muster/runtime'
import { callerOf } from './caller.ts'
import { checkJob, FIGURES, type Figure, type Finding } from './check/checker.ts'
import { readJob } from './check/read-back.ts'
import { type PlannedJob, planHosts, planJobs } from './commands.ts'
import { driveJobs, type SentJob } from './drive.ts'
import { type FaultKind, planFaults } from './fault-plan.ts'
import { type FaultCounts, injectFaults } from './faults.ts'
import { type Rig, readNotes, startRig } from './rig.ts'
import { liveProcesses, parseNotes } from './witness.ts'

/** What to do. */
export type ChaosRun = {
  readonly commands: number
  readonly hosts: number
  readonly faults: number
  readonly seed: number
  readonly durability: 'always' | 'relaxed'
  /** Only these; all kinds when it is undefined. */
  readonly onlyFaults?: readonly FaultKind[]
  /** Where the build is. */
  readonly root: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Told what happens, line by line, for people. */
  readonly say: (line: string) => void
  /** Gives up; everything that was started is ended. */
  readonly signal?: AbortSignal
}

/** What came of it: the figures of checker.ts, each of which must be 0, and what they were measured on. */
export type ChaosResult = { readonly [figure in Figure]: number } & {
  readonly seed: number
  readonly commands: number
  readonly hosts: number
  readonly faults: FaultCounts
  /** Runs of which nobody knows; told, not judged. */
  readonly lost: number
  readonly seconds: number
}

/** After the last fault and the last submit: a dead worker's lease, a ticket that BullMQ holds for it, and the work. */
const QUIET_MS = 180_000
/** What a command that was said to have ended would do by now, it has done. */
const AFTERMATH_MS = 6_000
/** As many findings are shown. */
const SHOWN = 30

/** Runs it. Rejects only when the harness itself fails. */
export async function runChaos(run: ChaosRun): Promise<ChaosResult> {
  const { say } = run
  const closers = new Closers(say)
  const startedMs = performance.now()
  try {
    const hosts = planHosts(run.hosts)
    const jobs = planJobs({ seed: run.seed, commands: run.commands, hosts })
    const rig = await startRig({ ...run, hosts, closers })
    say(`${run.commands} commands in ${jobs.length} jobs on ${run.hosts} hosts, seed ${run.seed}`)
    const { sent, faults } = await strikeAndDrive(run, rig, jobs)
    await sleep(AFTERMATH_MS)
    const { findings, lost } = await compare(run, rig, sent)
    for (const { figure, id, host, text } of findings.slice(0, SHOWN)) say(`${figure}: ${id} ${host ?? ''}: ${text}`)
    const judged = findings.filter((finding) => isJudged(run, jobs, finding))
    const figures = countsOf(judged)
    if (findings.length > judged.length) say(`not judged after lost writes: ${JSON.stringify(countsOf(findings))}`)
    if (findings.length === 0) tellBound(run)
    say(`${lost} runs are lost, and say so`)
    const seconds = Math.round((performance.now() - startedMs) / 100) / 10
    return { seed: run.seed, commands: run.commands, hosts: run.hosts, faults, ...figures, lost, seconds }
  } finally {
    // Closers has said which part failed to close; the result holds all the same.
    await closers.close().catch(() => {})
  }
}

/** Whether every figure that must be 0 is. */
export function isClean(result: ChaosResult): boolean {
  return FIGURES.every((figure) => result[figure] === 0)
}

async function strikeAndDrive(
  run: ChaosRun,
  rig: Rig,
  jobs: readonly PlannedJob[],
): Promise<{ sent: SentJob[]; faults: FaultCounts }> {
  const { say } = run
  const over = new AbortController()
  const signal = AbortSignal.any([over.signal, ...(run.signal === undefined ? [] : [run.signal])])
  // Every job that is waited for listens.
  setMaxListeners(0, signal)
  const planned = planFaults({
    ...run,
    ...(run.onlyFaults === undefined ? {} : { only: run.onlyFaults }),
  })
  let submitted = 0
  let onAllSubmitted = () => {}
  const allSubmitted = new Promise<void>((resolve) => {
    onAllSubmitted = resolve
  })
  const onSubmit = ({ hosts }: PlannedJob) => {
    submitted += hosts.length
    if (submitted >= run.commands) onAllSubmitted()
  }
  const progress = setInterval(() => say(`${submitted} commands submitted`), 10_000)
  const longest = setTimeout(() => over.abort(), 300_000 + run.commands * 300 + run.faults * 10_000)
  let quiet: NodeJS.Timeout | undefined
  try {
    const injecting = injectFaults({ faults: planned, rig, submitted: () => submitted, signal, say })
    const driving = driveJobs({
      jobs,
      caller: callerOf(rig.urls, rig.apiKey, signal),
      context: { nonce: rig.nonce, notesFile: rig.notesFile },
      onSubmit,
      say,
    })
    const [faults] = await Promise.all([injecting, Promise.race([allSubmitted, driving])])
    quiet = setTimeout(() => over.abort(), QUIET_MS)
    return { sent: await driving, faults }
  } finally {
    clearInterval(progress)
    clearTimeout(longest)
    clearTimeout(quiet)
  }
}

async function compare(
  run: ChaosRun,
  rig: Rig,
  sent: readonly SentJob[],
): Promise<{ findings: Finding[]; lost: number }> {
  const alive = new Set((await liveProcesses(rig.nonce)).map(({ key }) => key))
  const seen = { notes: parseNotes(await readNotes(rig)), alive }
  const caller = callerOf(rig.urls, rig.apiKey, AbortSignal.timeout(60_000 + run.commands * 50))
  const findings: Finding[] = []
  const states: Record<string, number> = {}
  let slowest = { text: 'no job', ms: 0 }
  for (const job of sent) {
    const reading = await readJob(caller, job)
    findings.push(...checkJob(reading, seen))
    const { created_at: created, ended_at: ended } = reading.report ?? { created_at: '', ended_at: null }
    const took = { text: `${job.planned.id} ${job.planned.kind}`, ms: Date.parse(ended ?? '') - Date.parse(created) }
    if (took.ms > slowest.ms) slowest = took
    for (const { run: one } of reading.runs) {
      const word = one.reason === null ? one.state : `${one.state} (${one.reason})`
      states[word] = (states[word] ?? 0) + 1
    }
  }
  run.say(`runs: ${JSON.stringify(states)}; the slowest job: ${slowest.text}, ${slowest.ms} ms`)
  const lost = Object.entries(states).reduce((sum, [word, count]) => sum + (word.startsWith('lost') ? count : 0), 0)
  return { findings, lost }
}

function isJudged({ durability }: ChaosRun, jobs: readonly PlannedJob[], { figure, id }: Finding): boolean {
  if (durability === 'always') return true
  return figure === 'duplicates' && jobs.some((job) => job.id === id && job.durable)
}

function countsOf(findings: readonly Finding[]): Record<Figure, number> {
  const count = (figure: Figure) => findings.filter((finding) => finding.figure === figure).length
  return {
    duplicates: count('duplicates'),
    not_ended: count('not_ended'),
    false_successes: count('false_successes'),
    false_not_starteds: count('false_not_starteds'),
    output_mismatches: count('output_mismatches'),
    false_endeds: count('false_endeds'),
  }
}

function tellBound({ commands, say }: ChaosRun): void {
  // The rule of three: none in n trials bounds the rate at 3/n with 95 % confidence.
  const bound = ((3 / commands) * 100).toPrecision(2)
  say(`none of ${commands} is false: with 95 % confidence fewer than ${bound} % are, under such faults`)
}
