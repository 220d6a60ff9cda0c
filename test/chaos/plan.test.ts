/** What is planned for a chaos run: the same for the same seed, and of every kind. */
import { expect, test } from 'vitest'
import { planHosts, planJobs } from './commands.ts'
import { FAULT_TARGETS, planFaults } from './fault-plan.ts'
import { parseOptions } from './options.ts'

const hosts = planHosts(100)
const everyFault = Object.keys(FAULT_TARGETS)

test('the same seed gives the same plan, and another seed another', () => {
  const jobs = (seed: number) => planJobs({ seed, commands: 500, hosts })
  const faults = (seed: number) => planFaults({ seed, faults: 40, commands: 500 })
  expect(jobs(7)).toEqual(jobs(7))
  expect(faults(7)).toEqual(faults(7))
  expect(jobs(8)).not.toEqual(jobs(7))
  expect(faults(8)).not.toEqual(faults(7))
})

test('the jobs come to as many commands as were asked for, no two of one job on the same host', () => {
  const jobs = planJobs({ seed: 3, commands: 777, hosts })
  expect(jobs.reduce((sum, job) => sum + job.hosts.length, 0)).toBe(777)
  for (const job of jobs) expect(new Set(job.hosts).size).toBe(job.hosts.length)
})

test('a thousand commands are of every kind, durable and not, cancelled and not', () => {
  const jobs = planJobs({ seed: 20, commands: 1_000, hosts })
  expect(new Set(jobs.map(({ kind }) => kind)).size).toBe(9)
  expect(new Set(jobs.map(({ durable }) => durable)).size).toBe(2)
  expect(new Set(jobs.map(({ cancel }) => cancel === undefined)).size).toBe(2)
  expect(jobs.some(({ cancel }) => cancel?.hosts !== undefined)).toBe(true)
})

test('every kind of fault comes before any comes again, and all strike while commands are being submitted', () => {
  const faults = planFaults({ seed: 20, faults: everyFault.length * 2, commands: 1_000 })
  const [first, second] = [faults.slice(0, everyFault.length), faults.slice(everyFault.length)]
  for (const half of [first, second]) expect(new Set(half.map(({ kind }) => kind))).toEqual(new Set(everyFault))
  for (const { atCommand } of faults) expect(atCommand).toBeLessThan(1_000)
  expect(faults.map(({ atCommand }) => atCommand)).toEqual(
    faults.map(({ atCommand }) => atCommand).toSorted((a, b) => a - b),
  )
})

test('options that make no sense are refused', () => {
  expect(parseOptions(['--commands', '10', '--seed', '5'])).toMatchObject({ commands: 10, hosts: 100, seed: 5 })
  for (const args of [
    ['--commands', '0'],
    ['--hosts', '1001'],
    ['--break', 'nothing'],
    ['--colour', 'red'],
  ]) {
    expect(() => parseOptions(args)).toThrow()
  }
})
