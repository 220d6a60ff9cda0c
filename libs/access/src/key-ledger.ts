/**
 * Where the records of API keys are, and what protects them: a MAC by a key that only servers have, in the record, over
 * the ID of the API key and what the record says. One that does not fit is no record: somebody wrote it by hand.
 *
 * An older record of the same key fits, too. Nothing here tells that it was put back.
 */
import type { Ledger } from '@muster/ledger'

/** Makes and checks MACs by the keys of servers as they are now. */
type KeyMac = {
  make(keyId: string, text: string): string
  fits(keyId: string, text: string, mac: string): boolean
  isCurrent(mac: string): boolean
}

/** A ledger, as far as it holds the records of API keys. */
export type KeyLedger = Pick<Ledger, 'redis' | 'keys'> & {
  /** What protects them. Undefined for a server that has no keys: it believes what Redis says. */
  readonly macs: { fresh(): Promise<KeyMac> } | undefined
}

/** The last field of a record. */
const MAC_FIELD = /,"mac":"([\w-]{1,100}\.[\w-]{43})"\}$/

/** How records are written and read now. */
export type RecordForm = {
  /** The stored form of what a record says, which is the text of a JSON object. */
  stored(keyId: string, text: string): string
  /** What a stored record says; undefined when it has no MAC that fits. */
  said(keyId: string, stored: string): string | undefined
  /** Whether it would be stored as it is. */
  isCurrent(stored: string): boolean
}

/** The form, by the keys of servers as they are now. */
export async function recordForm({ macs }: Pick<KeyLedger, 'macs'>): Promise<RecordForm> {
  const mac = await macs?.fresh()
  if (mac === undefined) return { stored: (_keyId, text) => text, said: (_keyId, stored) => bare(stored), isCurrent }
  return {
    stored: (keyId, text) => `${text.slice(0, -1)},"mac":"${mac.make(keyId, text)}"}`,
    said: (keyId, stored) => {
      const given = macIn(stored)
      return given !== undefined && mac.fits(keyId, bare(stored), given) ? bare(stored) : undefined
    },
    isCurrent: (stored) => mac.isCurrent(macIn(stored) ?? ''),
  }
}

/** Without keys, a record is as good with a MAC as without. */
const isCurrent = () => true

/** What a stored record says, with whatever MAC or none. */
export function bare(stored: string): string {
  return stored.replace(MAC_FIELD, '}')
}

function macIn(stored: string): string | undefined {
  return MAC_FIELD.exec(stored)?.[1]
}
