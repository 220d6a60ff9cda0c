/**
 * Carries out calls of the five tools of the profile `original`, each by an operation. So its caller needs the same
 * rights, and learns no more.
 */
import {
  type CommandResult,
  type JobReport,
  MusterError,
  OPERATIONS,
  type OperationName,
  ORIGINAL_TOOLS,
  type OriginalToolName,
  Run,
  shownTo,
  WAIT_LIMIT_S,
} from '@muster/contract'
import { type Ledger, listRuns } from '@muster/ledger'
import { z } from 'zod'
import type { Caller } from '../operations/call/operation.ts'
import { type Fields, type InputSchema, parseInput, valueOfText } from '../operations/call/request-input.ts'
import { withinDefaults } from '../operations/jobs/key-limits.ts'
import type { Operations } from '../operations/operations.ts'
import {
  errorMessageOf,
  noLines,
  successOf,
  toConnectionTest,
  toDirectoryLines,
  toDiskPercents,
} from './original-answers.ts'
import { hostOfCall, inWordsOfCall, type NamedHost, namedServer, refusalOfHost } from './original-host.ts'
import { readEnds } from './original-output.ts'
import type { Call } from './tools.ts'

/** The caller waits, so a host that does not answer is given up sooner than by default. */
const IMPATIENT = { connect_timeout_s: 10, retries: 1, wait_s: WAIT_LIMIT_S } as const
/** Most lines of a directory, and most file systems. */
const LINES_LIMIT = 500

/** What there is to run. */
type Command = {
  readonly command: string
  readonly sudo: boolean
  readonly sudo_password: string | null
  readonly timeout: number
}

/** The five, in the order of their table. */
export function createOriginalCalls(operations: Operations, ledger: Ledger): { name: OriginalToolName; call: Call }[] {
  const execute = async (host: NamedHost, { command, sudo, sudo_password, timeout }: Command, caller: Caller) => {
    const job = {
      ...host,
      ...IMPATIENT,
      command,
      sudo,
      exec_timeout_s: timeout,
      ...(sudo && sudo_password !== null ? { sudo_password } : {}),
    }
    return commandResult(ledger, await operations.submit_job.call(job, caller), caller)
  }
  const refused = (why: string): CommandResult => {
    return { success: false, stdout: '', stderr: '', exit_code: null, error_message: why, job_id: null }
  }
  const wait = { wait_s: WAIT_LIMIT_S }
  const { execute_remote_command, execute_on_named_server, test_ssh_connection, list_directory, check_disk_usage } =
    ORIGINAL_TOOLS
  return [
    {
      name: 'execute_remote_command',
      call: callOf(execute_remote_command.input, 'hostname', {
        carryOut: (input, caller) => execute(hostOfCall(input), input, caller),
        refused,
      }),
    },
    {
      name: 'execute_on_named_server',
      call: callOf(execute_on_named_server.input, 'server_name', {
        carryOut: (input, caller) => execute(namedServer(input.server_name), input, caller),
        refused,
      }),
    },
    {
      name: 'test_ssh_connection',
      call: callOf(test_ssh_connection.input, 'hostname', {
        carryOut: async (input, caller) => {
          const { targets: host, ...login } = hostOfCall(input)
          return toConnectionTest(await operations.test_host.call({ host, ...login, ...wait }, caller))
        },
        refused: (message) => ({ success: false, message, exit_code: null, job_id: null }),
      }),
    },
    {
      name: 'list_directory',
      call: callOf(list_directory.input, 'hostname', {
        carryOut: async (input, caller) => {
          const look = { ...hostOfCall(input), path: input.directory, limit: LINES_LIMIT, ...wait }
          return toDirectoryLines(await operations.list_directory.call(look, caller), new Date())
        },
        refused: (why) => noLines(why, null),
      }),
    },
    {
      name: 'check_disk_usage',
      call: callOf(check_disk_usage.input, 'hostname', {
        carryOut: async (input, caller) => {
          const look = { ...hostOfCall(input), limit: LINES_LIMIT, ...wait }
          return toDiskPercents(await operations.check_disk_usage.call(look, caller))
        },
        refused: (error) => ({ error }),
      }),
    },
  ]
}

/** A call whose host is named in `field`. A refusal because of the host is an answer, as the script had it. */
function callOf<In extends object, Told>(
  schema: InputSchema<In>,
  field: 'hostname' | 'server_name',
  { carryOut, refused }: { carryOut: (input: In, caller: Caller) => Promise<Told>; refused: (why: string) => Told },
): Call {
  return async (fields, caller) => {
    const { shape } = schema
    const input = parseInput(schema, withinDefaults(asMeant(fields, shape), shape, caller.limits))
    try {
      return await carryOut(input, caller)
    } catch (error) {
      const told = inWordsOfCall(error, field)
      const why = refusalOfHost(told)
      if (why === undefined) throw told
      return refused(why)
    }
  }
}

/** The fields as the script took them: numbers and switches also as text, null and "" for what is not given. */
function asMeant(fields: Fields, shape: z.ZodRawShape): Fields {
  const given = Object.entries(fields).flatMap(([field, value]) => {
    const isLeftOut = value === null || (value === '' && shape[field] instanceof z.ZodDefault)
    return isLeftOut ? [] : [[field, typeof value === 'string' ? valueOfText(value, shape[field]) : value] as const]
  })
  return Object.fromEntries(given)
}

/** How the job of a command went, as far as its caller may know. */
async function commandResult(ledger: Ledger, report: JobReport, { scopes }: Caller): Promise<CommandResult> {
  const { job_id: jobId, exec_timeout_s: timeoutS } = report
  const may = (operation: OperationName) => scopes.has(OPERATIONS[operation].scope)
  const [run] = (await listRuns(ledger, jobId, { limit: 1 }))?.runs ?? []
  if (run === undefined) {
    throw new MusterError('not_found', `there is no job ${jobId} any more`, { details: { job_id: jobId } })
  }
  const { state, remote, output_complete } = run
  // Counts tell the state of the run to everybody who may submit a job.
  const told = may('get_run')
    ? shownTo(scopes, Run, run)
    : { state, remote, output_complete, reason: null, detail: null, exit_code: state === 'succeeded' ? 0 : null }
  const [stdout, stderr] = may('read_output')
    ? await Promise.all([readEnds(ledger, run, 'stdout'), readEnds(ledger, run, 'stderr')])
    : []
  return {
    success: successOf(state),
    stdout: stdout?.text ?? null,
    stderr: stderr?.text ?? null,
    exit_code: told.exit_code,
    error_message: errorMessageOf(told, timeoutS),
    job_id: jobId,
    ...leftOut('stdout', stdout?.leftOutBytes),
    ...leftOut('stderr', stderr?.leftOutBytes),
  }
}

function leftOut(stream: 'stdout' | 'stderr', bytes = 0): Record<string, number> {
  return bytes === 0 ? {} : { [`${stream}_left_out_bytes`]: bytes }
}
