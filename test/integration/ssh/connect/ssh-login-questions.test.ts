/**
 * Questions of a host at log-in, in any language: which one gets the password, that it leaves only once, and what is
 * said of all others. Odd servers, and OpenSSH with PAM where the tests run as root.
 */
import { execFileSync } from 'node:child_process'
import type { Credential } from '@muster/ssh'
import { fixedKnownHosts } from '@muster/ssh'
import type { AuthContext, KeyboardAuthContext, Prompt } from 'ssh2'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { CAN_MAKE_ACCOUNTS, makeAccount } from '../../../support/ssh/account.ts'
import { dialOdd, PASSWORD, serve } from '../../../support/ssh/odd-server.ts'
import { dial, keyFile, sshdHost } from '../../../support/ssh/ssh.ts'
import { startSshd } from '../../../support/ssh/sshd.ts'

const hidden = (prompt: string): Prompt => ({ prompt, echo: false })
const shown = (prompt: string): Prompt => ({ prompt, echo: true })

/** Asks as the requests say, one after the other, and then accepts; `given` is all that it got, of any method. */
function asking(...requests: Prompt[][]) {
  const given: string[] = []
  const ask = (context: KeyboardAuthContext, [questions, ...rest]: Prompt[][]): void => {
    if (questions === undefined) context.accept()
    else
      context.prompt(questions, (answers) => {
        given.push(...answers)
        ask(context, rest)
      })
  }
  return { given, ask: (context: KeyboardAuthContext) => ask(context, requests) }
}

/** A server that takes these methods; each comes to `onAttempt`, which accepts or rejects. */
const taking = (methods: AuthContext['method'][], onAttempt: (context: AuthContext) => void) =>
  serve({ onAuth: (context) => (methods.includes(context.method) ? onAttempt(context) : context.reject([...methods])) })

/** What is said of a log-in at a server that asks these questions, and what was sent there. */
async function askedOnly(...requests: Prompt[][]) {
  const { given, ask } = asking(...requests)
  const host = await taking(['keyboard-interactive'], (context) =>
    context.method === 'keyboard-interactive' ? ask(context) : context.reject(),
  )
  const result = await dialOdd(host)
  if (result.ok) result.connection.close()
  return { result, given }
}

describe('a hidden question that is asked alone gets the password, whatever its words are:', () => {
  test.each([
    'Password: ',
    'Passwort: ',
    'Mot de passe : ',
    'パスワード:',
    'Пароль: ',
    '(root@new-york) Password:',
    '?',
    '',
  ])('"%s"', async (question) => {
    const { result, given } = await askedOnly([hidden(question)])
    expect(given).toEqual(['sesame'])
    expect(result).toMatchObject({ ok: true })
  })

  test('also after a request without questions, and before another', async () => {
    const { result, given } = await askedOnly([], [hidden('Kennwort: ')], [])
    expect(given).toEqual(['sesame'])
    expect(result).toMatchObject({ ok: true })
  })
})

