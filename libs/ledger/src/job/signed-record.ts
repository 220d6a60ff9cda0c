/**
 * What a server has signed of a job, and whether its record is that. A server asks before it signs anything that comes
 * from such a record: whoever can write to Redis would else have it sign a command of theirs.
 */
import { MusterError } from '@muster/contract'
import type { Ledger } from '../redis/open-ledger.ts'
import {
  type CheckWork,
  hostDigests,
  type JobRecord,
  JobTerms,
  readSigned,
  readSignedFields,
  whatDiffers,
} from './signed-work.ts'

/** Why a job is not believed, in words. */
export type NotAsSigned = { readonly refused: string }

/**
 * What a server has signed of the job; or why that is not known.
 * @throws {MusterError} ledger_unavailable
 */
export async function readTerms(ledger: Ledger, check: CheckWork, jobId: string): Promise<JobTerms | NotAsSigned> {
  const [text] = await readSigned(ledger, jobId, ['job'])
  if (text === undefined) {
    const why = 'its server has no MUSTER_SERVER_KEY_FILE, or had none when it was submitted'
    return { refused: `the job is not signed: ${why}; submit it again` }
  }
  const checked = await check('job', text)
  if ('refused' in checked) return checked
  const terms = JobTerms.safeParse(checked.terms)
  if (!terms.success) return { refused: 'what was signed of the job is not as this version knows it' }
  if (terms.data.job !== jobId) return { refused: `what is signed is job ${terms.data.job.slice(0, 40)}` }
  return terms.data
}

/**
 * Whether a server has signed the job, for this owner: whoever asks for an order was let in by the owner in its record.
 * Absent: for anybody. An order for a job of which nothing is signed needs no signature.
 * @throws {MusterError} signature_invalid when it was signed for another owner, or does not check; ledger_unavailable
 */
export async function isSignedFor(ledger: Ledger, check: CheckWork, jobId: string, owner?: string): Promise<boolean> {
  const [text] = await readSigned(ledger, jobId, ['job'])
  if (text === undefined) return false
  const terms = await readTerms(ledger, check, jobId)
  if ('refused' in terms) throw notAsSigned(jobId, terms.refused)
  if (owner === undefined || terms.fields.owner === owner) return true
  throw notAsSigned(jobId, 'it is not as it was signed; changed in Redis: its owner')
}

/**
 * Passes when texts, fields and all hosts of the job are as they were signed. Returns the fields.
 * @throws {MusterError} signature_invalid saying what is not; ledger_unavailable
 */
export async function requireSignedRecord(
  ledger: Ledger,
  check: CheckWork,
  jobId: string,
  { texts, hosts }: { texts: JobRecord['texts']; hosts: readonly string[] },
): Promise<JobRecord['fields']> {
  const terms = await readTerms(ledger, check, jobId)
  if ('refused' in terms) throw notAsSigned(jobId, terms.refused)
  const fields = await readSignedFields(ledger, jobId, Object.keys(terms.fields))
  const changed = whatDiffers(terms, { texts, fields })
  if (changed !== undefined) throw notAsSigned(jobId, `it is not as it was signed; changed in Redis: ${changed}`)
  if (JSON.stringify(hostDigests(hosts)) === JSON.stringify(terms.hosts)) return terms.fields
  throw notAsSigned(jobId, 'it is not as it was signed; changed in Redis: its hosts')
}

/** A job that a server does not take over. */
export function notAsSigned(jobId: string, why: string): MusterError {
  return new MusterError('signature_invalid', `job ${jobId} does not match its signature: ${why}`, {
    details: { job_id: jobId },
  })
}
