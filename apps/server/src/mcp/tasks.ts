/**
 * The Tasks extension (`io.modelcontextprotocol/tasks`, revision 2026-07-28): a wait for a job becomes a task that the
 * client polls, so that no call has to stay open.
 *
 * It keeps no state: the ID of a task is the job ID, and its state is the state of the job. The whole extension is in
 * this file, so that the SDK's own can replace it when there is one.
 */
import {
  CLIENT_CAPABILITIES_META_KEY,
  MissingRequiredClientCapabilityError,
  ProtocolError,
  ProtocolErrorCode,
  type Server,
  type ServerContext,
} from '@modelcontextprotocol/server'
import { escapeControl, isTerminalJob, type Job, MusterError, nextPollS } from '@muster/contract'
import { z } from 'zod'
import type { ToolResult } from '../tools/tool-result.ts'
import { answerCall } from './answer-call.ts'
import { progressText } from './progress.ts'
import type { CallDeps, McpContext, ToolCall } from './request.ts'
import { toProtocolError } from './rpc-errors.ts'

const EXTENSION = 'io.modelcontextprotocol/tasks'
/** The capability that the server declares for the extension. */
export const TASKS_CAPABILITY = { [EXTENSION]: {} } as const

/** The only tool that may answer with a task. A submit never does: the model needs the job ID in the answer. */
const WAIT_TOOL = 'wait_job'
const Declared = z.looseObject({
  [CLIENT_CAPABILITIES_META_KEY]: z.looseObject({ extensions: z.looseObject({ [EXTENSION]: z.looseObject({}) }) }),
})
const TaskParams = z.looseObject({ taskId: z.string() })
const Wait = z.looseObject({ job_id: z.string(), until: z.literal('done').optional() })

/** For calls that must not wait: they answer with what is known now. */
const WAIT_IS_OVER = AbortSignal.abort()

/** A task in the form of the extension. */
type TaskView = {
  readonly taskId: string
  readonly status: 'working' | 'completed'
  readonly statusMessage: string
  readonly createdAt: string
  readonly lastUpdatedAt: string
  readonly ttlMs: null
  readonly pollIntervalMs?: number
}

/** Adds the methods of the extension to a server. */
export function addTasks(server: Server, deps: CallDeps, context: McpContext): void {
  server.setRequestHandler('tasks/get', { params: TaskParams }, async ({ taskId }, { mcpReq }) => {
    const job = await jobOfTask(deps, context, taskId, mcpReq)
    if (!isOver(job)) return viewOf(job)
    return { ...viewOf(job), result: { resultType: 'complete', ...(await resultOf(deps, context, taskId)) } }
  })
  // A job never asks its client for input, so there is nothing to update.
  server.setRequestHandler('tasks/update', { params: TaskParams }, async ({ taskId }, { mcpReq }) => {
    await jobOfTask(deps, context, taskId, mcpReq)
    return {}
  })
  // The wait ends when the client stops polling. The job goes on: only cancel_job ends it.
  server.setRequestHandler('tasks/cancel', { params: TaskParams }, async ({ taskId }, { mcpReq }) => {
    await jobOfTask(deps, context, taskId, mcpReq)
    return {}
  })
}

/** Answers a tool call: with a task if the call would wait and the request declares the extension. */
export async function answerWithTask(
  deps: CallDeps,
  context: McpContext,
  call: ToolCall,
  request: ServerContext['mcpReq'],
): Promise<ToolResult | (ToolResult & TaskView & { resultType: 'task' })> {
  const wait = Wait.safeParse(call.fields)
  if (call.name !== WAIT_TOOL || !wait.success || !declaresTasks(request)) return answerCall(deps, context, call)
  const job = await lookAt(deps, context, wait.data.job_id)
  if (job === undefined || isOver(job)) return answerCall(deps, context, call)
  // The answer of the tool comes along: its output schema requires one, and clients may show it.
  const now = await answerCall(deps, context, { ...call, signal: WAIT_IS_OVER })
  return now.isError ? now : { ...now, ...viewOf(job), resultType: 'task' }
}

function declaresTasks({ envelope }: ServerContext['mcpReq']): boolean {
  return Declared.safeParse(envelope).success
}

/** The job, or undefined when reading it is refused: then the answer of the tool says why. */
async function lookAt(deps: CallDeps, { caller }: McpContext, jobId: string): Promise<Job | undefined> {
  try {
    return await deps.operations.get_job.call({ job_id: jobId }, caller)
  } catch (error) {
    if (error instanceof MusterError) return undefined
    throw error
  }
}

/**
 * The job of a task, if the caller may know of it.
 * @throws {ProtocolError} for unknown IDs, jobs of another owner and malformed IDs, which all get the same answer
 */
async function jobOfTask(
  { operations, logger }: CallDeps,
  { caller, requestId }: McpContext,
  taskId: string,
  request: ServerContext['mcpReq'],
): Promise<Job> {
  if (!declaresTasks(request)) {
    throw new MissingRequiredClientCapabilityError({ requiredCapabilities: { extensions: TASKS_CAPABILITY } })
  }
  try {
    return await operations.get_job.call({ job_id: taskId }, caller)
  } catch (error) {
    if (error instanceof MusterError && (error.code === 'not_found' || error.code === 'invalid_request')) {
      const shown = JSON.stringify(taskId.slice(0, 100))
      const message = `there is no task ${shown}; a task has the ID of the job that it waits for`
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, escapeControl(message))
    }
    throw toProtocolError(error, { logger, requestId })
  }
}

async function resultOf(deps: CallDeps, context: McpContext, jobId: string): Promise<ToolResult> {
  const fields = { job_id: jobId }
  const call = { name: WAIT_TOOL, fields, meta: {}, signal: WAIT_IS_OVER, notify: async () => {} }
  const result = await answerCall(deps, context, call)
  // The result of a task is final, so a refusal must not become it: the next poll may bring the real one.
  if (result.isError) throw new ProtocolError(ProtocolErrorCode.InternalError, result.content[0]?.text ?? '')
  return result
}

/** A paused job ends its task too: it waits for its owner, who would never learn of it if the task went on. */
function isOver({ state }: Job): boolean {
  return isTerminalJob(state) || state === 'paused'
}

/** A task is `completed` even when commands failed: `failed` is for tasks that could not be carried out. */
function viewOf(job: Job): TaskView {
  const { job_id: taskId, created_at: createdAt, started_at, cancel_requested_at, ended_at } = job
  const changes = [createdAt, started_at, cancel_requested_at, ended_at].filter((time) => time !== null)
  const view = { taskId, createdAt, lastUpdatedAt: changes.sort().at(-1) ?? createdAt, ttlMs: null }
  if (isOver(job)) return { ...view, status: 'completed', statusMessage: progressText(job) }
  const statusMessage = `${progressText(job)}. Cancelling this task ends the wait; cancel_job ends the job.`
  const pollIntervalMs = nextPollS((Date.now() - Date.parse(createdAt)) / 1_000) * 1_000
  return { ...view, status: 'working', statusMessage, pollIntervalMs }
}
