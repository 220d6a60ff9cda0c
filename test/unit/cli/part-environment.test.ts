/** What each part of the embedded stack is told: no more than it needs. */
import { withoutPasswords } from '@muster/contract'
import { expect, test } from 'vitest'
import { serverEnvironment, stackEnvironment, workerEnvironment } from '../../../apps/cli/src/stack/part-environment.ts'

const SSH_SERVERS = 'a:10.0.0.1:me:s3cret:with:colons,b:[fe80::1]:me:hush,c:10.0.0.3:you'
const COMMON = { PATH: '/bin', HOME: '/home/me', MUSTER_PORT: '0', REDIS_URL: 'redis://r' }
const OF_STACK = {
  ...COMMON,
  MUSTER_API_KEY: 'mst_k',
  MUSTER_URL: 'http://u',
  SSH_SERVERS,
  MUSTER_SECRET_DB: 'db-pass',
  SSH_AUTH_SOCK: '/agent',
  https_proxy: 'http://me:pw@proxy',
}
const ENV = { ...OF_STACK, NODE_OPTIONS: '--require=x', AWS_SECRET_ACCESS_KEY: 'aws' }

test('a worker gets the secrets of hosts, and no API key', () => {
  const own = { SSH_SERVERS, MUSTER_SECRET_DB: 'db-pass', SSH_AUTH_SOCK: '/agent' }
  expect(workerEnvironment(ENV)).toEqual({ ...COMMON, ...own })
})

test('what programs that give secrets are to have goes to workers alone', () => {
  const listed = { MUSTER_CREDENTIAL_COMMAND_ENV: 'VAULT_ADDR, VAULT_TOKEN' }
  const env = { ...listed, VAULT_TOKEN: 't', VAULT_OTHER: 'o' }
  expect(workerEnvironment(env)).toEqual({ ...listed, VAULT_TOKEN: 't' })
  expect(stackEnvironment(env)).toEqual({ ...listed, VAULT_TOKEN: 't' })
  expect(serverEnvironment(env, undefined)).toEqual(listed)
})

test('a server gets its API key and the hosts, and no secret of a host', () => {
  const hosts = 'a:10.0.0.1:me,b:[fe80::1]:me,c:10.0.0.3:you'
  expect(serverEnvironment(ENV, SSH_SERVERS)).toEqual({ ...COMMON, MUSTER_API_KEY: 'mst_k', SSH_SERVERS: hosts })
  expect(serverEnvironment({ SSH_SERVERS_FILE: '/secret' }, 'a:h:u:p')).toEqual({ SSH_SERVERS: 'a:h:u' })
})

test('the private keys of workers are named to workers alone, and those of servers to the server alone', () => {
  const halves = { MUSTER_WORKER_PUBLIC_KEY_FILE: '/w.pub', MUSTER_SERVER_PUBLIC_KEY_FILE: '/s.pub' }
  const keys = { ...halves, MUSTER_WORKER_KEY_FILE: '/w', MUSTER_SERVER_KEY_FILE: '/s' }
  expect(serverEnvironment(keys, undefined)).toEqual({ ...halves, MUSTER_SERVER_KEY_FILE: '/s' })
  expect(workerEnvironment(keys)).toEqual({ ...halves, MUSTER_WORKER_KEY_FILE: '/w' })
})

test('the process of the stack gets what its parts need, and nothing that loads code', () => {
  expect(stackEnvironment(ENV)).toEqual(OF_STACK)
})

test.each([
  ['a:h:u:pa,ss', 'a:h:u,?'],
  ['a:h:u:,,b:h:u', 'a:h:u,,b:h:u'],
  ['s3cret', '?'],
  [' a : h : u : p ', 'a:h:u'],
])('no piece of a password is left: %j', (given, left) => {
  expect(withoutPasswords(given)).toBe(left)
})
