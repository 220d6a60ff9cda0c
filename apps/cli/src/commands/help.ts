/** The help texts: the overview of all commands, and the flags of one, which come from the operation table. */
import { rolloutOptions, SCOPES, selectionFields } from '@muster/contract'
import type { Form } from '../line/command.ts'
import type { Flag } from '../line/flags.ts'

/** The overview: one line per command. */
export const OVERVIEW = `muster: run a shell command on one host or on many, and get one honest answer per host

  muster run <targets> [flags] -- <command>    run a command and show its output
  muster jobs                                  list jobs, newest first
  muster show <job> [host]                     a job with its counts and problems, or its run on one host
  muster runs <job> [--state STATE]            the runs of a job, one line per host
  muster wait <job> [--wait-s N]               follow a job to its end
  muster output <job> [host] [--stream stderr] read output: folded over all hosts, or byte for byte from one
  muster output <job> <host> --follow          read output as it arrives, until the command ends
  muster cancel <job> [--targets …]            cancel a job, or only these of its hosts
  muster resume <job>                          let a job that is paused between two batches go on
  muster concurrency <job> <N|N%>              change how many of its commands may run at once
  muster extend <job> --exec-timeout-s N       give its commands more time, even those already running
  muster rerun <job> [--states failed,lost]    run a job again on its hosts that ended in these states
  muster hosts [targets]                       list hosts
  muster targets <targets> [--exclude …]       show which hosts these targets select; run nothing
  muster ping <host>                           can the host be reached and logged in to?
  muster trust <targets> [--fingerprint …]     show their host keys, ask, and add them to known_hosts
  muster keys                                  list API keys, including revoked and expired ones
  muster keys create --owner X --scopes a,b    make a key; its text is shown once, on stdout
  muster keys create --read-only               make a key that may read and look, and runs nothing
  muster keys rotate <key> [--grace-s N]       give a key a new secret; the old one lasts N seconds more
  muster keys revoke <key> [--cancel-jobs]     revoke a key and those it has made: refused within a second
  muster login <url> [--name NAME]             keep a server and its key; the key is read from stdin
  muster logout <name>                         forget a server and its key
  muster up [--install]                        Redis, server and workers on this machine, in the foreground
  muster mcp [--install] [--tools original]    the tools on stdin and stdout, for AI clients (docs/mcp.md)
  muster worker-keys                           list the keys that secrets are sealed with and workers sign ends with
  muster server-keys                           list the keys that servers sign work and protect API keys with
  muster worker-keys make|rotate|drop [dir]    make them, add new ones, drop all but the newest
  muster server-keys make|rotate|drop [dir]    the same for those of servers
  muster help <command>                        show the flags of a command
  muster --version

Targets: web1, @web, web[01-12], web*, {env=prod}; @* is all hosts; root@10.0.0.5:2222 one that the inventory does not
have. a,b joins; a!b leaves out b; a&b keeps what is in both; a^b what is in only one. Shells read most of these signs,
so quote: muster run '@web!web07&{env=prod}' -- uptime
Every command takes --json, --server NAME (see muster login) and --env-file FILE. MUSTER_URL and MUSTER_API_KEY name a
server elsewhere, too.
Exit status: 0 all succeeded; 1 some did not; 2 usage or refused; 3 no targets; 4 some unreachable or skipped, the
rest succeeded; 5 any lost; 124 the wait ended, the job goes on; 130 Ctrl-C detaches (a second one cancels).
`

/** How the value of a flag is written. */
const VALUE: Record<Flag['kind'], string> = {
  boolean: '',
  pairs: ' NAME=VALUE',
  list: ' …,…',
  text: ' …',
  number: ' …',
}

/** How `muster run` reads the words after `--`. */
const RUN_NOTES = `
One word after -- is a shell command line:      muster run @web -- 'uptime | cut -c1-20'
Several are a program and its exact arguments:  muster run @web -- df -h /
With --script they are the script's arguments: muster run @web --script deploy.sh -- --dry-run
A rollout that stops by itself:                 muster run @web --batches 1,10%,50% --max-errors 2 -- ./update
`

/** What each scope of a key allows. */
const KEYS_NOTES = `\nScopes:\n${Object.entries(SCOPES)
  .map(([scope, meaning]) => `  ${scope.padEnd(18)}${meaning}\n`)
  .join('')}`

/** Notes on a command besides its flags. */
const NOTES: ReadonlyMap<string, string> = new Map([
  ['run', RUN_NOTES],
  ['keys', KEYS_NOTES],
])

/** The longest line of a help text, and the column where descriptions begin. */
const LINE_CHARS = 110
const INDENT_CHARS = 30

type Row = readonly [flag: string, description: string]

/** The help for one command: its lines of the overview, and its flags; those of `run` stand under headings. */
export function commandHelp(command: string, { flags, switches }: Form): string {
  const usage = OVERVIEW.split('\n').filter((line) => line.startsWith(`  muster ${command} `))
  const own = switches.map(({ name, short, takesValue, description }): Row => {
    return [`${name}${short === undefined ? '' : `, -${short}`}${takesValue ? ' …' : ''}`, description]
  })
  const isRun = command === 'run'
  const groups: Array<readonly [heading: string, rows: readonly Row[]]> = [
    ['', [...own, ...(isRun ? [] : flags.map(rowOf))]],
    ['Which hosts, and in which order', isRun ? rowsOf(flags, selectionFields) : []],
    ['How it goes through them', isRun ? rowsOf(flags, rolloutOptions) : []],
    ['How the command runs', isRun ? rowsBesides(flags, { ...selectionFields, ...rolloutOptions }) : []],
  ]
  const texts = groups
    .filter(([, rows]) => rows.length > 0)
    .map(([heading, rows]) => `\n${heading === '' ? '' : `${heading}:\n`}${rows.map(rowText).join('')}`)
  return `${usage.join('\n')}\n${NOTES.get(command) ?? ''}${texts.join('')}`
}

function rowsOf(flags: readonly Flag[], fields: object): Row[] {
  return flags.filter(({ field }) => field in fields).map(rowOf)
}

function rowsBesides(flags: readonly Flag[], fields: object): Row[] {
  return flags.filter(({ field }) => !(field in fields)).map(rowOf)
}

function rowOf({ name, kind, description, defaultText }: Flag): Row {
  return [`${name}${VALUE[kind]}`, `${description}${defaultText === undefined ? '' : ` Default: ${defaultText}.`}`]
}

/** A flag and its description, wrapped between words. */
function rowText([flag, description]: Row): string {
  const lines = ['']
  for (const word of description.split(' ')) {
    const longer = `${lines.at(-1)} ${word}`.trimStart()
    if (longer.length <= LINE_CHARS - INDENT_CHARS) lines[lines.length - 1] = longer
    else lines.push(word)
  }
  return `  ${`--${flag}`.padEnd(INDENT_CHARS - 2)}${lines.join(`\n${' '.repeat(INDENT_CHARS)}`)}\n`
}
