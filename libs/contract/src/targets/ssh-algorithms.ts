/**
 * The names of algorithms that a host can be offered by a list of its own: what every host is offered, and what is only
 * offered where somebody asks for it. What can be broken (group 1, DSA) is in neither.
 */

/** Key exchanges. */
export const KEY_EXCHANGES = {
  usual: [
    'curve25519-sha256@libssh.org',
    'curve25519-sha256',
    'ecdh-sha2-nistp256',
    'ecdh-sha2-nistp384',
    'ecdh-sha2-nistp521',
    'diffie-hellman-group-exchange-sha256',
    'diffie-hellman-group14-sha256',
    'diffie-hellman-group15-sha512',
    'diffie-hellman-group16-sha512',
    'diffie-hellman-group17-sha512',
    'diffie-hellman-group18-sha512',
  ],
  besides: ['diffie-hellman-group-exchange-sha1', 'diffie-hellman-group14-sha1'],
} as const

/** Host keys and their signatures. */
export const HOST_KEYS = {
  usual: [
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'rsa-sha2-512',
    'rsa-sha2-256',
  ],
  besides: ['ssh-rsa'],
} as const
