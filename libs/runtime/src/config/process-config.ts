/** The configuration of a process that has no commands, such as the server, from its flags and all its settings. */
import { writeSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { MusterError } from '@muster/contract'
import type { z } from 'zod'
import { type Environment, parseConfig } from './config.ts'
import { readSettings, type Settings, type SettingsRequest } from './settings.ts'
import { workingDirectory } from './working-directory.ts'

const OPTIONS = {
  'env-file': { type: 'string', multiple: true },
  inventory: { type: 'string', multiple: true },
  'env-only': { type: 'boolean' },
} as const

/**
 * The settings, and the configuration that `schema` makes of them, for a `main.ts`. Mistakes go to stderr, one line
 * each and without a stack, and the process exits with status 2.
 */
export async function readConfigOrExit<S extends z.ZodObject>(
  schema: S,
  given: { readonly args: readonly string[]; readonly env: Environment; readonly exit: (status: number) => never },
): Promise<{ readonly config: Readonly<z.output<S>>; readonly settings: Settings }> {
  try {
    const settings = await readSettings({ env: given.env, cwd: workingDirectory(), ...readProcessFlags(given.args) })
    return { config: parseConfig(schema, settings.env), settings }
  } catch (error) {
    if (!(error instanceof MusterError)) throw error
    writeSync(2, `${error.message}\n`)
    return given.exit(2)
  }
}

/**
 * Reads `--env-file FILE`, `--inventory FILE` and `--env-only`.
 * @throws {MusterError} `invalid_config` for any other word, naming it, and for a flag that is given twice
 */
function readProcessFlags(args: readonly string[]): Omit<SettingsRequest, 'env'> {
  const values = parsed(args)
  return {
    envFile: single('env-file', values['env-file']),
    inventory: single('inventory', values.inventory),
    envOnly: values['env-only'],
  }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true }).values
  } catch (error) {
    const why = error instanceof Error ? (error.message.split('. ')[0] ?? '') : String(error)
    throw new MusterError('invalid_config', `${why}. Accepted: --env-file FILE, --inventory FILE, --env-only.`)
  }
}

function single(name: string, values: readonly string[] | undefined): string | undefined {
  const [value, second] = values ?? []
  if (second === undefined) return value
  throw new MusterError('invalid_config', `--${name} is given more than once, and takes one value.`)
}
