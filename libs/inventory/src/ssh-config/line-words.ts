/**
 * One line of an SSH config in words, split as OpenSSH splits it: the keyword may be followed by `=`, values may be
 * quoted, `\` escapes a quote, and `#` before a word begins a comment.
 *
 * Knows no option. It differs from a shell in much, so it follows OpenSSH (compared with `ssh -G` in the tests).
 */

/** A line: its keyword in lower case and as written, its arguments, and the text behind the keyword. */
export type LineWords = {
  readonly keyword: string
  readonly written: string
  readonly words: readonly string[]
  /** For options that take the rest of the line, quotes and comments included. */
  readonly rest: string
}

/** The words of a line; undefined for an empty one or a comment; a text that says what is wrong with it. */
export function lineWords(line: string): LineWords | string | undefined {
  const text = line.replace(/(?<=.)[ \t\r\n\f]+$/s, '')
  let first = nextWord(text)
  if (first?.word === '' && first.rest !== undefined) first = nextWord(first.rest)
  if (first === undefined || first.word === '' || first.word.startsWith('#')) return undefined
  const keyword = first.word.toLowerCase()
  const rest = (first.rest ?? '').replace(/^[ \t\r\n]+/, '')
  if (rest === '') return `no argument after keyword "${shownWord(first.word)}"`
  const words = argumentWords(rest)
  if (words === undefined) return 'invalid quotes'
  return { keyword, written: first.word, words, rest }
}

/**
 * The first word of a text, up to a space or `=`, with one pair of double quotes taken off, and what follows; undefined
 * where a quote is not closed.
 */
export function nextWord(text: string): { readonly word: string; readonly rest: string | undefined } | undefined {
  const at = text.search(/[ \t\r\n"=]/)
  if (at === -1) return { word: text, rest: undefined }
  const behind = (from: number) => text.slice(from).replace(/^[ \t\r\n]+/, '')
  if (text[at] === '"') {
    const end = text.indexOf('"', at + 1)
    return end === -1 ? undefined : { word: text.slice(0, at) + text.slice(at + 1, end), rest: behind(end + 1) }
  }
  const rest = behind(at + 1)
  const isBeforeEquals = text[at] !== '=' && rest.startsWith('=')
  return { word: text.slice(0, at), rest: isBeforeEquals ? rest.replace(/^=[ \t\r\n]*/, '') : rest }
}

/** The arguments in a text, up to a comment; undefined where a quote is not closed. */
function argumentWords(text: string): string[] | undefined {
  const words: string[] = []
  let at = 0
  while (at < text.length) {
    if (isBlank(text[at])) {
      at += 1
      continue
    }
    if (text[at] === '#') break
    const word = oneArgument(text, at)
    if (word === undefined) return undefined
    words.push(word.text)
    at = word.end
  }
  return words
}

function oneArgument(text: string, start: number): { readonly text: string; readonly end: number } | undefined {
  let word = ''
  let quote: string | undefined
  let at = start
  for (; at < text.length; at += 1) {
    const [char = '', next = ''] = [text[at], text[at + 1]]
    if (char === '\\' && (['"', "'", '\\'].includes(next) || (quote === undefined && next === ' '))) {
      at += 1
      word += next
    } else if (quote === undefined && isBlank(char)) break
    else if (quote === undefined && (char === '"' || char === "'")) quote = char
    else if (char === quote) quote = undefined
    else word += char
  }
  return quote === undefined ? { text: word, end: at } : undefined
}

function isBlank(char: string | undefined): boolean {
  return char === ' ' || char === '\t'
}

/** A word for an error text. What is no name of an option may be a secret, and is not shown. */
export function shownWord(word: string): string {
  return /^[A-Za-z0-9-]{1,64}$/.test(word) ? word : 'something that is no option'
}
