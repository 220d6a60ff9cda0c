/** Circles in what imports what: between files, between folders at every level of the tree, and between packages. */

/** What each node points to. */
type Graph = ReadonlyMap<string, ReadonlySet<string>>

/** An import of one file by another. */
export type Import = readonly [from: string, to: string]

/** Circles of files, each with its files in alphabetical order. */
export function fileCircles(imports: readonly Import[]): string[][] {
  return circlesOf(graphOf(imports))
}

/**
 * Circles of what stands side by side in one folder, files and folders alike. An import counts between those two
 * neighbours that hold its ends: of `a/b/x.ts` by `a/c/y.ts` that is `a/c` to `a/b`.
 */
export function folderCircles(imports: readonly Import[]): string[][] {
  return circlesOf(graphOf(imports.map(neighboursOf)))
}

function neighboursOf([from, to]: Import): Import {
  const [fromNames, toNames] = [from.split('/'), to.split('/')]
  const shared = fromNames.findIndex((name, index) => name !== toNames[index])
  if (shared === -1) return [from, to]
  return [fromNames.slice(0, shared + 1).join('/'), toNames.slice(0, shared + 1).join('/')]
}

function graphOf(edges: readonly Import[]): Graph {
  const graph = new Map<string, Set<string>>()
  for (const [from, to] of edges) {
    graph.set(from, (graph.get(from) ?? new Set()).add(to))
    if (!graph.has(to)) graph.set(to, new Set())
  }
  return graph
}

/** The strongly connected components of more than one node, and the nodes that point to themselves (Tarjan). */
function circlesOf(graph: Graph): string[][] {
  const indexes = new Map<string, number>()
  const lowest = new Map<string, number>()
  const stack: string[] = []
  const circles: string[][] = []
  const visit = (node: string): number => {
    const index = indexes.size
    indexes.set(node, index)
    lowest.set(node, index)
    stack.push(node)
    for (const next of graph.get(node) ?? []) {
      const reached = indexes.has(next) ? (stack.includes(next) ? (indexes.get(next) ?? index) : index) : visit(next)
      lowest.set(node, Math.min(lowest.get(node) ?? index, reached))
    }
    const low = lowest.get(node) ?? index
    if (low === index) {
      const members = stack.splice(stack.indexOf(node))
      if (members.length > 1 || graph.get(node)?.has(node)) circles.push(members.toSorted())
    }
    return low
  }
  for (const node of graph.keys()) if (!indexes.has(node)) visit(node)
  return circles.toSorted()
}
