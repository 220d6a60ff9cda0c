/**
 * Makes SSH configs by chance, the same ones for the same seed: sections, includes, quotes, comments, separators, and
 * now and then a line that ssh refuses. For the comparison with the real ssh.
 */
import { join } from 'node:path'

/** A config: its file, and those that it includes, with their texts. */
export type MadeConfig = { readonly file: string; readonly files: ReadonlyMap<string, string> }

/** The names to look up in a made config. */
export const MADE_HOSTS = ['alpha', 'beta', 'delta.example']

const NAMES = [
  'alpha',
  'beta',
  'delta.example',
  'gamma',
  '*',
  'a*',
  '*a',
  '?eta',
  '*.example',
  '!beta',
  '!alpha',
  '10.*',
]
const PATTERNS = ['alpha', 'beta', '*.example', 'x.example', '*,!beta', 'a*,10.0.0.1', 'ALPHA', '!alpha,*', '10.0.0.*']
const USERS = ['root', 'deploy', 'r*', '!root,*', 'nobody']

/** Values by option; each is written as it stands. `words` may be quoted, and a comment may follow. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  HostName: ['10.0.0.1', '%h.example', 'X.Example', '2001:db8::1', 'a%%b', '%h'],
  User: ['root', 'deploy', 'a b', 'x#y'],
  Port: ['22', '2222', '+24', 'ssh'],
  HostKeyAlias: ['one', 'Two'],
  IdentityFile: ['~/.ssh/one', '/keys/%h', '"/with blank"', '~/.ssh/one', 'none', `\${HOME}/two`],
  IdentitiesOnly: ['yes', 'no', 'TRUE', 'false'],
  IdentityAgent: ['none', '~/agent-%h', 'SSH_AUTH_SOCK', '/run/%n/%p/%r', `\${HOME}/x`, '$SOCK'],
  UserKnownHostsFile: ['~/kh', '/a /b', 'none', '/k-%h-%n-%p-%r-%u-%d-%k-%i-%L-%l%%', `\${HOME}/z ~/y`],
  HostKeyAlgorithms: ['ssh-ed25519', '+ssh-rsa', '-*cert*,ecdsa*', '^rsa-sha2-256,ssh-rsa', 'rsa-sha2-512,ssh-ed25519'],
  KexAlgorithms: ['curve25519-sha256', '+diffie-hellman-group1-sha1', '-ecdh*,sntrup*', '^ecdh-sha2-nistp384'],
  ConnectTimeout: ['5', '1m30s', '2H', 'none', '0'],
  SetEnv: ['A=1', 'A=1 B=2', '"C=d e" F=g', "'G=h i'", 'J=k\\"l'],
  ForwardAgent: ['yes', 'no'],
  ServerAliveInterval: ['10'],
  SendEnv: ['LANG LC_*'],
  LocalForward: ['8080 localhost:80'],
  CanonicalizeHostname: ['no', 'yes'],
  Compression: ['yes'],
}
/** Options that take the rest of the line. */
const LINES: Readonly<Record<string, readonly string[]>> = {
  ProxyJump: ['b', 'root@b:2222', 'none', 'a,u@[::1]:22,c', 'ssh://u@b:23', '[fe80::1]', 'x@y@z'],
  ProxyCommand: ['nc %h %p', 'none', 'ssh -W %h:%p "b" # c'],
}
const REFUSED = [
  'Port many',
  'Port 0',
  'Port 22 23',
  'Nonsense yes',
  'User',
  'HostName "open',
  'IdentitiesOnly perhaps',
  'ConnectTimeout soon',
  'ProxyJump ::1',
  'ProxyJump a,,b',
  'Match',
  'Match colour red',
  'Match all host a',
  'Host ""',
  'SetEnv A',
  'UserKnownHostsFile /a none',
  'ServerAliveCountMax x',
]

/** The config with this number, in files of this directory. */
export function makeSshConfig(seed: number, directory: string): MadeConfig {
  const random = generator(seed)
  const files = new Map<string, string>()
  const maker = new Maker(random, files, join(directory, `c${seed}`))
  const file = maker.write('config', 0)
  return { file, files }
}

