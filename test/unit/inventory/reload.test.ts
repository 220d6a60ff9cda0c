/** The inventory of a running process: its start, and reload with real files. */
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { MusterError } from '@muster/contract'
import { beforeEach, describe, expect, it } from 'vitest'
import type { InventoryOptions } from '../../../libs/inventory/src/inventory-source.ts'
import { hostsFile, openTestInventory, temporaryDirectory } from '../../support/inventory/test-inventory.ts'

let directory = ''
let file = ''

beforeEach(async () => {
  directory = await temporaryDirectory()
  file = join(directory, 'inventory.yaml')
})

const open = (options?: Partial<InventoryOptions>) => openTestInventory(directory, options)

describe('at the start', () => {
  it('no file and no other source is a mistake, with a line that is a whole inventory', async () => {
    const line = 'hosts: { web01: { address: 10.0.0.11 } }'
    await expect(open()).rejects.toMatchObject({
      code: 'invalid_inventory',
      message:
        `the inventory has one mistake\n${file}: there is no such file, and SSH_SERVERS is not set; ` +
        `make it with a line such as ${line}`,
    })
    await writeFile(file, '')
    await expect(open()).rejects.toThrow(`; write a line such as ${line}`)
    await writeFile(file, line)
    expect((await open()).names()).toEqual(['web01'])
  })

  it('a file that cannot be read is a mistake with the cause', async () => {
    await mkdir(file)
    await expect(open({ sshServers: 'a:b:c' })).rejects.toMatchObject({
      code: 'invalid_inventory',
      message: expect.stringContaining(`${file}: cannot be read: EISDIR`),
      cause: expect.objectContaining({ code: 'EISDIR' }),
    })
  })
})

describe('reload', () => {
  it('takes up a file that was written again, without a restart', async () => {
    await writeFile(file, hostsFile('a'))
    const { names, until } = await open()
    await writeFile(file, hostsFile('a', 'b'))
    await until(() => names().length === 2)
    expect(names()).toEqual(['a', 'b'])
  })

  it('takes up a file that was replaced by renaming, as editors do, and again after that', async () => {
    await writeFile(file, hostsFile('a'))
    const { names, until } = await open()
    for (const name of ['b', 'c']) {
      await writeFile(`${file}.new`, hostsFile(name))
      await rename(`${file}.new`, file)
      await until(() => names().includes(name))
    }
    expect(names()).toEqual(['c'])
  })

  it('takes up a symbolic link that was pointed at another file, as mounted configuration does', async () => {
    for (const name of ['a', 'b']) await writeFile(join(directory, name), hostsFile(name))
    await symlink(join(directory, 'a'), file)
    const { names, until } = await open()
    await symlink(join(directory, 'b'), `${file}.new`)
    await rename(`${file}.new`, file)
    await until(() => names().includes('b'))
  })

  it('takes up a file that did not exist at the start, and changes of the SSH config', async () => {
    const sshConfigFile = join(directory, 'ssh_config')
    await writeFile(sshConfigFile, 'Host a\n')
    const { names, until } = await open({ sshConfigFile })
    await writeFile(file, hostsFile('b'))
    await until(() => names().includes('b'))
    await writeFile(sshConfigFile, 'Host c\n')
    await until(() => names().includes('c'))
    expect(names()).toEqual(['b', 'c'])
  })

  it('keeps the last good version while the new one is wrong, and tells all that is wrong', async () => {
    await writeFile(file, hostsFile('a'))
    const { names, problems, until } = await open()
    await writeFile(file, 'hosts:\n  b: { prot: 1 }\n  c: { usr: x }\n')
    await until(() => problems.length > 0)
    expect(names()).toEqual(['a'])
    expect(problems[0]).toMatchObject({ code: 'invalid_inventory' })
    expect(problems[0]?.message.split('\n')).toHaveLength(3)
    await writeFile(file, hostsFile('d'))
    await until(() => names().includes('d'))
    expect(problems).toHaveLength(1)
  })

  it('keeps the hosts of a file that is taken away, even when another source gives hosts', async () => {
    await writeFile(file, hostsFile('a'))
    const { names, problems, until } = await open({ sshServers: 'b:h:u' })
    await rm(file)
    await until(() => problems.length > 0)
    expect(problems[0]?.message).toContain(`${file}: cannot be read: the file is gone`)
    expect(names()).toEqual(['a', 'b'])
  })

  it('can be asked for, and is then in force when it resolves', async () => {
    await writeFile(file, hostsFile('a'))
    const { source, names, versions } = await open({ pollIntervalMs: 3_600_000 })
    await writeFile(file, hostsFile('b'))
    await source.reload()
    expect(names()).toEqual(['b'])
    expect(versions).toEqual([source.current()])
  })

  it('leaves a version that somebody holds as it was', async () => {
    await writeFile(file, hostsFile('a'))
    const { source } = await open()
    const held = source.current()
    await writeFile(file, hostsFile('b'))
    await source.reload()
    expect(held.resolve('@*')).toEqual(['a'])
    expect(source.current().resolve('@*')).toEqual(['b'])
  })

  it('reports a listener that throws, and goes on', async () => {
    await writeFile(file, hostsFile('a'))
    const problems: MusterError[] = []
    const fault = new Error('the listener is broken')
    const { source, names } = await open({
      onProblem: (error) => problems.push(error),
      onReload: () => {
        throw fault
      },
    })
    await writeFile(file, hostsFile('b'))
    await source.reload()
    expect(problems[0]).toMatchObject({ code: 'internal', cause: fault })
    expect(names()).toEqual(['b'])
  })

  it('does nothing after close', async () => {
    await writeFile(file, hostsFile('a'))
    const { source, names } = await open()
    source.close()
    await writeFile(file, hostsFile('b'))
    await source.reload()
    expect(names()).toEqual(['a'])
  })
})
