/** `muster worker-keys` and `muster server-keys`: make, list, rotate and drop keys, and show no private half. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { muster } from '../../support/cli/muster-process.ts'

const ENV = { PATH: process.env.PATH }

async function run(...words: string[]) {
  const { status, out, said } = await muster(ENV, ...words)
  return { status, out: out.toString(), said }
}

const Listed = z.object({ keys: z.array(z.object({ key_id: z.string(), use: z.string() })) })

describe.each([
  {
    name: 'worker-keys',
    uses: ['seals secrets', 'signs ends'],
    settings: ['Workers: MUSTER_WORKER_KEY_FILE', 'Servers: MUSTER_WORKER_PUBLIC_KEY_FILE'],
    advice: 'Give the private file to all workers first, then the public one to servers, within an hour',
  },
  {
    name: 'server-keys',
    uses: ['signs work', 'protects API keys'],
    settings: ['Servers: MUSTER_SERVER_KEY_FILE', 'Workers: MUSTER_SERVER_PUBLIC_KEY_FILE'],
    advice: 'Give the public file to all workers, and the private one to all servers, within an hour',
  },
])('muster $name', ({ name, uses, settings, advice }) => {
  test('makes keys once, says who gets which file, and goes on with them', async () => {
    const directory = await mkdtemp(join(tmpdir(), `muster-${name}-`))
    onTestFinished(() => rm(directory, { recursive: true, force: true }))
    const made = await run(name, 'make', directory)
    expect(made).toMatchObject({ status: 0, out: expect.stringMatching(/^([\w-]+\n){2}$/) })
    expect(made.said).toBe(`${settings[0]}=${directory}/${name}.json\n${settings[1]}=${directory}/${name}.pub.json\n`)
    const again = await run(name, 'make', directory)
    expect(again).toMatchObject({ status: 2, out: '', said: expect.stringContaining('already') })

    const rotated = await run(name, 'rotate', directory)
    expect(rotated.said).toContain(advice)
    const listed = await run(name, 'list', directory, '--json')
    const { keys } = Listed.parse(JSON.parse(listed.out))
    expect(keys.map(({ key_id }) => `${key_id}\n`).join('')).toBe(rotated.out + made.out)
    expect(keys.map(({ use }) => use)).toEqual([...uses, ...uses])
    const text = await readFile(join(directory, `${name}.json`), 'utf8')
    const halves = [...text.matchAll(/"[dk]": "([\w-]+)"/g)].map(([, half = '']) => half)
    expect(halves).toHaveLength(4)
    const shown = made.out + rotated.out + listed.out + (await run(name, 'list', directory)).out
    for (const half of halves) expect(shown).not.toContain(half)

    const dropped = await run(name, 'drop', directory)
    expect(dropped).toMatchObject({ status: 0, out: made.out })
    expect(dropped.said).toContain('Dropped 2 older keys')
  }, 60_000)

  test.each([
    [['burn'], `the forms are muster ${name}, or`],
    [['make', 'a', 'b'], `the forms are muster ${name}, or`],
    [['list', '/nonexistent/keys'], `there is no such file. muster ${name} make /nonexistent/keys makes one`],
    [['rotate', '/nonexistent/keys'], 'there is no such file'],
  ])('%j is refused, with what to do', async (words, said) => {
    expect(await run(name, ...words)).toMatchObject({ status: 2, out: '', said: expect.stringContaining(said) })
  })
})
