/** What the report of a job costs, and that all of it is of one moment. */
import { type Ledger, reportJob } from '@muster/ledger'
import { expect, test } from 'vitest'
import { openTestLedger, submitTo } from '../../support/ledger/ledger.ts'
import { claimIndex, endAs } from '../../support/ledger/ledger-worker.ts'

/** The commands that `step` sends to Redis over the connection of the ledger. */
async function commandsOf<T>(ledger: Ledger, step: () => Promise<T>): Promise<{ sent: string[]; answer: T }> {
  const sent: string[] = []
  const { redis } = ledger
  const send = redis.sendCommand.bind(redis)
  redis.sendCommand = (command, ...rest) => {
    sent.push(command.name)
    return send(command, ...rest)
  }
  try {
    return { answer: await step(), sent }
  } finally {
    redis.sendCommand = send
  }
}

test('the report of a new job, and of one where much went wrong, is one command to Redis', async () => {
  const ledger = await openTestLedger()
  const small = await submitTo(ledger, 1)
  // Redis is given the text of the script once.
  await reportJob(ledger, small)
  const plain = await commandsOf(ledger, () => reportJob(ledger, small))
  expect(plain.sent).toEqual(['evalsha'])
  expect(plain.answer).toMatchObject({ state: 'queued', problems: [], notices: [], reruns: [], command: 'true' })

  const large = await submitTo(ledger, 600, {
    max_errors: 0,
    script: `#!/bin/sh\n${'echo é\n'.repeat(5_000)}`,
    command: undefined,
  })
  const claims = [await claimIndex(ledger, large, 0), await claimIndex(ledger, large, 1)]
  for (const claim of claims) {
    if (claim === undefined) throw new Error('a run of a new job was not claimed')
    await endAs(ledger, claim, 'failed')
  }
  const { sent, answer } = await commandsOf(ledger, () => reportJob(ledger, large))
  expect(sent).toEqual(['evalsha'])
  expect(answer).toMatchObject({ tripped_by: 'h0', total: 600, problems_omitted: 350 })
  expect(answer?.command).toMatch(/^#!\/bin\/sh\n(echo é\n)+.*…$/)
  expect(answer?.problems?.map(({ state, count }) => [state, count])).toEqual([
    ['skipped', 248],
    ['failed', 2],
  ])
})

test('there is no report of an unknown job', async () => {
  const ledger = await openTestLedger()
  expect(await reportJob(ledger, `job_${'a'.repeat(26)}`)).toBeUndefined()
})
