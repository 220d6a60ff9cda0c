/** `muster output`: what a job printed, folded over all hosts, or byte for byte from one host, even while it runs. */
import { MusterError, OutputMask, PAGE_LIMIT_BYTES, visibleJson } from '@muster/contract'
import { checkedInput } from '../line/checked-input.ts'
import { type Cli, JSON_SWITCH, type ServerCommand } from '../line/command.ts'
import type { Switch } from '../line/flags.ts'
import { gatheredText } from '../render/render-output.ts'
import { followOutput, printPage } from './follow-output.ts'

const MASKS = `Treat outputs as equal that differ only in: ${OutputMask.options.join(',')}; without a host.`

const UNVERIFIED = '[no worker vouches for the end of this run: this may be the output of another one]'

const SWITCHES: readonly Switch[] = [
  { name: 'stream', takesValue: true, description: 'stdout (the default) or stderr; only with a host.' },
  {
    name: 'diff',
    takesValue: false,
    description: 'Show one group of hosts in full, and only the differences of the others; without a host.',
  },
  { name: 'mask', takesValue: true, description: MASKS },
  { name: 'follow', takesValue: false, description: 'Go on until the command ends; only with a host.' },
  JSON_SWITCH,
]

/** `muster output`. */
export const outputCommand: ServerCommand = {
  flags: [],
  switches: SWITCHES,
  act: async (cli, { words, switches }) => {
    const [job_id, host, ...more] = words
    if (job_id === undefined || more.length > 0) {
      throw new MusterError('invalid_request', 'muster output takes a job ID, and a host if only that one is wanted')
    }
    const isJson = switches.has('json')
    if (host === undefined) {
      const forOne = ['follow', 'stream'].find((name) => switches.has(name))
      if (forOne !== undefined) throw new MusterError('invalid_request', `--${forOne} takes a job ID and one host`)
      const mask = switches.get('mask')
      const input = checkedInput('gather_output', {
        job_id,
        limit_bytes: PAGE_LIMIT_BYTES,
        diff: switches.has('diff'),
        ...(mask === undefined ? {} : { mask: String(mask).split(',') }),
      })
      const gathered = await cli.client.call('gather_output', input)
      cli.out(isJson ? `${visibleJson(gathered)}\n` : gatheredText(gathered))
      return 0
    }
    const stray = ['diff', 'mask'].find((name) => switches.has(name))
    if (stray !== undefined) throw new MusterError('invalid_request', `--${stray} takes a job ID and no host`)
    const encoding = cli.isTerminal || isJson ? 'utf8' : 'base64'
    const query = { job_id, host, stream: switches.get('stream') ?? 'stdout', encoding }
    return switches.has('follow') ? followOutput(cli, query, isJson) : pages(cli, query, isJson)
  },
}

/** Prints all output there is now, page by page. */
async function pages(cli: Cli, query: Record<string, unknown>, isJson: boolean): Promise<number> {
  for (let offset = 0; ; ) {
    const page = await cli.client.call('read_output', checkedInput('read_output', { ...query, offset }))
    if (isJson) cli.out(`${visibleJson(page)}\n`)
    else printPage(cli, page)
    if (page.unverified && offset === 0) cli.say(UNVERIFIED)
    // After a page without data no data follows, even before the end: those bytes were not kept.
    if (page.next_offset >= page.total_bytes || page.next_offset === offset) return 0
    offset = page.next_offset
  }
}
