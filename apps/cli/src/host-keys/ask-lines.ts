/** Answers that a person types on the terminal, a line each. Ctrl-C ends the program, as nothing is half done. */
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'

/** Asks one question after another; undefined when there will be no more answers. */
export type AskLine = (question: string) => Promise<string | undefined>

/** Calls `use` with a way to ask. */
export async function withAnswers<T>(
  stdin: Readable,
  write: (text: string) => void,
  use: (ask: AskLine) => Promise<T>,
): Promise<T> {
  // Without `terminal`, the terminal itself edits the line and sends SIGINT.
  const lines = createInterface({ input: stdin, terminal: false })
  const answers = lines[Symbol.asyncIterator]()
  try {
    return await use(async (question) => {
      write(question)
      const answer = await answers.next()
      return answer.done === true ? undefined : answer.value.trim()
    })
  } finally {
    lines.close()
  }
}
