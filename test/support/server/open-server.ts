/** The settings of a server that limits nobody, believes no proxy, takes no secrets and lets requests name no hosts. */
import { BlockList } from 'node:net'
import { readAdhocPolicy } from '@muster/inventory'

const policy = readAdhocPolicy('off')
if ('mistake' in policy) throw new Error(policy.mistake)

/** What a test spreads into the dependencies of a server. */
export const OPEN_SERVER = {
  limits: { callsPerMin: 0, jobsPerMin: 0 },
  policy,
  sealer: undefined,
  signWork: undefined,
  checkWork: undefined,
  tls: undefined,
  trustedProxies: new BlockList(),
}
