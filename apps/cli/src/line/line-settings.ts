/** The settings that a command line leads to. */
import { type Environment, readSettings, type Settings, type SettingsRequest, workingDirectory } from '@muster/runtime'
import { trustAuthority } from '../client/tls-authority.ts'
import { type CommandLine, textOf } from './flags.ts'

/**
 * The settings for a command line. What there is to tell about them goes to stderr, and requests of this process trust
 * the authority that they name.
 * @throws {MusterError} invalid_config
 */
export async function settingsOf(
  { env, say }: { readonly env: Environment; readonly say: (line: string) => void },
  line: CommandLine,
  own: Partial<SettingsRequest> = {},
): Promise<Settings> {
  const settings = await readSettings({ ...settingsRequest(env, line), cwd: workingDirectory(), ...own })
  for (const note of settings.notes) say(note)
  if (settings.env.MUSTER_CA_FILE) await trustAuthority(settings.env.MUSTER_CA_FILE)
  return settings
}

/** The environment, and the files that the command line names. */
export function settingsRequest(env: Environment, line: CommandLine): SettingsRequest {
  return { env, envFile: textOf(line, 'env-file'), inventory: textOf(line, 'inventory') }
}
