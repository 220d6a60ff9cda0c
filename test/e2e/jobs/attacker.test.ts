/**
 * An attacker's script: whoever can read and write everything in Redis, and has no file of a server or worker. They run
 * no command of their own, make no API key, and have nobody run one for them. Commands would leave files in a directory
 * of the host.
 */
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OPERATIONS } from '@muster/contract'
import { resumeJob } from '@muster/ledger'
import type { Redis } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ledgerOf, pushAgain } from '../../support/stack/redis-writer.ts'
import { redisOf, runOf, startForSecrets } from '../../support/stack/secret-stack.ts'
import type { Stack } from '../../support/stack/stack.ts'

/** A Muster, its Redis, and a directory in which commands leave their marks. */
type Scene = {
  readonly stack: Stack
  readonly redis: Redis
  readonly key: (rest: string) => string
  readonly directory: string
  /** Submits a job that was really asked for: it leaves its mark. */
  honest(mark: string, request?: Record<string, unknown>): Promise<string>
  /** The marks that there are. */
  marks(): Promise<string[]>
}

async function scene(options: Parameters<typeof startForSecrets>[0] = {}): Promise<Scene> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-marks-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  // Commands run as another user.
  await chmod(directory, 0o777)
  const stack = await startForSecrets(options)
  return {
    stack,
    ...redisOf(stack),
    directory,
    honest: async (mark, request) => {
      const command = `touch ${directory}/honest-${mark}`
      return (await stack.submit({ targets: 'h1', command, ...request })).job_id
    },
    marks: async () => (await readdir(directory)).toSorted(),
  }
}

/** What the attacker would have the hosts do. */
const evil = ({ directory }: Scene, mark: string) => `touch ${directory}/evil-${mark}`

/** Puts the attacker's command into the record of a job. */
async function putCommand(at: Scene, jobId: string, mark: string): Promise<void> {
  const { redis, key } = at
  const spec = JSON.parse((await redis.hget(key(`job:${jobId}`), 'spec')) ?? '')
  await redis.hset(key(`job:${jobId}`), 'spec', JSON.stringify({ ...spec, command: evil(at, mark) }))
}

/** Everything of a job under another ID, with the attacker's command and claims that fit it. */
async function forgeJob(at: Scene, from: string, mark: string): Promise<{ jobId: string; claims: object }> {
  const { redis, key } = at
  const jobId = `job_${createHash('sha256')
    .update(mark)
    .digest('hex')
    .replaceAll(/[^a-f]/g, 'x')
    .slice(0, 26)}`
  for (const part of ['', ':hosts', ':signed']) await redis.copy(key(`job:${from}${part}`), key(`job:${jobId}${part}`))
  await putCommand(at, jobId, mark)
  const spec = (await redis.hget(key(`job:${jobId}`), 'spec')) ?? ''
  const [, payload = ''] = ((await redis.hget(key(`job:${from}:signed`), 'job')) ?? '').split('.')
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
  const digest = createHash('sha256').update(spec).digest('base64url')
  return { jobId, claims: { ...claims, job: jobId, texts: { ...claims.texts, spec: digest } } }
}

const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

