/** docs/inventory.md shows inventories that load, and errors and warnings as they really are. */
import { readFileSync } from 'node:fs'
import { MusterError, parseTargets } from '@muster/contract'
import { parseInventory } from '@muster/inventory'
import { expect, it } from 'vitest'
import { openTestInventory, temporaryDirectory } from '../../support/inventory/test-inventory.ts'

const page = readFileSync('docs/inventory.md', 'utf8')
const blocks = [...page.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language = '', text = '']) => ({
  language,
  text,
}))
const examples = blocks.filter(({ language }) => language === 'yaml').map(({ text }) => text)
const parse = (text: string) =>
  parseInventory(text, 'inventory.yaml', { home: '/home/me', user: 'me', credentials: [] })

function messageOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (error instanceof MusterError) return error.message
    throw error
  }
  return 'nothing was thrown'
}

it('its examples load, and the one with mistakes gives the output that is quoted', () => {
  const wrong = examples.filter((text) => text.includes('hunter2'))
  expect(wrong).toHaveLength(1)
  for (const text of examples) {
    if (wrong.includes(text)) expect(page).toContain(`\`\`\`\n${messageOf(() => parse(text))}\n\`\`\``)
    else expect(parse(text).resolve('@*').length).toBeGreaterThan(0)
  }
})

it('its first example answers an unknown name as quoted', () => {
  const message = messageOf(() => parse(examples[0] ?? '').resolve('wbe02'))
  expect(page).toContain(`\`\`\`\n${message}\n\`\`\``)
})

it('two names of one machine are refused as quoted', () => {
  const message = messageOf(() => parse('hosts:\n  web01: { address: 10.0.0.11 }\n  www: { address: 10.0.0.11 }\n'))
  expect(page).toContain(`\`\`\`\n${message.split('\n').at(-1)}\n\`\`\``)
})

it('its example of a malformed expression is answered as quoted', () => {
  const message = messageOf(() => parse(examples[0] ?? '').resolve('db,web[1-0]'))
  expect(page).toContain(`\`\`\`\n${message}\n\`\`\``)
})

it('every term and operator in its tables can be parsed', () => {
  const [, tables = ''] = /## Target expressions\n([\s\S]*?)\n### /.exec(page) ?? []
  const cells = [...tables.matchAll(/^\| (`.*?`) \| /gm)].flatMap(([, cell = '']) => cell.split(', '))
  const written = cells.map((cell) => cell.replaceAll('`', '').replaceAll('\\|', '|').replace('…', 'web01'))
  expect(written.length).toBeGreaterThan(12)
  for (const expression of written)
    expect([expression, parseTargets(expression).length > 0]).toEqual([expression, true])
})

it('its SSH_SERVERS example gives the warning that is quoted', async () => {
  const [, sshServers] = /SSH_SERVERS='(.*)'/.exec(page) ?? []
  const { source, warnings } = await openTestInventory(await temporaryDirectory(), { sshServers })
  expect(source.current().hosts.get('db1')?.address).toBe('2001:db8::5')
  expect(page).toContain(`\`\`\`\n${warnings.join('\n')}\n\`\`\``)
})
