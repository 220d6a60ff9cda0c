/**
 * The fixture server for revision 2026-07-28: what the official scenarios of that revision expect, on the SDK of the
 * product's modern leg. It remembers nothing between requests; what it must know again travels with the client, signed.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import {
  acceptedContent,
  CLIENT_CAPABILITIES_META_KEY,
  createRequestStateCodec,
  inputRequired,
  inputResponse,
  MissingRequiredClientCapabilityError,
  ProtocolError,
  ProtocolErrorCode,
  ResourceNotFoundError,
  Server,
  type ServerContext,
} from '@modelcontextprotocol/server'
import { z } from 'zod'
import {
  CONSTANT_TOOLS,
  completion,
  constantAnswer,
  PROMPTS,
  promptAnswer,
  RESOURCE_TEMPLATES,
  RESOURCES,
  readResource,
  text,
  tool,
} from './fixture-content.ts'
import { confirmation, form, sampling } from './fixture-questions.ts'

const PREFIX = 'test_input_required_result_'
const PROMPT = `${PREFIX}prompt`

const TOOLS = [
  ...CONSTANT_TOOLS,
  tool('test_tool_with_progress', 'Tells its progress three times.'),
  tool('test_missing_capability', 'Needs a client that can sample.'),
  tool('test_streaming_elicitation', 'Asks something.'),
  tool('test_logging_tool', 'Would log, if it were asked to.'),
  ...['elicitation', 'sampling', 'list_roots', 'request_state', 'multiple_inputs'].map(asking),
  ...['multi_round', 'tampered_state', 'capabilities'].map(asking),
]

/** What a tool or prompt answers: its result, or what it needs from the client first. */
type Answer = ReturnType<typeof text> | ReturnType<typeof inputRequired>
type Round = { readonly step: number }

const codec = createRequestStateCodec<Round>({ key: randomBytes(32) })
const Name = z.object({ name: z.string() })
const Envelope = z.object({ [CLIENT_CAPABILITIES_META_KEY]: z.object({ sampling: z.unknown().optional() }) })
const Confirmed = z.object({ ok: z.boolean() })

function asking(kind: string) {
  return tool(PREFIX + kind, 'Asks the client something before it answers.')
}

/** Makes a server, for one request. */
export function modernFixture(): Server {
  const server = new Server(
    { name: 'muster-fixture', version: '0' },
    {
      capabilities: { tools: { listChanged: false }, prompts: {}, resources: {}, completions: {} },
      requestState: { verify: (state, context) => codec.verify(state, context) },
    },
  )
  server.setRequestHandler('tools/list', () => ({ tools: [...TOOLS] }))
  server.setRequestHandler('tools/call', ({ params: { name } }, context) => callTool(name, context))
  server.setRequestHandler('prompts/list', () => ({
    prompts: [...PROMPTS, { name: PROMPT, description: 'Asks the client something before it answers.' }],
  }))
  server.setRequestHandler('prompts/get', ({ params: { name, arguments: fields } }, { mcpReq }) => {
    if (name !== PROMPT) return known(promptAnswer(name, fields ?? {}), `prompt ${name}`)
    const given = acceptedContent(mcpReq.inputResponses, 'user_context', z.object({ context: z.string() }))
    if (given === undefined) return ask({ user_context: form('What context should the prompt use?', 'context') })
    return { messages: [{ role: 'user', content: { type: 'text', text: `Context: ${given.context}` } }] }
  })
  server.setRequestHandler('resources/list', () => ({ resources: RESOURCES }))
  server.setRequestHandler('resources/templates/list', () => ({ resourceTemplates: RESOURCE_TEMPLATES }))
  server.setRequestHandler('resources/read', ({ params: { uri } }) => {
    const found = readResource(uri)
    if (found === undefined) throw new ResourceNotFoundError(uri)
    return found
  })
  server.setRequestHandler('completion/complete', ({ params }) => completion(params.argument.value))
  return server
}

function known<T>(found: T | undefined, what: string): T {
  if (found === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `there is no ${what}`)
  return found
}

/** Asks for forms to be filled in. */
function ask(forms: Record<string, ReturnType<typeof form> | ReturnType<typeof confirmation>>, requestState?: string) {
  const inputRequests = Object.fromEntries(
    Object.entries(forms).map(([key, params]) => [key, inputRequired.elicit(params)]),
  )
  return inputRequired({ inputRequests, ...(requestState === undefined ? {} : { requestState }) })
}

