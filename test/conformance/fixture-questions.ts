/**
 * What the fixture servers ask of a client: forms to fill in (elicitation) and texts to write (sampling), in the shapes
 * that the official scenarios look for. The generations differ in how they ask, not in what.
 */

const texts = (...names: string[]) => ({
  type: 'object' as const,
  properties: Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
  required: names,
})

/** A form of some texts that are all required. */
export const form = (message: string, ...names: string[]) => ({ message, requestedSchema: texts(...names) })

/** A form with one yes or no. */
export const confirmation = (message: string) => ({
  message,
  requestedSchema: {
    type: 'object' as const,
    properties: { ok: { type: 'boolean' as const } },
    required: ['ok'],
  },
})

/** A form whose fields have defaults, one of each kind (SEP-1034). */
export const formWithDefaults = {
  message: 'Please review the defaults',
  requestedSchema: {
    type: 'object' as const,
    properties: {
      name: { type: 'string' as const, default: 'John Doe' },
      age: { type: 'integer' as const, default: 30 },
      score: { type: 'number' as const, default: 95.5 },
      status: { type: 'string' as const, enum: ['active', 'inactive', 'pending'], default: 'active' },
      verified: { type: 'boolean' as const, default: true },
    },
    required: [],
  },
}

const titled = (values: readonly string[], titles: readonly string[]) =>
  values.map((value, i) => ({ const: value, title: titles[i] ?? value }))

const OPTIONS = ['option1', 'option2', 'option3']
const VALUES = ['value1', 'value2', 'value3']

/** A form with each way to offer a choice (SEP-1330). */
export const formWithChoices = {
  message: 'Please choose',
  requestedSchema: {
    type: 'object' as const,
    properties: {
      untitledSingle: { type: 'string' as const, enum: OPTIONS },
      titledSingle: {
        type: 'string' as const,
        oneOf: titled(VALUES, ['First Option', 'Second Option', 'Third Option']),
      },
      legacyEnum: {
        type: 'string' as const,
        enum: ['opt1', 'opt2', 'opt3'],
        enumNames: ['Option One', 'Option Two', 'Option Three'],
      },
      untitledMulti: { type: 'array' as const, items: { type: 'string' as const, enum: OPTIONS } },
      titledMulti: {
        type: 'array' as const,
        items: { anyOf: titled(VALUES, ['First Choice', 'Second Choice', 'Third Choice']) },
      },
    },
    required: [],
  },
}

/** A text for the client's model. */
export const sampling = (prompt: string, maxTokens: number) => ({
  messages: [{ role: 'user' as const, content: { type: 'text' as const, text: prompt } }],
  maxTokens,
})
