/**
 * Label selectors as the value of a group: `{env=prod,zone!=a}`.
 *
 * All terms must hold. Knows labels only, not hosts.
 */

/** One condition of a selector. */
export type LabelTerm = { readonly key: string; readonly op: '=' | '!='; readonly value: string }

/** Whether the text is meant as a selector: it is in braces. */
export function isSelector(text: string): boolean {
  return text.trim().startsWith('{')
}

/** The terms of a selector, or undefined when the text is not one. */
export function parseSelector(text: string): LabelTerm[] | undefined {
  const [, inner] = /^\{([^{}]*)\}$/.exec(text.trim()) ?? []
  if (inner === undefined) return undefined
  const terms: LabelTerm[] = []
  for (const part of inner.split(',')) {
    const match = /^\s*([A-Za-z0-9][A-Za-z0-9._/-]*)\s*(!?=)\s*([^\s=!&](?:[^=!&]*[^\s=!&])?)\s*$/.exec(part)
    if (match === null) return undefined
    const [, key = '', op, value = ''] = match
    terms.push({ key, op: op === '!=' ? '!=' : '=', value })
  }
  return terms
}

/** Whether labels meet all terms. A label that is absent is not equal to anything, so it meets every `!=`. */
export function matchesLabels(terms: readonly LabelTerm[], labels: Readonly<Record<string, string>>): boolean {
  return terms.every(({ key, op, value }) => {
    const isEqual = Object.hasOwn(labels, key) && labels[key] === value
    return op === '=' ? isEqual : !isEqual
  })
}
