/**
 * The fixture server for the Tasks extension: the product's own server of revision 2026-07-28, with the tools that the
 * official scenarios call instead of its own. Each of them submits a real job and waits for it as `wait_job` does, so
 * that the tasks, all methods of the extension and their refusals are the product's.
 */
import { MissingRequiredClientCapabilityError, type Server } from '@modelcontextprotocol/server'
import { answerWithTask, type CallDeps, createModernServer, type McpContext } from '@muster/server'
import { z } from 'zod'
import { text, tool } from './fixture-content.ts'
import { TASK_HOSTS } from './product.ts'

const EXTENSION = 'io.modelcontextprotocol/tasks'
const TOOLS = [
  tool('greet', 'Answers at once.', 'name'),
  { ...tool('slow_compute', 'Sleeps for some seconds.'), inputSchema: { type: 'object' as const } },
  tool('failing_job', 'Fails after a second, and needs a client that knows tasks.'),
]

const Fields = z.object({ name: z.string().optional(), seconds: z.number().optional() })
const Envelope = z.looseObject({
  'io.modelcontextprotocol/clientCapabilities': z.looseObject({
    extensions: z.looseObject({ [EXTENSION]: z.object() }),
  }),
})

/** Makes servers, one for each request. */
export function tasksFixture(deps: CallDeps): (context: McpContext) => Server {
  let jobs = 0
  const nextHost = () => {
    jobs += 1
    return TASK_HOSTS[jobs % TASK_HOSTS.length] ?? ''
  }
  return (context) => createServer(deps, context, nextHost)
}

function createServer(deps: CallDeps, context: McpContext, nextHost: () => string): Server {
  const server = createModernServer(deps, context)
  server.setRequestHandler('tools/list', () => ({ tools: TOOLS }))
  server.setRequestHandler('tools/call', async ({ params }, { mcpReq }) => {
    const { name = '', seconds = 0 } = Fields.parse(params.arguments ?? {})
    const runAndWait = async (command: string) => {
      const submit = { targets: nextHost(), command }
      const submitted = await deps.operations.submit_job.call(submit, context.caller)
      const { signal, _meta: meta = {} } = mcpReq
      const wait = { name: 'wait_job', fields: { job_id: submitted.job_id }, meta, signal, notify: async () => {} }
      return { ...(await answerWithTask(deps, context, wait, mcpReq)) }
    }
    switch (params.name) {
      case 'slow_compute':
        return await runAndWait(`sleep ${seconds}`)
      case 'failing_job':
        if (!Envelope.safeParse(mcpReq.envelope).success) {
          throw new MissingRequiredClientCapabilityError({ requiredCapabilities: { extensions: { [EXTENSION]: {} } } })
        }
        return await runAndWait('sleep 1; exit 1')
      default:
        return text(`Hello, ${name}!`)
    }
  })
  return server
}
