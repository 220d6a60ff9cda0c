/** A process may run as a user that the system does not know, as containers do: then every host names its own. */
import { execFile } from 'node:child_process'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { openTestInventory, temporaryDirectory } from '../../support/inventory/test-inventory.ts'

/** A user of no program and no name. */
const NAMELESS = 61_003
const ADVICE = 'give a user to log in as, here or in USER: this process runs as a user without a name'
const INVENTORY = pathToFileURL('libs/inventory/dist/index.js').href
const IS_ROOT = process.getuid?.() === 0

async function directoryWith(hosts: string): Promise<string> {
  const directory = await temporaryDirectory()
  await writeFile(join(directory, 'inventory.yaml'), hosts)
  return directory
}

describe('without a name of its own', () => {
  const nobody = { defaultUser: undefined }

  test('hosts, or their defaults, that name a user are used', async () => {
    const own = await openTestInventory(await directoryWith('hosts: { web1: { user: deploy } }\n'), nobody)
    expect(own.source.current().hosts.get('web1')).toMatchObject({ user: 'deploy' })
    const text = 'defaults: { user: deploy }\nhosts: { web1: {} }\n'
    const common = await openTestInventory(await directoryWith(text), nobody)
    expect(common.source.current().hosts.get('web1')).toMatchObject({ user: 'deploy' })
  })

  test('a host of the file without a user is a mistake', async () => {
    const opening = openTestInventory(await directoryWith('hosts:\n  web1: {}\n'), nobody)
    await expect(opening).rejects.toThrow(`inventory.yaml:2: hosts.web1.user: ${ADVICE}`)
  })

  test('one of the SSH config is left out', async () => {
    const directory = await directoryWith('hosts: { web1: { user: deploy } }\n')
    const sshConfigFile = join(directory, 'config')
    await writeFile(sshConfigFile, 'Host a\n  User deploy\nHost b\n')
    const { names, warnings } = await openTestInventory(directory, { ...nobody, sshConfigFile })
    expect(names()).toEqual(['web1', 'a'])
    expect(warnings).toEqual([`${sshConfigFile}: Host b: left out: ${ADVICE}`])
  })
})

// Only root can run a program as another user.
test.skipIf(!IS_ROOT)('a process whose user has no name opens its inventory', async () => {
  const directory = await directoryWith('hosts: { web1: { user: deploy } }\n')
  await chmod(directory, 0o755)
  const program = `
    import { readFile } from 'node:fs/promises'
    import { openConfiguredInventory, readAdhocPolicy } from ${JSON.stringify(INVENTORY)}
    const own = { MUSTER_INVENTORY: ${JSON.stringify(join(directory, 'inventory.yaml'))}, HOME: '/' }
    const variables = { ...own, MUSTER_ADHOC_HOSTS: readAdhocPolicy('off') }
    const lent = { readText: (file) => readFile(file, 'utf8'), env: {} }
    const source = await openConfiguredInventory(variables, console, lent)
    console.log(source.current().hosts.get('web1').user)
    source.close()`
  const options = { uid: NAMELESS, gid: NAMELESS, env: {} }
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], options)
  expect(stdout).toBe('deploy\n')
})
