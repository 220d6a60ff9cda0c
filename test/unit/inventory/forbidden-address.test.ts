/** Addresses that no request may name, in every spelling that leads there. */
import { expect, test } from 'vitest'
import { forbiddenAddress } from '../../../libs/inventory/src/request/forbidden-address.ts'

test.each([
  '169.254.169.254',
  '::ffff:169.254.169.254',
  '64:ff9b::a9fe:a9fe',
  '2002:a9fe:a9fe::1',
  'fd00:ec2::254',
  'fd00:ec2::23',
  '100.100.100.200',
])('%s is the metadata service of a cloud', (address) => {
  expect(forbiddenAddress(address)).toBe('the metadata service of a cloud')
})

test.each([
  ['169.254.1.1', 'a link-local address'],
  ['fe80::1%eth0', 'a link-local address'],
  ['224.0.0.1', 'a multicast address'],
  ['ff02::1', 'a multicast address'],
  ['0.0.0.0', 'no address of a host'],
  ['255.255.255.255', 'no address of a host'],
  ['::', 'no address of a host'],
  ['64:ff9b:1:a9fe:a9:fe00::', 'an address that a translator makes another one of'],
  ['::ffff:0:169.254.169.254', 'an address that a translator makes another one of'],
])('%s is %s', (address, what) => {
  expect(forbiddenAddress(address)).toBe(what)
})

test.each(['10.0.0.5', '127.0.0.1', '::1', '2001:db8::5', 'fd00::5', '64:ff9b::a00:5', 'host.example.com'])(
  '%s may be named where that is allowed',
  (address) => {
    expect(forbiddenAddress(address)).toBeUndefined()
  },
)
