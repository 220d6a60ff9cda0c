/**
 * Copies of the build with one guard taken out, to see that the checker notices: a checker that never finds anything
 * proves nothing. The build itself is never touched.
 */
import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Figure } from './check/checker.ts'
import type { FaultKind } from './fault-plan.ts'
import type { Break } from './options.ts'

/** One change of a file that runs. `find` must be there exactly once. */
type Edit = { readonly file: string; readonly find: string; readonly replace: string }

/** How a guard is taken out, the faults that it guards against, and the figure that must tell. */
export type Breakage = {
  readonly edits: readonly Edit[]
  readonly faults: readonly FaultKind[]
  readonly figure: Figure
}

/** The guards. The source may move on; then the copy refuses to be made, and the edit is brought up to date. */
export const BREAKAGES: Readonly<Record<Break, Breakage>> = {
  // A run that is held, or has ended, can be claimed by whoever is handed its ticket.
  claim: {
    edits: [
      {
        file: 'libs/ledger/lua/steps/claim.lua',
        find: "if TERMINAL[run.state] then return {'ended'} end",
        replace: '',
      },
      {
        file: 'libs/ledger/lua/steps/claim.lua',
        find: "if not WAITING[run.state] then return {'held'} end",
        replace: '',
      },
    ],
    faults: ['redeliver'],
    figure: 'duplicates',
  },
  // A worker whose run was given to another one goes on as if it were its own.
  epoch: {
    edits: [
      {
        file: 'libs/ledger/lua/steps/dispatch.lua',
        find: "then return {'fenced'} end",
        replace: "then return {'go', '60000'} end",
      },
      { file: 'apps/worker/dist/program.js', find: 'stopFor("fenced");', replace: ';' },
      { file: 'libs/ledger/lua/steps/finish.lua', find: 'if not is_own or not HELD', replace: 'if not HELD' },
      {
        file: 'libs/ledger/lua/steps/append.lua',
        find: 'run.epoch ~= epoch or run.nonce ~= nonce',
        replace: 'false',
      },
    ],
    faults: ['freeze_worker'],
    figure: 'duplicates',
  },
  // A run is ended before its output is stored.
  flush: {
    edits: [
      { file: 'apps/worker/dist/program.js', find: 'await writer.flush();', replace: '' },
      { file: 'apps/worker/dist/program.js', find: 'await flush();', replace: '' },
      // Else the end of the run says by itself what is missing.
      {
        file: 'libs/ledger/lua/steps/finish.lua',
        find: "redis.call('HSET', key, stream .. '_omitted', bytes - held, 'missing', 1)",
        replace: '',
      },
    ],
    faults: ['stall_redis'],
    figure: 'output_mismatches',
  },
  // A command counts as ended, with no signal and no look.
  kill: {
    edits: [
      {
        file: 'apps/worker/dist/program.js',
        find: 'async function killGroup(',
        replace: "async function killGroup() { return 'ended'; }\nasync function notCalled(",
      },
    ],
    faults: ['cut_ssh'],
    figure: 'false_endeds',
  },
  // A start is believed on stderr alone, and its absence taken for the opposite: false where streams are merged.
  hello: {
    edits: [
      {
        file: 'apps/worker/dist/program.js',
        find: 'stdout: new MarkFilter(nonce, seen, bySudo)',
        replace: 'stdout: new MarkFilter(nonce, { ...seen, onStart: () => {} }, bySudo)',
      },
      { file: 'apps/worker/dist/program.js', find: 'if (hasRefused)', replace: 'if (true)' },
    ],
    faults: ['cut_redis'],
    figure: 'false_not_starteds',
  },
}

/** What a package needs to run: `dist` of an app is its whole program. */
const PARTS = new Set(['dist', 'lua', 'package.json'])

/**
 * Copies the built packages below `root` into the empty directory `into`, and takes a guard out. Everything that is
 * not of this workspace is shared.
 * @throws {Error} when an edit does not fit the source any more
 */
export async function breakBuild(root: string, into: string, { edits }: Pick<Breakage, 'edits'>): Promise<void> {
  const modules = join(into, 'node_modules')
  await mkdir(join(modules, '@muster'), { recursive: true })
  for (const name of await readdir(join(root, 'node_modules'))) {
    if (name !== '@muster') await symlink(join(root, 'node_modules', name), join(modules, name))
  }
  for (const group of ['apps', 'libs']) {
    for (const name of await readdir(join(root, group))) {
      const target = join(into, group, name)
      for (const part of await readdir(join(root, group, name))) {
        if (PARTS.has(part)) await cp(join(root, group, name, part), join(target, part), { recursive: true })
      }
      await symlink(target, join(modules, '@muster', basename(name)))
    }
  }
  for (const edit of edits) await applyEdit(into, edit)
}

async function applyEdit(root: string, { file, find, replace }: Edit): Promise<void> {
  const path = join(root, file)
  const [before, after, ...more] = (await readFile(path, 'utf8')).split(find)
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(`${file} does not have exactly once: ${find}`)
  }
  await writeFile(path, `${before}${replace}${after}`)
}
