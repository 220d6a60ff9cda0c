/**
 * Files of Muster where earlier versions looked for them: in the working directory, and in `~/.muster`. They are not
 * used; a person is told, in one line, with the command that moves them. Nobody is told of the files of other programs.
 */
import { stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { MusterError, shellWord } from '@muster/contract'
import { readEnvText } from './own-variables.ts'
import type { Places } from './places.ts'
import { readTrustedFile } from './trusted-file.ts'

/** Which of the new places are in use by default, and empty as far as settings go. */
export type Unset = { readonly envFile: boolean; readonly inventory: boolean; readonly dataDir: boolean }

/** A file to move, by names as a person in the working directory sees them. */
type Move = { readonly from: string; readonly directory: string; readonly to: string }

/**
 * The line; undefined when there is nothing to move. What is in a new place already is not moved over. Without `cwd` it
 * is about `~/.muster` alone, which is surely the person's own.
 */
export async function movedNote(cwd: string | undefined, places: Places, unset: Unset): Promise<string | undefined> {
  const { configDir, stateDir, home } = places
  const inCwd = (name: string) => (cwd === undefined ? [] : [{ path: join(cwd, name), shown: `./${name}` }])
  const inHome = (name: string) => ({ path: join(home, '.muster', name), shown: join(home, '.muster', name) })
  const moves: Move[] = []
  const [envFile] = inCwd('.env')
  if (envFile !== undefined && unset.envFile && cwd !== configDir && (await holds(envFile.path, isOfMuster))) {
    moves.push({ from: envFile.shown, directory: configDir, to: join(configDir, 'muster.env') })
  }
  if (unset.inventory && !(await isThere(join(configDir, 'inventory.yaml')))) {
    for (const { path, shown } of [...inCwd('inventory.yaml'), inHome('inventory.yaml')]) {
      if (moves.some(({ to }) => to === `${configDir}/`) || !(await holds(path, isInventory))) continue
      moves.push({ from: shown, directory: configDir, to: `${configDir}/` })
    }
  }
  const left = unset.dataDir ? await oldDataDir([...inCwd('.muster'), inHome('')], stateDir) : undefined
  const isLost = left !== undefined && (await isDataDir(stateDir))
  if (left !== undefined && !isLost) moves.push({ from: `${left.shown}/*`, directory: stateDir, to: `${stateDir}/` })
  const notes = [...(moves.length === 0 ? [] : [noteOf(moves)]), ...(isLost ? [leftBehind(left, stateDir)] : [])]
  return notes.length === 0 ? undefined : notes.join('. ')
}

/** A file or directory, and its name as a person sees it. */
type Found = { readonly path: string; readonly shown: string }

async function oldDataDir(candidates: readonly Found[], stateDir: string): Promise<Found | undefined> {
  for (const { path, shown } of candidates) {
    if (relative(path, stateDir) !== '' && (await isDataDir(path))) return { path, shown: shown.replace(/\/$/, '') }
  }
  return undefined
}

/** For who has begun anew, perhaps without noticing: both cannot be moved into one. */
function leftBehind({ path, shown }: Found, stateDir: string): string {
  const way = `to have its jobs, start with MUSTER_DATA_DIR=${shellWord(path.replace(/\/$/, ''))}; if not, remove it`
  const whose = "If it is yours, and not part of someone else's project"
  return `${shown} holds data of Muster that is not used, because ${stateDir} is in use. ${whose}: ${way}`
}

function noteOf(moves: readonly Move[]): string {
  const names = moves.map(({ from }) => from.replace(/\/\*$/, '')).join(', ')
  const steps = moves.flatMap(({ from, directory, to }) => [
    `mkdir -p -m 700 ${shellWord(directory)}`,
    // The star is for the shell.
    `mv -n ${from.endsWith('/*') ? `${shellWord(from.slice(0, -1))}*` : shellWord(from)} ${shellWord(to)}`,
  ])
  const advice = "If they are yours, and not part of someone else's project, move them"
  return `no longer used where they are: ${names}. ${advice}: ${[...new Set(steps)].join(' && ')}`
}

const isOfMuster = (text: string, path: string) => Object.keys(readEnvText(text, path).values).length > 0
const isInventory = (text: string) => /^(hosts|groups|defaults):/m.test(text)

async function holds(path: string, isWanted: (text: string, path: string) => boolean): Promise<boolean> {
  try {
    const text = await readTrustedFile(path)
    return text !== undefined && isWanted(text, path)
  } catch (error) {
    // Another user's file is not ours to move.
    if (error instanceof MusterError) return false
    throw error
  }
}

async function isDataDir(path: string): Promise<boolean> {
  return (await isThere(join(path, 'api-key'))) || (await isThere(join(path, 'redis')))
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}