class Maker {
  readonly #random: () => number
  readonly #files: Map<string, string>
  readonly #base: string

  constructor(random: () => number, files: Map<string, string>, base: string) {
    this.#random = random
    this.#files = files
    this.#base = base
  }

  write(name: string, depth: number): string {
    const file = `${this.#base}-${name}`
    const end = this.#chance(0.1) ? '\r\n' : '\n'
    const lines: string[] = []
    for (let count = 3 + this.#below(12); count > 0; count -= 1) lines.push(this.#line(name, depth, lines.length))
    this.#files.set(file, lines.join(end) + (this.#chance(0.8) ? end : ''))
    return file
  }

  #line(name: string, depth: number, index: number): string {
    const kind = this.#random()
    if (kind < 0.16)
      return `Host ${this.#some(NAMES, 3)
        .map((word) => this.#quoted(word))
        .join(' ')}${this.#comment()}`
    if (kind < 0.28) return `${this.#keyword('Match')} ${this.#criteria()}`
    if (kind < 0.34 && depth < 2) return this.#include(`${name}-${index}`, depth)
    if (kind < 0.38) return this.#pick(['', '   ', '# a comment', '\t# another'])
    if (kind < 0.388) return this.#pick(REFUSED)
    const isLine = this.#chance(0.15)
    const [option, values] = this.#pick(Object.entries(isLine ? LINES : WORDS))
    const value = this.#pick(values)
    const isPlain = !isLine && /^[\w.:/+-]+$/.test(value)
    const written = isPlain ? this.#quoted(value) : value
    return `${this.#indent()}${this.#keyword(option)}${this.#separator()}${written}${isLine ? '' : this.#comment()}`
  }

  #include(name: string, depth: number): string {
    const file = this.write(name, depth + 1)
    if (this.#chance(0.3)) {
      this.write(`${name}x`, depth + 1)
      return `Include ${file}*`
    }
    return `Include ${this.#chance(0.2) ? `/nothing/here ${file}` : this.#quoted(file)}`
  }

  #criteria(): string {
    if (this.#chance(0.15)) return this.#pick(['all', 'final all', '!all', 'canonical', 'host * all'])
    const count = 1 + this.#below(2)
    const words = Array.from({ length: count }, () => {
      const name = this.#pick(['host', 'originalhost', 'user', 'localuser', 'final'])
      const sign = this.#chance(0.2) ? '!' : ''
      if (name === 'final') return `${sign}final`
      const pattern = this.#pick(name.endsWith('host') ? PATTERNS : USERS)
      const written = this.#chance(0.2) ? `"${pattern}"` : pattern
      return `${sign}${this.#keyword(name)}${this.#pick([' ', '=', '  '])}${written}`
    })
    return `${words.join(' ')}${this.#comment()}`
  }

  #keyword(name: string): string {
    return this.#pick([name, name, name.toLowerCase(), name.toUpperCase()])
  }

  #quoted(word: string): string {
    return this.#pick([word, word, word, `"${word}"`])
  }

  #separator(): string {
    return this.#pick([' ', ' ', ' ', '\t', '=', ' = ', '   ', '= '])
  }

  #indent(): string {
    return this.#pick(['  ', '\t', '', '    '])
  }

  #comment(): string {
    return this.#pick(['', '', '', ' # comment', '\t#c', '  '])
  }

  #some(values: readonly string[], most: number): string[] {
    return Array.from({ length: 1 + this.#below(most) }, () => this.#pick(values))
  }

  #pick<T>(values: readonly T[]): T {
    const value = values[this.#below(values.length)]
    if (value === undefined) throw new Error('nothing to pick from')
    return value
  }

  #chance(share: number): boolean {
    return this.#random() < share
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }
}

/** Numbers from 0 to 1 that depend on the seed alone. @see mulberry32 by Tommy Ettinger */
function generator(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
