/**
 * Target expressions: `web1,@web,web[01-12]!web07`. Names, groups and ranges, read from left to right;
 * "," adds hosts and "!" takes them away.
 *
 * Parses only. Which hosts a group holds, and whether a name exists, libs/inventory knows.
 */
import { MusterError } from './errors.ts'
import { expandRanges, isHostName } from './host-range.ts'

/** One step of an expression: what is added or taken away, and where it stands in the text. */
export type TargetStep = {
  readonly op: 'add' | 'remove'
  /** The group of an `@group` step, "*" for all hosts. Absent for names. */
  readonly group?: string
  /** The expanded names, in order; empty for a group step. */
  readonly names: readonly string[]
  /** Zero-based position in the expression. */
  readonly position: number
}

/**
 * Parses a target expression.
 * @throws {MusterError} invalid_target with `details.position`, saying what was expected there
 */
export function parseTargets(expression: string): TargetStep[] {
  const steps: TargetStep[] = []
  let op: TargetStep['op'] = 'add'
  let start = 0
  for (const { text, end, separator } of terms(expression)) {
    const position = start + (text.length - text.trimStart().length)
    const term = text.trim()
    if (term === '' && !(op === 'add' && separator === '!' && steps.length === 0)) {
      throw expected(expression, position, 'a host, a range such as web[01-12], or an @group')
    }
    if (term !== '') steps.push(parseTerm(term, op, position, expression))
    op = separator === '!' ? 'remove' : 'add'
    start = end + 1
  }
  if (steps[0]?.op === 'remove') throw expected(expression, 0, 'hosts to take these away from, such as "@*!web01"')
  return steps
}

/** The texts between separators; a "," inside brackets belongs to the range. */
function* terms(expression: string): Generator<{ text: string; end: number; separator: string }> {
  let start = 0
  let inRange = false
  for (let i = 0; i < expression.length; i += 1) {
    const char = expression.charAt(i)
    if (char === '[') inRange = true
    if (char === ']') inRange = false
    if (!inRange && (char === ',' || char === '!')) {
      yield { text: expression.slice(start, i), end: i, separator: char }
      start = i + 1
    }
  }
  yield { text: expression.slice(start), end: expression.length, separator: '' }
}

function parseTerm(term: string, op: TargetStep['op'], position: number, expression: string): TargetStep {
  if (term.startsWith('@')) {
    const group = term.slice(1)
    if (group !== '*' && !isHostName(group)) throw expected(expression, position + 1, 'the name of a group, or "*"')
    return { op, group, names: [], position }
  }
  const names = expandRanges(term, position)
  const bad = names.find((name) => !isHostName(name))
  if (bad !== undefined) throw expected(expression, position, `a host name of letters, digits, ".", "_" and "-"`)
  return { op, names, position }
}

function expected(expression: string, position: number, what: string): MusterError {
  const found = expression.slice(position, position + 20)
  const message = `expected ${what} at position ${position}, not ${found === '' ? 'the end' : `"${found}"`}`
  return new MusterError('invalid_target', message, { details: { field: 'targets', position } })
}