describe('a command of their own', () => {
  test('in a job that they have made themselves does not run, whatever they sign it with', async () => {
    const at = await scene({ workers: 0 })
    const { stack, redis, key } = at
    const template = await at.honest('template')
    const [head = ''] = ((await redis.hget(key(`job:${template}:signed`), 'job')) ?? '').split('.')
    const honestHead = JSON.parse(Buffer.from(head, 'base64url').toString())
    const publicFile = await readFile(join(stack.dataDir, 'server-keys.pub.json'), 'utf8')
    const own = generateKeyPairSync('ed25519').privateKey
    const signatures: Record<string, [(claims: object) => string | undefined, RegExp]> = {
      nothing: [() => undefined, /^the job is not signed: /],
      none: [(claims) => `${encoded({ ...honestHead, alg: 'none' })}.${encoded(claims)}.`, /"none", not by EdDSA/],
      'the public key': [
        (claims) => {
          const text = `${encoded({ ...honestHead, alg: 'HS256' })}.${encoded(claims)}`
          const [{ x }] = JSON.parse(publicFile).keys
          const mac = createHash('sha256').update(x).update(text).digest('base64url')
          return `${text}.${mac}`
        },
        /"HS256", not by EdDSA/,
      ],
      'a key of their own': [
        (claims) => {
          const text = `${encoded({ ...honestHead, kid: 'own' })}.${encoded(claims)}`
          return `${text}.${sign(null, Buffer.from(text), own).toString('base64url')}`
        },
        /^it is signed with the key "own", and this worker knows /,
      ],
      'a key of their own by the name of another': [
        (claims) => {
          const text = `${head}.${encoded(claims)}`
          return `${text}.${sign(null, Buffer.from(text), own).toString('base64url')}`
        },
        /^the signature does not match$/,
      ],
      'a key in the signature itself': [
        (claims) => {
          const jwk = own.export({ format: 'jwk' })
          const text = `${encoded({ ...honestHead, jwk: { kty: jwk.kty, crv: jwk.crv, x: jwk.x } })}.${encoded(claims)}`
          return `${text}.${sign(null, Buffer.from(text), own).toString('base64url')}`
        },
        /^the signature does not match$/,
      ],
    }
    const forged: Array<[string, string, RegExp]> = []
    const ledger = await ledgerOf(stack)
    for (const [how, [signed, refusal]] of Object.entries(signatures)) {
      const { jobId, claims } = await forgeJob(at, template, how.replaceAll(' ', '-'))
      const text = signed(claims)
      if (text === undefined) await redis.del(key(`job:${jobId}:signed`))
      else await redis.hset(key(`job:${jobId}:signed`), 'job', text)
      await pushAgain(ledger, jobId, 0, 'h1')
      forged.push([how, jobId, refusal])
    }
    await stack.startWorker()
    for (const [how, jobId, detail] of forged) {
      await stack.ended(jobId)
      const refused = { state: 'skipped', reason: 'signature_invalid', detail: expect.stringMatching(detail) }
      expect.soft([how, await runOf(stack, jobId)]).toEqual([how, expect.objectContaining(refused)])
    }
    await stack.ended(template)
    expect(await at.marks()).toEqual(['honest-template'])
  }, 90_000)

  test('does not run on a host of another run, nor behind a gate that an order for another job opens', async () => {
    const at = await scene({ workers: 0 })
    const { stack, redis, key } = at
    const exchanged = await at.honest('$(hostname)', { targets: 'h1,h2', order: 'given' })
    for (const name of [0, 1]) {
      await redis.lset(key(`job:${exchanged}:hosts`), name, `h${2 - name}`)
      await redis.hset(key(`run:${exchanged}:${name}`), 'host', `h${2 - name}`)
    }
    const gated = { targets: 'h[1-2]', batches: [1, 1], gate: 'manual' }
    const [opened, shut] = [await at.honest('opened', gated), await at.honest('shut', gated)]
    await stack.startWorker()
    for (const host of ['h1', 'h2']) {
      await expect.poll(() => runOf(stack, exchanged, host)).toMatchObject({ reason: 'signature_invalid' })
    }
    const state = async (jobId: string) => Object((await stack.ask('GET', `/v1/jobs/${jobId}`)).body).state
    for (const jobId of [opened, shut]) await expect.poll(() => state(jobId), { timeout: 20_000 }).toBe('paused')
    await stack.ask('POST', `/v1/jobs/${opened}/resume`, {})
    await stack.ended(opened)
    await redis.hset(
      key(`job:${shut}:signed`),
      'gate:0',
      (await redis.hget(key(`job:${opened}:signed`), 'gate:0')) ?? '',
    )
    expect(await resumeJob(await ledgerOf(stack), shut)).toBe('resumed')
    await stack.ended(shut)
    expect(await runOf(stack, shut, 'h2')).toMatchObject({
      reason: 'signature_invalid',
      detail: 'it is of batch 2, and no signed order opens the gate after 1',
    })
    expect(await at.marks()).toEqual(['honest-opened', 'honest-shut'])
  }, 90_000)

  test('does not run a command that was signed, on a host, by a run or as an attempt that was not', async () => {
    const at = await scene({ workers: 0 })
    const { stack, redis, key } = at
    const ledger = await ledgerOf(stack)
    const onHost = `touch ${at.directory}/ran-on-$(set -- $SSH_CONNECTION; echo $3)`
    const submit = async () => (await stack.submit({ targets: 'h1', command: onHost })).job_id
    const [beyond, other, often] = [await submit(), await submit(), await submit()]
    // A run that the job does not have, with and without a host in the frozen set.
    await redis.rpush(key(`job:${beyond}:hosts`), 'h3')
    await redis.hset(key(`job:${beyond}`), 'total', 2)
    await pushAgain(ledger, beyond, 1, 'h3')
    await pushAgain(ledger, other, 0, 'h3')
    await pushAgain(ledger, often, 0, 'h1', 9)
    await stack.startWorker()
    for (const [jobId, index] of [
      [beyond, 1],
      [other, 0],
      [often, 0],
    ] as const) {
      const reason = () => redis.hget(key(`run:${jobId}:${index}`), 'reason')
      await expect.poll(reason, { timeout: 20_000 }).toBe('signature_invalid')
    }
    expect((await at.marks()).filter((mark) => mark !== 'ran-on-127.0.1.1')).toEqual([])
  }, 60_000)

  test('is not signed by a server when somebody runs their job again, whatever was changed in it', async () => {
    const at = await scene()
    const { stack, redis, key } = at
    const script = `#!/bin/sh\ntouch ${at.directory}/honest-script\n${'#'.repeat(20_000)}\n`
    const changes: Record<string, [Record<string, unknown>, (jobId: string) => Promise<unknown>, RegExp]> = {
      command: [{}, (id) => putCommand(at, id, 'rerun'), /changed in Redis: the command or an option of it/],
      script: [
        { command: undefined, script },
        (id) => redis.setrange(key(`job:${id}:script`), 10, `touch ${at.directory}/evil-script;exit\n`),
        /changed in Redis: its script/,
      ],
      host: [{}, (id) => redis.lset(key(`job:${id}:hosts`), 0, 'h3'), /changed in Redis: its hosts|no host of job/],
      hosts: [
        {},
        (id) => redis.rpush(key(`job:${id}:hosts`), 'h3').then(() => redis.hset(key(`job:${id}`), 'total', 2)),
        /changed in Redis: its hosts|no host of job/,
      ],
      signature: [{}, (id) => redis.del(key(`job:${id}:signed`)), /the job is not signed: /],
      'signature of another': [
        {},
        async (id) => redis.copy(key(`job:${await at.honest('other')}:signed`), key(`job:${id}:signed`), 'REPLACE'),
        /what is signed is job job_/,
      ],
    }
    for (const [what, [request, change, refusal]] of Object.entries(changes)) {
      const jobId = await at.honest('first', request)
      await stack.ended(jobId)
      await change(jobId)
      const all = ['succeeded', 'lost', 'skipped', 'failed']
      const { status, body } = await stack.ask('POST', `/v1/jobs/${jobId}/rerun`, { states: all })
      expect
        .soft([what, status, Object(body).detail])
        .toEqual([what, expect.any(Number), expect.stringMatching(refusal)])
    }
    const untouched = await at.honest('first')
    expect(await stack.ended(untouched)).toMatchObject({ problems: [], state: 'succeeded' })
    const again = await stack.ask('POST', `/v1/jobs/${untouched}/rerun`, { states: ['succeeded'] })
    expect(again.status).toBe(202)
    expect(await stack.ended(Object(again.body).job_id)).toMatchObject({ state: 'succeeded' })
    expect(await at.marks()).toEqual(['honest-first', 'honest-other', 'honest-script'])
  }, 120_000)
})

