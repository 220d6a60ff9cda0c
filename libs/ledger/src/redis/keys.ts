/**
 * The names of everything that the ledger keeps in Redis. All carry one hash tag, so that they live in one slot of a
 * Redis Cluster and a Lua script may touch several of them.
 */

/** The BullMQ queue that tickets wait in. */
export const TICKET_QUEUE = 'tickets'

/** The key names under one prefix. */
export type Keys = ReturnType<typeof keysOf>

/** Builds the key names under a prefix, such as "muster". Two prefixes share nothing. */
export function keysOf(prefix: string) {
  const base = `{${prefix}}`
  return {
    /** The beginning of every name; also the prefix of BullMQ's own keys. */
    base,
    /** Hash: a job's facts and counts. */
    job: (jobId: string) => `${base}:job:${jobId}`,
    /**
     * String: a large script or stdin of a job, or its sealed secrets, which go with its end. Has a time to live until
     * the job is accepted.
     */
    text: (jobId: string, name: 'script' | 'stdin' | 'secrets') => `${base}:job:${jobId}:${name}`,
    /** List: the frozen host names, in order. */
    hosts: (jobId: string) => `${base}:job:${jobId}:hosts`,
    /** Hash: what a server has signed of a job: `job`, and the orders that widen it (signed-work.ts). */
    signed: (jobId: string) => `${base}:job:${jobId}:signed`,
    /** Set: indexes of the runs that were released and have not ended. */
    open: (jobId: string) => `${base}:job:${jobId}:open`,
    /** Sorted set: indexes of hosts that showed a host key after another host; the score is that other host's index. */
    twins: (jobId: string) => `${base}:job:${jobId}:twins`,
    /** List: indexes of the runs that did not succeed, in the order in which they ended. */
    wrong: (jobId: string) => `${base}:job:${jobId}:wrong`,
    /** List: indexes of the runs that count against the error budget, in the order in which they ended. */
    errors: (jobId: string) => `${base}:job:${jobId}:errors`,
    /** Set: indexes of the runs that have a notice or a late result. */
    noticed: (jobId: string) => `${base}:job:${jobId}:noticed`,
    /** List: the jobs that reran this one. */
    reruns: (jobId: string) => `${base}:job:${jobId}:reruns`,
    /** Hash: one run. Exists from its release on. */
    run: (jobId: string, index: number) => `${base}:run:${jobId}:${index}`,
    /** String: the first bytes of a stream. */
    head: (jobId: string, index: number, stream: string) => `${base}:out:${jobId}:${index}:${stream}`,
    /** String: the last bytes of a stream that was longer than its head. */
    tail: (jobId: string, index: number, stream: string) => `${base}:out:${jobId}:${index}:${stream}:tail`,
    /** Sorted set: all jobs by the time of their submission. */
    jobs: `${base}:jobs`,
    /** Sorted set: the jobs of one owner, by the time of their submission. */
    jobsOf: (owner: string) => `${base}:jobs:${owner}`,
    /** Set: jobs that have not ended. */
    active: `${base}:active`,
    /** String with a time to live: the lease of a worker. */
    worker: (workerId: string) => `${base}:worker:${workerId}`,
    // These two keep the word that earlier versions know them by: workers of both count together during an upgrade.
    /** Hash: how many runs each worker takes at once. */
    workerPlaces: `${base}:slots`,
    /** Sorted set: who holds a turn at a handshake with or through a jump host, by when it is lost. */
    jumpTurns: (jumpName: string) => `${base}:dial-slots:${jumpName}`,
    /** Hash with a time to live: the job that an idempotency key stands for, and a digest of its request. */
    idempotency: (owner: string, keyDigest: string) => `${base}:idem:${owner}:${keyDigest}`,
    /** Sorted set: open circuit breakers as `connect:HOST` and `auth:HOST`, by when the host may be tried again. */
    breakers: `${base}:breakers`,
    /** Hash: API keys by ID (libs/access). */
    apiKeys: `${base}:api-keys`,
    /** Set: the runs in flight, as `job:index`, that count for an API key that limits them. */
    keyRuns: (keyId: string) => `${base}:key-runs:${keyId}`,
    /** Set: jobs that would let more runs go if that key allowed it. */
    keyWaiting: (keyId: string) => `${base}:key-waiting:${keyId}`,
    /** Sorted set with a time to live: the jobs of the last hour that count for an API key, by when. */
    keyHour: (keyId: string) => `${base}:key-hour:${keyId}`,
    /** Set: jobs for which a place of their key has become free. */
    toTend: `${base}:to-tend`,
    /** String with a time to live: how many calls an API key has made lately, or how many that make jobs. */
    calls: (keyId: string, kind: 'calls' | 'job-calls') => `${base}:${kind}:${keyId}`,
    /** String: the secret that the seals of durable runs are made with. */
    durableSecret: `${base}:durable-secret`,
    /** Channel: the ID of a job that changed. */
    changed: `${base}:changed`,
    /** String with a time to live: since when a worker or a claim is suspected to be gone. */
    suspect: (name: string) => `${base}:suspect:${name}`,
    /** Sorted set: tickets to issue later, by when. */
    due: `${base}:due`,
    /** String: when a process last signalled that it sweeps. */
    sweepTurn: `${base}:sweep-turn`,
    /**
     * Channel: the ID of a job that workers must look at, because it is to stop (all of it or some runs) or has more
     * time.
     */
    orders: `${base}:orders`,
  }
}
