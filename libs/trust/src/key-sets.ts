/**
 * The keys of workers and of servers: which kinds each has, and what each kind is for. A set is kept in two files, both
 * JWK sets (RFC 7517), the newest key of each kind first: `NAME.json` with the private halves is for its holders alone,
 * and `NAME.pub.json` with the public halves is for the others.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { calculateJwkThumbprint, type JWK } from 'jose'
import { z } from 'zod'

/** 32 bytes: one half of a key of any of these curves, or a symmetric key. */
const Bytes32 = z.string().regex(/^[A-Za-z0-9_-]{43}$/)

const head = { kid: z.string().regex(/^[A-Za-z0-9_-]{1,100}$/), made_at: z.string().optional() }

/** Secrets of jobs are sealed with the public half, and opened with the private one (RFC 8037). */
const SealingHalf = z.object({ kty: z.literal('OKP'), crv: z.literal('X25519'), ...head, x: Bytes32 })
/** Workers sign the ends of runs with the private half, and servers check them with the public one (RFC 7518). */
const EndHalf = z.object({ kty: z.literal('EC'), crv: z.literal('P-256'), ...head, x: Bytes32, y: Bytes32 })
/** Servers sign work with the private half, and workers check it with the public one (RFC 8037). */
const WorkHalf = z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), ...head, x: Bytes32 })
/** Servers protect the records of API keys with it. It has no public half. */
const RecordKey = z.object({ kty: z.literal('oct'), ...head, k: Bytes32 })

const SealingKey = SealingHalf.extend({ d: Bytes32 })
const EndKey = EndHalf.extend({ d: Bytes32 })
const WorkKey = WorkHalf.extend({ d: Bytes32 })

const WorkerKey = z.discriminatedUnion('kty', [SealingKey, EndKey])
const WorkerPublicKey = z.discriminatedUnion('kty', [SealingHalf, EndHalf])
const ServerKey = z.discriminatedUnion('kty', [WorkKey, RecordKey])

/** A key of workers. */
export type WorkerKey = z.infer<typeof WorkerKey>
/** The public half of a key of workers. */
export type WorkerPublicKey = z.infer<typeof WorkerPublicKey>
/** A key of servers. */
export type ServerKey = z.infer<typeof ServerKey>
/** The public half of a key of servers. */
export type ServerPublicKey = z.infer<typeof WorkHalf>

/** Any key, or any public half. */
export type AnyKey = WorkerKey | WorkerPublicKey | ServerKey | ServerPublicKey

/** The kinds of keys. */
export type KeyKind = 'X25519' | 'P-256' | 'Ed25519' | 'oct'

/** A set of keys that are kept, rotated and handed out together. `K` is a key of it, `P` its public half. */
export type KeySet<K extends AnyKey, P extends AnyKey> = {
  /** The stem of its files, and the command of `muster` that makes them. */
  readonly name: 'worker-keys' | 'server-keys'
  /** Who may have the private halves, and who has the public ones. */
  readonly holders: 'workers' | 'servers'
  readonly others: 'workers' | 'servers'
  /** What new files hold. */
  readonly kinds: readonly KeyKind[]
  /** What a file may not lack, as far as it can have it. Files of workers that 0.2 made have no P-256. */
  readonly needed: readonly KeyKind[]
  readonly privateKey: z.ZodType<K>
  readonly publicKey: z.ZodType<P>
}

/** The keys that others write to workers with, and that workers sign ends with. */
export const WORKER_KEYS: KeySet<WorkerKey, WorkerPublicKey> = {
  name: 'worker-keys',
  holders: 'workers',
  others: 'servers',
  kinds: ['X25519', 'P-256'],
  needed: ['X25519'],
  privateKey: WorkerKey,
  publicKey: WorkerPublicKey,
}

/** The keys that servers sign work and protect the records of API keys with. */
export const SERVER_KEYS: KeySet<ServerKey, ServerPublicKey> = {
  name: 'server-keys',
  holders: 'servers',
  others: 'workers',
  kinds: ['Ed25519', 'oct'],
  needed: ['Ed25519', 'oct'],
  privateKey: ServerKey,
  publicKey: WorkHalf,
}

/** Which kind a key is of. */
export function kindOf(key: AnyKey): KeyKind {
  return key.kty === 'oct' ? 'oct' : key.crv
}

/** Whether one of the keys is of this kind. */
export function hasKind(keys: readonly AnyKey[], kind: KeyKind): boolean {
  return keys.some((key) => kindOf(key) === kind)
}

/** A new key of the kind, with its private half. */
export async function newKey(kind: KeyKind): Promise<object> {
  const made = makers[kind]()
  // The thumbprint of a symmetric key would tell of the key. That of a P-256 is short: every run keeps it.
  const kid = kind === 'oct' ? randomBytes(8).toString('base64url') : await calculateJwkThumbprint(made)
  return { ...made, kid: kind === 'P-256' ? kid.slice(0, 11) : kid, made_at: new Date().toISOString() }
}

const makers: Readonly<Record<KeyKind, () => JWK>> = {
  X25519: () => generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' }),
  Ed25519: () => generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }),
  'P-256': () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }),
  oct: () => ({ kty: 'oct', k: randomBytes(32).toString('base64url') }),
}

/** A new key signs from an hour after it was made: until then, everybody who checks can be given it. */
const LEAD_MS = 3_600_000

/**
 * Picks the key to sign with from keys of one kind, the newest first: the newest that is at least an hour old, or else
 * the oldest, which the others have had for longest. Undefined when there is none.
 */
export function signingKey<K extends { readonly made_at?: string | undefined }>(keys: readonly K[]): K | undefined {
  const nowMs = Date.now()
  return keys.find(({ made_at: at }) => at === undefined || Date.parse(at) + LEAD_MS <= nowMs) ?? keys.at(-1)
}
