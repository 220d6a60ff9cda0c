/**
 * A worker that does everything but SSH: takes tickets and claims, reads, marks and ends each run, as the real one
 * does, and checks what is signed. What a run costs here is what API, ledger, queue and worker cost, and nothing that a
 * host adds.
 *
 * Holds no run for longer than that, so it watches no job and keeps no clocks.
 */
import { randomBytes } from 'node:crypto'
import {
  type Claim,
  claimRun,
  consumeTickets,
  dispatchRun,
  finishRun,
  openLedger,
  readSpec,
  SignedJob,
  startClockwork,
  startHeartbeat,
} from '@muster/ledger'
import { createLogger, LogLevel, readConfigOrExit, runProcess, SecretScrubber } from '@muster/runtime'
import { openEndSigner, openWorkChecker } from '@muster/trust'
import { z } from 'zod'

const Config = z.object({
  REDIS_URL: z.string(),
  MUSTER_WORKER_CONCURRENCY: z.coerce.number().int().min(1),
  LOG_LEVEL: LogLevel,
  MUSTER_SERVER_PUBLIC_KEY_FILE: z.string(),
  MUSTER_WORKER_KEY_FILE: z.string(),
})
const given = { args: process.argv.slice(2), env: process.env, exit: process.exit }
const { config } = await readConfigOrExit(Config, given)
const logger = createLogger({ name: 'noop-worker', level: config.LOG_LEVEL, secrets: new SecretScrubber([]) })
const succeeded = {
  state: 'succeeded',
  remote: 'ended',
  reason: null,
  detail: null,
  exitCode: 0,
  signal: null,
} as const

await runProcess({
  logger,
  exit: (status) => process.exit(status),
  graceMs: 20_000,
  start: async ({ closers }) => {
    const onError = (error: unknown) => logger.error({ err: error }, 'trouble')
    const ends = await openEndSigner(config.MUSTER_WORKER_KEY_FILE, onError)
    const ledger = await openLedger({ redisUrl: config.REDIS_URL, role: 'worker', ends, onError })
    closers.add('ledger', () => ledger.close())
    const workerId = `noop-${process.pid}-${randomBytes(3).toString('hex')}`
    const { check } = await openWorkChecker(config.MUSTER_SERVER_PUBLIC_KEY_FILE, onError)
    const jobs = new Map<string, Promise<SignedJob>>()
    const openJob = async (jobId: string) => {
      const job = await readSpec(ledger, jobId)
      if (job === undefined) throw new Error(`there is no job ${jobId}`)
      const signed = await SignedJob.open(ledger, check, { jobId, ...job })
      if ('refused' in signed) throw new Error(signed.refused)
      return signed
    }
    const mustBeSigned = async (claim: Claim) => {
      const signed = jobs.get(claim.jobId) ?? openJob(claim.jobId)
      jobs.set(claim.jobId, signed)
      const refused = await (await signed).refusalOf(claim)
      if (refused !== undefined) throw new Error(refused)
    }
    const held = new Set<Claim>()
    const onLapse = () => logger.error('the lease had run out')
    const lease = await startHeartbeat(ledger, workerId, {
      onError,
      onLapse,
      claims: () => [...held],
      places: config.MUSTER_WORKER_CONCURRENCY,
    })
    closers.add('lease', () => lease.stop())
    const clockwork = await startClockwork(ledger, onError)
    closers.add('clockwork', () => clockwork.stop())
    const consumer = consumeTickets(ledger, {
      concurrency: config.MUSTER_WORKER_CONCURRENCY,
      onError,
      handle: async (ticket) => {
        const claim = await claimRun(ledger, ticket, workerId)
        if (claim === undefined) return 'nothing to do'
        held.add(claim)
        try {
          await mustBeSigned(claim)
          const mark = await dispatchRun(ledger, claim, { connectMs: 0, mode: 'attached' })
          if (mark.word !== 'go') return mark.word
          return await finishRun(ledger, claim, { ...succeeded, isRetryable: false })
        } finally {
          held.delete(claim)
        }
      },
    })
    closers.add('tickets', () => consumer.close())
  },
})
