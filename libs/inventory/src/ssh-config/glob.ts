/** The files that the pattern of an `Include` names, as glob(3) finds them: sorted, and without hidden ones. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { MusterError } from '@muster/contract'

const WILD = /[*?[]/

/** What a pattern leads to: files that exist, and the directories whose content decides which they are. */
export type Globbed = { readonly files: readonly string[]; readonly directories: readonly string[] }

/** The files of an absolute pattern. A directory is no file, and reads as nothing for ssh. */
export async function globFiles(pattern: string): Promise<Globbed> {
  const directories = new Set<string>()
  let found = ['/']
  for (const part of pattern.split('/').filter((one) => one !== '')) {
    const next: string[] = []
    for (const base of found) {
      if (!WILD.test(part)) next.push(join(base, part.replace(/\\(.)/g, '$1')))
      else {
        directories.add(base)
        for (const name of await namesIn(base)) if (matchesPart(part, name)) next.push(join(base, name))
      }
    }
    found = next
  }
  const files: string[] = []
  for (const file of found) if (await isNoDirectory(file)) files.push(file)
  return { files: files.sort(), directories: [...directories] }
}

async function namesIn(directory: string): Promise<string[]> {
  return await readdir(directory).catch(() => [])
}

/** A file that cannot be looked at is left in: to read it tells what is wrong. */
async function isNoDirectory(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => !found.isDirectory(),
    (error: unknown) => !(error instanceof Error && 'code' in error && error.code === 'ENOENT'),
  )
}

function matchesPart(pattern: string, name: string): boolean {
  return (!name.startsWith('.') || pattern.startsWith('.')) && partExpression(pattern).test(name)
}

/** `*`, `?`, `[a-z]`, `[!a]` and `\` before any of them. */
function partExpression(pattern: string): RegExp {
  const source = pattern.replace(/\\.|\*+|\?|\[[!^]?\]?[^\]]*\]|[\\^$.|+(){}[\]]/g, (piece) => {
    if (piece.startsWith('*')) return '.*'
    if (piece === '?') return '.'
    if (piece.length > 2 && piece.startsWith('['))
      return `[${piece
        .slice(1, -1)
        .replace(/^!/, '^')
        .replace(/[\\\]]/g, '\\$&')}]`
    return piece.startsWith('\\') && piece.length === 2 ? `\\${piece.charAt(1)}` : `\\${piece}`
  })
  try {
    return new RegExp(`^${source}$`, 's')
  } catch (cause) {
    throw new MusterError('invalid_config', 'it is no pattern of file names', { cause })
  }
}
