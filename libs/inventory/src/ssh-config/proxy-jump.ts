/** `ProxyJump`: the hosts to go through, as OpenSSH reads them. Looks nothing up. */
import { portOf } from './option-table.ts'

/** One host to go through: the name to look up, and what the option itself says about it. `written` is it as text. */
export type JumpWords = {
  readonly name: string
  readonly user?: string
  readonly port?: number
  readonly written: string
}

/** The hosts to go through, in the order of the way; none for `none`. Undefined: ssh refuses the value. */
export function jumpWords(rest: string): readonly JumpWords[] | undefined {
  const value = rest.replace(/^[ \t\r\n=]+/, '').replace(/[ \t]*#.*$/s, '')
  if (value.toLowerCase() === 'none') return []
  const hops = value.split(',').map((text) => (text.startsWith('ssh://') ? uriHop(text) : plainHop(text)))
  return hops.every((hop) => hop !== undefined) ? hops : undefined
}

function uriHop(written: string): JumpWords | undefined {
  const [, user, bracketed, plain = '', port] =
    /^ssh:\/\/(?:([^@/]*)@)?(?:\[([^\]]*)\]|([^:/@[\]]*))(?::([^/]*))?\/?$/.exec(written) ?? []
  const plainly = written.replace(/^ssh:\/\/|\/$/g, '')
  const name = bracketed ?? plain
  return hopOf({ written: plainly, user: user === undefined ? undefined : decoded(user), name, port })
}

function plainHop(written: string): JumpWords | undefined {
  const at = written.lastIndexOf('@')
  const user = at === -1 ? undefined : written.slice(0, at)
  const [, bracketed, plain = '', port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(.*))?$/s.exec(written.slice(at + 1)) ?? []
  return hopOf({ written, user, name: bracketed ?? plain, port: port === '' ? undefined : port })
}

function hopOf(given: { written: string; user?: string; name: string; port?: string }): JumpWords | undefined {
  const { written, user, name, port: text } = given
  const port = text === undefined ? undefined : portOf(text)
  if (name === '' || /[\s/]/.test(name) || user === '' || (text !== undefined && port === undefined)) return undefined
  return { name, written, ...(user !== undefined && { user }), ...(port !== undefined && { port }) }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
