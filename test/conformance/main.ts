/**
 * `npm run conformance`: the official scenarios on the product's endpoint, with the servers that they expect behind
 * it, and on the product itself; then the Inspector, which tells the whole story with every tool, over HTTP and stdio,
 * in both generations of the protocol.
 *
 * Prints a line for each, and what is wrong below it. Exit status: 0 when all passed, else 1. A scenario that the suite
 * skips has failed.
 */
import { dirname, resolve } from 'node:path'
import { Closers, untilSignal } from '@muster/runtime'
import { takeOwnEnvironment } from '../support/runner/own-environment.ts'
import { callEveryTool } from './every-tool.ts'
import { startFixture } from './fixture-app.ts'
import { legacyFixture } from './fixture-legacy.ts'
import { modernFixture } from './fixture-modern.ts'
import { tasksFixture } from './fixture-tasks.ts'
import { type Era, openInspector } from './inspector.ts'
import { startKeyProxy } from './key-proxy.ts'
import { type Official, prepareOfficial } from './official.ts'
import { startProduct } from './product.ts'
import { type Revision, runRequired, runScenario, type ScenarioRun } from './scenarios.ts'
import { judge } from './verdict.ts'

takeOwnEnvironment()

const REVISIONS = ['2025-11-25', '2026-07-28'] as const satisfies readonly Revision[]

/** What the suite can look at without tools of its own. */
const PRODUCT_SCENARIOS: Readonly<Record<Revision, readonly string[]>> = {
  '2025-11-25': ['server-initialize', 'ping', 'tools-list', 'dns-rebinding-protection'],
  '2026-07-28': [
    'tools-list',
    'dns-rebinding-protection',
    'http-header-validation',
    'server-sse-multiple-streams',
    'server-stateless',
  ],
}

/** Of an extension, so that they belong to no revision. The tasks are the product's; the tools are not. */
const TASK_SCENARIOS = [
  'capability-negotiation',
  'lifecycle',
  'wire-fields',
  'request-headers',
  'dispatch-and-envelope',
  'request-state-removal',
  'required-task-error',
].map((name) => `tasks-${name}`)

const print = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

/** How many parts there were, and how many of them are not as they should be. */
const tally = { passed: 0, failed: 0 }

function tell(runs: readonly ScenarioRun[]): void {
  for (const { isPassed, lines } of runs.map((run) => judge(run))) {
    tally[isPassed ? 'passed' : 'failed'] += 1
    lines.forEach(print)
  }
}

async function checkFixture(official: Official, url: string): Promise<void> {
  for (const revision of REVISIONS) tell(await runRequired(official, { on: 'fixture', url, revision }))
}

async function checkProduct(official: Official, url: string): Promise<void> {
  for (const revision of REVISIONS) {
    for (const scenario of PRODUCT_SCENARIOS[revision]) {
      tell([await runScenario(official, { on: 'product', url, revision }, scenario)])
    }
  }
}

async function checkTasks(official: Official, url: string): Promise<void> {
  for (const scenario of TASK_SCENARIOS) tell([await runScenario(official, { on: 'fixture', url }, scenario)])
}

async function tellStory(official: Official, way: string, target: readonly string[], era: Era): Promise<void> {
  const name = `Inspector over ${way}, ${era}`
  try {
    const tools = await callEveryTool(openInspector(official, target, era))
    tally.passed += 1
    print(`ok   ${name}: ${tools.length} tools called`)
  } catch (error) {
    tally.failed += 1
    print(`FAIL ${name}:\n       ${error instanceof Error ? error.message : String(error)}`)
  }
}

async function main(closers: Closers): Promise<void> {
  const official = await prepareOfficial({ env: process.env, closers, say: print })
  const product = await startProduct(closers)
  const legacy = legacyFixture()
  const fixture = await startFixture(closers, product, () => ({ legacy, modern: modernFixture, streams: true }))
  const tasks = await startFixture(closers, product, (deps) => ({ legacy, modern: tasksFixture(deps) }))
  const withKey = (url: string) => startKeyProxy(closers, { url, key: product.key })
  const productUrl = await withKey(product.url)

  await checkFixture(official, `${await withKey(fixture)}/mcp`)
  await checkProduct(official, `${productUrl}/mcp`)
  await checkTasks(official, `${await withKey(tasks)}/mcp`)
  const keyFile = resolve(product.env.MUSTER_DATA_DIR ?? '', 'api-key')
  const muster = [process.execPath, resolve('apps/cli/bin/muster.js'), 'mcp']
  const variables = [
    `MUSTER_URL=${product.url}`,
    `MUSTER_API_KEY_FILE=${keyFile}`,
    `MUSTER_CONFIG_DIR=${dirname(keyFile)}`,
  ]
  const settings = variables.flatMap((variable) => ['-e', variable])
  for (const era of ['legacy', 'modern'] as const) {
    await tellStory(official, 'HTTP', [`${productUrl}/mcp`, '--transport', 'http'], era)
    await tellStory(official, 'stdio', [...muster, '--transport', 'stdio', ...settings], era)
  }
}

const closers = new Closers(print)
const interrupted = untilSignal({
  onSecond: (_signal, status) => process.exit(status),
  abort: new AbortController().signal,
})
interrupted.then(
  (name) => closers.close().finally(() => process.exit(name === 'SIGINT' ? 130 : 143)),
  () => {},
)
try {
  await main(closers)
} finally {
  await closers.close()
}
print(`${tally.passed} passed, ${tally.failed} failed`)
process.exit(tally.failed === 0 ? 0 : 1)
