/**
 * Looks at a body before one of the SDKs does: how many messages it holds, whether the arguments of calls are objects,
 * and whether a call asks for progress.
 *
 * The SDKs check everything else.
 */
import { ProtocolErrorCode } from '@modelcontextprotocol/server'
import type { MessageId } from '@muster/contract'
import { z } from 'zod'
import { type RpcRefusal, rpcRefusal } from './rpc-errors.ts'

/** Most messages in a batch (revision 2025-03-26). They all run at once, so one request must not bring a thousand. */
const BATCH_LIMIT = 20

const ProgressToken = z.union([z.string(), z.number()])
const RequestId = z.union([z.string(), z.number()])
const Call = z.looseObject({ method: z.literal('tools/call') })
const Name = z.looseObject({ params: z.looseObject({ name: z.string() }) })
const Arguments = z.looseObject({ params: z.looseObject({ arguments: z.record(z.string(), z.unknown()).optional() }) })
const Identified = z.looseObject({ id: RequestId })
const WithToken = z.looseObject({
  params: z.looseObject({ _meta: z.looseObject({ progressToken: ProgressToken }) }),
})

/** Why a body cannot be served, in words that say what to do; undefined when an SDK may handle it. */
export function refuseMessages(body: unknown): RpcRefusal | undefined {
  const messages = messagesIn(body)
  if (messages.length > BATCH_LIMIT) {
    const count = messages.length
    const message = `the batch has ${count} messages; at most ${BATCH_LIMIT} are accepted, so send fewer at once`
    return rpcRefusal(ProtocolErrorCode.InvalidRequest, message)
  }
  for (const message of messages) {
    const trouble = troubleOf(message)
    if (trouble === undefined) continue
    return rpcRefusal(ProtocolErrorCode.InvalidParams, trouble, idIn(body))
  }
  return undefined
}

/** The ID of the one request of a body; null for a batch, and where there is none. */
export function idIn(body: unknown): MessageId {
  return Identified.safeParse(body).data?.id ?? null
}

/** Whether a message of the body asks for progress, which takes a stream as an answer. */
export function wantsProgress(body: unknown): boolean {
  return messagesIn(body).some((message) => WithToken.safeParse(message).success)
}

function messagesIn(body: unknown): readonly unknown[] {
  return Array.isArray(body) ? body : [body]
}

/** Says in plain words what the SDKs would report as a list of schema issues. Undefined when nothing is wrong. */
function troubleOf(message: unknown): string | undefined {
  if (!Call.safeParse(message).success) return undefined
  if (!Name.safeParse(message).success) return 'params.name must be the name of a tool; tools/list lists them'
  if (Arguments.safeParse(message).success) return undefined
  return 'params.arguments must be a JSON object with the fields of the tool, or be left out'
}
