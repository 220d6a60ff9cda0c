/** Rules for all source files together: no circles, folders in their order, and no crowded folder. */
import { dirname } from 'node:path'
import { fileCircles, folderCircles, type Import } from './circles.ts'
import { importedFiles, importedPackages, packageOf, type SourceFile } from './source-files.ts'

/** Says what is wrong with a tree of files, one sentence for each violation. */
export type TreeRule = (files: readonly SourceFile[]) => string[]

/**
 * The folders of each package, lowest first: a folder imports only from itself and from those before it. Files in the
 * root of `src` are the top: they import from every folder, and no folder imports them.
 */
export const FOLDER_ORDER: Readonly<Record<string, readonly string[]>> = {
  'libs/contract': ['errors', 'text', 'targets', 'jobs', 'answers', 'operations', 'tools'],
  'libs/runtime': ['config', 'log', 'process', 'redis'],
  'libs/inventory': ['hosts', 'targets', 'ssh-config', 'join', 'request', 'sources', 'secrets'],
  'libs/ledger': ['redis', 'text', 'job', 'tickets', 'read', 'gather', 'steps', 'workers', 'clockwork'],
  'libs/ssh': ['verdict', 'output', 'shell', 'login', 'connect', 'channel', 'attached', 'pool', 'durable'],
  'libs/access': [],
  'libs/trust': [],
  'apps/server': [
    'text',
    'operations/call',
    'operations/hosts',
    'operations/jobs',
    'operations/looks',
    'operations/output',
    'operations',
    'http',
    'tools',
    'rest',
    'mcp',
  ],
  'apps/worker': ['hold', 'reach', 'run'],
  'apps/cli': ['client', 'render', 'line', 'stack', 'host-keys', 'mcp', 'commands'],
  'apps/demo': [],
}

/** Beyond this a reader no longer sees what is there. */
const MOST_IN_A_FOLDER = 22

/** No file imports itself by way of others. */
export const fileCircleRule: TreeRule = (files) =>
  fileCircles(importsBetween(files)).map((circle) => `circle of files: ${circle.join(', ')}`)

/** No folder, and no package, imports itself by way of others. */
export const folderCircleRule: TreeRule = (files) =>
  folderCircles([...importsBetween(files), ...importsOfPackages(files)]).map(
    (circle) => `circle of folders: ${circle.join(', ')}`,
  )

/** Folders import downwards. */
export const folderOrderRule: TreeRule = (files) => {
  const unlisted = files.filter(({ path }) => folderOf(path) !== '' && rankOf(path) === -1)
  const upward = importsBetween(files).filter(
    ([from, to]) => packageOf(from) === packageOf(to) && folderOf(from) !== folderOf(to) && rankOf(from) <= rankOf(to),
  )
  const outside = importsBetween(files).filter(([from, to]) => packageOf(from) !== packageOf(to))
  return [
    ...unlisted.map(({ path }) => `${path} is in a folder that FOLDER_ORDER does not list`),
    ...upward.map(([from, to]) => `${from} imports ${to}, which is above it in FOLDER_ORDER`),
    ...outside.map(([from, to]) => `${from} imports ${to} by its path`),
  ]
}

/** FOLDER_ORDER lists no folder that is gone. */
export const listedFolderRule: TreeRule = (files) => {
  const present = new Set(files.map(({ path }) => `${packageOf(path)}/${folderOf(path)}`))
  return Object.entries(FOLDER_ORDER).flatMap(([home, folders]) =>
    folders.filter((folder) => !present.has(`${home}/${folder}`)).map((folder) => `${home} has no folder ${folder}`),
  )
}

/** Few enough files stand side by side to be looked over. */
export const crowdRule: TreeRule = (files) => {
  const counts = new Map<string, number>()
  for (const { path } of files) counts.set(dirname(path), (counts.get(dirname(path)) ?? 0) + 1)
  return [...counts]
    .filter(([, count]) => count > MOST_IN_A_FOLDER)
    .map(([folder, count]) => `${folder} holds ${count} files; ${MOST_IN_A_FOLDER} is the end`)
}

function importsBetween(files: readonly SourceFile[]): Import[] {
  return files.flatMap((file) => importedFiles(file).map((to): Import => [file.path, to]))
}

function importsOfPackages(files: readonly SourceFile[]): Import[] {
  const homes = new Map(files.map(({ path }) => [packageOf(path).split('/')[1] ?? '', packageOf(path)]))
  return files.flatMap((file) =>
    importedPackages(file)
      .flatMap((name) => homes.get(name) ?? [])
      .filter((home) => home !== packageOf(file.path))
      .map((home): Import => [file.path, `${home}/src/index.ts`]),
  )
}

/** The folder of a file within `src`; empty for a file in its root. */
function folderOf(path: string): string {
  return dirname(path).split('/').slice(3).join('/')
}

/** Its rank in the order, the root of `src` above all folders. */
function rankOf(path: string): number {
  const folders = FOLDER_ORDER[packageOf(path)] ?? []
  return folderOf(path) === '' ? folders.length : folders.indexOf(folderOf(path))
}
