/** The line that goes through sudo, and what is made of the answers however they are cut. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { findHello } from '../../../libs/ssh/src/shell/hello.ts'
import { sudoLine, sudoMarks } from '../../../libs/ssh/src/shell/sudo.ts'
import { SudoDialogue, type SudoStep } from '../../../libs/ssh/src/shell/sudo-dialogue.ts'

const NONCE = '0123456789abcdef0123456789abcdef'
const { reached, prompt } = sudoMarks(NONCE)

describe('the line', () => {
  const line = (password?: string) => sudoLine({ user: 'root', ...(password !== undefined && { password }) }, NONCE)

  test('asks for a password only when there is one to give, and does not hold it', () => {
    expect(line()).toContain('sudo -n -u')
    expect(line('hunter2')).toContain('sudo -k -S -p')
    expect(line('hunter2')).not.toContain('hunter2')
  })

  test('holds nothing that csh or fish would read in another way than sh', () => {
    for (const text of [line(), line('x')]) {
      // Words in single quotes, and blanks between them; csh expands "!" even there, fish a backslash.
      expect(text).toMatch(/^exec sh -c( '[^'\\!\n]*')+$/)
    }
  })

  test('does not itself hold what it prints, as a shell may print the line', () => {
    for (const mark of [reached, prompt, `hello-${NONCE}`]) expect(line('x')).not.toContain(mark)
  })
})

describe('the line, when a shell reads it,', () => {
  const bin = mkdtempSync(join(tmpdir(), 'muster-sudo-line-'))
  afterAll(() => rmSync(bin, { recursive: true }))
  const command = 'printf "[%s]" "$LC_ALL"; cat; sleep 0.2; exit 7'
  const start = (shell: string, env: Record<string, string>) => {
    const line = sudoLine({ user: 'root' }, NONCE)
    return spawnSync(shell, ['-c', line], {
      env: { HOME: bin, ...env },
      input: `${command} #end\nstdin`,
      encoding: 'utf8',
    })
  }

  // As some sudo does, this one makes what it starts the leader of a group: setsid would fork there.
  writeFileSync(join(bin, 'sudo'), '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done; shift; exec setsid -w "$@"\n', {
    mode: 0o755,
  })

  test.each(['/bin/sh', '/bin/bash'])('by %s waits for the command, and gives it its input', (shell) => {
    const { status, stdout, stderr } = start(shell, { PATH: `${bin}:/usr/bin:/bin` })
    const [hello = '', out] = stdout.split(/(?<=:1\n)/)
    expect(findHello(NONCE, Buffer.from(hello))).toMatchObject({ isGroup: true, shell: 'sh' })
    expect({ status, out }).toEqual({ status: 7, out: '[]stdin' })
    expect(stderr).toBe(reached + hello.replace(/1\n$/, '2\n'))
    expect(start(shell, { PATH: `${bin}:/usr/bin:/bin`, LC_ALL: 'C.UTF-8' }).stdout).toContain('[C.UTF-8]stdin')
  })

  test('tells where there is no sudo, and starts nothing', () => {
    const empty = join(bin, 'empty')
    mkdirSync(empty)
    for (const name of ['sh', 'env']) symlinkSync(`/usr/bin/${name}`, join(empty, name))
    const { status, stdout, stderr } = start('/bin/sh', { PATH: empty })
    expect({ status, stdout }).toEqual({ status: 127, stdout: '' })
    expect(stderr).toMatch(new RegExp(`^${reached}env: .*sudo.*: No such file or directory`))
  })
})

describe('the dialogue', () => {
  const sudo = { user: 'root', password: 'hunter2' }
  /** What is to be done over these texts, in order, when stderr comes in these pieces. */
  const stepsOf = (dialogue: SudoDialogue, pieces: Buffer[]): SudoStep[] =>
    pieces.map((piece) => dialogue.take('stderr', piece)).filter((step) => step !== 'wait')
  const cut = (text: string, points: number[]): Buffer[] => {
    const bytes = Buffer.from(text)
    const at = [0, ...points.map((point) => point % bytes.length).sort((a, b) => a - b), bytes.length]
    return at.slice(1).map((end, i) => bytes.subarray(at[i], end))
  }
  const cuts = fc.array(fc.nat(), { maxLength: 12 })

  test('answers a prompt once, wherever the bytes are cut', () => {
    fc.assert(
      fc.property(cuts, fc.string({ unit: 'binary', maxLength: 9_000 }), (points, noise) => {
        const dialogue = new SudoDialogue(sudo, NONCE)
        expect(dialogue.take('stdout', Buffer.from('motd'))).toBe('wait')
        expect(stepsOf(dialogue, cut(`${noise}${reached}lecture\n${prompt}`, points))).toEqual(['answer'])
        expect(dialogue.answer()).toBe('hunter2\n')
      }),
    )
  })

  test('hears the prompt on stdout too, where the account brings the streams together', () => {
    const dialogue = new SudoDialogue(sudo, NONCE)
    expect(dialogue.take('stdout', Buffer.from(`${reached}${prompt}`))).toBe('answer')
  })

  test('gives up at the second prompt, and tells what was said last', () => {
    fc.assert(
      fc.property(cuts, cuts, (one, two) => {
        const dialogue = new SudoDialogue(sudo, NONCE)
        expect(stepsOf(dialogue, cut(`${reached}lecture\n${prompt}`, one))).toEqual(['answer'])
        expect(stepsOf(dialogue, cut(`Sorry, try again.\n${prompt}`, two))).toEqual(['give_up'])
        expect(dialogue.refusal('exit status 1')).toEqual({
          reason: 'sudo_denied',
          detail: 'sudo did not take the password: Sorry, try again.',
          isRetryable: false,
          isHostsFault: false,
        })
        dialogue.take('stderr', Buffer.from('sudo: 1 incorrect password attempt\n'))
        expect(dialogue.refusal('').detail).toBe('sudo did not take the password: sudo: 1 incorrect password attempt')
      }),
    )
  })

  test('never answers when there is no password to give', () => {
    const dialogue = new SudoDialogue({ user: 'root' }, NONCE)
    expect(stepsOf(dialogue, [Buffer.from(reached + prompt)])).toEqual(['give_up'])
  })

  test('is not taken in by the marks of another one', () => {
    const other = sudoMarks('f'.repeat(32))
    const dialogue = new SudoDialogue(sudo, NONCE)
    const text = Buffer.from(other.reached + other.prompt)
    expect([dialogue.take('stdout', text), dialogue.take('stderr', text)]).toEqual(['wait', 'wait'])
  })

  test.each([
    ['sudo: a password is required', 'sudo_password_required'],
    ['sudo-rs: interactive authentication is required', 'sudo_password_required'],
    ['web is not in the sudoers file.', 'sudo_denied'],
    ["env: 'sudo': No such file or directory", 'sudo_denied'],
    ["Sorry, user web is not allowed to execute '/usr/bin/sh -c ...' as root on web.", 'sudo_denied'],
  ])('calls %j without a password %s', (said, reason) => {
    const dialogue = new SudoDialogue({ user: 'root' }, NONCE)
    dialogue.take('stderr', Buffer.from(`${reached}${said}\n`))
    expect(dialogue.refusal('exit status 1')).toMatchObject({ reason, detail: expect.stringContaining(said) })
  })

  test.each(['sudo: a password is required', "user web is not allowed to execute '/usr/bin/sh' as root"])(
    'says on %j which rule is missing, as one for single programs lets no sh start',
    (said) => {
      const dialogue = new SudoDialogue({ user: 'deploy' }, NONCE)
      dialogue.take('stderr', Buffer.from(`${reached}${said}\n`))
      expect(dialogue.refusal('').detail).toContain('"ACCOUNT ALL=(deploy) NOPASSWD: /bin/sh"')
    },
  )

  test('keeps a long complaint short and on one line', () => {
    const dialogue = new SudoDialogue(sudo, NONCE)
    dialogue.take('stderr', Buffer.from(`${reached}${'no\u0007\n'.repeat(100_000)}`))
    const { detail } = dialogue.refusal('exit status 1')
    expect(detail.length).toBeLessThan(300)
    expect(detail).toMatch(/^sudo did not start the command \(exit status 1\): (no )+n?o?…$/)
  })
})
