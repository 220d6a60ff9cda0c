/** The commands about hosts: `hosts`, `targets`, `ping`. */
import { escapeLine, MusterError, OPERATIONS, type Output, visibleJson } from '@muster/contract'
import { checkedInput } from '../line/checked-input.ts'
import { JSON_SWITCH, type ServerCommand } from '../line/command.ts'
import { CONNECT_SWITCHES, connectOf } from '../line/connect-flags.ts'
import { EXIT } from '../line/exit-status.ts'
import { flagsOf } from '../line/flags.ts'
import { listHosts } from '../line/host-pages.ts'
import { LOGIN_SWITCHES } from '../line/login-input.ts'
import { secretsFrom } from '../line/secret-input.ts'
import { hostTable, notTakenText, resolvedText } from '../render/render-hosts.ts'

/** `muster hosts`: all hosts of the inventory, or those that an expression selects. */
export const hostsCommand: ServerCommand = {
  flags: [],
  switches: [JSON_SWITCH],
  act: async (cli, { words, switches }) => {
    const hosts = await listHosts(cli.client, words.length === 0 ? '@*' : words.join(','))
    const asText = () => `${hostTable(hosts)}${notTakenText(hosts)}`
    cli.out(switches.has('json') ? `${visibleJson({ hosts, total: hosts.length })}\n` : asText())
    return 0
  },
}

/** `muster targets`: the hosts that a job with these targets would run on. */
export const targetsCommand: ServerCommand = {
  flags: flagsOf(OPERATIONS.resolve_targets.input, ['targets', 'hosts_limit', 'connect']),
  switches: [...CONNECT_SWITCHES, JSON_SWITCH],
  act: async (cli, line) => {
    const { words, fields, switches } = line
    const targets = words.join(',')
    if (targets === '') throw new MusterError('invalid_request', 'no targets given: muster targets <targets>')
    const isJson = switches.has('json')
    // People get folded names; programs get every name.
    const input = checkedInput('resolve_targets', {
      ...fields,
      ...connectOf(line),
      targets,
      hosts_limit: isJson ? 10_000 : 1,
    })
    const resolved = await cli.client.call('resolve_targets', input)
    cli.out(isJson ? `${visibleJson(resolved)}\n` : resolvedText(resolved))
    return 0
  },
}

/** `muster ping`: whether Muster can reach a host and log in to it. */
export const pingCommand: ServerCommand = {
  flags: [],
  switches: [...LOGIN_SWITCHES, ...CONNECT_SWITCHES, JSON_SWITCH],
  act: async (cli, line) => {
    const { words, switches } = line
    const [host, ...more] = words
    if (host === undefined || more.length > 0) throw new MusterError('invalid_request', 'muster ping takes one host')
    const { connect: login } = await secretsFrom(cli, line)
    const test = await cli.client.call('test_host', checkedInput('test_host', { host, ...connectOf(line, login) }))
    cli.out(switches.has('json') ? `${visibleJson(test)}\n` : `${host} ${testText(test)}\n`)
    if (test.ok === null) return EXIT.waitEnded
    if (test.ok) return EXIT.succeeded
    return test.state === 'lost' ? EXIT.anyLost : EXIT.onlyUnreached
  },
}

function testText({ ok, connect_ms, state, reason, detail }: Output<'test_host'>): string {
  if (ok === true) return `ok, connected in ${connect_ms} ms`
  return [state, reason, detail && escapeLine(detail)].filter(Boolean).join(', ')
}
