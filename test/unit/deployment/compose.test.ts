/**
 * The deployment files, as far as they can be checked without a Docker daemon: form, names and settings that matter.
 */
import { readFileSync } from 'node:fs'
import { parseInventory } from '@muster/inventory'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { ServerConfig } from '../../../apps/server/src/config.ts'

/** The part of the Compose specification that the file uses; anything else in it is a mistake. */
const Service = z.strictObject({
  image: z.string().optional(),
  build: z.strictObject({ context: z.string(), target: z.string() }).optional(),
  restart: z.enum(['unless-stopped']).optional(),
  command: z.union([z.string(), z.array(z.string())]).optional(),
  user: z.string().optional(),
  environment: z.record(z.string(), z.string()).optional(),
  configs: z.array(z.strictObject({ source: z.string(), target: z.string() })).optional(),
  volumes: z.array(z.string().regex(/^[^:]+:\/[^:]+(:ro)?$/)).optional(),
  ports: z.array(z.string()).optional(),
  stop_grace_period: z.string().optional(),
  healthcheck: z.object({ test: z.string() }).loose().optional(),
  depends_on: z
    .record(z.string(), z.strictObject({ condition: z.enum(['service_healthy', 'service_completed_successfully']) }))
    .optional(),
})
const Compose = z.strictObject({
  name: z.string(),
  'x-muster': z.unknown(),
  services: z.record(z.string(), Service),
  configs: z.record(z.string(), z.strictObject({ content: z.string() })),
  volumes: z.record(z.string(), z.null()),
})

const compose = Compose.parse(parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true }))
const dockerfile = readFileSync('Dockerfile', 'utf8')
const { services } = compose

describe('docker-compose.yml', () => {
  test('Redis keeps what it is told: append-only, written at once, nothing evicted', () => {
    const command = services.redis?.command
    for (const setting of ['--appendonly yes', '--appendfsync always', '--maxmemory-policy noeviction']) {
      expect(command).toContain(setting)
    }
  })

  test('every service that others wait for, every volume, config and build target exists', () => {
    const targets = [...dockerfile.matchAll(/ AS (\w+)$/gm)].map(([, name]) => name)
    for (const [name, service] of Object.entries(services)) {
      for (const other of Object.keys(service.depends_on ?? {}))
        expect([name, services[other]]).toEqual([name, expect.anything()])
      for (const { source } of service.configs ?? []) expect(compose.configs).toHaveProperty(source)
      for (const volume of service.volumes ?? []) {
        const [source = ''] = volume.split(':')
        if (/^[\w-]+$/.test(source)) expect(compose.volumes).toHaveProperty(source)
      }
      if (service.build !== undefined) expect(targets).toContain(service.build.target)
    }
  })

  test('the key files of the user are mounted read-only, and the server is on loopback only', () => {
    for (const name of ['server', 'worker']) {
      expect(services[name]?.volumes).toContain('$' + '{HOME}/.ssh:/home/node/.ssh:ro')
    }
    for (const port of services.server?.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/)
  })

  test('the server says which way it has beyond loopback, and it starts with that', () => {
    const { MUSTER_HOST, MUSTER_BEHIND_PROXY } = services.server?.environment ?? {}
    const others = { REDIS_URL: 'redis://redis', MUSTER_DATA_DIR: '/data', MUSTER_INVENTORY: '/inventory.yaml' }
    const given = { ...others, MUSTER_HOST, MUSTER_BEHIND_PROXY }
    expect(MUSTER_HOST).toBe('0.0.0.0')
    expect(ServerConfig.safeParse(given).success).toBe(true)
    const without = ServerConfig.safeParse({ ...given, MUSTER_BEHIND_PROXY: undefined })
    expect(without.error?.issues).toMatchObject([{ path: ['MUSTER_HOST'] }])
  })

  test('the server never sees the private keys of workers, nor a worker those of servers', () => {
    const seen = (name: string) => {
      const { volumes, environment } = services[name] ?? {}
      const volume = volumes?.filter((one) => /^(worker|server|public)-keys:/.test(one))
      const files = Object.entries(environment ?? {}).filter(([variable]) =>
        /_(WORKER|SERVER)_.*KEY_FILE$/.test(variable),
      )
      return { volume, files: files.map(([, file]) => file) }
    }
    const files = ['/public-keys/worker-keys.pub.json', '/public-keys/server-keys.pub.json']
    expect(seen('server')).toEqual({
      volume: ['public-keys:/public-keys:ro', 'server-keys:/server-keys:ro'],
      files: [...files, '/server-keys/server-keys.json'],
    })
    expect(seen('worker')).toEqual({
      volume: ['public-keys:/public-keys:ro', 'worker-keys:/worker-keys:ro'],
      files: [...files, '/worker-keys/worker-keys.json'],
    })
  })

  test('every variable it sets is documented', () => {
    const documented = readFileSync('docs/configuration.md', 'utf8')
    for (const service of Object.values(services)) {
      for (const name of Object.keys(service.environment ?? {})) expect(documented).toContain(`\`${name}\``)
    }
  })

  test('its inventory is one that Muster accepts', () => {
    const text = compose.configs.inventory?.content ?? ''
    const inventory = parseInventory(text, 'docker-compose.yml', {
      user: 'nobody',
      home: '/home/node',
      credentials: [],
    })
    expect(inventory.resolve('@demo')).toEqual(['host1', 'host2', 'host3'])
    expect(inventory.resolve('@demo').every((name) => name in services)).toBe(true)
  })
})

describe('Dockerfile', () => {
  test('has several stages, runs on Node 24, and does not run as root', () => {
    expect(dockerfile.match(/^FROM node:24-/gm)?.length).toBeGreaterThan(1)
    const stages = dockerfile.split(/^FROM /m).slice(1)
    for (const stage of stages.filter((text) => /^CMD/m.test(text))) {
      const users = [...stage.matchAll(/^USER (\S+)/gm)].map(([, user]) => user)
      expect(users.at(-1)).toMatch(/^(node|demo)$/)
    }
  })
})
