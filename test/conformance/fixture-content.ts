/**
 * What the official scenarios expect a server to hold: tools, prompts and resources by their names, with the answers
 * that do not depend on the caller. Both generations of fixture servers answer from here.
 *
 * Knows no SDK, and asks nobody anything: `fixture-legacy.ts` and `fixture-modern.ts` do.
 */

/** A part of an answer. */
type Content =
  | { type: 'text'; text: string }
  | { type: 'image' | 'audio'; data: string; mimeType: string }
  | { type: 'resource'; resource: { uri: string; mimeType: string; text: string } }

/** What a tool answers. */
export type ToolAnswer = { content: Content[]; isError?: boolean }

/** What a prompt answers. */
export type PromptAnswer = { messages: { role: 'user'; content: Content }[] }

/** A tool as it is listed. */
export type FixtureTool = {
  name: string
  description: string
  inputSchema: { type: 'object'; properties: Record<string, { type: 'string' }>; required: string[] }
}

/** The smallest PNG, and the smallest WAV: the scenarios look at their kind only. */
const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=='
const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA='

const IMAGE = { type: 'image', data: PNG, mimeType: 'image/png' } as const

/** An answer of one text. */
export const text = (line: string): ToolAnswer => ({ content: [{ type: 'text', text: line }] })

const embedded = (uri: string, mimeType: string, body: string): Content => ({
  type: 'resource',
  resource: { uri, mimeType, text: body },
})

/** Tools without arguments that always answer the same. */
const ANSWERS: Readonly<Record<string, ToolAnswer>> = {
  test_simple_text: text('This is a simple text response for testing.'),
  test_image_content: { content: [IMAGE] },
  test_audio_content: { content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }] },
  test_embedded_resource: {
    content: [embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')],
  },
  test_multiple_content_types: {
    content: [
      { type: 'text', text: 'Multiple content types test:' },
      IMAGE,
      embedded('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
    ],
  },
  test_error_handling: { ...text('This tool intentionally returns an error for testing'), isError: true },
}

/** A tool that takes these texts. */
export function tool(name: string, description: string, ...fields: string[]): FixtureTool {
  const properties = Object.fromEntries(fields.map((field) => [field, { type: 'string' as const }]))
  return { name, description, inputSchema: { type: 'object', properties, required: fields } }
}

/** The tools that always answer the same. */
export const CONSTANT_TOOLS: readonly FixtureTool[] = Object.keys(ANSWERS).map((name) =>
  tool(name, 'Always answers the same.'),
)

/** What such a tool answers; undefined for any other. */
export const constantAnswer = (name: string): ToolAnswer | undefined => ANSWERS[name]

/** The prompts, as they are listed. */
export const PROMPTS = [
  { name: 'test_simple_prompt', description: 'A prompt without arguments.' },
  {
    name: 'test_prompt_with_arguments',
    description: 'A prompt that says its arguments.',
    arguments: ['arg1', 'arg2'].map((name) => ({ name, description: 'A text.', required: true })),
  },
  {
    name: 'test_prompt_with_embedded_resource',
    description: 'A prompt that holds a resource.',
    arguments: [{ name: 'resourceUri', description: 'Its address.', required: true }],
  },
  { name: 'test_prompt_with_image', description: 'A prompt that holds an image.' },
]

const user = (...contents: Content[]): PromptAnswer => ({
  messages: contents.map((content) => ({ role: 'user', content })),
})

/** What a prompt answers; undefined when there is none of the name. */
export function promptAnswer(name: string, fields: Readonly<Record<string, string>>): PromptAnswer | undefined {
  switch (name) {
    case 'test_simple_prompt':
      return user({ type: 'text', text: 'This is a simple prompt for testing.' })
    case 'test_prompt_with_arguments':
      return user({ type: 'text', text: `Prompt with arguments: arg1='${fields.arg1}', arg2='${fields.arg2}'` })
    case 'test_prompt_with_embedded_resource':
      return user(embedded(fields.resourceUri ?? '', 'text/plain', 'Embedded resource content for testing.'), {
        type: 'text',
        text: 'Please process the embedded resource above.',
      })
    case 'test_prompt_with_image':
      return user(IMAGE, { type: 'text', text: 'Please analyze the image above.' })
    default:
      return undefined
  }
}

/** The resources, as they are listed. */
export const RESOURCES = [
  { uri: 'test://static-text', name: 'static-text', description: 'A text.', mimeType: 'text/plain' },
  { uri: 'test://static-binary', name: 'static-binary', description: 'An image.', mimeType: 'image/png' },
  { uri: 'test://watched-resource', name: 'watched-resource', description: 'A text.', mimeType: 'text/plain' },
]

/** The templates of resources, as they are listed. */
export const RESOURCE_TEMPLATES = [
  {
    uriTemplate: 'test://template/{id}/data',
    name: 'template',
    description: 'Data by its ID.',
    mimeType: 'application/json',
  },
]

/** What a resource holds. */
export type ResourceAnswer = {
  contents: ({ uri: string; mimeType: string } & ({ text: string } | { blob: string }))[]
}

/** What is at an address; undefined when nothing is. */
export function readResource(uri: string): ResourceAnswer | undefined {
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1]
  if (id !== undefined) {
    const body = { id, templateTest: true, data: `Data for ID: ${id}` }
    return { contents: [{ uri, mimeType: 'application/json', text: JSON.stringify(body) }] }
  }
  switch (uri) {
    case 'test://static-text':
      return { contents: [{ uri, mimeType: 'text/plain', text: 'This is the content of the static text resource.' }] }
    case 'test://static-binary':
      return { contents: [{ uri, mimeType: 'image/png', blob: PNG }] }
    case 'test://watched-resource':
      return { contents: [{ uri, mimeType: 'text/plain', text: 'Watched.' }] }
    default:
      return undefined
  }
}

/** What the argument of a prompt could be completed to. */
export function completion(value: string): { completion: { values: string[]; total: number; hasMore: boolean } } {
  const values = ['paris', 'park', 'party'].filter((word) => word.startsWith(value))
  return { completion: { values, total: values.length, hasMore: false } }
}
