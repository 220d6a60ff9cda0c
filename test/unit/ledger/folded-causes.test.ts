/** Sentences that tell of the same cause, and those that do not; however many there are, few rows come of them. */
import { byCause, causeOf } from '@muster/ledger'
import { expect, test } from 'vitest'

const alike = (a: [string, string], b: [string, string]) =>
  causeOf({ host: a[0], detail: a[1] }) === causeOf({ host: b[0], detail: b[1] })

test.each<[[string, string], [string, string]]>([
  [
    ['web1', 'web1 (deploy@10.0.0.1:22): ECONNREFUSED, while waiting for the TCP connection'],
    ['db.example', 'db.example (root@db.example:2222): ECONNREFUSED, while waiting for the TCP connection'],
  ],
  [
    ['a', 'the key file /etc/keys/a cannot be read by the worker: ENOENT'],
    ['b', 'the key file ~/.ssh/id_b cannot be read by the worker: ENOENT'],
  ],
  [
    ['web1', 'it refused several log-ins in a row, and is not tried before 2026-01-01T00:00:00.000Z'],
    ['web2', 'it refused several log-ins in a row, and is not tried before 2027-02-03T04:05:06.789Z'],
  ],
  [
    ['a', 'the host shows the ssh-ed25519 key SHA256:abc/+0, and none is listed for [10.0.0.1]:22'],
    ['b', 'the host shows the ssh-ed25519 key SHA256:Zz9, and none is listed for [fe80::1]:2200'],
  ],
])('names, addresses, paths, keys and times make no difference: %j', (a, b) => {
  expect(alike(a, b)).toBe(true)
})

test.each<[string, string]>([
  ['ECONNREFUSED: nothing listens there', 'ECONNRESET: read'],
  ['key /a: refused', 'key /a: the passphrase is wrong'],
  ['jump host gate: dns_timeout: no answer', 'jump host gate: auth_failed: no credential was accepted'],
])('what went wrong does: %s, %s', (a, b) => {
  expect(alike(['h', a], ['h', b])).toBe(false)
})

/** No digits, which are masked. */
const word = (i: number) => [...String(i)].map((digit) => 'abcdefghij'[Number(digit)]).join('')

test('five hundred different sentences are a few rows with every host, the largest causes kept apart', () => {
  const own = Array.from({ length: 500 }, (_, i) => ({ host: `h${i}`, detail: `its disk says ${word(i)}` }))
  const many = Array.from({ length: 3 }, (_, i) => ({ host: `m${i}`, detail: `m${i} (u@10.0.0.${i}:22): no answer` }))
  const rows = byCause([...own, ...many])
  expect(rows.map(({ runs }) => runs.length)).toEqual([3, 1, 1, 1, 1, 496])
  expect(rows[0]?.detail).toBe('m0 (u@10.0.0.0:22): no answer')
  expect(rows[5]?.detail).toBe('496 different causes; h4, for example: its disk says e')
  expect(byCause([{ host: 'a', detail: null }])).toEqual([{ runs: [{ host: 'a', detail: null }], detail: null }])
})

test('a row tells the sentence of one of its hosts, and names it where the others have other words', () => {
  const one = (host: string, detail: string) => ({ host, detail })
  expect(byCause([one('a', 'no answer'), one('b', 'no answer')])[0]?.detail).toBe('no answer')
  expect(byCause([one('a', 'exit code 7'), one('b', 'exit code 8')])[0]?.detail).toBe('a, for example: exit code 7')
})
