/** Every variable that a process reads is either Muster's own, or comes from the environment alone. */
import { isOwnName, plainEnvironment, toolEnvironment } from '@muster/runtime'
import { expect, test } from 'vitest'
import { CliConfig } from '../../../apps/cli/src/client/config.ts'
import { ServerConfig } from '../../../apps/server/src/config.ts'
import { WorkerConfig } from '../../../apps/worker/src/config.ts'

/** Of the person or the system: a file does not set them. */
const OF_THE_PERSON = ['HOME', 'SSH_AUTH_SOCK', 'USER']

test('the schemas name no other', () => {
  const names = [ServerConfig, WorkerConfig, CliConfig].flatMap(({ shape }) => Object.keys(shape))
  expect([...new Set(names.filter((name) => !isOwnName(name)))].toSorted()).toEqual(OF_THE_PERSON)
  expect(names.every((name) => isOwnName(`${name}_FILE`) === isOwnName(name))).toBe(true)
})

test.each([
  'NODE_OPTIONS',
  'PATH',
  'LD_PRELOAD',
  'HOME',
  'muster_url',
  'MUSTER',
  'XMUSTER_URL',
  'REDIS_URLS',
  'MUSTER_a',
])('%s is none', (name) => {
  expect(isOwnName(name)).toBe(false)
})

test('child processes get nothing that loads code or may be a secret', () => {
  const names =
    'NODE_OPTIONS NODE_PATH LD_PRELOAD LD_LIBRARY_PATH DYLD_INSERT_LIBRARIES BASH_ENV ENV AWS_SECRET_ACCESS_KEY ' +
    'SSH_SERVERS MUSTER_API_KEY SSH_AUTH_SOCK'
  const harmful = Object.fromEntries(names.split(' ').map((name) => [name, 'x']))
  const plain = { PATH: '/bin', HOME: '/', LC_ALL: 'C', XDG_RUNTIME_DIR: '/run' }
  expect(plainEnvironment({ ...harmful, ...plain, https_proxy: 'p' })).toEqual(plain)
  const tools = { ...plain, https_proxy: 'p', DOCKER_HOST: 'd' }
  expect(toolEnvironment({ ...harmful, ...tools })).toEqual(tools)
})