async function callTool(name: string, context: ServerContext): Promise<Answer> {
  switch (name) {
    case 'test_tool_with_progress':
      return await tellProgress(context)
    case 'test_missing_capability':
      if (!canSample(context))
        throw new MissingRequiredClientCapabilityError({ requiredCapabilities: { sampling: {} } })
      return text('The client can sample.')
    case 'test_streaming_elicitation':
      return ask({ user_name: form('What is your name?', 'name') })
    case 'test_logging_tool':
      return text('Not logged: nobody gave a level.')
    default:
      if (name.startsWith(PREFIX)) return await askFirst(name.slice(PREFIX.length), context)
      return known(constantAnswer(name), `tool ${name}`)
  }
}

function canSample({ mcpReq }: ServerContext): boolean {
  const declared = Envelope.safeParse(mcpReq.envelope)
  return declared.success && declared.data[CLIENT_CAPABILITIES_META_KEY].sampling !== undefined
}

async function tellProgress({ mcpReq }: ServerContext): Promise<Answer> {
  const progressToken = mcpReq._meta?.progressToken
  for (const progress of [0, 50, 100]) {
    const params = { progressToken, progress, total: 100 }
    if (progressToken !== undefined) await mcpReq.notify({ method: 'notifications/progress', params })
    await setTimeout(50)
  }
  return text('Done.')
}

/** The tools that ask before they answer: asked without answers they ask, and with wrong ones they ask again. */
async function askFirst(kind: string, context: ServerContext): Promise<Answer> {
  const answers = context.mcpReq.inputResponses
  const state = context.mcpReq.requestState<Round>()
  const name = acceptedContent(answers, 'user_name', Name)?.name
  const confirmed = acceptedContent(answers, 'confirm', Confirmed)
  const roots = inputResponse(answers, 'client_roots')
  const mint = (step: number) => codec.mint({ step }, context)
  switch (kind) {
    case 'elicitation':
      return name === undefined ? ask({ user_name: form('What is your name?', 'name') }) : text(`Hello, ${name}!`)
    case 'sampling':
      return sampled(context, 'capital_question', 'What is the capital of France?', 100)
    case 'capabilities':
      if (!canSample(context)) return text('The client can not sample.')
      return sampled(context, 'greeting', 'Generate a greeting', 50)
    case 'list_roots':
      if (roots.kind !== 'roots') return inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } })
      return text(`Roots: ${JSON.stringify(roots.roots)}`)
    case 'request_state':
    case 'tampered_state':
      if (confirmed === undefined || state === undefined) {
        return ask({ confirm: confirmation('Please confirm') }, await mint(1))
      }
      return text('state-ok')
    case 'multi_round': {
      const isColoured = acceptedContent(answers, 'step2', z.object({ color: z.string() })) !== undefined
      if (state?.step === 2 && isColoured) return text('All is told.')
      if (state?.step === 1 && acceptedContent(answers, 'step1', Name) !== undefined) {
        return ask({ step2: form('Step 2: What is your favorite color?', 'color') }, await mint(2))
      }
      return ask({ step1: form('Step 1: What is your name?', 'name') }, await mint(1))
    }
    case 'multiple_inputs': {
      const greeting = inputResponse(answers, 'greeting')
      if (name !== undefined && roots.kind === 'roots' && greeting.kind === 'sampling' && state !== undefined) {
        return text(`Hello, ${name}, with ${roots.roots.length} roots!`)
      }
      return inputRequired({
        inputRequests: {
          user_name: inputRequired.elicit(form('What is your name?', 'name')),
          greeting: inputRequired.createMessage(sampling('Generate a greeting', 50)),
          client_roots: inputRequired.listRoots(),
        },
        requestState: await mint(1),
      })
    }
    default:
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `there is no tool ${PREFIX}${kind}`)
  }
}

function sampled({ mcpReq }: ServerContext, key: string, prompt: string, maxTokens: number): Answer {
  const answer = inputResponse(mcpReq.inputResponses, key)
  if (answer.kind === 'sampling') return text(`The model said: ${JSON.stringify(answer.result.content)}`)
  return inputRequired({ inputRequests: { [key]: inputRequired.createMessage(sampling(prompt, maxTokens)) } })
}
