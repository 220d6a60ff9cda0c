/** The binary forms in which SSH writes texts and numbers: read and written. @see RFC 4251, section 5 */

/** A number of 32 bits. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** A number of 64 bits. */
export function uint64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(value)
  return bytes
}

/** A text or bytes, with their length before them. */
export function sshString(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([uint32(bytes.length), bytes])
}

/** Reads one value after the other. Throws a RangeError where there are not enough bytes. */
export class WireReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  /** How many bytes have been read. */
  get position(): number {
    return this.#at
  }

  uint32(): number {
    this.#at += 4
    return this.#bytes.readUInt32BE(this.#at - 4)
  }

  uint64(): bigint {
    this.#at += 8
    return this.#bytes.readBigUInt64BE(this.#at - 8)
  }

  string(): Buffer {
    const length = this.uint32()
    if (length > this.#bytes.length - this.#at) throw new RangeError('it ends too early')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }
}

const DER_SEQUENCE = 0x30
const DER_LONG_LENGTH = 0x81

/** A signature as SSH has it. Those of ECDSA by node:crypto are DER; those of an agent are as SSH has them already. */
export function inSshForm(signature: Buffer, algorithm: string): Buffer {
  if (!algorithm.startsWith('ecdsa') || signature[0] !== DER_SEQUENCE) return signature
  let at = signature[1] === DER_LONG_LENGTH ? 3 : 2
  const numbers = [0, 1].map(() => {
    const length = signature[at + 1] ?? 0
    at += 2 + length
    return sshString(signature.subarray(at - length, at))
  })
  return Buffer.concat(numbers)
}
