/**
 * Servers sign what workers do, and workers check it: a JWS (RFC 7515) by Ed25519 for each job, and one for each order
 * that widens it. This file does not interpret what is signed.
 */
import type { KeyObject } from 'node:crypto'
import { CompactSign, compactVerify, decodeProtectedHeader, errors } from 'jose'
import { z } from 'zod'
import { type KeptKeys, keepOwnPublicKeys, keepPublicKeys, keepSigningKey, type OnKeyTrouble } from './kept-keys.ts'
import { SERVER_KEYS } from './key-sets.ts'

const ALGORITHM = 'EdDSA'

/** What is signed: a job as it was submitted, or an order that changes one. */
type WorkKind = 'job' | 'order'

/** Signs work. */
export type WorkSigner = {
  /** The signed terms as one line of text. What JSON does not keep is not signed. */
  sign(kind: WorkKind, terms: object): Promise<string>
}

/** The terms, as they were signed; or why they are not believed, in words for a person. */
export type CheckedWork = { readonly terms: unknown } | { readonly refused: string }

/** Checks signed work. */
export type WorkChecker = {
  /** Never throws for what the text is. */
  check(kind: WorkKind, text: string): Promise<CheckedWork>
}

const Header = z.object({ alg: z.string(), kid: z.string(), typ: z.string() })

/**
 * Signs by the private keys of servers.
 * @param onTrouble told when the file cannot be used any more; the keys that it held are used until it can
 * @throws {MusterError} invalid_config when the file cannot be used now
 */
export async function openWorkSigner(serverKeyFile: string, onTrouble: OnKeyTrouble): Promise<WorkSigner> {
  const kept = await keepSigningKey({ set: SERVER_KEYS, file: serverKeyFile, kind: 'Ed25519' }, onTrouble)
  return {
    sign: async (kind, terms) => {
      const signing = await kept.fresh()
      if (signing === undefined) throw new Error(`${serverKeyFile} was accepted without a key that signs work`)
      const header = { alg: ALGORITHM, kid: signing.kid, typ: typeOf(kind) }
      return await new CompactSign(Buffer.from(JSON.stringify(terms))).setProtectedHeader(header).sign(signing.key)
    },
  }
}

/**
 * Checks by the public keys of servers.
 * @param onTrouble told when the file cannot be used any more; the keys that it held are used until it can
 * @throws {MusterError} invalid_config when the file cannot be used now
 */
export async function openWorkChecker(serverPublicKeyFile: string, onTrouble: OnKeyTrouble): Promise<WorkChecker> {
  const keys = { set: SERVER_KEYS, file: serverPublicKeyFile, kind: 'Ed25519' } as const
  return checkerBy(await keepPublicKeys(keys, onTrouble), 'worker')
}

/**
 * Checks by the private keys of servers what a server has signed itself.
 * @param onTrouble told when the file cannot be used any more; the keys that it held are used until it can
 * @throws {MusterError} invalid_config when the file cannot be used now
 */
export async function openOwnWorkChecker(serverKeyFile: string, onTrouble: OnKeyTrouble): Promise<WorkChecker> {
  const keys = { set: SERVER_KEYS, file: serverKeyFile, kind: 'Ed25519' } as const
  return checkerBy(await keepOwnPublicKeys(keys, onTrouble), 'server')
}

function checkerBy(kept: KeptKeys<ReadonlyMap<string, KeyObject>>, who: 'worker' | 'server'): WorkChecker {
  return {
    check: async (kind, text) => {
      const header = headerOf(text)
      if (header === undefined) return { refused: 'the signature is damaged' }
      if (header.typ !== typeOf(kind)) return { refused: `it is a signature over something else: ${shown(header.typ)}` }
      const keys = await kept.fresh()
      const key = keys.get(header.kid)
      if (key === undefined) {
        const known = [...keys.keys()].join(', ')
        return { refused: `it is signed with the key ${shown(header.kid)}, and this ${who} knows ${known}` }
      }
      if (header.alg !== ALGORITHM) return { refused: `it is signed by ${shown(header.alg)}, not by ${ALGORITHM}` }
      return await verified(text, key)
    },
  }
}

async function verified(text: string, key: KeyObject): Promise<CheckedWork> {
  try {
    const { payload } = await compactVerify(text, key, { algorithms: [ALGORITHM] })
    return { terms: JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload)) }
  } catch (error) {
    if (error instanceof errors.JWSSignatureVerificationFailed) return { refused: 'the signature does not match' }
    if (!(error instanceof errors.JOSEError || error instanceof TypeError || error instanceof SyntaxError)) throw error
    return { refused: 'the signature is damaged' }
  }
}

function headerOf(text: string): z.infer<typeof Header> | undefined {
  try {
    return Header.safeParse(decodeProtectedHeader(text)).data
  } catch {
    // No JWS at all.
    return undefined
  }
}

function typeOf(kind: WorkKind): string {
  return `muster-${kind}+jws`
}

/** It may be anything: whoever writes to Redis has chosen it. */
function shown(text: string): string {
  return JSON.stringify(text.slice(0, 100))
}