test('another job does not answer for one that somebody submits under an idempotency key', async () => {
  const at = await scene()
  const { stack, redis, key } = at
  const other = await at.honest('other')
  await stack.ended(other)
  const request = { targets: 'h1', command: `touch ${at.directory}/honest-once`, idempotency_key: 'deploy-7' }
  const first = await stack.submit(request)
  await stack.ended(first.job_id)
  expect((await stack.submit(request)).job_id).toBe(first.job_id)
  const [name = ''] = (await redis.keys(key('idem:*'))).filter((one) => one.startsWith(key('idem:')))
  const stored = await redis.hgetall(name)
  const field = Object.keys(stored).find((one) => stored[one] === first.job_id) ?? ''
  await redis.hset(name, field, other)
  const { status, body } = await stack.ask('POST', '/v1/jobs', request)
  expect([status, Object(body).code]).toEqual([409, 'signature_invalid'])
  expect(Object(body).detail).toContain(`job ${other} does not match its signature: it was signed for another request`)
}, 60_000)

test('whoever puts their own name into the record of a job has no order signed for it', async () => {
  const at = await scene()
  const { stack, redis, key } = at
  const made = await stack.ask('POST', '/v1/keys', { owner: 'ann', scopes: ['jobs:run', 'jobs:read'] })
  const asAnn = async (path: string, body: object) => {
    const response = await fetch(`${stack.url}/v1/jobs/${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${Object(made.body).key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return [response.status, Object(await response.json()).code]
  }
  const jobId = await at.honest('gated', { targets: 'h1,h2', batches: [1], gate: 'manual' })
  await expect.poll(() => redis.hget(key(`job:${jobId}`), 'state'), { timeout: 20_000 }).toBe('paused')
  const orders: Array<[string, object]> = [
    ['resume', {}],
    ['extend', { exec_timeout_s: 3_000 }],
    ['concurrency', { concurrency: 2 }],
  ]
  for (const [order, body] of orders) expect(await asAnn(`${jobId}/${order}`, body)).toEqual([404, 'not_found'])
  await redis.hset(key(`job:${jobId}`), 'owner', 'ann')
  for (const [order, body] of orders) {
    expect(await asAnn(`${jobId}/${order}`, body)).toEqual([409, 'signature_invalid'])
  }
  expect(await redis.hkeys(key(`job:${jobId}:signed`))).toEqual(['job'])
}, 60_000)

test('a record that they have written makes no API key, and gives none more than it had', async () => {
  const at = await scene()
  const { stack, redis, key } = at
  const records = key('api-keys')
  const withKey = async (secret: string, body: object = { targets: 'h1', command: evil(at, 'key') }) => {
    const response = await fetch(`${stack.url}/v1/jobs`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return [response.status, Object(await response.json()).code]
  }
  const made = async (request: object) => {
    const { body } = await stack.ask('POST', '/v1/keys', request)
    return { secret: String(Object(body).key), id: String(Object(body).record.key_id) }
  }
  const own = `mst_evil_${randomBytes(32).toString('base64url')}`
  const sha256 = createHash('sha256').update(own).digest('hex')
  const honestRecord = (await redis.hget(records, 'first')) ?? ''

  const forged = [
    JSON.stringify({ sha256, source: 'made', created_at: new Date().toISOString() }),
    honestRecord.replace(/"sha256":"[0-9a-f]+"/, `"sha256":"${sha256}"`),
    honestRecord.replace('{', `{"old_secret":{"sha256":"${sha256}","until":"2100-01-01T00:00:00.000Z"},`),
  ]
  for (const record of forged) {
    await redis.hset(records, 'evil', record)
    expect(await withKey(own)).toEqual([401, 'unauthorized'])
  }
  const ownFirst = own.replace('evil', 'first')
  await redis.hset(
    records,
    'first',
    forged[1]?.replace(sha256, createHash('sha256').update(ownFirst).digest('hex')) ?? '',
  )
  expect(await withKey(ownFirst)).toEqual([401, 'unauthorized'])
  await redis.hset(records, 'first', honestRecord)
  await new Promise((resolve) => setTimeout(resolve, 1_100))

  const reader = await made({ owner: 'ann', scopes: ['jobs:read'] })
  const revoked = await made({ owner: 'ann', scopes: ['jobs:run', 'jobs:read'] })
  const narrow = await made({ owner: 'ann', scopes: ['jobs:run', 'jobs:read'], hosts: 'h2' })
  await stack.ask('POST', `/v1/keys/${revoked.id}/revoke`, {})
  expect(await withKey(reader.secret)).toEqual([403, 'insufficient_scope'])
  expect(await withKey(revoked.secret)).toEqual([401, 'unauthorized'])
  expect(await withKey(narrow.secret)).toEqual([403, 'key_limit'])
  const edit = async (id: string, change: (record: string) => string) => {
    const record = (await redis.hget(records, id)) ?? ''
    expect(change(record)).not.toBe(record)
    await redis.hset(records, id, change(record))
  }
  await edit(reader.id, (record) => record.replace('["jobs:read"]', '["jobs:read","jobs:run"]'))
  await edit(revoked.id, (record) => record.replace(/"revoked_at":"[^"]+"/, '"revoked_at":null'))
  await edit(narrow.id, (record) => record.replace('"hosts":["h2"]', '"hosts":[]'))
  await new Promise((resolve) => setTimeout(resolve, 1_100))
  for (const { secret } of [reader, revoked, narrow]) expect(await withKey(secret)).toEqual([401, 'unauthorized'])
  expect(await at.marks()).toEqual([])
}, 90_000)

test('no job is said to have succeeded, and no run to be on another host, than a worker has signed', async () => {
  const at = await scene()
  const { stack, redis, key } = at
  const run = (jobId: string, index = 0) => key(`run:${jobId}:${index}`)
  const ended = async (command: string, targets = 'h1') => {
    const { job_id: jobId } = await stack.submit({ targets, order: 'given', command, max_errors: 9 })
    // Not by asking the server, which would keep what it has read.
    await expect.poll(() => redis.hget(key(`job:${jobId}`), 'ended'), { timeout: 20_000 }).not.toBeNull()
    return jobId
  }
  const say = async (jobId: string, hosts: number) => {
    await redis.hset(key(`job:${jobId}`), { state: 'succeeded', total: hosts, 'n:failed': 0, 'n:succeeded': hosts })
    await redis.del(key(`job:${jobId}:wrong`), key(`job:${jobId}:errors`))
  }
  const template = await ended('true')
  const onH1 = `[ "$SSH_CONNECTION" != "\${SSH_CONNECTION#*127.0.1.1 }" ]`

  const attacks: Record<string, () => Promise<string>> = {
    'a failure made a success': async () => {
      const jobId = await ended('exit 3')
      await redis.hset(run(jobId), { state: 'succeeded', exit_code: 0 })
      await redis.hdel(run(jobId), 'reason', 'detail')
      return jobId
    },
    'the success of another job': async () => {
      const jobId = await ended('exit 3')
      await redis.copy(run(template), run(jobId), 'REPLACE')
      return jobId
    },
    'the success of another host': async () => {
      const jobId = await ended(onH1, 'h1,h2')
      await redis.copy(run(jobId, 0), run(jobId, 1), 'REPLACE')
      return jobId
    },
    'the hosts of two ends exchanged': async () => {
      const jobId = await ended('true', 'h1,h2')
      for (const [index, host] of ['h2', 'h1'].entries()) {
        await redis.lset(key(`job:${jobId}:hosts`), index, host)
        await redis.hset(run(jobId, index), 'host', host)
      }
      return jobId
    },
    'a host by the name of another': async () => {
      const jobId = await ended('true')
      await redis.lset(key(`job:${jobId}:hosts`), 0, 'db1')
      await redis.hset(run(jobId), 'host', 'db1')
      return jobId
    },
    'the host that failed taken out': async () => {
      const jobId = await ended(onH1, 'h1,h2')
      await redis.rpop(key(`job:${jobId}:hosts`))
      await redis.del(run(jobId, 1))
      await say(jobId, 1)
      return jobId
    },
    'a success without a signature': async () => {
      const jobId = await ended('exit 3')
      await redis.del(run(jobId))
      await redis.hset(run(jobId), { state: 'succeeded', remote: 'ended', exit_code: 0, attempt: 1, worker: 'w' })
      return jobId
    },
    'no run at all': async () => {
      const jobId = await ended('exit 3')
      await redis.del(run(jobId))
      return jobId
    },
  }
  const told: Record<string, unknown> = {}
  for (const [what, attack] of Object.entries(attacks)) {
    const jobId = await attack()
    const { total } = Object((await stack.ask('GET', `/v1/jobs/${jobId}`)).body)
    await say(jobId, total)
    const job = await stack.ended(jobId)
    const { runs } = OPERATIONS.list_runs.output.parse((await stack.ask('GET', `/v1/jobs/${jobId}/runs`)).body)
    told[what] = [job.state, runs.map(({ host, state, reason }) => [host, state, reason].join(' '))]
  }
  const lost = (...hosts: string[]) => ['failed', hosts.map((host) => `${host} lost end_unverified`)]
  expect(told).toEqual({
    'a failure made a success': lost('h1'),
    'the success of another job': lost('h1'),
    'the success of another host': ['partial', ['h1 succeeded ', 'h1 lost end_unverified']],
    'the hosts of two ends exchanged': lost('h2', 'h1'),
    'a host by the name of another': lost('db1'),
    'the host that failed taken out': lost('h1'),
    'a success without a signature': lost('h1'),
    'no run at all': ['failed', ['h1 pending ']],
  })
}, 120_000)
