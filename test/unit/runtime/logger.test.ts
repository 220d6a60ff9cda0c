import { createLogger, SecretScrubber } from '@muster/runtime'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

function capture(secrets: SecretScrubber, pretty = false) {
  const lines: string[] = []
  const logger = createLogger({ name: 'test', level: 'info', secrets, pretty, write: (line) => lines.push(line) })
  return { logger, lines }
}

describe('createLogger', () => {
  it('writes one JSON line per event', () => {
    const { logger, lines } = capture(new SecretScrubber())
    logger.info({ port: 80 }, 'listening')
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/\}\n$/)
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 'info', name: 'test', port: 80, msg: 'listening' })
  })

  it('masks a secret in messages, nested fields, keys, error texts, causes and children', () => {
    const { logger, lines } = capture(new SecretScrubber(['hunter2!']))
    const error = new Error('login with hunter2! failed', { cause: new Error('hunter2! was refused') })
    logger.info('password is hunter2!')
    logger.info({ deep: { deeper: [{ command: 'mysql -phunter2! db', 'hunter2!': 1 }] } }, 'nested')
    logger.error({ err: error }, 'as err')
    logger.error({ error }, 'as error')
    logger.error(error)
    logger.child({ token: 'hunter2!' }).info('bound')
    expect(lines).toHaveLength(6)
    expect(lines.join('')).not.toContain('hunter2')
    expect(lines.join('')).toContain('[secret]')
    for (const line of lines) expect(() => JSON.parse(line)).not.toThrow()
  })

  it('masks a secret that is told later, and the password inside a URL', () => {
    const secrets = new SecretScrubber()
    const { logger, lines } = capture(secrets)
    secrets.add('redis://:p%40ssword@10.0.0.1:6379')
    logger.info({ url: 'redis://:p%40ssword@10.0.0.1:6379', plain: 'p@ssword' }, 'connected')
    expect(lines.join('')).not.toMatch(/p(%40|@)ssword/)
  })

  it('logs numbers that merely look like part of a secret', () => {
    const { logger, lines } = capture(new SecretScrubber(['12345']))
    logger.info({ pin: 12_345, size: 1_234_567 }, 'x')
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ pin: '[secret]', size: 1_234_567 })
  })

  it('writes lines for people when asked to, with the stack of an error', () => {
    const { logger, lines } = capture(new SecretScrubber(), true)
    logger.warn({ url: 'http://x' }, 'listening')
    logger.error(new Error('broken'))
    expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} WARN {2}test: listening url="http:\/\/x"\n$/)
    expect(lines[1]).toContain('Error: broken\n    at ')
  })
})

describe('what a host or a caller may have hidden in a text', () => {
  const HIDDEN = /[^\P{C}\n\t]|[\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('\n12:30:01.123 INFO  test: forged', '\x1b[2J\u202e', '\x9b1m\u{e0041}\u3164', '\r\u2028'),
  )

  it.each([false, true])('is escaped in messages, fields and errors, and begins no line (for people: %j)', (pretty) => {
    fc.assert(
      fc.property(text, (said) => {
        const { logger, lines } = capture(new SecretScrubber(), pretty)
        logger.error({ said, err: new Error(said) }, said)
        const shown = lines.join('')
        expect(shown).not.toMatch(HIDDEN)
        if (pretty) expect(shown.match(/^\S/gm)).toHaveLength(1)
        else expect(JSON.parse(shown)).toMatchObject({ said, msg: said, err: { message: said } })
      }),
    )
  })
})

describe('SecretScrubber', () => {
  const secret = fc.string({ minLength: 6, maxLength: 40, unit: 'binary' }).filter((text) => text.trim().length >= 6)
  const around = fc.string({ maxLength: 10, unit: 'grapheme-ascii' })

  it('masks any secret inside any text', () => {
    fc.assert(
      fc.property(secret, around, around, (value, before, after) => {
        const masked = new SecretScrubber([value]).scrub(`${before}${value}${after}`)
        expect(masked).toContain('[secret]')
        expect(masked.replaceAll('[secret]', '')).not.toContain(value)
      }),
    )
  })

  it('masks any secret in base64 at any alignment, URL-encoded, and quoted for a shell', () => {
    fc.assert(
      fc.property(secret, around, around, (value, before, after) => {
        const scrubber = new SecretScrubber([value])
        const encoded = Buffer.from(`${before}${value}${after}`).toString('base64')
        expect(scrubber.scrub(encoded)).toContain('[secret]')
        expect(scrubber.scrub(encodeURIComponent(value))).toBe('[secret]')
        expect(scrubber.scrub(`'${value.replaceAll("'", "'\\''")}'`)).toBe("'[secret]'")
      }),
    )
  })

  it('keeps JSON valid whatever the secret is', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.jsonValue(), (value, document) => {
        const line = new SecretScrubber([value]).scrubJson(JSON.stringify({ document }))
        expect(() => JSON.parse(line)).not.toThrow()
      }),
    )
  })

  it('masks a very short secret only where it is the whole text', () => {
    const scrubber = new SecretScrubber(['ab'])
    expect(scrubber.scrub('ab')).toBe('[secret]')
    expect(scrubber.scrub('table')).toBe('table')
  })

  it('ignores an empty secret', () => {
    expect(new SecretScrubber(['']).scrub('text')).toBe('text')
  })
})
