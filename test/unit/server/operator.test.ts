/** To whom the server shows the text of its first key. */
import { createLogger } from '@muster/runtime'
import { expect, test } from 'vitest'
import { operatorOf, tellFirstKey } from '../../../apps/server/src/operator.ts'

test.each([
  ['a person on a terminal', { isTTY: true, ppid: 4711 }, true],
  ['a pipe', { isTTY: false, ppid: 4711 }, false],
  ['the main program of a container, which has a terminal and a log', { isTTY: true, ppid: 0 }, false],
  ['what the first process of a container or machine has started', { isTTY: true, ppid: 1 }, false],
])('with %s, the first key is shown: %o %s', (_what, { isTTY, ppid }, isShown) => {
  const { lines, kept } = told({ isTTY, ppid, connected: false })
  expect(lines).toContain('/data/api-key')
  expect(lines.includes('mst_first_secret')).toBe(isShown)
  expect(kept).not.toContain('mst_first_secret')
})

test('a server of muster up prints nothing of its key: muster up says where it is', () => {
  const { lines, kept } = told({ isTTY: false, ppid: 4711, connected: true })
  expect(lines).toBe('')
  expect(kept).toContain('/data/api-key')
})

function told({ isTTY, ...own }: { isTTY: boolean; ppid: number; connected: boolean }) {
  const lines: string[] = []
  const kept: string[] = []
  const stdout = { isTTY, write: (line: string) => lines.push(line) > 0 }
  const logger = createLogger({ name: 'test', level: 'trace', write: (line) => kept.push(line) })
  tellFirstKey({ kind: 'made', key: 'mst_first_secret', file: '/data/api-key' }, logger, operatorOf({ ...own, stdout }))
  return { lines: lines.join(''), kept: kept.join('') }
}
