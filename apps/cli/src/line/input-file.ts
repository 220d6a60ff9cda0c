/**
 * Reads a file, or our own stdin, as the script or the stdin of a command. It takes UTF-8 text up to the limit and
 * nothing else. A refusal names the file and says how to mend it.
 */
import { createReadStream } from 'node:fs'
import { decodeUtf8, escapeControl, INPUT_LIMIT_BYTES, MusterError, scriptMistake, shellWord } from '@muster/contract'

/** The name that stands for our own stdin. */
const OWN_STDIN = '-'

/** A file and the flag that names it. */
export type InputFile = {
  readonly flag: 'script' | 'stdin' | 'secret-stdin' | 'secret-env-file' | 'private-key'
  readonly file: string
}

/**
 * The text of the file; "-" is our own stdin.
 * @throws {MusterError} invalid_request: it cannot be read, is too large, is not UTF-8, or is a script with a mistake
 */
export async function readInputFile(input: InputFile): Promise<string> {
  const bytes = await readBytes(input)
  const decoded = decodeUtf8(bytes)
  if ('badAt' in decoded) throw refused(input, notUtf8(bytes, decoded.badAt, mendable(input)))
  const mistake = input.flag === 'script' ? scriptMistake(decoded.text, mendable(input)) : undefined
  if (mistake !== undefined) throw refused(input, mistake)
  return decoded.text
}

async function readBytes(input: InputFile): Promise<Buffer> {
  const pieces: Buffer[] = []
  let length = 0
  try {
    // `end` is inclusive: one byte above the limit shows that the file is too long, and bounds a file without an end.
    const file = input.file === OWN_STDIN ? process.stdin : createReadStream(input.file, { end: INPUT_LIMIT_BYTES })
    for await (const piece of file) {
      const bytes = Buffer.from(piece)
      pieces.push(bytes)
      length += bytes.length
      if (length > INPUT_LIMIT_BYTES) break
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw refused(input, `it cannot be read: ${why}`, error)
  }
  if (length <= INPUT_LIMIT_BYTES) return Buffer.concat(pieces)
  throw refused(input, `it is longer than ${INPUT_LIMIT_BYTES} bytes; copy it to the hosts by other means`)
}

function notUtf8(bytes: Buffer, badAt: number, file: string): string {
  if (/^(fffe|feff)/.test(bytes.toString('hex', 0, 2))) {
    return `it is UTF-16, and only UTF-8 can be sent: iconv -f UTF-16 -t UTF-8 ${file}`
  }
  const line = bytes.subarray(0, badAt).filter((byte) => byte === 0x0a).length + 1
  const byte = `byte ${badAt} (line ${line}) is 0x${bytes.toString('hex', badAt, badAt + 1)}`
  const advice = 'convert text with iconv, and copy other data to the hosts'
  return `it is not UTF-8, and nothing else can be sent: ${byte}; ${advice}`
}

/** The name of the file, quoted for a shell command that mends it. */
function mendable({ file }: InputFile): string {
  return file === OWN_STDIN ? 'FILE' : shellWord(file)
}

function refused({ flag, file }: InputFile, why: string, cause?: unknown): MusterError {
  const name = file === OWN_STDIN ? 'stdin' : escapeControl(file)
  return new MusterError('invalid_request', `--${flag}: ${name}: ${escapeControl(why)}`, { cause })
}
