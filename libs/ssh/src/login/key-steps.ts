/**
 * The steps of a log-in by public key: with a key of a file, with its certificate, with an agent that holds its private
 * half, and with whatever else an agent holds. Says what came of each for people: names of files, never a secret.
 */
import { fingerprintOf, type UsedCredential } from '@muster/contract'
import type { ParsedKey } from 'ssh2'
import type { Attempt, Step } from './attempt.ts'
import { type Certificate, doubtsAbout, faultOf, readCertificate } from './certificate.ts'
import { certifiedKey } from './certified-key.ts'
import type { Credential } from './credential.ts'
import { readPrivateKey, readPublicKey } from './keys.ts'
import { type AgentLimits, askingBeforeSha1, LoginAgent } from './login-agent.ts'

/** Who logs in, and what an agent may do for it. */
export type KeyLogin = { readonly user: string; readonly agent: Pick<AgentLimits, 'maySha1' | 'onAsked'> }

type KeyCredential = Extract<Credential, { kind: 'key' }>

/** The steps for a key, the certificate first; none for another kind of credential. */
export function keySteps(credential: Credential, login: KeyLogin): Step[] {
  if (credential.kind === 'run_key') {
    const { key, certificate } = credential
    const make = () => withCertificate(key, certificate, login)
    return [{ label: `certificate of the run (${certificate.keyId})`, method: 'publickey', make }]
  }
  if (credential.kind !== 'key') return []
  const { source, certificate: text } = credential
  const alone: Step = { label: `key ${source}`, method: 'publickey', make: () => keyAlone(credential, login) }
  if (text === undefined) return [alone]
  const make = () => keyWithCertificate(credential, text, login)
  return [{ label: `certificate of ${source}`, method: 'publickey', make }, alone]
}

/** The step for all that an agent holds; none for another kind of credential. */
export function agentSteps(credential: Credential, login: KeyLogin): Step[] {
  if (credential.kind !== 'agent') return []
  const { socket } = credential
  const make: Step['make'] = () => {
    if (socket === '') return { problem: 'no socket is given; is SSH_AUTH_SOCK set?' }
    const agent = new LoginAgent(socket, login.agent)
    const used = () => usedKey('agent', agent.signedWith)
    return { method: { type: 'agent', username: login.user, agent }, used }
  }
  return [{ label: `agent ${socket}`, method: 'publickey', make }]
}

function keyAlone(credential: KeyCredential, login: KeyLogin): ReturnType<Step['make']> {
  const usable = readPrivateKey(credential)
  const { publicHalf = '', agent = '' } = credential
  const besides = readPublicKey(publicHalf)
  if ('key' in usable) {
    const key = askingBeforeSha1(usable.key, login.agent.maySha1)
    return {
      method: { type: 'publickey', username: login.user, key },
      used: () => usedKey('key', usable.key),
      ...explainRefusal(credential.source, usable.key, besides),
    }
  }
  const only = usable.publicKey ?? besides
  if (only === undefined) return usable
  if (agent === '') return { problem: `${usable.problem}; an agent may hold it, and SSH_AUTH_SOCK is not set` }
  return heldByAgent(agent, only, { login, problem: usable.problem })
}

/** One key of an agent: the agent may hold a private key that cannot be used from its file. */
function heldByAgent(
  socket: string,
  only: ParsedKey,
  { login, problem }: { login: KeyLogin; problem: string },
): Attempt {
  const print = fingerprintOf(only.getPublicSSH())
  const agent = new LoginAgent(socket, { only, ...login.agent })
  const told = (why: string) => `${problem}, or hand it to the agent (ssh-add): ${why}, ${print}`
  return { method: { type: 'agent', username: login.user, agent }, used: () => usedKey('agent', only), told }
}

/** The key with the certificate that lies beside it. Its private half may be with an agent. */
function keyWithCertificate(
  credential: KeyCredential,
  text: Buffer | string,
  login: KeyLogin,
): ReturnType<Step['make']> {
  const certificate = readCertificate(text)
  if ('problem' in certificate) return certificate
  const usable = readPrivateKey(credential)
  const { publicHalf = '', agent = '' } = credential
  const key = 'key' in usable ? usable.key : (usable.publicKey ?? readPublicKey(publicHalf))
  if (key === undefined) return { problem: 'problem' in usable ? usable.problem : 'it has no public half' }
  const fault = faultOf(certificate, key.getPublicSSH())
  if (fault !== undefined) return { problem: fault }
  if ('key' in usable) return withCertificate(key, certificate, login)
  if (agent === '') return usable
  const { shown } = certifiedKey(key, certificate)
  const held = new LoginAgent(agent, { only: key, shown, ...login.agent })
  const told = (why: string) => `${usable.problem}, or hand it to the agent (ssh-add): ${why}`
  return {
    method: { type: 'agent', username: login.user, agent: held },
    ...certificateEnds(certificate, login),
    told,
  }
}

function withCertificate(key: ParsedKey, certificate: Certificate, login: KeyLogin): Attempt {
  const { shown } = certifiedKey(key, certificate)
  return {
    method: { type: 'publickey', username: login.user, key: shown },
    ...certificateEnds(certificate, login),
  }
}

/** What a host has once it accepts a certificate, and why it may have refused it. */
function certificateEnds(certificate: Certificate, { user }: KeyLogin): Pick<Attempt, 'used' | 'refusal'> {
  const { publicKey, keyId, serial, authority } = certificate
  const shown = { key_id: keyId, serial: String(serial), authority: fingerprintOf(authority) }
  return {
    used: () => ({ kind: 'certificate', fingerprint: fingerprintOf(publicKey), certificate: shown }),
    refusal: () => {
      const doubts = doubtsAbout(certificate, user, Date.now())
      return { outcome: ['refused', ...doubts].join('; '), isRefused: true }
    },
  }
}

/** Explains the refusal of a key whose `.pub` file holds another key, which may be the one enrolled on the host. */
function explainRefusal(source: string, key: ParsedKey, besides: ParsedKey | undefined): Pick<Attempt, 'refusal'> {
  const [own, other] = [key, besides].map((one) => one?.getPublicSSH())
  if (own === undefined || other === undefined || own.equals(other)) return {}
  const which = `${source}.pub is another key (${fingerprintOf(other)}) than this one (${fingerprintOf(own)})`
  const outcome = `refused; ${which}; "ssh-keygen -y -f" with the file shows the public half to enrol`
  return { refusal: () => ({ outcome, isRefused: true }) }
}

function usedKey(kind: 'key' | 'agent', key: ParsedKey | undefined): UsedCredential {
  const blob = key?.getPublicSSH()
  return { kind, fingerprint: blob === undefined ? null : fingerprintOf(blob) }
}