describe('what else a host asks is told, and the password does not go there:', () => {
  test.each<[string, Prompt[][], string[], RegExp]>([
    [
      'the same question again',
      [[hidden('Password: ')], [hidden('Password: ')]],
      ['sesame'],
      /after the password it asked "Password:"/,
    ],
    [
      'a new password',
      [[hidden('Passwort: ')], [hidden('Neues Passwort: ')]],
      ['sesame'],
      /asked "Neues Passwort:".*expired/,
    ],
    ['a one-time code', [[hidden('Password: ')], [hidden('Code: ')]], ['sesame'], /asked "Code:".*second factor/],
    [
      'a code to be shown',
      [[hidden('Password: ')], [shown('Token: ')]],
      ['sesame'],
      /after the password it asked "Token:"/,
    ],
    ['an answer to be shown', [[shown('Password: ')]], [], /"Password:" with the answer to be shown/],
    [
      'several hidden questions',
      [[hidden('Password: '), hidden('OTP: ')]],
      [],
      /2 questions at once, "Password:" and "OTP:"/,
    ],
    [
      'more questions than fit in a line',
      [Array.from({ length: 150 }, (_, i) => hidden(`${i} ${'x'.repeat(150)}`))],
      [],
      /150 questions at once, "0 x+" and "1 x+" and "2 x+";.{0,100}$/,
    ],
    ['a hidden and a shown one', [[shown('Login: '), hidden('Password: ')]], [], /2 questions at once/],
    ['something without an end', Array.from({ length: 50 }, () => []), [], /more than 10 requests without an end/],
    ['control characters', [[shown('Code: \u001b[31m\u202e')]], [], /"Code: +\[31m"/],
  ])('%s', async (_title, requests, sent, detail) => {
    const { result, given } = await askedOnly(...requests)
    expect(given).toEqual(sent)
    expect(result).toMatchObject({
      ok: false,
      reason: 'auth_failed',
      isRetryable: false,
      detail: expect.stringMatching(detail),
    })
    expect(JSON.stringify(result)).not.toContain('sesame')
    // A password that was sent may have been refused, and counts towards a lock; one that was not, does not.
    expect(result).toMatchObject({ isHostsFault: sent.length > 0 })
  })

  test('what the host says beside its question', async () => {
    const host = await taking(['keyboard-interactive'], (context) => {
      if (context.method !== 'keyboard-interactive') return context.reject()
      context.prompt([hidden('Passwort: ')], () =>
        context.prompt([hidden('Neu: ')], 'Hinweis', 'Das Passwort ist abgelaufen.', () => context.reject()),
      )
    })
    const detail = expect.stringContaining('"Neu:" (it said "Hinweis Das Passwort ist abgelaufen.")')
    expect(await dialOdd(host)).toMatchObject({ reason: 'auth_failed', detail })
  })

  test('a refusal, with the question that got the password', async () => {
    const host = await taking(['keyboard-interactive'], (context) => {
      if (context.method !== 'keyboard-interactive') return context.reject()
      context.prompt([hidden('Verification code: ')], () => context.reject(['keyboard-interactive']))
    })
    const detail = expect.stringContaining('refused, after it had asked "Verification code:"')
    expect(await dialOdd(host)).toMatchObject({ reason: 'auth_failed', isHostsFault: true, detail })
  })
})

describe('the password leaves once for a host that takes it by two methods', () => {
  const both: AuthContext['method'][] = ['password', 'keyboard-interactive']
  /** What a host got that takes both, and does with each as it is told. */
  const offered = async (
    onQuestion: (context: KeyboardAuthContext) => void,
    onPassword: (context: AuthContext) => void,
    sent: string[],
  ) => {
    const host = await taking(both, (context) => {
      if (context.method === 'keyboard-interactive') return onQuestion(context)
      if (context.method === 'password') sent.push(context.password)
      onPassword(context)
    })
    return await dialOdd(host)
  }

  test('a host that asks for the password and refuses it is not given it again', async () => {
    const sent: string[] = []
    const ask = (context: KeyboardAuthContext) =>
      context.prompt([hidden('Password: ')], ([answer = '']) => {
        sent.push(answer)
        context.reject(both)
      })
    const result = await offered(ask, (context) => context.reject(both), sent)
    expect(sent).toEqual(['sesame'])
    expect(result).toMatchObject({ reason: 'auth_failed', detail: expect.stringContaining('password: not sent again') })
  })

  test('and asks what has no answer: then the other method has it', async () => {
    const sent: string[] = []
    const ask = (context: KeyboardAuthContext) => context.prompt([shown('Passcode: ')], () => context.reject(both))
    const result = await offered(ask, (context) => context.accept(), sent)
    expect(sent).toEqual(['sesame'])
    expect(result).toMatchObject({ ok: true })
  })

  test('and has no question at all: then the other method has it', async () => {
    const sent: string[] = []
    const result = await offered(
      (context) => context.reject(both),
      (context) => context.accept(),
      sent,
    )
    expect(sent).toEqual(['sesame'])
    expect(result).toMatchObject({ ok: true })
  })

  test('and wants a code after it', async () => {
    const sent: string[] = []
    const host = await serve({
      onAuth: (context) => {
        if (context.method === 'password') {
          sent.push(context.password)
          return context.reject(['keyboard-interactive'], true)
        }
        if (sent.length === 0) return context.reject(['password'])
        if (context.method === 'keyboard-interactive')
          context.prompt([hidden('Code: ')], (answers) => sent.push(...answers))
      },
    })
    const detail = expect.stringMatching(/wants more: keyboard-interactive; .*given already/)
    expect(await dialOdd(host)).toMatchObject({ reason: 'auth_failed', isHostsFault: false, detail })
    expect(sent).toEqual(['sesame'])
  })
})

