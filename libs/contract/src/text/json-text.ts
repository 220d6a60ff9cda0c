/**
 * Looks for what JSON parsers take in silence and Muster refuses: a name that is given twice, of which a parser keeps
 * one; a name that JavaScript gives a meaning of its own; so many levels that whoever walks them runs out of stack; and
 * so many values that parsing and checking them holds up everybody else.
 *
 * It does not check that the text is JSON; a parser does that. It reads no further than the first trouble.
 */
import { escapeLine } from './escape-control.ts'

/** Deepest nesting of a body. The documented forms need six levels. */
const LEVELS_LIMIT = 64
/** Most values, lists and objects. A thousand arguments and as many variables are less than half of it. */
const VALUES_LIMIT = 5_000
/** Most characters outside of texts: what 5,000 values and their layout may need. */
const OUTSIDE_LIMIT_CHARS = 1024 * 1024
/** Names that reach an object's prototype where a program copies fields by name. */
const RESERVED: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])
/** Longer names are cut. */
const SHOWN_LIMIT_CHARS = 60

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d

/** What is wrong: the way to the name at fault, and the sentence that says why. */
export type JsonTrouble = { readonly field: string; readonly text: string }

/** An object or a list that is open. */
type Level = { readonly isObject: boolean; readonly names: Set<string>; name: string }

/** The first trouble in a JSON text; undefined when there is none. */
export function troubleInJson(text: string): JsonTrouble | undefined {
  const levels: Level[] = []
  let isNameNext = false
  let values = 0
  let outside = 0
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code === COMMA || code === OPEN_OBJECT || code === OPEN_LIST) values += 1
    outside += 1
    if (values > VALUES_LIMIT || outside > OUTSIDE_LIMIT_CHARS) return { field: wayTo(levels), text: tooMuch(at) }
    if (code === QUOTE) {
      const end = endOfText(text, at)
      const level = levels.at(-1)
      if (isNameNext && level !== undefined) {
        level.name = nameIn(text.slice(at, end + 1))
        const trouble = troubleOf(level)
        if (trouble !== undefined) return { field: wayTo(levels), text: trouble }
        level.names.add(level.name)
        isNameNext = false
      }
      at = end
    } else if (code === OPEN_OBJECT || code === OPEN_LIST) {
      if (levels.length === LEVELS_LIMIT) {
        const depth = `the body is ${LEVELS_LIMIT + 1} levels deep at character ${at}`
        return { field: wayTo(levels), text: `${depth}; nest at most ${LEVELS_LIMIT} objects and lists` }
      }
      isNameNext = code === OPEN_OBJECT
      levels.push({ isObject: isNameNext, names: new Set(), name: '' })
    } else if (code === CLOSE_OBJECT || code === CLOSE_LIST) {
      levels.pop()
      isNameNext = false
    } else if (code === COMMA) {
      isNameNext = levels.at(-1)?.isObject === true
    }
  }
  return undefined
}

function tooMuch(at: number): string {
  const limits = `at most ${VALUES_LIMIT} values, and ${OUTSIDE_LIMIT_CHARS} characters outside of texts`
  return `the body goes on at character ${at} beyond what is read: ${limits}; send less at once`
}

function troubleOf({ names, name }: Level): string | undefined {
  if (RESERVED.has(name)) return 'is a reserved name, which JavaScript programs confuse with their own; use another'
  return names.has(name) ? 'is given twice; give it once' : undefined
}

/** Names only: which element of a list it is, a reader sees by the name. */
function wayTo(levels: readonly Level[]): string {
  const names = levels.flatMap(({ isObject, name }) => (isObject ? [name] : []))
  return names
    .map((name) => escapeLine(name.length <= SHOWN_LIMIT_CHARS ? name : `${name.slice(0, SHOWN_LIMIT_CHARS)}…`))
    .join('.')
}

/** The position of the quote that ends the text which begins here; the end of everything if none does. */
function endOfText(text: string, start: number): number {
  const first = text.indexOf('"', start + 1)
  if (first === -1) return text.length
  // Most texts have no escaped quote. In others each could be one, and a search for each would take too long.
  if (text.charCodeAt(first - 1) !== BACKSLASH) return first
  for (let at = start + 1; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code === BACKSLASH) at += 1
    else if (code === QUOTE) return at
  }
  return text.length
}

function nameIn(quoted: string): string {
  if (!quoted.includes('\\')) return quoted.slice(1, -1)
  try {
    return String(JSON.parse(quoted))
  } catch {
    // A bad escape: the parser will say so.
    return quoted.slice(1, -1)
  }
}
