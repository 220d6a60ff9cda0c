/** A job's command in the form that libs/ssh sends, and whom it runs as. Quotes nothing itself. */

import type { RemoteCommand, Sudo } from '@muster/ssh'
import type { RunSpec } from '../hold/run-specs.ts'

/** The command of a job; `sudo` is absent where it runs as the account. */
export function commandOf(spec: RunSpec, sudo: Sudo | undefined): RemoteCommand {
  const { stdin, cwd, env } = spec
  return {
    form: formOf(spec),
    ...(stdin === undefined ? {} : { stdin }),
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env }),
    ...(sudo === undefined ? {} : { sudo }),
  }
}

/** Whether the job runs by sudo: naming a user says so too. */
export function wantsSudo(spec: RunSpec): boolean {
  return spec.sudo || spec.run_as !== undefined
}

/** Whom the job runs as. The password is that of the account, absent where the inventory names none. */
export function sudoOf(spec: RunSpec, password: string | undefined): Sudo | undefined {
  if (!wantsSudo(spec)) return undefined
  return { user: spec.run_as ?? 'root', ...(password === undefined ? {} : { password }) }
}

function formOf({ command, argv, script, script_args: args }: RunSpec): RemoteCommand['form'] {
  if (argv !== undefined) return { argv }
  if (script !== undefined) return { script, ...(args === undefined ? {} : { args }) }
  return { command: command ?? '' }
}
