/**
 * Reads an SSH config and the files that it includes into sections of lines, and reports every line that ssh refuses.
 *
 * ssh refuses a config with such a line for every host, whether the line applies to it or not; only what an
 * `IgnoreUnknown` excuses depends on the host. So what is read here is the same for all hosts; settings.ts applies it
 * to one.
 */
import { join } from 'node:path'
import type { Mistake } from '../hosts/mistakes.ts'
import { type Globbed, globFiles } from './glob.ts'
import { type LineWords, lineWords, shownWord } from './line-words.ts'
import { type Criterion, matchesList, readCriteria } from './match-criteria.ts'
import { isOption, valueFault } from './option-table.ts'
import { jumpWords } from './proxy-jump.ts'

/** A line with the place where it stands. */
export type ConfigLine = LineWords & {
  readonly file: string
  readonly line: number
  /** Of an `Include`. */
  readonly included?: readonly ConfigFile[]
}

/** The lines below a `Host` or `Match`; those before the first one have no header. */
export type Section = {
  readonly header?: ConfigLine
  /** Of a `Match`. */
  readonly criteria?: readonly Criterion[]
  readonly lines: ConfigLine[]
}

/** One file, in sections. */
export type ConfigFile = {
  readonly sections: readonly Section[]
  /** Those that may apply to this name, in order: a file of thousands of hosts is not searched for each of them. */
  sectionsFor(name: string): readonly Section[]
}

/** A config that was read. */
export type ReadConfig = {
  readonly root: ConfigFile
  /** Whether ssh reads it twice for each host: it has a `Match final`. */
  readonly hasFinal: boolean
  readonly mistakes: readonly Mistake[]
  /** What else was read, beside the file itself: a change of any of these is a change of the config. */
  readonly files: readonly string[]
}

/** What reading needs: `readText` gives undefined for a file that is not there, and throws for one that is refused. */
export type Reading = {
  readonly home: string
  readonly readText: (file: string) => Promise<string | undefined>
}

/** OpenSSH's own limit. */
const DEPTH_LIMIT = 16
/** More files than any config includes. */
const FILES_LIMIT = 1_000

/** Reads a config whose text is known; `file` is shown in mistakes. */
export async function readConfigFiles(text: string, file: string, reading: Reading): Promise<ReadConfig> {
  const reader = new Reader(reading)
  const root = await reader.read(text, file, [file])
  return { root, hasFinal: reader.hasFinal, mistakes: reader.mistakes, files: [...reader.files] }
}

class Reader {
  hasFinal = false
  readonly mistakes: Mistake[] = []
  readonly files = new Set<string>()
  readonly #reading: Reading
  /** The patterns of every `IgnoreUnknown` so far. */
  readonly #excused: string[] = []
  #count = 0

  constructor(reading: Reading) {
    this.#reading = reading
  }

  /** One file. `way` names it and those that led to it. */
  async read(text: string, file: string, way: readonly string[]): Promise<ConfigFile> {
    const sections: Section[] = [{ lines: [] }]
    for (const [index, written] of text.split('\n').entries()) {
      const words = lineWords(written)
      if (words === undefined) continue
      const at = { file, line: index + 1 }
      const fault = typeof words === 'string' ? words : this.#faultOf(words)
      if (typeof words === 'string' || fault !== undefined) {
        this.#refuse(at, fault ?? '')
        continue
      }
      const line = { ...words, ...at }
      if (line.keyword === 'host') sections.push({ header: line, lines: [] })
      else if (line.keyword === 'match') sections.push(this.#matchSection(line))
      else if (line.keyword === 'include') {
        sections.at(-1)?.lines.push({ ...line, included: await this.#include(line, way) })
      } else sections.at(-1)?.lines.push(line)
    }
    return { sections, sectionsFor: indexed(sections) }
  }

  #matchSection(line: ConfigLine): Section {
    const criteria = readCriteria(line.rest) ?? []
    if (criteria.some(({ name }) => name === 'final')) this.hasFinal = true
    return { header: line, criteria, lines: [] }
  }

  #faultOf({ keyword, written, words, rest }: LineWords): string | undefined {
    if (!isOption(keyword)) {
      if (this.#excused.some((patterns) => matchesList(patterns.toLowerCase(), keyword))) return undefined
      const advice = 'to have it ignored, as by ssh, name it above in an IgnoreUnknown'
      return `ssh does not know the option ${shownWord(written)}; ${advice}`
    }
    if (keyword === 'ignoreunknown') this.#excused.push(words[0] ?? '')
    if (keyword === 'proxyjump' && jumpWords(rest) === undefined) return 'ProxyJump: ssh refuses this value'
    if (keyword === 'match' && readCriteria(rest) === undefined) return 'Match: ssh refuses this condition'
    const fault = valueFault(keyword, words)
    return fault === undefined ? undefined : `${shownWord(written)}: ${fault}`
  }

  async #include(line: ConfigLine, way: readonly string[]): Promise<readonly ConfigFile[]> {
    const files: ConfigFile[] = []
    for (const pattern of line.words) {
      for (const file of (await this.#find(pattern, line)).files) {
        const found = await this.#readIncluded(file, line, way)
        if (found !== undefined) files.push(found)
      }
    }
    return files
  }

  async #find(pattern: string, line: ConfigLine): Promise<Globbed> {
    const { home } = this.#reading
    const none = { files: [], directories: [] }
    if (/^~[^/]/.test(pattern)) {
      this.#refuse(line, 'Include: only ~/ is known, not the home of another user')
      return none
    }
    const path = pattern.startsWith('~') ? join(home, pattern.slice(1)) : pattern
    try {
      const found = await globFiles(path.startsWith('/') ? path : join(home, '.ssh', path))
      for (const one of [...found.files, ...found.directories]) this.files.add(one)
      return found
    } catch (error) {
      this.#refuse(line, `Include: ${messageOf(error)}`)
      return none
    }
  }

  async #readIncluded(file: string, line: ConfigLine, way: readonly string[]): Promise<ConfigFile | undefined> {
    this.#count += 1
    const whole = [...way, file]
    const why = way.includes(file)
      ? `the files include each other in a circle: ${whole.slice(way.indexOf(file)).join(' → ')}`
      : way.length > DEPTH_LIMIT
        ? `more than ${DEPTH_LIMIT} files deep`
        : this.#count > FILES_LIMIT
          ? `more than ${FILES_LIMIT} files`
          : undefined
    if (why !== undefined) {
      this.#refuse(line, `Include: ${why}`)
      return undefined
    }
    try {
      const text = await this.#reading.readText(file)
      return text === undefined ? undefined : await this.read(text, file, whole)
    } catch (error) {
      this.#refuse(line, `Include: ${messageOf(error)}`)
      return undefined
    }
  }

  #refuse({ file, line }: { file: string; line: number }, text: string): void {
    this.mistakes.push({ position: { source: file, line }, text })
  }
}

/** Finds sections of single names by their names; all others may apply to any name. */
function indexed(sections: readonly Section[]): ConfigFile['sectionsFor'] {
  const ofAny: number[] = []
  const byName = new Map<string, number[]>()
  for (const [index, { header }] of sections.entries()) {
    const isOfNames = header?.keyword === 'host' && !header.words.some((word) => /[*?!]/.test(word))
    if (!isOfNames) ofAny.push(index)
    else for (const word of new Set(header.words)) byName.set(word, [...(byName.get(word) ?? []), index])
  }
  return (name) => {
    const found = [...ofAny, ...(byName.get(name) ?? [])].sort((a, b) => a - b)
    return found.flatMap((index) => sections[index] ?? [])
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
