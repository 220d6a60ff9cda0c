/** The help texts. Flags of `run` come from the operation table. */
import type { Flag, Switch } from './flags.ts'

/** The commands, a line each. */
export const OVERVIEW = `muster: run a shell command on one host or on many, and get one honest answer per host

  muster run <targets> [flags] -- <command>    run a command and show what came of it
  muster jobs                                  list jobs, newest first
  muster show <job>                            a job: its counts and what went wrong
  muster wait <job> [--wait-s N]               follow a job to its end
  muster output <job> [host] [--follow]        read output: all hosts folded, or one byte for byte
  muster cancel <job>                          cancel a job
  muster hosts [targets]                       list hosts
  muster ping <host>                           can the host be reached and logged in to?
  muster up [--install]                        Redis, server and workers on this machine, in the foreground
  muster help run                              the flags of run
  muster --version

Targets: web1, @web, web[01-12], joined by ",", taken away by "!"; @* is all hosts.
Every command takes --json. MUSTER_URL and MUSTER_API_KEY name a server elsewhere.
Exit status: 0 all succeeded; 1 some did not; 2 usage or refused; 3 no targets; 4 only unreachable or skipped;
5 any lost; 124 the wait ended, the job goes on; 130 Ctrl-C detaches (a second one cancels).
`

/** The help for `muster run`. */
export function runHelp(flags: readonly Flag[], switches: readonly Switch[]): string {
  const rows = [
    ...switches.map(({ name, takesValue, description }) => [`--${name}${takesValue ? ' …' : ''}`, description]),
    ...flags.map(({ name, kind, description, usual }) => [
      `--${name}${kind === 'boolean' ? '' : kind === 'pairs' ? ' NAME=VALUE' : ' …'}`,
      `${description}${usual === undefined ? '' : ` Usual: ${usual}.`}`,
    ]),
  ]
  const width = Math.max(...rows.map(([flag = '']) => flag.length))
  const lines = rows.map(([flag = '', text]) => `  ${flag.padEnd(width)}  ${text}`)
  return `muster run <targets> [flags] -- <command>

One word after -- is a shell command line:      muster run @web -- 'uptime | cut -c1-20'
Several are a program and its arguments, exact: muster run @web -- df -h /

${lines.join('\n')}
`
}
