/** What `muster` says when a command could not be carried out, and its exit status then. */
import { escapeLine, MusterError, type Problem } from '@muster/contract'
import { Refused } from '../client/client.ts'
import { spelledField } from './checked-input.ts'
import { EXIT, exitStatusOfProblem } from './exit-status.ts'
import { ServerAway } from './patience.ts'

/** The text for a fault, and the exit status. Only a fault of our own is told with its stack. */
export function failureOf(error: unknown): { readonly text: string; readonly status: number } {
  if (error instanceof Refused) {
    const { code, next, nearest = [] } = error.problem
    const hint = nearest.length === 0 ? '' : `; nearest: ${nearest.join(', ')}`
    const text = `${escapeLine(`${refusalText(error.problem)} (${code})${hint}`)}\n${next}`
    return { text, status: exitStatusOfProblem(error.problem) }
  }
  if (error instanceof ServerAway) return { text: error.message, status: EXIT.waitEnded }
  if (error instanceof MusterError) return { text: error.message, status: EXIT.usage }
  return { text: error instanceof Error ? (error.stack ?? error.message) : String(error), status: EXIT.usage }
}

/** What was refused, with the flag at fault. For a job, a host or a command the detail is enough. */
function refusalText({ field, detail }: Problem): string {
  if (field === undefined || ['job_id', 'host', 'key_id', 'command', 'argv'].includes(field)) return detail
  return `${spelledField(field)}: ${detail.startsWith(`${field}: `) ? detail.slice(field.length + 2) : detail}`
}
