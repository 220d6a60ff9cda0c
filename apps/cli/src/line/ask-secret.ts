/**
 * Asks for a secret, such as a key or a password, on the terminal without showing it, or reads it from a pipe. Never
 * from the command line.
 */
import { MusterError } from '@muster/contract'

const LONGEST_BYTES = 4_096
const CTRL_C = '\x03'
const CTRL_D = '\x04'
const BACKSPACE = '\x7f'

/** Our own stdin, of which this much matters. */
type Stdin = AsyncIterable<Buffer | string> & {
  readonly isTTY: boolean
  setRawMode(isRaw: boolean): unknown
  /** A terminal that is waited for keeps the process from its end. */
  ref(): unknown
  unref(): unknown
  /** Ends without closing the stream: there may be another question. */
  iterator(options: { destroyOnReturn: false }): AsyncIterable<Buffer | string>
}

/**
 * The secret. `ask` shows the question, and only if a person can answer it.
 * @throws {MusterError} `invalid_request` when it is too long, or the person pressed Ctrl-C
 */
export async function askSecret(stdin: Stdin, ask: (text: string) => void, question: string): Promise<string> {
  if (!stdin.isTTY) return await readAll(stdin)
  // Before the question: whoever is quick, or pastes, would see the key.
  stdin.ref()
  stdin.setRawMode(true)
  try {
    ask(question)
    return await readLine(stdin.iterator({ destroyOnReturn: false }))
  } finally {
    stdin.setRawMode(false)
    stdin.unref()
    ask('\n')
  }
}

/**
 * The secret that a flag has us ask for.
 * @throws {MusterError} `invalid_request` when none was given
 */
export async function secretOf(
  { askSecret: ask }: { readonly askSecret: (question: string) => Promise<string> },
  asked: { readonly flag: string; readonly what: 'password' | 'passphrase'; readonly question: string },
): Promise<string> {
  const secret = (await ask(asked.question)).replace(/\r?\n$/, '')
  if (secret !== '') return secret
  throw new MusterError('invalid_request', `--${asked.flag}: no ${asked.what} was given`)
}

async function readAll(stdin: AsyncIterable<Buffer | string>): Promise<string> {
  let text = ''
  for await (const piece of stdin) {
    text += piece.toString()
    if (text.length > LONGEST_BYTES) throw tooLong()
  }
  return text
}

async function readLine(stdin: AsyncIterable<Buffer | string>): Promise<string> {
  let text = ''
  for await (const piece of stdin) {
    for (const character of piece.toString()) {
      if (character === '\r' || character === '\n' || character === CTRL_D) return text
      if (character === CTRL_C) throw new MusterError('invalid_request', 'interrupted; nothing was done')
      text = character === BACKSPACE ? text.slice(0, -1) : text + character
    }
    if (text.length > LONGEST_BYTES) throw tooLong()
  }
  return text
}

function tooLong(): MusterError {
  return new MusterError(
    'invalid_request',
    `what stdin holds is longer than any key or password (${LONGEST_BYTES} bytes)`,
  )
}
