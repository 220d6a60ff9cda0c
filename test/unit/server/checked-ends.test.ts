/** What an operator is told of ends that no worker vouches for. */
import { createLogger } from '@muster/runtime'
import { expect, test } from 'vitest'
import { tellUnverifiedEnds } from '../../../apps/server/src/checked-ends.ts'

test('each unverified end is logged once, however often it is read, with how many there were', () => {
  const lines: string[] = []
  const logger = createLogger({ name: 'test', level: 'warn', write: (line) => lines.push(line) })
  const tell = tellUnverifiedEnds(logger)
  const run = { index: 0, host: 'web1', said: 'succeeded, exit code 0' }
  for (let i = 0; i < 3; i += 1) tell({ jobId: 'job_a', ...run })
  tell({ jobId: 'job_b', ...run })
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { job_id: 'job_a', end: { host: 'web1', index: 0, said: 'succeeded, exit code 0', unverified: 1 } },
    { job_id: 'job_b', end: { unverified: 2 } },
  ])
})
