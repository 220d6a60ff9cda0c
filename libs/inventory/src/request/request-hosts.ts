/**
 * Turns what a request names, `user@host:port`, into a host. One that the inventory has, by its machine and user, is
 * that host. With another user it is a host of the same machine, without the credentials of the inventory. Looks
 * nothing up.
 */
import {
  type Connect,
  isHostName,
  MusterError,
  parseRequestHost,
  plainRequestAddress,
  type RequestHost,
  SSH_PORT,
  writeRequestHost,
} from '@muster/contract'
import type { InventoryHost } from '../hosts/inventory-host.ts'
import { stepOf } from '../hosts/machine.ts'
import { wayOf } from '../hosts/way.ts'

/** What is known of the inventory. */
export type KnownMachines = {
  /** The host with this name or alias, in any case. */
  readonly find: (name: string) => InventoryHost | undefined
  /** The hosts of a machine, by what `machineOf` says. */
  readonly at: (machine: string) => readonly InventoryHost[]
  /** What `machineOf` says of a host of the inventory. */
  readonly machineText: (host: InventoryHost) => string
}

/**
 * The host that a request names. `connect` says what the text does not.
 * @throws {MusterError} invalid_target when it has no user, or contradicts the inventory; unknown_target when a jump
 *   host is unknown
 */
export function requestHostOf(given: RequestHost, connect: Connect, known: KnownMachines): InventoryHost {
  const { user = connect.user, address } = given
  if (user === undefined) {
    throw mistake(`${address} has no user to log in as; write user@${address}, or give connect.user`)
  }
  const port = given.port ?? connect.port
  const via = connect.jump === undefined ? undefined : jumpOf(connect.jump, known)
  return hostAt({ user, address, ...(port === undefined ? {} : { port }) }, via, known)
}

function hostAt(
  given: RequestHost & { readonly user: string },
  via: InventoryHost | undefined,
  known: KnownMachines,
): InventoryHost {
  const { user, address, port } = given
  const own = known.find(address)
  if (own !== undefined) {
    const isOwnPort = port === undefined || port === own.port
    if (isOwnPort && via === undefined) return asUser(own, user, known)
    if (plainRequestAddress(own.address) !== address) {
      const what = isOwnPort ? 'how it is reached' : `that its port is ${own.port}`
      throw mistake(
        `${writeRequestHost(given)}: the inventory has ${own.name}, and says ${what}; name its address instead`,
      )
    }
  }
  const step = stepOf(address, port ?? SSH_PORT)
  const machine = via === undefined ? step : `${machineTextOf(via, known)}>${step}`
  const [there] = known.at(machine)
  if (there !== undefined) return asUser(there, user, known)
  return Object.freeze({
    ...nothingElse,
    name: writeRequestHost(given),
    machine,
    address,
    port: port ?? SSH_PORT,
    user,
    ...(via === undefined ? {} : { jump: via.name, jumpHost: via }),
  })
}

const nothingElse = {
  aliases: Object.freeze([]),
  labels: Object.freeze({}),
  credentials: Object.freeze([]),
  groups: Object.freeze([]),
  isOfRequest: true,
} as const

/** The host of the inventory for this user at the machine of `host`; else a host of that machine for this user. */
function asUser(host: InventoryHost, user: string, known: KnownMachines): InventoryHost {
  const there = known.at(known.machineText(host))
  const same = there.find((one) => one.user === user)
  if (same !== undefined) return same
  const [first = host] = there
  const { address, port, jump, hops, connectTimeoutMs, disabled = host.disabled } = first
  // It is found again by its name, wherever the name is read.
  const plain = plainRequestAddress(first.name)
  const isFound = plain !== undefined && known.find(plain) === first
  if (!isFound && jump !== undefined) {
    throw mistake(`${first.name} has a name that cannot stand behind ${user}@; give it a user in the inventory`)
  }
  return Object.freeze({
    ...nothingElse,
    name: writeRequestHost(isFound ? { user, address: plain } : { user, address, port }),
    ...wayOf(first),
    machine: first.name,
    user,
    ...(jump === undefined ? {} : { jump }),
    ...(hops === undefined ? {} : { hops }),
    ...(connectTimeoutMs === undefined ? {} : { connectTimeoutMs }),
    ...(disabled === undefined ? {} : { disabled }),
  })
}

/** The last of the hosts to go through, each reached through the one before. */
function jumpOf(text: string, known: KnownMachines): InventoryHost | undefined {
  let via: InventoryHost | undefined
  for (const hop of text.split(',')) {
    const own = isHostName(hop) ? known.find(hop) : undefined
    if (own !== undefined && via !== undefined) {
      throw mistake(`jump: the inventory says how ${hop} is reached, so it can only be the first host to go through`)
    }
    via = own ?? hopOf(hop, via, known)
  }
  return via
}

function hopOf(hop: string, via: InventoryHost | undefined, known: KnownMachines): InventoryHost {
  const given = parseRequestHost(hop)
  const user = given?.user
  if (given !== undefined && user !== undefined) return hostAt({ ...given, user }, via, known)
  const advice = `write user@${hop} for one that it does not have`
  throw new MusterError('unknown_target', `jump: no such host in the inventory: ${hop}; ${advice}`)
}

function machineTextOf(host: InventoryHost, known: KnownMachines): string {
  // A machine of the inventory is called by the name of a host, which has no ":".
  return host.machine.includes(':') ? host.machine : known.machineText(known.find(host.machine) ?? host)
}

function mistake(text: string): MusterError {
  return new MusterError('invalid_target', text)
}

/** The hosts to go through that the request chose, the nearest to the host first; some may be of the inventory. */
export function chosenWay({ jumpHost }: InventoryHost): readonly InventoryHost[] {
  return jumpHost === undefined ? [] : [jumpHost, ...chosenWay(jumpHost)]
}

/** Those of a host and the hosts to go through that the inventory does not have, the host first. */
export function namedOnTheWay(host: InventoryHost): readonly InventoryHost[] {
  return [host, ...chosenWay(host)].filter((one) => one.isOfRequest === true)
}
