/** The way to hosts of an SSH config: several jump hosts, each as ssh would reach it. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, expect, it } from 'vitest'
import { openTestInventory, temporaryDirectory } from '../../support/inventory/test-inventory.ts'

let directory = ''

beforeEach(async () => {
  directory = await temporaryDirectory()
})

async function open(config: string, inventory?: string) {
  const sshConfigFile = join(directory, 'config')
  await writeFile(sshConfigFile, config)
  if (inventory !== undefined) await writeFile(join(directory, 'inventory.yaml'), inventory)
  const { source, warnings } = await openTestInventory(directory, { sshConfigFile })
  const way = (name: string) =>
    source
      .current()
      .hosts.get(name)
      ?.hops?.map((hop) => `${hop.name} ${hop.user}@${hop.address}:${hop.port}`)
  return { hosts: source.current().hosts, way, warnings }
}

it('several hops are looked up in the config, each with what the option adds to it', async () => {
  const { hosts, way } = await open(
    `Host web
       ProxyJump root@outer:2222,[::1]:22,inner
     Host outer
       HostName 10.0.0.1
       User ops
       HostKeyAlias gate
     Host in*
       HostName %h.example
       Port 24
       ProxyJump unused
     Host *
       User deploy`,
  )
  expect(hosts.get('web')?.jump).toBe('root@outer:2222,[::1]:22,inner')
  expect(way('web')).toEqual([
    'root@outer:2222 root@10.0.0.1:2222',
    '[::1]:22 deploy@::1:22',
    'inner deploy@inner.example:24',
  ])
  expect(hosts.get('web')?.hops?.[0]?.hostKeyAlias).toBe('gate')
  expect([...hosts.keys()]).toEqual(['web', 'outer'])
})

it('the first hop may have a way of its own; later ones come from the hop before them', async () => {
  const { way } = await open(
    'Host web\n ProxyJump a,b\nHost a\n ProxyJump x,y\nHost b\n ProxyJump never\nHost x\n ProxyJump w\n',
  )
  expect(way('web')?.map((hop) => hop.split(' ')[0])).toEqual(['w', 'x', 'y', 'a', 'b'])
})

it('one hop by its name alone is the host of the inventory, where there is one', async () => {
  const inventory = 'hosts:\n  gate: { address: 10.0.0.1, user: jump, jump: outer }\n  outer: { address: 10.0.0.2 }\n'
  const { hosts, way } = await open(
    'Host one\n ProxyJump gate\nHost two\n ProxyJump gate,other\n' +
      'Host three\n ProxyJump me@gate\nHost four\n ProxyJump other\n',
    inventory,
  )
  expect(hosts.get('one')).toMatchObject({ jump: 'gate' })
  expect(way('one')).toBeUndefined()
  expect(way('two')).toEqual(['outer me@10.0.0.2:22', 'gate jump@10.0.0.1:22', 'other me@other:22'])
  // As another user it is what the config says of it: credentials of the inventory stay with its user.
  expect(way('three')).toEqual(['me@gate me@gate:22'])
  expect(way('four')).toEqual(['other me@other:22'])
})

it('two names of one machine behind the same hops are one host, and others are not', async () => {
  const { hosts, warnings } = await open(
    'Host a b c\n HostName 10.0.0.9\nHost a\n ProxyJump x,y\nHost b\n ProxyJump x,Y\nHost c\n ProxyJump y,x\n',
  )
  expect([...hosts.values()].map(({ name, aliases }) => [name, aliases])).toEqual([
    ['a', ['b']],
    ['c', []],
  ])
  expect(warnings).toEqual([])
})

it('a hop that must not be used disables the host, and what is not followed for it is reported', async () => {
  const { hosts } = await open(
    `Host web
       ProxyJump a,b
     Host b
       ProxyCommand nc %h %p
       Compression yes
     Host c
       ProxyJump b
     Host d
       ProxyJump me@b`,
  )
  // For b itself ssh would be told to come from a, so that its own ProxyCommand does not count.
  expect(hosts.get('web')?.disabled).toBeUndefined()
  expect(hosts.get('web')?.notTaken?.map(({ option, why }) => [option, why])).toEqual([
    ['Compression', 'of the jump host b: Muster has a way of its own'],
  ])
  const why = 'cannot be used: its SSH config has ProxyCommand, which Muster does not follow'
  expect(hosts.get('c')?.disabled).toContain(`its jump host b ${why}`)
  expect(hosts.get('d')?.disabled).toContain(`its jump host me@b ${why}`)
})
