/**
 * What a key file holds, as text: a private key, repaired where only one meaning is possible (line ends, joined lines,
 * `\n` for line ends, base64 around all of it), a public key, or why it is neither and what to do.
 *
 * Decrypts nothing, and never quotes the text in a problem.
 */
import { quoteWord } from '../shell/quote.ts'

/** `label` is the kind of PEM block, such as `OPENSSH PRIVATE KEY`, or `PuTTY`. */
export type KeyText =
  | { readonly kind: 'private'; readonly label: string; readonly text: string; readonly isEncrypted: boolean }
  | { readonly kind: 'public'; readonly text: string }
  | { readonly kind: 'neither'; readonly problem: string }

const BLOCK = /-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----(.*?)-----END \1-----/gs
/** A block of an encrypted PEM key begins with these two lines. */
const ENCRYPTION = /^\s*Proc-Type:\s*4,\s*ENCRYPTED\s+DEK-Info:\s*([A-Z0-9-]+,[0-9A-F]+)\s+/i
const LINE_CHARS = /.{1,64}/g
const PUBLIC_LINE = /^((?:ssh-|ecdsa-|sk-)[a-z0-9@.-]+) +AAAA[A-Za-z0-9+/=]+(?: |$)/

/** Files of other kinds by how they begin, and what to do with each. */
const OTHERS: readonly (readonly [RegExp, string])[] = [
  [
    /^---- BEGIN SSH2 ENCRYPTED PRIVATE KEY/m,
    'a private key of ssh.com; convert it: ssh-keygen -i -f {file} > {file}.openssh, and name that file',
  ],
  [/^-----BEGIN (X509 |TRUSTED )?CERTIFICATE/m, 'an X.509 certificate; name the private key'],
  [/^-----BEGIN PGP/m, 'a PGP key, which SSH does not use; name an SSH key'],
  [/^-----BEGIN ([A-Z]+ )?PUBLIC KEY/m, 'a public key; name the private key, or a .pub file of OpenSSH'],
  [/-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/, 'a private key without its end; copy the whole file'],
  [/PRIVATE KEY/, 'a private key whose first or last line is damaged; copy the whole file'],
]

/** Reads the content of a key file. `source` is its name, for the advice in a problem. */
export function readKeyText(content: Buffer | string, source: string): KeyText {
  const text = unwrapped(decoded(content))
  if (text === '') return { kind: 'neither', problem: 'the file is empty' }
  if (text.startsWith('PuTTY-User-Key-File-')) return readPutty(text, source)
  const [first, second] = text.matchAll(BLOCK)
  if (second !== undefined) {
    return { kind: 'neither', problem: 'the file holds several private keys; give each a file of its own' }
  }
  if (first !== undefined) return readBlock(first[1] ?? '', first[2] ?? '')
  const [, type = ''] = PUBLIC_LINE.exec(text) ?? []
  if (type.includes('-cert-v')) {
    const problem = 'this is a certificate; name the private key here, and the certificate as certificate_file'
    return { kind: 'neither', problem }
  }
  if (type !== '' || text.startsWith('---- BEGIN SSH2 PUBLIC KEY ----')) return { kind: 'public', text }
  const [, what = 'no private key in a format of OpenSSH, PEM or PKCS#8'] =
    OTHERS.find(([begin]) => begin.test(text)) ?? []
  return { kind: 'neither', problem: `this is ${what}`.replaceAll('{file}', shellWord(source)) }
}

function decoded(content: Buffer | string): string {
  if (typeof content === 'string') return content
  // Windows PowerShell writes UTF-16 when it redirects a program's output to a file.
  if (content[0] === 0xff && content[1] === 0xfe) return content.toString('utf16le')
  return content.toString()
}

/** The text without what may have been wrapped around it: a byte-order mark, quotes, escapes, another base64. */
function unwrapped(given: string): string {
  let text = given.replace(/^\ufeff/, '').trim()
  text = /^(["'])(.*)\1$/s.exec(text)?.[2] ?? text
  text = text.replaceAll(/(?:\\+r)?\\+n|\r\n|\r/g, '\n')
  if (/^LS0tLS1CRUdJTi[A-Za-z0-9+/=\s]+$/.test(text)) text = Buffer.from(text, 'base64').toString()
  return text.replaceAll(/[ \t\r]*\n[ \t]*/g, '\n').trim()
}

/** The block with proper lines. White space in it means nothing, except in the lines about encryption. */
function readBlock(label: string, body: string): KeyText {
  const [header = '', cipher] = ENCRYPTION.exec(body) ?? []
  const base64 = body.slice(header.length).replaceAll(/\s/g, '')
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) {
    return { kind: 'neither', problem: 'the private key in it is damaged: it has characters that no key has, or none' }
  }
  const encryption = cipher === undefined ? [] : ['Proc-Type: 4,ENCRYPTED', `DEK-Info: ${cipher}`, '']
  const lines = [...encryption, ...(base64.match(LINE_CHARS) ?? [])]
  const text = [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
  return { kind: 'private', label, text, isEncrypted: cipher !== undefined || label.startsWith('ENCRYPTED') }
}

/** ssh2 reads RSA keys in PuTTY's format 2. PuTTY's own converter handles all others. */
function readPutty(text: string, source: string): KeyText {
  const [, format = '?', type = '?'] = /^PuTTY-User-Key-File-(\d): ([a-z0-9@.-]{1,64})$/m.exec(text) ?? []
  const isEncrypted = !/^Encryption: none$/m.test(text)
  if (format === '2' && type === 'ssh-rsa') return { kind: 'private', label: 'PuTTY', text: `${text}\n`, isEncrypted }
  const target = source.endsWith('.ppk') ? source.slice(0, -'.ppk'.length) : `${source}.openssh`
  const line = `puttygen ${shellWord(source)} -O private-openssh-new -o ${shellWord(target)}`
  const problem = `this is a PuTTY key (format ${format}, ${type}); convert it: ${line}, and name the new file`
  return { kind: 'neither', problem }
}

function shellWord(file: string): string {
  return /^[\w./@%+:,-]+$/.test(file) ? file : quoteWord(file)
}
