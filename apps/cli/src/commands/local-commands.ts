/** The commands that work with files of this machine: `login`, `logout`, `worker-keys`, `server-keys`, `trust`. */
import type { Settings } from '@muster/runtime'
import { withAnswers } from '../host-keys/ask-lines.ts'
import { type Command, ENV_FILE_SWITCH, type Form, type Program } from '../line/command.ts'
import type { CommandLine } from '../line/flags.ts'
import { settingsOf } from '../line/line-settings.ts'
import { KEY_FILES, keyFilesCommand } from './key-files.ts'
import { LOGIN, LOGOUT, login, logout } from './login.ts'
import { TRUST, trust } from './trust-command.ts'

/** `muster login`. */
export const loginCommand = local(LOGIN, login)

/** `muster logout`. */
export const logoutCommand = local(LOGOUT, logout)

/** `muster worker-keys`. */
export const workerKeysCommand = local(KEY_FILES, (line, program) => keyFilesCommand('worker-keys', line, program))

/** `muster server-keys`. */
export const serverKeysCommand = local(KEY_FILES, (line, program) => keyFilesCommand('server-keys', line, program))

/** `muster trust`, which asks on the terminal if there is one. */
export const trustCommand = local(TRUST, (line, { stderr, hasTerminal, ...program }) => {
  const onTerminal: Parameters<typeof trust>[1]['withAnswers'] = (use) =>
    withAnswers(process.stdin, (text) => stderr.write(text), use)
  return trust(line, { ...program, withAnswers: hasTerminal ? onTerminal : undefined })
})

type Act = (line: CommandLine, program: Program & { readonly settings: Settings }) => Promise<number>

function local(form: Form, act: Act): Command {
  return {
    ...form,
    unlisted: [ENV_FILE_SWITCH],
    run: async (program, line) => await act(line, { ...program, settings: await settingsOf(program, line) }),
  }
}
