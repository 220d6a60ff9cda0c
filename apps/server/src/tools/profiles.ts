/** The profiles of tools: which tools each offers, and how they are called. */
import {
  BESIDE_ORIGINAL,
  OPERATIONS,
  ORIGINAL_TOOLS,
  type OriginalTool,
  TOOL_NAMES,
  TOOLS,
  type ToolName,
  type ToolProfile,
} from '@muster/contract'
import type { Ledger } from '@muster/ledger'
import type { Operations } from '../operations/operations.ts'
import { createCallTool } from './call-tool.ts'
import { createOriginalCalls } from './original-calls.ts'
import { wholeSchemasOf } from './tool-schemas.ts'
import { createTools, listTools, type OfferedTool, type Tools } from './tools.ts'

/** The tools of each profile, over the operations of a server. */
export function createProfiles(operations: Operations, ledger: Ledger): Readonly<Record<ToolProfile, Tools>> {
  return {
    default: createTools(offer(operations, ledger, TOOL_NAMES)),
    original: createTools([...offerOriginal(operations, ledger), ...offer(operations, ledger, BESIDE_ORIGINAL)]),
  }
}

function offer(operations: Operations, ledger: Ledger, names: readonly ToolName[]): OfferedTool[] {
  const offered: ReadonlySet<string> = new Set(names)
  const call = createCallTool(operations, ledger, offered)
  return listTools()
    .filter(({ name }) => offered.has(name))
    .map((listed) => ({
      listed,
      scope: OPERATIONS[TOOLS[listed.name].operation].scope,
      call: (fields, caller) => call(listed.name, fields, caller),
    }))
}

function offerOriginal(operations: Operations, ledger: Ledger): OfferedTool[] {
  return createOriginalCalls(operations, ledger).map(({ name, call }) => {
    const { operation, description, input, output, hints }: OriginalTool = ORIGINAL_TOOLS[name]
    const listed = { name, description, ...wholeSchemasOf(input, output), annotations: hints }
    return { listed, scope: OPERATIONS[operation].scope, call }
  })
}
