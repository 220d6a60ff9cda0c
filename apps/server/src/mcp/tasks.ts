/**
 * The Tasks extension (`io.modelcontextprotocol/tasks`, revision 2026-07-28): a wait for a job as a task that the client
 * looks after, so that no call has to stay open.
 *
 * Keeps nothing: the ID of a task is that of the job, and its state is the job's. All of the extension is in this file,
 * so that the SDK's own can take its place when there is one.
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
import { callOperation } from '../operations/operations.ts'
import type { ToolResult } from '../tools/tool-result.ts'
import { answerCall } from './answer-call.ts'
import { progressText } from './progress.ts'
import type { CallDeps, McpContext, ToolCall } from './request.ts'
import { toProtocolError } from './rpc-errors.ts'

const EXTENSION = 'io.modelcontextprotocol/tasks'
/** What a server of this generation declares. */
export const TASKS_CAPABILITY = { [EXTENSION]: {} } as const

/** The one tool that may answer with a task. Submitting never does: its answer has to bring the job ID to the model. */
const WAIT_TOOL = 'wait_job'
const Declared = z.looseObject({
  [CLIENT_CAPABILITIES_META_KEY]: z.looseObject({ extensions: z.looseObject({ [EXTENSION]: z.looseObject({}) }) }),
})
const TaskParams = z.looseObject({ taskId: z.string() })
const Wait = z.looseObject({ job_id: z.string(), until: z.literal('done').optional() })

/** For calls that shall not wait: they answer with what there is. */
const WAIT_IS_OVER = AbortSignal.abort()

/** A task, as the extension writes it. */
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
  // No job asks for anything.
  server.setRequestHandler('tasks/update', { params: TaskParams }, async ({ taskId }, { mcpReq }) => {
    await jobOfTask(deps, context, taskId, mcpReq)
    return {}
  })
  // The wait is the client's own, and ends when it no longer asks. The job goes on: only cancel_job ends that.
  server.setRequestHandler('tasks/cancel', { params: TaskParams }, async ({ taskId }, { mcpReq }) => {
    await jobOfTask(deps, context, taskId, mcpReq)
    return {}
  })
}

/** Answers a call of a tool: with a task where it would wait and the request declares the extension. */
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
  // The answer of the tool comes with it: output schemas ask for one, and clients may show it.
  const now = await answerCall(deps, context, { ...call, signal: WAIT_IS_OVER })
  return now.isError ? now : { ...now, ...viewOf(job), resultType: 'task' }
}

function declaresTasks({ envelope }: ServerContext['mcpReq']): boolean {
  return Declared.safeParse(envelope).success
}

/** The job, or undefined for a call that is refused: the tool says why. */
async function lookAt(deps: CallDeps, { caller }: McpContext, jobId: string): Promise<Job | undefined> {
  try {
    return await callOperation(deps.operations, 'get_job', { job_id: jobId }, caller)
  } catch (error) {
    if (error instanceof MusterError) return undefined
    throw error
  }
}

/**
 * The job of a task, for a caller who may know of it.
 * @throws {ProtocolError} also for IDs of another owner's jobs, and such as are no IDs, which are all told alike
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
    return await callOperation(operations, 'get_job', { job_id: taskId }, caller)
  } catch (error) {
    if (error instanceof MusterError && (error.code === 'not_found' || error.code === 'invalid_request')) {
      const message = `there is no task ${JSON.stringify(taskId.slice(0, 100))}; a task has the ID of the job that it waits for`
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, escapeControl(message))
    }
    throw toProtocolError(error, { logger, requestId })
  }
}

async function resultOf(deps: CallDeps, context: McpContext, jobId: string): Promise<ToolResult> {
  const fields = { job_id: jobId }
  const call = { name: WAIT_TOOL, fields, meta: {}, signal: WAIT_IS_OVER, notify: async () => {} }
  const result = await answerCall(deps, context, call)
  // A refusal must not become the result of the task, which is final: the next look may bring the real one.
  if (result.isError) throw new ProtocolError(ProtocolErrorCode.InternalError, result.content[0]?.text ?? '')
  return result
}

/** A paused job waits for its owner, who would never hear of it if the task went on. */
function isOver({ state }: Job): boolean {
  return isTerminalJob(state) || state === 'paused'
}

/** A job whose commands failed is a task that completed: failing is for tasks that could not be looked after. */
function viewOf(job: Job): TaskView {
  const { job_id: taskId, created_at: createdAt, started_at, cancel_requested_at, ended_at } = job
  const changes = [createdAt, started_at, cancel_requested_at, ended_at].filter((time) => time !== null)
  const view = { taskId, createdAt, lastUpdatedAt: changes.sort().at(-1) ?? createdAt, ttlMs: null }
  if (isOver(job)) return { ...view, status: 'completed', statusMessage: progressText(job) }
  const statusMessage = `${progressText(job)}. Cancelling this task ends the wait; cancel_job ends the job.`
  const pollIntervalMs = nextPollS((Date.now() - Date.parse(createdAt)) / 1_000) * 1_000
  return { ...view, status: 'working', statusMessage, pollIntervalMs }
}
