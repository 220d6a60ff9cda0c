/**
 * Reads YAML as entries that know their lines. Every scalar is the text as written (YAML's failsafe schema), so that a
 * host named 01 or a label 1.10 stays what it is. Aliases and tags are refused.
 *
 * It knows nothing of the inventory's fields. No error quotes the file, which may hold a password by mistake.
 */
import {
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type ParsedNode,
  parseDocument,
  type Scalar,
  visit,
  type YAMLError,
  type YAMLMap,
} from 'yaml'

/** One `key: value` of a map. */
export type YamlEntry = {
  readonly key: string
  /** The line of the key, one-based. */
  readonly line: number
  /** The entries of the value, in the order of the file. Undefined when the value is not a map. */
  entries(): YamlEntry[] | undefined
  /** The value as plain data: texts, lists and records. "" when there is none. */
  value(): unknown
  /** The line of the key that the path leads to, or of the last key on the way that exists. */
  lineAt(path: readonly PropertyKey[]): number
}

/** A mistake in the YAML itself. */
export type YamlFault = { readonly line: number; readonly text: string }

/** Our own texts for the errors whose texts quote the file. */
const QUOTING_ERRORS = new Map<string, string>([
  ['UNEXPECTED_TOKEN', 'does not fit here; check the indentation, quotes and brackets'],
  ['TAG_RESOLVE_FAILED', 'a value that begins with "!" needs quotes'],
  ['BAD_COLLECTION_TYPE', 'a value that begins with "!" needs quotes'],
  ['BAD_DQ_ESCAPE', 'there is no such escape in double quotes; use single quotes'],
  ['BAD_ALIAS', 'a value that begins with "*" needs quotes'],
  ['BAD_DIRECTIVE', 'a line that begins with "%" needs quotes'],
])

/**
 * The entries of the top-level map; an empty text is an empty map. When there are faults, `entries` are those that
 * could be read. `isBroken` means that the text is not YAML, and the entries mean little.
 */
export function readYaml(text: string): { entries: YamlEntry[]; faults: YamlFault[]; isBroken: boolean } {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    schema: 'failsafe',
    stringKeys: true,
    lineCounter: lines,
    prettyErrors: false,
    // The parser's own check compares every key with every other: a second for 10,000 hosts.
    uniqueKeys: false,
    logLevel: 'error',
  })
  const lineOf = (node: { range?: readonly number[] | null }) => lines.linePos(node.range?.[0] ?? 0).line
  const faults = new Map<number, string>()
  // One fault per line: further ones mostly follow from the first.
  const add = (line: number, fault: string): void => {
    if (!faults.has(line)) faults.set(line, fault)
  }
  for (const error of [...document.errors, ...document.warnings]) {
    add(lines.linePos(error.pos[0]).line, withoutQuotation(error))
  }
  const isBroken = faults.size > 0
  visit(document, {
    Alias: (_, alias) => add(lineOf(alias), 'anchors and aliases (& and *) are not read; write the value out'),
    Map: (_, map) => {
      for (const key of repeatedKeys(map)) add(lineOf(key), 'the same key stands twice in this map')
    },
  })
  const found = [...faults].map(([line, fault]) => ({ line, text: fault }))
  const root = document.contents
  if (root !== null && !isMap(root) && !(isScalar(root) && root.value === '')) {
    const expected = { line: lineOf(root), text: 'expected a map with the sections defaults, hosts and groups' }
    return { entries: [], faults: isBroken ? found : [expected], isBroken: true }
  }
  return { entries: isMap(root) ? entriesOf(root, lineOf) : [], faults: found, isBroken }
}

function withoutQuotation(error: YAMLError): string {
  const text = QUOTING_ERRORS.get(error.code) ?? error.message
  return text.charAt(0).toLowerCase() + text.slice(1)
}

function repeatedKeys(map: YAMLMap<unknown, unknown>): Scalar[] {
  const seen = new Set<unknown>()
  const repeated: Scalar[] = []
  for (const { key } of map.items) {
    if (!isScalar(key)) continue
    if (seen.has(key.value)) repeated.push(key)
    seen.add(key.value)
  }
  return repeated
}

function entriesOf(
  map: YAMLMap.Parsed<ParsedNode, ParsedNode | null>,
  lineOf: (node: ParsedNode) => number,
): YamlEntry[] {
  const names = new Set<string>()
  return map.items.flatMap(({ key, value }) => {
    const name = isScalar(key) ? String(key.value) : ''
    // A repeated key has been reported; reading it too would report what follows from it.
    if (names.has(name)) return []
    names.add(name)
    const line = lineOf(key)
    const entries = () => (isMap(value) ? entriesOf(value, lineOf) : undefined)
    return {
      key: name,
      line,
      entries,
      value: () => plain(value),
      lineAt: ([first, ...rest]) => {
        const child = first === undefined ? undefined : entries()?.find((entry) => entry.key === String(first))
        return child?.lineAt(rest) ?? line
      },
    }
  })
}

/** A node as plain data. The library's `toJS` throws on aliases, which have been reported already. */
function plain(node: unknown): unknown {
  if (isScalar(node)) return node.value
  if (isMap(node)) {
    return Object.fromEntries(
      node.items.map(({ key, value }) => [isScalar(key) ? String(key.value) : '', plain(value)]),
    )
  }
  if (isSeq(node)) return node.items.map(plain)
  return node === null || node === undefined ? '' : []
}
