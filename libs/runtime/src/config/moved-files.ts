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

/** The line; undefined when there is nothing to move, or something is in the new place. */
export async function movedNote(cwd: string, places: Places, unset: Unset): Promise<string | undefined> {
  const { configDir, stateDir, home } = places
  const inCwd = (name: string) => ({ path: join(cwd, name), shown: `./${name}` })
  const inHome = (name: string) => ({ path: join(home, '.muster', name), shown: join(home, '.muster', name) })
  const moves: Move[] = []
  const envFile = inCwd('.env')
  if (unset.envFile && cwd !== configDir && (await holds(envFile.path, isOfMuster))) {
    moves.push({ from: envFile.shown, directory: configDir, to: join(configDir, 'muster.env') })
  }
  if (unset.inventory && !(await isThere(join(configDir, 'inventory.yaml')))) {
    for (const { path, shown } of [inCwd('inventory.yaml'), inHome('inventory.yaml')]) {
      if (moves.some(({ to }) => to === `${configDir}/`) || !(await holds(path, isInventory))) continue
      moves.push({ from: shown, directory: configDir, to: `${configDir}/` })
    }
  }
  if (unset.dataDir && !(await isDataDir(stateDir))) {
    for (const { path, shown } of [inCwd('.muster'), inHome('')]) {
      const isSame = relative(path, stateDir) === ''
      if (isSame || moves.some(({ to }) => to === `${stateDir}/`) || !(await isDataDir(path))) continue
      moves.push({ from: `${shown.replace(/\/$/, '')}/*`, directory: stateDir, to: `${stateDir}/` })
    }
  }
  return moves.length === 0 ? undefined : noteOf(moves)
}

function noteOf(moves: readonly Move[]): string {
  const names = moves.map(({ from }) => from.replace(/\/\*$/, '')).join(', ')
  const steps = moves.flatMap(({ from, directory, to }) => [
    `mkdir -p -m 700 ${shellWord(directory)}`,
    // The star is for the shell.
    `mv -n ${from.endsWith('/*') ? `${shellWord(from.slice(0, -1))}*` : shellWord(from)} ${shellWord(to)}`,
  ])
  const advice = 'If they are yours, and not of a project of somebody else, move them'
  return `no longer used where they are: ${names}. ${advice}: ${[...new Set(steps)].join(' && ')}`
}

const isOfMuster = (text: string, path: string) => Object.keys(readEnvText(text, path).values).length > 0
const isInventory = (text: string) => /^(hosts|groups|defaults):/m.test(text)

async function holds(path: string, isWanted: (text: string, path: string) => boolean): Promise<boolean> {
  try {
    const text = await readTrustedFile(path)
    return text !== undefined && isWanted(text, path)
  } catch (error) {
    // A file of somebody else is nothing to move.
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
