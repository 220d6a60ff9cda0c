/**
 * Every Lua script: its file, and what it is given, by name and in order. This is where TypeScript and Lua agree;
 * test/unit/ledger/script-table.test.ts compares the rows with the heads of the scripts.
 *
 * `keys` begin at KEYS[1]; a script of one job (`isOfJob`) gets the key of the job before them. ARGV[1] is the base of
 * all key names and ARGV[2] the job ID, or ''. `args` begin at ARGV[3], and `rest` names what follows them.
 */

import { loadScript } from './load-script.ts'

/** What tells a claim from all others: every script that acts for a claim is given these first. */
const CLAIM = ['index', 'epoch', 'nonce'] as const

/** The scripts by name. */
export const SCRIPTS = {
  accept: loadScript({
    file: 'steps/accept',
    isOfJob: true,
    keys: [],
    args: [
      'idempotencyKey',
      'digest',
      'idempotencyS',
      'startWithinMs',
      'withinMs',
      'scriptBytes',
      'stdinBytes',
      'secretsBytes',
      'sharedMachines',
      'hourly',
      'signed',
      'fieldCount',
    ],
    rest: 'fields',
  }),
  'count-call': loadScript({
    file: 'steps/count-call',
    isOfJob: false,
    keys: ['calls', 'jobCalls'],
    args: ['callsLimit', 'jobCallsLimit', 'windowMs'],
  }),
  'store-text': loadScript({
    file: 'steps/store-text',
    isOfJob: false,
    keys: ['text'],
    args: ['offset', 'bytes', 'keptMs'],
  }),
  claim: loadScript({
    file: 'steps/claim',
    isOfJob: true,
    keys: [],
    args: ['index', 'attempt', 'reissue', 'worker', 'nonce', 'tried'],
  }),
  dispatch: loadScript({
    file: 'steps/dispatch',
    isOfJob: true,
    keys: [],
    args: [...CLAIM, 'connectMs', 'mode', 'hostKey', 'reached', 'notice'],
  }),
  'fall-back': loadScript({
    file: 'steps/fall-back',
    isOfJob: true,
    keys: [],
    args: [...CLAIM, 'notice'],
  }),
  append: loadScript({
    file: 'steps/append',
    isOfJob: true,
    keys: ['stored'],
    args: [...CLAIM, 'stream', 'side', 'offset', 'bytes'],
  }),
  finish: loadScript({
    file: 'steps/finish',
    isOfJob: true,
    keys: [],
    args: [
      ...CLAIM,
      'to',
      'remote',
      'reason',
      'exitCode',
      'isRetryable',
      'isHostsFault',
      'tried',
      'notice',
      'reached',
      'stdoutBytes',
      'stdoutLeftOut',
      'stdoutTail',
      'stderrBytes',
      'stderrLeftOut',
      'stderrTail',
    ],
    rest: 'fields',
  }),
  'keep-late-result': loadScript({
    file: 'steps/keep-late-result',
    isOfJob: true,
    keys: [],
    args: [...CLAIM, 'lateResult'],
  }),
  'hand-over': loadScript({ file: 'steps/hand-over', isOfJob: true, keys: [], args: CLAIM }),
  cancel: loadScript({ file: 'steps/cancel', isOfJob: true, keys: [], args: [], rest: 'indexes' }),
  extend: loadScript({ file: 'steps/extend', isOfJob: true, keys: [], args: ['execTimeoutMs', 'signed'] }),
  resume: loadScript({ file: 'steps/resume', isOfJob: true, keys: [], args: ['batch', 'signed'] }),
  'set-concurrency': loadScript({
    file: 'steps/set-concurrency',
    isOfJob: true,
    keys: [],
    args: ['concurrency', 'signed'],
  }),
  'keep-secret': loadScript({
    file: 'steps/keep-secret',
    isOfJob: false,
    keys: ['key'],
    args: ['secret'],
  }),
  now: loadScript({ file: 'read/now', isOfJob: false, keys: ['any'], args: [] }),
  output: loadScript({
    file: 'read/output',
    isOfJob: true,
    keys: ['head', 'tail'],
    args: ['index', 'stream', 'from', 'count'],
  }),
  holders: loadScript({ file: 'read/holders', isOfJob: true, keys: [], args: [], rest: 'indexes' }),
  report: loadScript({
    file: 'read/report',
    isOfJob: true,
    keys: [],
    args: ['wrongLimit', 'restLimit', 'noticeLimit', 'keyLimit', 'rerunLimit', 'scriptBytes', 'waitLimit'],
  }),
  heartbeat: loadScript({
    file: 'workers/heartbeat',
    isOfJob: false,
    keys: ['lease', 'suspicion', 'places'],
    args: ['claims', 'leaseMs', 'worker', 'placeCount'],
  }),
  recount: loadScript({ file: 'workers/recount', isOfJob: false, keys: ['places'], args: [] }),
  'jump-turn': loadScript({
    file: 'workers/jump-turn',
    isOfJob: false,
    keys: ['turns'],
    args: ['holder', 'limit', 'holdMs'],
  }),
  abandon: loadScript({
    file: 'clockwork/abandon',
    isOfJob: true,
    keys: [],
    args: ['index', 'worker', 'takeOverMs', 'unknownNonce'],
  }),
  repair: loadScript({ file: 'clockwork/repair', isOfJob: true, keys: [], args: [] }),
  tend: loadScript({ file: 'clockwork/tend', isOfJob: true, keys: [], args: [] }),
  due: loadScript({
    file: 'clockwork/due',
    isOfJob: false,
    keys: ['schedule'],
    args: ['limit', 'seenMs'],
  }),
  'sweep-turn': loadScript({
    file: 'clockwork/sweep-turn',
    isOfJob: false,
    keys: ['sign'],
    args: ['everyMs', 'word'],
  }),
  suspect: loadScript({
    file: 'clockwork/suspect',
    isOfJob: false,
    keys: ['suspicion'],
    args: ['keptMs'],
  }),
}

/** The name of a script. */
export type ScriptName = keyof typeof SCRIPTS

/** A ticket as scripts hand it back: TICKET_FIELDS in prelude.lua. */
export const TICKET_FIELDS = ['job_id', 'title', 'index', 'host', 'attempt', 'reissue'] as const

/** What a claim is told before the tickets that it lets go: CLAIMED_FIELDS in claim.lua. */
export const CLAIMED_FIELDS = [
  'epoch',
  'host',
  'started_ago_ms',
  'job_left_ms',
  'exec_timeout_ms',
  'concurrency',
  'total',
] as const
