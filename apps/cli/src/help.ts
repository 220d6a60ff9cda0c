/** The help texts: all commands, and one with its flags, which come from the operation table. */
import type { Form } from './cli.ts'
import type { Flag } from './flags.ts'

/** The commands, a line each. */
export const OVERVIEW = `muster: run a shell command on one host or on many, and get one honest answer per host

  muster run <targets> [flags] -- <command>    run a command and show what came of it
  muster jobs                                  list jobs, newest first
  muster show <job> [host]                     a job: its counts and what went wrong; or its run on one host
  muster runs <job> [--state STATE]            the runs of a job, a line for each host
  muster wait <job> [--wait-s N]               follow a job to its end
  muster output <job> [host] [--stream stderr] read output: all hosts folded, or one byte for byte
  muster output <job> <host> --follow          the same as it comes, until the command has ended
  muster cancel <job> [--targets …]            cancel a job, or only these hosts of it
  muster extend <job> --exec-timeout-s N       give its commands more time, also those that are running
  muster hosts [targets]                       list hosts
  muster ping <host>                           can the host be reached and logged in to?
  muster up [--install]                        Redis, server and workers on this machine, in the foreground
  muster help <command>                        its flags
  muster --version

Targets: web1, @web, web[01-12], joined by ",", taken away by "!"; @* is all hosts.
Every command takes --json. MUSTER_URL and MUSTER_API_KEY name a server elsewhere.
Exit status: 0 all succeeded; 1 some did not; 2 usage or refused; 3 no targets; 4 only unreachable or skipped;
5 any lost; 124 the wait ended, the job goes on; 130 Ctrl-C detaches (a second one cancels).
`

/** How the value of a flag is written. */
const VALUE: Record<Flag['kind'], string> = {
  boolean: '',
  pairs: ' NAME=VALUE',
  list: ' …,…',
  text: ' …',
  number: ' …',
}

/** How the words after `--` are understood. */
const RUN_NOTES = `
One word after -- is a shell command line:      muster run @web -- 'uptime | cut -c1-20'
Several are a program and its arguments, exact: muster run @web -- df -h /
`

/** The help for one command: its lines of the overview, and its flags. */
export function commandHelp(command: string, { flags, switches }: Form): string {
  const usage = OVERVIEW.split('\n').filter((line) => line.startsWith(`  muster ${command} `))
  const rows = [
    ...switches.map(({ name, takesValue, description }) => [`--${name}${takesValue ? ' …' : ''}`, description]),
    ...flags.map(({ name, kind, description, usual }) => [
      `--${name}${VALUE[kind]}`,
      `${description}${usual === undefined ? '' : ` Usual: ${usual}.`}`,
    ]),
  ]
  const width = Math.max(...rows.map(([flag = '']) => flag.length))
  const lines = rows.map(([flag = '', text]) => `  ${flag.padEnd(width)}  ${text}`)
  return `${usage.join('\n')}\n${command === 'run' ? RUN_NOTES : ''}\n${lines.join('\n')}\n`
}
