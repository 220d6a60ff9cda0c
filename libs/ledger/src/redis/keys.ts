/**
 * The names of everything the ledger keeps in Redis. All carry one hash tag, so that they live in one slot of a
 * Redis Cluster and a Lua script may touch several of them.
 */

/** The BullMQ queue that tickets wait in. */
export const TICKET_QUEUE = 'tickets'

/** Builds the key names for one prefix, such as "muster". Two prefixes share nothing. */
export type Keys = ReturnType<typeof keysOf>

/** Key names under `{prefix}`. */
export function keysOf(prefix: string) {
  const base = `{${prefix}}`
  return {
    /** What every name begins with; also the prefix of BullMQ's own keys. */
    base,
    /** Hash: a job's facts and counts. */
    job: (jobId: string) => `${base}:job:${jobId}`,
    /** String: a large script or stdin of a job. Has a time to live until the job is accepted. */
    text: (jobId: string, name: 'script' | 'stdin') => `${base}:job:${jobId}:${name}`,
    /** List: the frozen host names, in order. */
    hosts: (jobId: string) => `${base}:job:${jobId}:hosts`,
    /** Set: indexes of the runs that were released and have not ended. */
    open: (jobId: string) => `${base}:job:${jobId}:open`,
    /** Sorted set: hosts that showed a host key which another one had shown, by index; the score is the other's. */
    twins: (jobId: string) => `${base}:job:${jobId}:twins`,
    /** List: indexes of the runs that ended in any other way than success, in the order they ended. */
    wrong: (jobId: string) => `${base}:job:${jobId}:wrong`,
    /** List: indexes of the runs that count against the error budget, in the order they ended. */
    errors: (jobId: string) => `${base}:job:${jobId}:errors`,
    /** Set: indexes of the runs of which there is something else to know: a notice, or a late result. */
    noticed: (jobId: string) => `${base}:job:${jobId}:noticed`,
    /** List: the jobs that ran this one again on some of its hosts. */
    reruns: (jobId: string) => `${base}:job:${jobId}:reruns`,
    /** Hash: one run; exists from its release on. */
    run: (jobId: string, index: number) => `${base}:run:${jobId}:${index}`,
    /** String: the first bytes of a stream. */
    head: (jobId: string, index: number, stream: string) => `${base}:out:${jobId}:${index}:${stream}`,
    /** String: the last bytes of a stream that was longer than its head. */
    tail: (jobId: string, index: number, stream: string) => `${base}:out:${jobId}:${index}:${stream}:tail`,
    /** Sorted set: all jobs by the time of their submission. */
    jobs: `${base}:jobs`,
    /** Sorted set: the same of one owner. */
    jobsOf: (owner: string) => `${base}:jobs:${owner}`,
    /** Set: jobs that have not ended. */
    active: `${base}:active`,
    /** String with a time to live: the lease of a worker. */
    worker: (workerId: string) => `${base}:worker:${workerId}`,
    /** Hash: workers, and how many runs each takes at once. */
    slots: `${base}:slots`,
    /** String with a time to live: the job an idempotency key stands for. */
    idempotency: (owner: string, keyDigest: string) => `${base}:idem:${owner}:${keyDigest}`,
    /** Sorted set: `connect:HOST` and `auth:HOST` of open circuit breakers, by when they may be tried again. */
    breakers: `${base}:breakers`,
    /** Sorted set: who is making a handshake with or through a jump host, by when they lose their slot. */
    dialSlots: (jumpName: string) => `${base}:dial-slots:${jumpName}`,
    /** Hash: API keys by ID (libs/access). */
    apiKeys: `${base}:api-keys`,
    /** String: what the seals of durable runs are made of. */
    durableSecret: `${base}:durable-secret`,
    /** Channel: the ID of a job that changed. */
    changed: `${base}:changed`,
    /** String with a time to live: since when a worker, or a claim, is suspected to be gone. */
    suspect: (name: string) => `${base}:suspect:${name}`,
    /** Sorted set: tickets that are to be issued later, by when. */
    due: `${base}:due`,
    /** String: when a process last gave a sign that it sweeps. */
    sweepTurn: `${base}:sweep-turn`,
    /** Channel: the ID of a job that workers must look at: it is to stop, in part or whole, or a limit was raised. */
    orders: `${base}:orders`,
  }
}
