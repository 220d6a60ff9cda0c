/**
 * Finds mistakes in the text of a script: what can only fail on a host, or would run in another way than its look
 * suggests. A script with Windows line ends or a byte-order mark looks like any other.
 *
 * A `#!` line is not required: without one, sh reads the script. Messages repeat nothing of the script, as it may
 * hold a password.
 */

/** Linux reads this much of a `#!` line and cuts off the rest: BINPRM_BUF_SIZE without the final NUL (execve(2)). */
const FIRST_LINE_LIMIT_BYTES = 255

/** A byte-order mark of UTF-8 or UTF-16: read correctly, with its bytes swapped, or as Latin-1. */
const BYTE_ORDER_MARK = /^(\ufeff|\ufffe|\u00ef\u00bb\u00bf|\u00ff\u00fe|\u00fe\u00ff)/

/** Invisible characters, and blanks that no shell treats as blanks. */
const UNSEEN = /[^\S \t]|(?!\t)[\p{Cf}\p{Cc}]/u

/**
 * What is wrong with a script and how to mend it; undefined if nothing is. `file` is its name, quoted for a shell,
 * for the command that mends it.
 */
export function scriptMistake(script: string, file = 'FILE'): string | undefined {
  if (script.includes('\0')) {
    const convert = `iconv -f UTF-16 -t UTF-8 ${file}`
    return `it contains a NUL character, so no shell can read it; if it is UTF-16: ${convert}`
  }
  if (BYTE_ORDER_MARK.test(script)) {
    const mend = `sed -i '1s/^\\xEF\\xBB\\xBF//' ${file}`
    return `it begins with a byte-order mark, so that its first line is not recognized; remove it: ${mend}`
  }
  const end = script.indexOf('\n')
  const firstLine = end === -1 ? script : script.slice(0, end)
  if (firstLine.startsWith('#!')) return interpreterMistake(firstLine, file)
  if (firstLine.endsWith('\r')) {
    return `it has Windows line ends, and sh treats the CR as part of the last word of each line; ${mendLineEnds(file)}`
  }
  if (/^[\s\p{Cf}]+#![ \t]*\//u.test(script)) {
    return 'its "#!" is not at its very beginning, so that sh would run it; remove what comes before'
  }
  return undefined
}

function interpreterMistake(line: string, file: string): string | undefined {
  if (line.includes('\r')) {
    const trouble =
      'its "#!" line ends with a CR (Windows line ends), which would be part of the name of the interpreter'
    return `${trouble}; ${mendLineEnds(file)}`
  }
  if (UNSEEN.test(line)) {
    return 'its "#!" line has an invisible character in it, such as a no-break space; type that line again'
  }
  if (Buffer.byteLength(line) > FIRST_LINE_LIMIT_BYTES) {
    return `its "#!" line is longer than the ${FIRST_LINE_LIMIT_BYTES} bytes that Linux reads of it; make it shorter`
  }
  const [, interpreter = '', argument = ''] = /^#![ \t]*([^ \t]*)[ \t]*(.*?)[ \t]*$/.exec(line) ?? []
  if (interpreter === '') return 'its "#!" line names no interpreter; write #!/bin/sh, or leave the line out for sh'
  if (!interpreter.includes('/')) {
    return 'its "#!" line names an interpreter without a path, where Linux does not find it; write #!/usr/bin/env NAME'
  }
  if (/\/env$/.test(interpreter) && /[ \t]/.test(argument) && !/^(-[A-Za-z]*S|--split-string)/.test(argument)) {
    return 'its "#!" line gives env several words, and Linux passes them as one; write #!/usr/bin/env -S …'
  }
  return undefined
}

function mendLineEnds(file: string): string {
  return `remove them: sed -i 's/\\r$//' ${file}`
}
