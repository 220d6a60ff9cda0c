/** `muster worker-keys`: makes, lists, rotates and drops the keys of workers, and shows no private half. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { muster } from '../../support/cli/muster-process.ts'

const ENV = { PATH: process.env.PATH }

async function run(...words: string[]) {
  const { status, out, said } = await muster(ENV, 'worker-keys', ...words)
  return { status, out: out.toString(), said }
}

test('makes keys once, says who gets which file, and goes on with them', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'muster-worker-keys-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const made = await run('make', directory)
  expect(made).toMatchObject({ status: 0, out: expect.stringMatching(/^[\w-]{43}\n$/) })
  expect(made.said).toBe(
    `Workers: MUSTER_WORKER_KEY_FILE=${directory}/worker-keys.json\n` +
      `Servers: MUSTER_WORKER_PUBLIC_KEY_FILE=${directory}/worker-keys.pub.json\n`,
  )
  expect(await run('make', directory)).toMatchObject({ status: 2, out: '', said: expect.stringContaining('already') })

  const rotated = await run('rotate', directory)
  expect(rotated.said).toContain('Give the private file to all workers first')
  const listed = await run('list', directory, '--json')
  const { keys } = z.object({ keys: z.array(z.object({ key_id: z.string() })) }).parse(JSON.parse(listed.out))
  expect(keys.map(({ key_id }) => `${key_id}\n`)).toEqual([rotated.out, made.out])
  const text = await readFile(join(directory, 'worker-keys.json'), 'utf8')
  const halves = [...text.matchAll(/"d": "([\w-]+)"/g)].map(([, half = '']) => half)
  expect(halves).toHaveLength(2)
  for (const half of halves) expect(`${made.out}${rotated.out}${listed.out}`).not.toContain(half)

  const dropped = await run('drop', directory)
  expect(dropped).toMatchObject({ status: 0, out: rotated.out })
  expect(dropped.said).toContain('Dropped 1 older keys')
}, 60_000)

test.each([
  [['burn'], 'the forms are muster worker-keys, or'],
  [['make', 'a', 'b'], 'the forms are muster worker-keys, or'],
  [['list', '/nonexistent/keys'], 'there is no such file. muster worker-keys make /nonexistent/keys makes one'],
  [['rotate', '/nonexistent/keys'], 'there is no such file'],
])('%j is refused, with what to do', async (words, said) => {
  expect(await run(...words)).toMatchObject({ status: 2, out: '', said: expect.stringContaining(said) })
})
