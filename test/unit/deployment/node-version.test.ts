/** The oldest Node that package.json promises is one that every package of the lock file accepts. */
import { readFileSync } from 'node:fs'
import { minVersion, satisfies } from 'semver'
import { expect, test } from 'vitest'
import { z } from 'zod'

const Engines = z.object({ engines: z.object({ node: z.string() }) })
const Package = z.object({
  engines: z.object({ node: z.string().optional() }).optional(),
  optional: z.boolean().optional(),
})
const Lock = z.object({ packages: z.record(z.string(), Package) })

test('every package of the lock file runs on the oldest Node that we promise', () => {
  const { engines } = Engines.parse(JSON.parse(readFileSync('package.json', 'utf8')))
  const oldest = minVersion(engines.node)?.version ?? ''
  expect(oldest).toMatch(/^20\./)
  const { packages } = Lock.parse(JSON.parse(readFileSync('package-lock.json', 'utf8')))
  // npm leaves out an optional package that this Node cannot run, without a word.
  const installed = Object.entries(packages).filter(([, { optional }]) => optional !== true)
  expect(installed.length).toBeGreaterThan(100)
  const refusing = installed.filter(([, { engines: wanted }]) => !satisfies(oldest, wanted?.node ?? '*'))
  expect(refusing.map(([path, { engines: wanted }]) => `${path} wants Node ${wanted?.node}`)).toEqual([])
})
