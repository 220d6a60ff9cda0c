/** Lists as an AI agent reads them: short rows, folded names, and the call that gets the next page. */
import {
  foldHosts,
  type HostListAnswer,
  type JobListAnswer,
  type NextCall,
  type Output,
  SSH_PORT,
  type TargetsAnswer,
} from '@muster/contract'
import type { Fields } from '../operations/call/request-input.ts'
import { clip } from '../text/clip.ts'
import { countsAboveZero } from './job-answer.ts'

/** Longest title or target expression of a job in a list. */
const TEXT_CHARS = 40
/** With more hosts than this on a page, only their names are shown. */
const ROWS_LIMIT = 20
/** Longest list of names that a target expression selects. */
const NAMES_CHARS = 1_000
/** Most labels, and most values of each, that are counted. */
const LABELS_LIMIT = 6

/** A page of jobs, one row for each. */
export function toJobList({ jobs, next_cursor: cursor }: Output<'list_jobs'>, fields: Fields): JobListAnswer {
  return {
    jobs: jobs.map((job) => ({
      job_id: job.job_id,
      state: job.state,
      title: clip(job.title ?? '', TEXT_CHARS),
      targets: clip(job.targets ?? '', TEXT_CHARS),
      hosts: job.total,
      counts: countsAboveZero(job.counts),
      // Without fractions of a second.
      created_at: job.created_at.replace(/\.\d+/, ''),
    })),
    next: nextPage('list_jobs', fields, cursor),
  }
}

/** A page of hosts: their names, and details of each when there are few. */
export function toHostList(
  { hosts, total, next_cursor: cursor }: Output<'list_hosts'>,
  fields: Fields,
): HostListAnswer {
  const disabled = hosts.filter((host) => host.disabled !== null)
  const isFew = hosts.length <= ROWS_LIMIT
  const [first] = hosts
  const more: NextCall[] =
    isFew || first === undefined
      ? []
      : [
          {
            why: `address, user, groups and labels of at most ${ROWS_LIMIT}`,
            tool: 'list_hosts',
            arguments: { targets: first.name },
          },
        ]
  return {
    total,
    shown: hosts.length,
    names: foldHosts(hosts.map(({ name }) => name)),
    ...(disabled.length === 0 ? {} : { disabled: foldHosts(disabled.map(({ name }) => name)) }),
    ...(isFew ? { hosts: hosts.map(toRow) } : {}),
    next: [...nextPage('list_hosts', fields, cursor), ...more],
  }
}

function toRow(host: Output<'list_hosts'>['hosts'][number]): NonNullable<HostListAnswer['hosts']>[number] {
  const { name, aliases, address, port, user, jump, groups, labels, disabled, not_taken } = host
  return {
    name,
    ...(aliases.length === 0 ? {} : { aliases }),
    address,
    ...(port === SSH_PORT ? {} : { port }),
    user,
    ...(jump === null ? {} : { jump }),
    ...(groups.length === 0 ? {} : { groups }),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    ...(disabled === null ? {} : { disabled }),
    ...(not_taken.length === 0 ? {} : { not_taken: [...new Set(not_taken.map(({ option }) => option))] }),
  }
}

/** What a target expression selects: the names, and how the hosts are labelled. */
export function toTargets(resolved: Output<'resolve_targets'>, fields: Fields): TargetsAnswer {
  const { count, folded, hosts, labels, unavailable, seed } = resolved
  const names = clip(folded, NAMES_CHARS)
  const drawn = seed === null ? {} : { seed }
  const isAsked = fields.hosts_limit !== undefined
  const all: NextCall[] =
    names.length < folded.length && !isAsked
      ? [
          {
            why: 'the names one by one',
            tool: 'preview_targets',
            arguments: { ...fields, ...drawn, hosts_limit: 1_000 },
          },
        ]
      : []
  const most = labelsOf(labels)
  return {
    count,
    names,
    ...(isAsked || count <= ROWS_LIMIT ? { in_order: hosts } : {}),
    ...(Object.keys(most).length === 0 ? {} : { labels: most }),
    ...(unavailable.length === 0
      ? {}
      : { unavailable: unavailable.map((row) => ({ ...row, hosts: clip(row.hosts, 160) })) }),
    ...drawn,
    next: all,
  }
}

function labelsOf(labels: Output<'resolve_targets'>['labels']): NonNullable<TargetsAnswer['labels']> {
  const first = Object.entries(labels).slice(0, LABELS_LIMIT)
  return Object.fromEntries(
    first.map(([key, values]) => [key, Object.fromEntries(Object.entries(values).slice(0, LABELS_LIMIT))]),
  )
}

function nextPage(tool: 'list_jobs' | 'list_hosts', fields: Fields, cursor: string | null): NextCall[] {
  return cursor === null ? [] : [{ why: 'the next page', tool, arguments: { ...fields, cursor } }]
}
