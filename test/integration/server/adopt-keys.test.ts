/** API keys from before the server had keys of its own: a real server, started again with them. */
import { readFile } from 'node:fs/promises'
import { freePort } from '@muster/runtime'
import { makeKeys, SERVER_KEYS } from '@muster/trust'
import { expect, test } from 'vitest'
import { startStack } from '../../support/stack/stack.ts'

const NONE = { MUSTER_SERVER_KEY_FILE: '' }

test('they are refused until an operator has them taken over, and told each time', async () => {
  const env = { MUSTER_PORT: String(await freePort()) }
  const stack = await startStack({
    inventory: 'hosts: { h1: { address: 192.0.2.1 } }',
    knownHosts: '',
    workers: 0,
    env,
    serverEnv: NONE,
  })
  const status = async () => (await stack.ask('GET', '/v1/keys')).status
  expect(await status()).toBe(200)
  const { privateFile } = await makeKeys(SERVER_KEYS, `${stack.dataDir}/of-servers`)
  const own = { MUSTER_SERVER_KEY_FILE: privateFile, MUSTER_LOG_FILE: `${stack.dataDir}/server.log` }
  const restarted = async (more: Record<string, string> = {}) => {
    await stack.restartServer({ ...own, ...more })
    return await status()
  }
  expect(await restarted()).toBe(401)
  const past = new Date(Date.now() - 1_000).toISOString()
  expect(await restarted({ MUSTER_ADOPT_KEYS_UNTIL: past })).toBe(401)
  const soon = new Date(Date.now() + 600_000).toISOString()
  expect(await restarted({ MUSTER_ADOPT_KEYS_UNTIL: soon })).toBe(200)
  expect(await restarted()).toBe(200)
  const tooLate = new Date(Date.now() + 2 * 86_400_000).toISOString()
  await expect(restarted({ MUSTER_ADOPT_KEYS_UNTIL: tooLate })).rejects.toThrow(/a time at most a day ahead/)

  const said = (await readFile(own.MUSTER_LOG_FILE, 'utf8')).trim().split('\n')
  const told = said.map((line) => JSON.parse(line)).filter(({ key_ids: ids }) => ids !== undefined)
  expect(told.map(({ msg }) => msg.slice(0, 46))).toEqual([
    'these API keys are not valid, because their re',
    'these API keys are not valid, because their re',
    'these API keys had no MAC, and have one now: M',
  ])
  expect(told.map(({ key_ids: ids }) => ids)).toEqual([['first'], ['first'], ['first']])
}, 90_000)
