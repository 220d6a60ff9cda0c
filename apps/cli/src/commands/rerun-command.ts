/** `muster rerun`: runs a job again on those of its hosts that ended in given states. */
import { randomUUID } from 'node:crypto'
import { OPERATIONS } from '@muster/contract'
import { checkedInput } from '../line/checked-input.ts'
import type { ServerCommand } from '../line/command.ts'
import { flagsOf } from '../line/flags.ts'
import { SECRET_FIELDS, SECRET_FLAG, SECRET_SWITCHES, secretsFrom } from '../line/secret-input.ts'
import { wordOf } from './job-commands.ts'
import { END_SWITCHES, runToEnd } from './run-to-end.ts'

/** `muster rerun`. */
export const rerunCommand: ServerCommand = {
  flags: [...flagsOf(OPERATIONS.rerun_job.input, ['job_id', 'wait_s', 'connect', ...SECRET_FIELDS]), SECRET_FLAG],
  switches: [...SECRET_SWITCHES, ...END_SWITCHES],
  act: async (cli, line) => {
    const key = String(line.fields.idempotency_key ?? randomUUID())
    const job_id = wordOf(line.words, 'rerun')
    const given = { ...line.fields, ...(await secretsFrom(cli, line)), job_id, idempotency_key: key }
    const input = checkedInput('rerun_job', given)
    return runToEnd(cli, line, { send: () => cli.client.call('rerun_job', input), command: 'rerun', key })
  },
}
