/** `muster output`: what a job printed, of all hosts folded, or of one host byte for byte. */
import { escapeControl, MusterError, PAGE_LIMIT_BYTES } from '@muster/contract'
import { type Cli, checkedInput } from './cli.ts'
import { readCommandLine, type Switch } from './flags.ts'
import { gatheredText } from './render.ts'

const SWITCHES: readonly Switch[] = [
  { name: 'stream', takesValue: true, description: 'stdout (usual) or stderr; only with a host.' },
  { name: 'follow', takesValue: false, description: 'Go on until the command has ended; only with a host.' },
  { name: 'json', takesValue: false, description: 'Print the answer as JSON.' },
]
/** Between two looks at a command that has printed nothing new. */
const FOLLOW_EVERY_MS = 500

/** Prints it; answers the exit status. */
export async function outputCommand(cli: Cli, args: readonly string[]): Promise<number> {
  const { words, switches } = readCommandLine(args, [], SWITCHES)
  const [job_id, host, ...more] = words
  if (job_id === undefined || more.length > 0) {
    throw new MusterError('invalid_request', 'muster output takes a job ID, and a host if only that one is wanted')
  }
  if (host !== undefined) return pages(cli, { job_id, host, stream: switches.get('stream') ?? 'stdout' }, switches)
  const gathered = await cli.client.call(
    'gather_output',
    checkedInput('gather_output', { job_id, limit_bytes: PAGE_LIMIT_BYTES }),
  )
  cli.out(switches.has('json') ? `${JSON.stringify(gathered)}\n` : gatheredText(gathered))
  return 0
}

/** All pages, one after the other. On a terminal control characters are escaped; elsewhere bytes are bytes. */
async function pages(
  cli: Cli,
  query: Record<string, unknown>,
  switches: ReadonlyMap<string, string | true>,
): Promise<number> {
  const isText = cli.isTerminal || switches.has('json')
  for (let offset = 0; ; ) {
    const encoding = isText ? 'utf8' : 'base64'
    const page = await cli.client.call('read_output', checkedInput('read_output', { ...query, offset, encoding }))
    if (page.omitted_bytes > 0) cli.say(`[${page.omitted_bytes} bytes were not kept]`)
    if (switches.has('json')) cli.out(`${JSON.stringify(page)}\n`)
    else cli.out(isText ? escapeControl(page.data) : Buffer.from(page.data, 'base64'))
    const isAll = page.next_offset >= page.total_bytes
    if (page.eof || (isAll && !switches.has('follow'))) return 0
    if (isAll) await cli.interrupts.sleep(FOLLOW_EVERY_MS)
    offset = page.next_offset
  }
}
