/** The commands about hosts: hosts, ping. */
import { escapeControl, MusterError } from '@muster/contract'
import { type Cli, checkedInput } from './cli.ts'
import { EXIT } from './exit-status.ts'
import { readCommandLine } from './flags.ts'
import { hostsText } from './render.ts'

const JSON_SWITCH = { name: 'json', takesValue: false, description: 'Print the answer as JSON.' } as const

/** `muster hosts`: the hosts of the inventory, or those that an expression selects. */
export async function hostsCommand(cli: Cli, args: readonly string[]): Promise<number> {
  const { words, switches } = readCommandLine(args, [], [JSON_SWITCH])
  const targets = words.length === 0 ? '@*' : words.join(',')
  const hosts = []
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = await cli.client.call('list_hosts', checkedInput('list_hosts', { targets, limit: 1_000, cursor }))
    hosts.push(...page.hosts)
    cursor = page.next_cursor
  }
  cli.out(switches.has('json') ? `${JSON.stringify({ hosts, total: hosts.length })}\n` : hostsText(hosts))
  return 0
}

/** `muster ping`: whether a host can be reached and logged in to. */
export async function pingCommand(cli: Cli, args: readonly string[]): Promise<number> {
  const { words, switches } = readCommandLine(args, [], [JSON_SWITCH])
  const [host, ...more] = words
  if (host === undefined || more.length > 0) throw new MusterError('invalid_request', 'muster ping takes one host')
  const test = await cli.client.call('test_host', checkedInput('test_host', { host }))
  if (switches.has('json')) cli.out(`${JSON.stringify(test)}\n`)
  else if (test.ok === true) cli.out(`${host} ok, connected in ${test.connect_ms} ms\n`)
  else
    cli.out(
      `${host} ${[test.state, test.reason, test.detail && escapeControl(test.detail)].filter(Boolean).join(', ')}\n`,
    )
  if (test.ok === null) return EXIT.waitEnded
  if (test.ok) return EXIT.succeeded
  return test.state === 'lost' ? EXIT.anyLost : EXIT.onlyUnreached
}
