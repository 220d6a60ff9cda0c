/** A program that gives secrets, as an operator would write one: it keeps each question, and does what a test says. */
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A program that gives secrets. */
export type CredentialProgram = {
  readonly directory: string
  readonly program: string
  /** What it does from now on, in shell; the question is in `$question`. */
  does(script: string): Promise<void>
  /** All questions so far. */
  questions(): Promise<unknown[]>
  /** The environment and the command line of the last time. */
  seen(): Promise<string>
}

/** Makes a program for a test. */
export async function makeCredentialProgram(script: string): Promise<CredentialProgram> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-give-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  await chmod(directory, 0o755)
  await mkdir(join(directory, 'bin'))
  const program = join(directory, 'bin/give')
  const lines = [
    '#!/bin/sh',
    'question=$(cat)',
    `printf '%s\\n' "$question" >>${directory}/questions`,
    `{ env; tr '\\0' ' ' </proc/$$/cmdline; } >${directory}/seen`,
    `. ${directory}/behave`,
    '',
  ]
  await writeFile(program, lines.join('\n'), { mode: 0o755 })
  const does = (text: string) => writeFile(join(directory, 'behave'), `${text}\n`)
  await does(script)
  return {
    directory,
    program,
    does,
    questions: async () => {
      const text = await readFile(join(directory, 'questions'), 'utf8').catch(() => '')
      return text
        .split('\n')
        .filter((line) => line !== '')
        .map((line): unknown => JSON.parse(line))
    },
    seen: () => readFile(join(directory, 'seen'), 'utf8'),
  }
}
