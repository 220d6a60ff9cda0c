/**
 * The fixture server for revision 2025-11-25 and older: what the official scenarios of that revision expect, on the
 * SDK of the product's legacy leg.
 */
import { setTimeout } from 'node:timers/promises'
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import type { RequestHandlerExtra } from '@modelcontextprotocol/sdk/shared/protocol.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import {
  type CallToolRequest,
  CallToolRequestSchema,
  CompleteRequestSchema,
  CreateMessageResultSchema,
  ElicitResultSchema,
  ErrorCode,
  GetPromptRequestSchema,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  McpError,
  ReadResourceRequestSchema,
  type ServerNotification,
  type ServerRequest,
  SetLevelRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { AskedTable, SharedAnswersTransport } from './client-answers.ts'
import {
  CONSTANT_TOOLS,
  completion,
  constantAnswer,
  PROMPTS,
  promptAnswer,
  RESOURCE_TEMPLATES,
  RESOURCES,
  readResource,
  type ToolAnswer,
  text,
  tool,
} from './fixture-content.ts'
import { form, formWithChoices, formWithDefaults, sampling } from './fixture-questions.ts'

type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>

const TOOLS = [
  ...CONSTANT_TOOLS,
  tool('test_tool_with_logging', 'Writes three log messages.'),
  tool('test_tool_with_progress', 'Tells its progress three times.'),
  tool('test_sampling', 'Lets the client write a text.', 'prompt'),
  tool('test_elicitation', 'Lets the client fill in a form.', 'message'),
  tool('test_elicitation_sep1034_defaults', 'Lets the client fill in a form with defaults.'),
  tool('test_elicitation_sep1330_enums', 'Lets the client fill in a form with choices.'),
]

const CAPABILITIES = { tools: {}, prompts: {}, resources: { subscribe: true }, completions: {}, logging: {} }

/** How long the tools pause between two notifications. */
const PAUSE_MS = 50

/** A server whose answers from the client may arrive at another. */
class AskingServer extends Server {
  readonly #table: AskedTable

  constructor(table: AskedTable) {
    super({ name: 'muster-fixture', version: '0' }, { capabilities: CAPABILITIES })
    this.#table = table
  }

  override async connect(transport: Transport): Promise<void> {
    await super.connect(new SharedAnswersTransport(transport, this.#table))
  }
}

/** Makes servers, one for each request. */
export function legacyFixture(): () => Server {
  const table = new AskedTable()
  return () => {
    const server = new AskingServer(table)
    server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: TOOLS }))
    server.setRequestHandler(CallToolRequestSchema, ({ params }, extra) => callTool(params, extra))
    server.setRequestHandler(ListPromptsRequestSchema, () => ({ prompts: PROMPTS }))
    server.setRequestHandler(GetPromptRequestSchema, ({ params: { name, arguments: fields } }) =>
      known(promptAnswer(name, fields ?? {}), `prompt ${name}`),
    )
    server.setRequestHandler(ListResourcesRequestSchema, () => ({ resources: RESOURCES }))
    server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({ resourceTemplates: RESOURCE_TEMPLATES }))
    server.setRequestHandler(ReadResourceRequestSchema, ({ params: { uri } }) => known(readResource(uri), uri))
    // Resources of the fixture never change, so nobody needs to be remembered.
    server.setRequestHandler(SubscribeRequestSchema, ({ params: { uri } }) => known(readResource(uri) && {}, uri))
    server.setRequestHandler(UnsubscribeRequestSchema, ({ params: { uri } }) => known(readResource(uri) && {}, uri))
    server.setRequestHandler(CompleteRequestSchema, ({ params }) => completion(params.argument.value))
    server.setRequestHandler(SetLevelRequestSchema, () => ({}))
    return server
  }
}

function known<T>(found: T | undefined, what: string): T {
  if (found === undefined) throw new McpError(ErrorCode.InvalidParams, `there is no ${what}`)
  return found
}

async function callTool(
  { name, arguments: fields = {} }: CallToolRequest['params'],
  extra: Extra,
): Promise<ToolAnswer> {
  switch (name) {
    case 'test_tool_with_logging':
      for (const [i, data] of [
        'Tool execution started',
        'Tool processing data',
        'Tool execution completed',
      ].entries()) {
        if (i > 0) await setTimeout(PAUSE_MS)
        await extra.sendNotification({ method: 'notifications/message', params: { level: 'info', data } })
      }
      return text('Logged.')
    case 'test_tool_with_progress':
      return await tellProgress(extra)
    case 'test_sampling': {
      const params = sampling(String(fields.prompt), 100)
      const answer = await extra.sendRequest({ method: 'sampling/createMessage', params }, CreateMessageResultSchema)
      const said = answer.content.type === 'text' ? answer.content.text : answer.content.type
      return text(`LLM response: ${said}`)
    }
    case 'test_elicitation':
      return await elicit(extra, form(String(fields.message), 'username', 'email'), 'User response')
    case 'test_elicitation_sep1034_defaults':
      return await elicit(extra, formWithDefaults, 'Elicitation completed')
    case 'test_elicitation_sep1330_enums':
      return await elicit(extra, formWithChoices, 'Elicitation completed')
    default:
      return known(constantAnswer(name), `tool ${name}`)
  }
}

async function tellProgress({ _meta: meta, sendNotification }: Extra): Promise<ToolAnswer> {
  const progressToken = meta?.progressToken
  for (const progress of [0, 50, 100]) {
    if (progressToken !== undefined) {
      await sendNotification({
        method: 'notifications/progress',
        params: { progressToken, progress, total: 100, message: `${progress} of 100` },
      })
    }
    await setTimeout(PAUSE_MS)
  }
  return text('Done.')
}

type Form = ReturnType<typeof form> | typeof formWithDefaults | typeof formWithChoices

async function elicit(extra: Extra, params: Form, said: string): Promise<ToolAnswer> {
  const { action, content } = await extra.sendRequest({ method: 'elicitation/create', params }, ElicitResultSchema)
  return text(`${said}: action=${action}, content=${JSON.stringify(content ?? {})}`)
}
