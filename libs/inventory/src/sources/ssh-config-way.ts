/**
 * The way to a host of an SSH config: its `ProxyJump`, each host of it looked up in the config as ssh does, where the
 * first one may have a way of its own.
 */
import { isHostName } from '@muster/contract'
import type { HopDraft, HostDraft } from '../hosts/inventory-host.ts'
import { cannotJump, inCircle, NO_USER } from '../hosts/mistakes.ts'
import type { ConfigLine } from '../ssh-config/config-files.ts'
import type { JumpWords } from '../ssh-config/proxy-jump.ts'
import type { Wanted } from '../ssh-config/settings.ts'
import type { FoundHost } from './ssh-config-host.ts'

type LookUp = (wanted: Wanted) => FoundHost

/** What a draft gets for its way: how it is written, each host of it, and what is wrong with it. */
export function wayTo(found: FoundHost, lookUp: LookUp): Partial<HostDraft> {
  const { host, jumps } = found
  if (jumps.length === 0) return {}
  const jump = jumps.map(({ written }) => written).join()
  const way = hopsOf(found, lookUp, [host.name])
  if ('circle' in way) return { jump, hops: [], wayFault: inCircle(way.circle) }
  const { hops } = way
  const itself = hops.find(({ host: hop }) => isSame(hop, host))
  const bad = hops.find((hop) => hop.host.disabled !== undefined || hop.host.user === '')
  const why = bad?.host.disabled ?? NO_USER
  return {
    jump,
    hops,
    ...toldOf(host, hops),
    ...(bad !== undefined && { wayFault: cannotJump(bad.host.name, why) }),
    ...(itself !== undefined && { wayFault: inCircle([host.name, itself.host.name]) }),
  }
}

function isSame(one: HostDraft, other: HostDraft): boolean {
  return one.address === other.address && one.port === other.port && one.user === other.user
}

/** The options that are not taken, those of the way included: its hosts may be shown nowhere else. */
function toldOf(host: HostDraft, hops: readonly HopDraft[]): Pick<HostDraft, 'notTaken'> {
  const all = [...(host.notTaken ?? [])]
  const places = new Set(all.map(({ file, line }) => `${file}:${line}`))
  for (const { host: hop } of hops) {
    for (const one of hop.notTaken ?? []) {
      const place = `${one.file}:${one.line}`
      if (!places.has(place)) all.push(Object.freeze({ ...one, why: `of the jump host ${hop.name}: ${one.why}` }))
      places.add(place)
    }
  }
  return all.length === 0 ? {} : { notTaken: Object.freeze(all) }
}

/** What the command line of ssh would say to a hop that another ssh starts. */
function givenFor(jump: JumpWords, before: readonly JumpWords[], line: ConfigLine | undefined): ConfigLine[] {
  const said = (written: string, word: string): ConfigLine[] => {
    const place = { file: line?.file ?? '', line: line?.line ?? 0 }
    return [{ ...place, keyword: written.toLowerCase(), written, words: [word], rest: word }]
  }
  return [
    ...(jump.user === undefined ? [] : said('User', jump.user)),
    ...(jump.port === undefined ? [] : said('Port', String(jump.port))),
    ...(before.length === 0 ? [] : said('ProxyJump', before.map(({ written }) => written).join())),
  ]
}

/** The hosts in the order of the way. `through`: the names whose own way leads here, to notice a circle. */
function hopsOf(
  { jumps, jumpLine }: FoundHost,
  lookUp: LookUp,
  through: readonly string[],
): { readonly hops: readonly HopDraft[] } | { readonly circle: readonly string[] } {
  const hops: HopDraft[] = []
  for (const [index, jump] of jumps.entries()) {
    const isFirst = index === 0
    const found = lookUp({ name: jump.name, given: givenFor(jump, jumps.slice(0, index), jumpLine) })
    const isBare = jump.user === undefined && jump.port === undefined && isHostName(jump.name)
    if (isFirst && through.includes(jump.name)) return { circle: [...through, jump.name] }
    const own = isFirst ? hopsOf(found, lookUp, [...through, jump.name]) : { hops: [] }
    if ('circle' in own) return own
    hops.push(...own.hops, { isBare, host: { ...found.host, name: jump.written } })
  }
  return { hops }
}