test('a change of the password is what the protocol calls one, too', async () => {
  const host = await taking(['password'], (context) => {
    if (context.method === 'password') context.requestChange('Neues Passwort: ', () => context.reject())
  })
  const detail = expect.stringContaining('has expired and must be changed there')
  expect(await dialOdd(host)).toMatchObject({ reason: 'auth_failed', detail })
})

test('a question after a key gets the password too', async () => {
  const { given, ask } = asking([hidden('Kennwort: ')])
  const host = await serve({
    onAuth: (context) => {
      if (context.method === 'keyboard-interactive') ask(context)
      else context.reject(['keyboard-interactive'], context.method === 'publickey' && context.signature !== undefined)
    },
  })
  const credentials = [PASSWORD, keyFile(inject('sshd').keys.ed25519)]
  expect(await dialOdd({ ...host, credentials })).toMatchObject({ ok: true })
  expect(given).toEqual(['sesame'])
})

test('a part that the host accepted is followed by the next, in whichever order it wants them', async () => {
  const key = keyFile(inject('sshd').keys.ed25519)
  const host = await serve({
    onAuth: (context) => {
      if (context.method === 'password') return context.reject(['publickey'], true)
      if (context.method === 'publickey') return context.accept()
      context.reject(['password'])
    },
  })
  expect(await dialOdd({ ...host, credentials: [PASSWORD, key] })).toMatchObject({ ok: true })
})

describe.skipIf(!CAN_MAKE_ACCOUNTS)('OpenSSH with PAM', () => {
  const SETTINGS = ['UsePAM yes', 'PasswordAuthentication no', 'KbdInteractiveAuthentication yes']
  const account = async (password: string) => {
    const made = await makeAccount('/bin/sh')
    onTestFinished(() => made.close())
    execFileSync('chpasswd', { input: `${made.user}:${password}\n` })
    const own = await startSshd(SETTINGS)
    onTestFinished(() => own.close())
    const logIn = async (given: string) => {
      const credentials: Credential[] = [{ kind: 'password', password: given }]
      const result = await dial(sshdHost({ user: made.user, credentials }, own.facts), {
        knownHosts: fixedKnownHosts(own.facts.knownHosts),
      })
      if (result.ok) result.connection.close()
      return result
    }
    return { user: made.user, logIn }
  }

  test('takes the right password, and refuses a wrong one', async () => {
    const { logIn } = await account('Kirschbaum-7')
    expect(await logIn('Kirschbaum-7')).toMatchObject({ ok: true })
    const asked = expect.stringContaining(`refused, after it had asked "`)
    expect(await logIn('wrong')).toMatchObject({ reason: 'auth_failed', isHostsFault: true, detail: asked })
  })

  test('says that the password has expired, and is told so', async () => {
    const { user, logIn } = await account('Kirschbaum-8')
    execFileSync('passwd', ['-q', '--expire', user])
    const detail = expect.stringMatching(/after the password it asked ".*(Current|New) password:".*expired/i)
    expect(await logIn('Kirschbaum-8')).toMatchObject({ reason: 'auth_failed', detail })
  })
})
