/** Ledgers whose API keys have MACs, by keys of servers in a directory of their own. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KeyLedger } from '@muster/access'
import type { Ledger } from '@muster/ledger'
import { makeKeys, openRecordMacs, SERVER_KEYS } from '@muster/trust'
import { onTestFinished } from 'vitest'
import { openTestLedger } from '../ledger/ledger.ts'

/** A ledger, and what protects its API keys. */
export type TestKeyLedger = Ledger & KeyLedger

/** A new ledger. */
export async function openTestKeyLedger(): Promise<TestKeyLedger> {
  return await withMacs(await openTestLedger())
}

/** The ledger as a server with keys reads it. Told which directory, by the keys that are there. */
export async function withMacs(ledger: Ledger, directory?: string): Promise<TestKeyLedger> {
  const file = directory === undefined ? await newKeyFile() : join(directory, 'server-keys.json')
  const onTrouble = (error: unknown) => {
    throw error
  }
  return { ...ledger, macs: await openRecordMacs(file, onTrouble) }
}

/** The ledger as a server without keys reads it. */
export function withoutMacs(ledger: Ledger): TestKeyLedger {
  return { ...ledger, macs: undefined }
}

async function newKeyFile(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-key-ledger-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return (await makeKeys(SERVER_KEYS, directory)).privateFile
}
