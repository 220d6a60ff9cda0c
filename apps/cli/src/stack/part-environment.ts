/**
 * The environment of each part of the embedded stack. A part gets Muster's own settings and what any program may need;
 * the secrets of hosts, and of programs that give such, go to workers alone, and keys of the server to the server
 * alone.
 */
import { withoutPasswords } from '@muster/contract'
import { type Environment, isOwnName, picked, plainEnvironment, toolEnvironment } from '@muster/runtime'

/** Variables of an inventory's `password_env` and the like, and where workers look for secret files. */
const HOST_SECRET = /^MUSTER_SECRET_/
/** Where a client finds a server, and the key that it sends or a server accepts. */
const OF_CLIENTS = /^MUSTER_(URL|SERVER|ALLOW_HTTP|API_KEY)(_FILE)?$/
const OF_SERVER = /^MUSTER_API_KEY(_FILE)?$/
/** The private keys of each part, which the other one must not have. */
const KEYS_OF_WORKERS = 'MUSTER_WORKER_KEY_FILE'
const KEYS_OF_SERVER = 'MUSTER_SERVER_KEY_FILE'
const AGENT = 'SSH_AUTH_SOCK'

/** The variables that the operator lists for programs which give secrets to a worker. */
function ofCommands(env: Environment): Environment {
  const listed = (env.MUSTER_CREDENTIAL_COMMAND_ENV ?? '').split(',').map((name) => name.trim())
  return picked(env, (name) => listed.includes(name))
}

/** For the process of the whole stack, which starts the others. */
export function stackEnvironment(env: Environment): Environment {
  const own = picked(env, (name) => name === AGENT || isOwnName(name))
  return { ...toolEnvironment(env), ...ofCommands(env), ...own }
}

/** For a worker: with the passwords of hosts and the SSH agent. */
export function workerEnvironment(env: Environment): Environment {
  const isWanted = (name: string) =>
    name === AGENT || (isOwnName(name) && name !== KEYS_OF_SERVER && !OF_CLIENTS.test(name))
  return { ...plainEnvironment(env), ...ofCommands(env), ...picked(env, isWanted) }
}

/** For a server, which never logs in to a host. `sshServers` is the value, from wherever it was read. */
export function serverEnvironment(env: Environment, sshServers: string | undefined): Environment {
  const isWanted = (name: string) =>
    isOwnName(name) &&
    !HOST_SECRET.test(name) &&
    name !== KEYS_OF_WORKERS &&
    (OF_SERVER.test(name) || !OF_CLIENTS.test(name)) &&
    !/^SSH_SERVERS(_FILE)?$/.test(name)
  const hosts = sshServers === undefined ? {} : { SSH_SERVERS: withoutPasswords(sshServers) }
  return { ...plainEnvironment(env), ...picked(env, isWanted), ...hosts }
}
