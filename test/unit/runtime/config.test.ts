import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MusterError } from '@muster/contract'
import { parseConfig, secretsOf } from '@muster/runtime'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'

const Config = z.object({
  PORT: z.coerce.number().int().min(1).max(65_535).default(7420).describe('Where to listen.'),
  LEVEL: z.enum(['info', 'debug']).default('info'),
  VERBOSE: z.stringbool().default(false),
  SITE: z.string().min(3).optional(),
  TOKEN: z.string().min(8).meta({ secret: true }).optional(),
  STORE: z.url().optional(),
})

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'config-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

function file(content: string): string {
  const path = join(directory, 'value')
  writeFileSync(path, content)
  return path
}

function mistake(schema: z.ZodObject, env: Record<string, string | undefined>): string {
  try {
    parseConfig(schema, env)
  } catch (error) {
    expect(error).toBeInstanceOf(MusterError)
    if (error instanceof MusterError && error.code === 'invalid_config') return error.message
  }
  throw new Error('no invalid_config was thrown')
}

describe('parseConfig', () => {
  it('takes defaults for what is absent or empty, and turns text into numbers and booleans', () => {
    const config = parseConfig(Config, { PORT: '80', LEVEL: '', VERBOSE: 'true', UNRELATED: 'x' })
    expect(config).toEqual({ PORT: 80, LEVEL: 'info', VERBOSE: true })
  })

  it('gives a frozen value', () => {
    expect(Object.isFrozen(parseConfig(Config, {}))).toBe(true)
  })

  it('reads NAME from the file NAME_FILE, without its trailing newline', () => {
    expect(parseConfig(Config, { TOKEN_FILE: file('s3cret with spaces \n') }).TOKEN).toBe('s3cret with spaces ')
    expect(parseConfig(Config, { TOKEN_FILE: file('two-lines\n\n') }).TOKEN).toBe('two-lines\n')
  })

  it('calls it a mistake to give a variable and its file', () => {
    const path = file('12345678')
    expect(mistake(Config, { TOKEN: '12345678', TOKEN_FILE: path })).toContain('both TOKEN and TOKEN_FILE are given')
  })

  it('names a file that cannot be read', () => {
    const text = mistake(Config, { TOKEN_FILE: '/nowhere/token' })
    expect(text).toContain('the file /nowhere/token named by TOKEN_FILE cannot be read (ENOENT)')
  })

  it('tells every mistake at once: variable, value received, what is accepted', () => {
    const text = mistake(Config.extend({ NEEDED: z.string() }), {
      PORT: '70000',
      LEVEL: 'loud',
      VERBOSE: 'perhaps',
      STORE: 'x',
    })
    expect(text).toContain('PORT: received "70000"; accepted: an integer from 1 to 65535 (Where to listen).')
    expect(text).toContain('LEVEL: received "loud"; accepted: one of info, debug.')
    expect(text).toContain('VERBOSE: received "perhaps"; accepted: true or false.')
    expect(text).toContain('STORE: received "x"; accepted: text of the form uri.')
    expect(text).toContain('NEEDED: is not set; accepted: text.')
  })

  it('says of text that is no number that a number is accepted', () => {
    expect(mistake(Config, { PORT: 'http' })).toContain('PORT: received "http"; accepted: an integer from 1 to 65535')
  })

  it('never shows a secret value, nor what stands in a file', () => {
    expect(mistake(Config, { TOKEN: 'hunter2' })).toContain('TOKEN: the value (not shown, it is a secret) is not valid')
    expect(mistake(Config, { TOKEN: 'hunter2' })).not.toContain('hunter2')
    expect(mistake(Config, { SITE_FILE: file('xy') })).not.toContain('xy"')
  })

  it('gives the log the values of the fields marked as secret', () => {
    const config = parseConfig(Config, { TOKEN: 'correct horse', SITE: 'public' })
    expect(secretsOf(Config, config)).toEqual(['correct horse'])
  })
})
