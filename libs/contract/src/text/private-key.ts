/** What can be told of the text of a private key without its passphrase. A worker reads it in full (libs/ssh). */

const BLOCK = /-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----(.*?)-----END \1-----/s
const PUTTY = /^PuTTY-User-Key-File-\d: /
/** How a key of OpenSSH begins; the name of its cipher follows. */
const MAGIC = Buffer.from('openssh-key-v1\0')

/** Whether the text is a private key, in a format of OpenSSH, PEM, PKCS#8 or PuTTY. */
export function isPrivateKey(text: string): boolean {
  return BLOCK.test(text) || PUTTY.test(text.trimStart())
}

/** Whether the private key can be used only with a passphrase. */
export function isEncryptedKey(text: string): boolean {
  const [, label = '', body = ''] = BLOCK.exec(text) ?? []
  if (label === '') return PUTTY.test(text.trimStart()) && !/^Encryption: none\s*$/m.test(text)
  if (label !== 'OPENSSH PRIVATE KEY') return label.startsWith('ENCRYPTED') || /Proc-Type:\s*4,\s*ENCRYPTED/i.test(body)
  const bytes = Buffer.from(body, 'base64')
  const isKey = bytes.length >= MAGIC.length + 4 && bytes.subarray(0, MAGIC.length).equals(MAGIC)
  const from = MAGIC.length + 4
  return isKey && bytes.toString('latin1', from, from + bytes.readUInt32BE(MAGIC.length)) !== 'none'
}
