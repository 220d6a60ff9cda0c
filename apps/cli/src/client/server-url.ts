/** Addresses of servers: which ones an API key may be sent to, and when two are the same. */
import { MusterError } from '@muster/contract'

/** Where a server is, and the key for it. */
export type ServerAddress = { readonly url: string; readonly apiKey: string }

/**
 * The address in one form, without a slash at its end.
 * @throws {MusterError} `invalid_config` naming `source` when it is no address of a server, or when a key would go over
 *   the network unencrypted and `allowsHttp` is false
 */
export function serverUrl(text: string, { source, allowsHttp }: { source: string; allowsHttp: boolean }): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || `${url.username}${url.password}${url.search}` !== '') {
    const form = 'an address such as https://muster.example.com, without user, password and query'
    throw new MusterError('invalid_config', `${source}: received ${shown(text)}, which is not accepted; give ${form}`)
  }
  if (url.protocol === 'http:' && !allowsHttp && !isOnThisMachine(url.hostname)) {
    const why = 'does not encrypt, so anyone on the network could read the API key and act as you'
    const advice = 'Use https://, or MUSTER_ALLOW_HTTP=1 (muster login: --allow-http) if that network is yours alone'
    throw new MusterError('invalid_config', `${source}: http://${url.host} ${why}. ${advice}`)
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
}

/** Without what may be secret in it: user and password, and the query. */
function shown(text: string): string {
  const bare = text.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, '$1').replace(/[?#].*/s, '')
  return JSON.stringify(bare.slice(0, 200))
}

/** Whether requests to this address stay on this machine. */
export function isOnThisMachine(hostname: string): boolean {
  return /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)
}
