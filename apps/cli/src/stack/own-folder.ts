/**
 * `.env` and `inventory.yaml` of the working directory, for `muster up` alone, and only when a person has started it on
 * a terminal: they see its first line. The files and the directory are the person's own, and nobody else can write to
 * them. Their settings have the lowest rank.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { escapeLine, MusterError } from '@muster/contract'
import { type Environment, readEnvText, readTrustedFile, type Settings } from '@muster/runtime'

/**
 * Say in which directories secrets may be named, which programs an inventory may have run, and which hosts requests may
 * name. Whoever clones a project owns its files, so that they are the person's own proves nothing here.
 */
const LEFT_TO_SETTINGS =
  /^MUSTER_(SECRET_DIRS|CREDENTIAL_COMMANDS|CREDENTIAL_COMMAND_ENV|PROXY_COMMANDS|ADHOC_HOSTS|ADHOC_KEY_DIRS)(_FILE)?$/

/** What the directory sets. */
export type OwnFolder = {
  readonly values: Environment
  /** The line that says so; undefined when nothing is taken. */
  readonly line: string | undefined
  /** Says what is there and was not taken, and why. */
  readonly notes: readonly string[]
}

/** Looks at the directory. `settings` are those without it: what they have is not taken. */
export async function readOwnFolder(cwd: string, settings: Settings): Promise<OwnFolder> {
  const notes: string[] = []
  const read = async (name: string) => {
    try {
      return await readTrustedFile(join(cwd, name), { trustsRoot: false, followsLinks: false })
    } catch (error) {
      if (!(error instanceof MusterError)) throw error
      notes.push(error.message)
      return undefined
    }
  }
  const text = await read('.env')
  const file = text === undefined ? undefined : readEnvText(text, join(cwd, '.env'), settings.places.home)
  if (file?.note !== undefined) notes.push(file.note)
  const offered = Object.entries(file?.values ?? {}).filter(([name]) => isPreset(name.replace(/_FILE$/, ''), settings))
  const values = Object.fromEntries(offered.filter(([name]) => !LEFT_TO_SETTINGS.test(name)))
  const refused = offered.map(([name]) => name).filter((name) => LEFT_TO_SETTINGS.test(name))
  for (const name of refused) {
    const could = name.startsWith('MUSTER_SECRET') ? 'have any of your files sent to a host' : 'run programs of its own'
    const why = name.startsWith('MUSTER_ADHOC')
      ? 'or whoever made its files would say which hosts and keys of yours requests may name'
      : `or an inventory beside it could ${could}`
    const advice = `If it is yours, set it in ${join(settings.places.configDir, 'muster.env')}`
    notes.push(`${join(cwd, '.env')}: ${name} is not taken from the working directory, ${why}. ${advice}`)
  }
  const taken = Object.keys(values).length === 0 ? [] : [`.env (${Object.keys(values).join(', ')})`]
  if (values.MUSTER_INVENTORY === undefined && (await lacksInventory(settings)) && (await read('inventory.yaml'))) {
    values.MUSTER_INVENTORY = join(cwd, 'inventory.yaml')
    taken.push('inventory.yaml')
  }
  const why = 'because you started muster up on a terminal; nothing else does that'
  const line = taken.length === 0 ? undefined : `Taken from ${escapeLine(cwd)}: ${taken.join(' and ')}, ${why}.`
  return { values, line, notes }
}

/** Whether no source sets a variable. */
function isPreset(name: string, { sources }: Settings): boolean {
  return !sources.some(({ values }) => values[name] !== undefined || values[`${name}_FILE`] !== undefined)
}

async function lacksInventory(settings: Settings): Promise<boolean> {
  const { MUSTER_INVENTORY: file = '' } = settings.env
  const isThere = await stat(file).then(
    () => true,
    () => false,
  )
  return isPreset('MUSTER_INVENTORY', settings) && !isThere
}
