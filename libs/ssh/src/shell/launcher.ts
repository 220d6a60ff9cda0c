/**
 * The second text that a host gets, once its shell has said hello (hello.ts): the command, in the words of that shell.
 * Chooses the shell that runs it, and how the command gets a process group of its own where the server gives none
 * (dropbear, wrappers): bash makes one by job control, as a new shell would lose the functions of start-up files; every
 * other shell is started once more by setsid. Opens no channels (launcher-channel.ts).
 */
import { changeShell, type Hello, nextLine } from './hello.ts'
import { inputOf, type RemoteCommand } from './remote-command.ts'
import { scriptText } from './script-text.ts'
import { cshText, fishText, type LaunchText, shText, textForCsh, whole } from './shell-text.ts'
import type { HostDeadline } from './watchdog.ts'

/** What to send for a command. */
export type Launch = {
  /** To write to stdin in one go. */
  readonly text: Buffer
  /** A script, which follows the text at once. Apart from it, as many runs may share its bytes. */
  readonly body?: Buffer
  /** What to write to stdin once the start mark was seen; undefined for nothing. */
  readonly input: Buffer | undefined
  /** Whether the command leads a process group of its own. */
  readonly isGroup: boolean
  /** Whether a bash around the command made that group: then the exit is bash's, and a signal shows as 128 + n. */
  readonly isJob: boolean
}

/** Why an account cannot run a command of this form. */
export type CannotLaunch = { readonly cannot: string }

/** What to send to an account whose shell said this hello. Without a deadline the host never ends the command. */
export function writeLaunch(
  command: RemoteCommand,
  nonce: string,
  hello: Hello,
  deadline?: HostDeadline,
): Launch | CannotLaunch {
  const { form, cwd, env = {} } = command
  if ('script' in form && hello.isRestricted) {
    return { cannot: `the account's shell is restricted (${hello.program}), and cannot be given a script` }
  }
  if ('script' in form && !hello.hasDevFd) return { cannot: 'the host has no /dev/fd to read a script from' }
  const plan = planOf(command, nonce, hello)
  const text: LaunchText = {
    nonce,
    hello,
    deadline,
    cwd,
    env,
    shell: plan.shell,
    isGroup: plan.isGroup,
    isJob: plan.isJob,
  }
  const { body, ...sent } = 'script' in form ? scriptText(form, text) : { text: textOf(form, text, plan.isNative) }
  return {
    text: Buffer.concat([Buffer.from(plan.change), sent.text]),
    ...(body === undefined ? {} : { body }),
    input: inputOf(command),
    isGroup: plan.isGroup,
    isJob: plan.isJob,
  }
}

function textOf(
  form: Exclude<RemoteCommand['form'], { script: unknown }>,
  text: LaunchText,
  isNative: boolean,
): Buffer {
  if ('argv' in form) return shText(text, form)
  if (text.shell === 'fish') return fishText(text, form.command)
  if (text.shell === 'csh') return cshText(text, form.command)
  return isNative ? shText(text, form) : textForCsh(text, form.command)
}

type Plan = {
  /** The shell that runs the text. */
  readonly shell: Hello['shell']
  /** Whether that is the account's shell. */
  readonly isNative: boolean
  /** A line before the text that replaces the account's shell by another; empty where that shell runs the text. */
  readonly change: string
  readonly isGroup: boolean
  /** Whether bash makes the group by job control. */
  readonly isJob: boolean
}

function planOf({ form, cwd = '', env = {} }: RemoteCommand, nonce: string, hello: Hello): Plan {
  const { shell, isGroup, isRestricted, hasSetsid, program } = hello
  const isText = 'command' in form
  // csh reads one short line, and expands "!" in any quotes.
  const forCsh = isText ? [form.command, cwd, ...Object.values(env)] : []
  const fitsCsh = isText && !forCsh.some((word) => /[\n!]/.test(word)) && forCsh.join('').length < CSH_LIMIT_CHARS
  const isForeign = shell === 'fish' || shell === 'zsh' || shell === 'csh'
  const isNative = shell === 'csh' ? fitsCsh : isText || !isForeign
  if (isRestricted) return { shell, isNative, change: '', isGroup, isJob: false }
  const isJob = !isGroup && shell === 'bash' && isText
  if (isNative && (isGroup || isJob)) return { shell, isNative, change: '', isGroup: true, isJob }
  const setsid = !isGroup && hasSetsid ? ['setsid'] : []
  if (isNative && setsid.length === 0) return { shell, isNative, change: '', isGroup, isJob: false }
  const next = nextLine(nonce, isNative ? shell : 'sh')
  const change = changeShell([...setsid, isNative ? program : 'sh', '-c', next])
  return { shell: isNative ? shell : 'sh', isNative, change, isGroup: isGroup || setsid.length > 0, isJob: false }
}

/** Far below what `$<` of tcsh takes. */
const CSH_LIMIT_CHARS = 1_000

/**
 * A program of our own, for sh. An account whose shell said hello runs it whole or not at all. It reads nothing behind
 * itself, and ends with its last line.
 */
export function writeProgram(program: string): Buffer {
  const body = whole(program)
  const words = ['sh', '-c', 'eval "$(head -c "$1")"', 'sh', `${body.length}`]
  return Buffer.concat([Buffer.from(changeShell(words)), body])
}
