/** The tables that the benchmark prints. Figures are medians with their range. */
import { median } from './process-cost.ts'

/** Prints one line of text. */
export const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

/** Prints one row. Cells that are not given are empty. */
export type Row = (...cells: readonly string[]) => void

/** Prints the head of a table; answers what prints its rows. */
export function table(title: string, columns: readonly string[] = ['what', 'measured', 'goal']): Row {
  const row: Row = (...cells) => say(`| ${columns.map((_, i) => cells[i] ?? '').join(' | ')} |`)
  say(`\n**${title}**\n`)
  row(...columns)
  say(`|${columns.map(() => '---|').join('')}`)
  return row
}

/** `1.20 ms`; with the range of the rounds when there are several: `1.20 ms (1.10–1.40)`. */
export function figure(values: readonly number[], unit: string, digits = 2): string {
  const text = `${median(values).toFixed(digits)} ${unit}`.trimEnd()
  if (values.length < 2) return text
  return `${text} (${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)})`
}

/** `median 1.2 ms, worst 3.4 ms`. */
export function medianAndWorst(values: readonly number[]): string {
  return `median ${median(values).toFixed(1)} ms, worst ${Math.max(...values).toFixed(1)} ms`
}
