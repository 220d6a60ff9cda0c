/** The Inspector's command line, pointed at one server in one way: how it lists the tools and calls them. */
import { z } from 'zod'
import type { Finished, Official } from './official.ts'

/** The generation of the protocol that the Inspector is told to speak. */
export type Era = 'legacy' | 'modern'

const Listed = z.object({ result: z.object({ tools: z.array(z.object({ name: z.string() })).min(1) }) })

const Called = z.object({
  result: z.object({
    isError: z.boolean().optional(),
    content: z.array(z.object({ type: z.literal('text'), text: z.string() })).min(1),
    structuredContent: z.record(z.string(), z.unknown()).optional(),
  }),
})

/** What a call of a tool gave. */
export type ToolAnswer = {
  readonly isError: boolean
  readonly text: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** The Inspector at a server. Throws what it says when it cannot do what it is asked. */
export type Inspector = {
  /** The names of the tools; each schema is checked for what clients of all kinds can read. */
  list(): Promise<string[]>
  call(tool: string, fields: Readonly<Record<string, unknown>>): Promise<ToolAnswer>
}

/** `target` is what its command line has for a server: an address, or a command with its environment. */
export function openInspector(official: Official, target: readonly string[], era: Era): Inspector {
  const run = async (...args: string[]): Promise<Finished> =>
    await official.run('inspector', ['--cli', ...target, '--protocol-era', era, '--format', 'json', ...args])
  return {
    list: async () => {
      const finished = await run('--method', 'tools/list', '--strict')
      if (finished.status !== 0) throw complaint('tools/list', finished)
      return Listed.parse(JSON.parse(finished.out)).result.tools.map(({ name }) => name)
    },
    call: async (tool, fields) => {
      const json = JSON.stringify(fields)
      const finished = await run('--method', 'tools/call', '--tool-name', tool, '--tool-args-json', json)
      // A status other than 0 with an answer is an answer that is an error.
      if (finished.out.trim() === '') throw complaint(`${tool} ${json}`, finished)
      const { isError = false, content, structuredContent } = Called.parse(JSON.parse(finished.out)).result
      if (isError !== (finished.status !== 0)) throw complaint(`${tool} ${json}`, finished)
      return { isError, text: content.map((part) => part.text).join('\n'), fields: structuredContent ?? {} }
    },
  }
}

function complaint(what: string, { status, out, err }: Finished): Error {
  return new Error(`the Inspector ended with status ${status} for ${what}: ${(err + out).slice(-1_500)}`)
}
