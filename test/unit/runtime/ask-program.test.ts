/** A program is asked and answers, or it is said in words why it did not; nothing of it runs on. */
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { askProgram } from '@muster/runtime'
import { describe, expect, onTestFinished, test } from 'vitest'

const usual = { file: '/bin/sh', calledAs: 'sh', env: { PATH: process.env.PATH }, question: '', timeoutMs: 20_000 }

/** Asks a shell script. */
function ask(script: string, options: Partial<Parameters<typeof askProgram>[0]> = {}) {
  return askProgram({ ...usual, args: ['-c', script], answerLimitBytes: 1_000, ...options })
}

function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'muster-ask-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** Whether a process lives; one that has ended and that nobody collects does not. */
function isAlive(pid: string): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

describe('a program that answers', () => {
  test('reads the question and prints the answer, byte for byte', async () => {
    const asked = await ask('cat; printf "\\377\\n"; echo aside >&2', { question: 'what?\n' })
    expect(asked).toEqual({ ok: true, answer: Buffer.from('what?\n\xff\n', 'latin1'), complaints: 'aside\n' })
  })

  test('has the environment it is given, no terminal, and a directory that is always there', async () => {
    const { answer } = await ask('pwd; env | grep -v "^_=\\|^PWD=\\|^SHLVL=" | sort; tty <&1', {
      env: { PATH: '/usr/bin:/bin', A: '1' },
    })
    expect(answer.toString()).toBe('/\nA=1\nPATH=/usr/bin:/bin\nnot a tty\n')
  })

  test('is called by the name that it was asked for', async () => {
    const link = join(temporaryDirectory(), 'dash-of-ours')
    symlinkSync('/bin/sh', link)
    const asked = await ask('tr "\\0" " " </proc/$$/cmdline', { calledAs: link })
    expect(asked.answer.toString()).toMatch(new RegExp(`^${link} -c`))
  })

  test('need not read the question', async () => {
    expect(await ask('exec echo yes', { question: 'x'.repeat(1_000_000) })).toMatchObject({ ok: true })
  })

  test('may leave a process behind that holds its output: it has answered, and that process ends', async () => {
    const asked = await ask('sleep 1000 & echo $!')
    expect(asked.ok).toBe(true)
    await expect.poll(() => isAlive(asked.answer.toString().trim())).toBe(false)
  })
})

describe('a program that does not answer', () => {
  test.each([
    ['exit 3', 'ended with status 3'],
    ['kill -s TERM $$', 'ended by SIGTERM'],
  ])('ends otherwise: %s', async (script, why) => {
    expect(await ask(`echo half; ${script}`)).toMatchObject({ ok: false, why, answer: Buffer.from('half\n') })
  })

  test('is killed at its deadline with everything in its group, even if it ignores signals', async () => {
    const file = join(temporaryDirectory(), 'pid')
    const script = `trap "" TERM INT; (trap "" TERM; sh -c 'echo $$ >${file}; exec sleep 1000'); sleep 1000`
    const asked = await ask(script, { timeoutMs: 1_500 })
    expect(asked).toMatchObject({ ok: false, why: 'gave no answer within 1.5 s and was killed' })
    const pid = readFileSync(file, 'utf8').trim()
    await expect.poll(() => isAlive(pid)).toBe(false)
  })

  test('prints more than any answer', async () => {
    const asked = await ask('yes')
    expect(asked).toMatchObject({ ok: false, why: 'printed more than 1000 bytes' })
    expect(asked.answer).toHaveLength(1_000)
  })

  test('complains at length, and of that the beginning is kept', async () => {
    const asked = await ask('yes | head -c 1000000 >&2; exit 1')
    expect(asked).toMatchObject({ ok: false, why: 'ended with status 1' })
    expect(asked.complaints).toHaveLength(4_096)
  })

  test.each([
    ['/nowhere/program', 'could not be started (ENOENT)'],
    [process.cwd(), 'could not be started (EACCES)'],
  ])('cannot be started: %s', async (file, why) => {
    expect(await ask('', { file })).toMatchObject({ ok: false, why })
  })
})
