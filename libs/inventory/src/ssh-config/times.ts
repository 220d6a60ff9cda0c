/** Times as OpenSSH writes them: `90`, `1m30s`, `2h`; `none` for no limit. @see sshd_config(5), TIME FORMATS */

const UNITS: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 }

/** The seconds of a time, or 'none'; undefined for a text that is no time. */
export function secondsOf(text: string): number | 'none' | undefined {
  if (text === 'none') return 'none'
  if (!/^(?:\d{1,9}[smhdw]?)+$/i.test(text)) return undefined
  const parts = [...text.matchAll(/(\d+)([smhdw]?)/gi)]
  return parts.reduce((sum, [, count = '', unit = '']) => sum + Number(count) * (UNITS[unit.toLowerCase()] ?? 1), 0)
}
