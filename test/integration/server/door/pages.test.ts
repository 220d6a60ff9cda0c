/** The pages for people, in a real browser: they work under a strict policy, and ask nobody else for anything. */
import { describe, expect, test } from 'vitest'
import { CHROMIUM, visit } from '../../../support/server/browser.ts'
import { startTestServer } from '../../../support/server/server.ts'

/** What a person does on the page, and how one sees that it worked. */
const PAGES = [
  {
    path: '/docs',
    isThere: 'document.querySelectorAll(".opblock").length > 10',
    // A POST from the page, with the password that the browser has: the call passes every check of its origin.
    act: `(async () => {
      const click = async (selector) => {
        while (block.querySelector(selector) === null) await new Promise((done) => setTimeout(done, 50))
        block.querySelector(selector).click()
      }
      const block = document.querySelector('[id$="resolve_targets"], [id$="preview_targets"]')
      await click('.opblock-summary-control')
      await click('.try-out__btn')
      await click('.execute')
    })()`,
    hasWorked: '/"?code"?|Response headers/i.test(document.querySelector(".live-responses-table")?.innerText ?? "")',
  },
  {
    path: '/board',
    isThere: 'document.body.innerText.includes("tickets")',
    act: 'document.querySelector(\'a[href*="queue/tickets"]\').click()',
    hasWorked: '/job_[a-z2-7]{26}/.test(document.body.innerText)',
  },
] as const

describe.each(PAGES)('$path', ({ path, isThere, act, hasWorked }) => {
  test('names nothing of another origin, and its policy allows nothing of one', async () => {
    const { call } = await startTestServer()
    const { headers, text } = await call('GET', path)
    const policy = headers.get('content-security-policy') ?? ''
    expect(policy).toMatch(/default-src 'none'/)
    expect(policy).toMatch(/script-src 'self'(;|$)/)
    expect(policy).toMatch(/frame-ancestors 'none'/)
    expect(policy).not.toMatch(/unsafe-eval|https?:|\*|script-src[^;]*unsafe/)
    expect(text).not.toMatch(/(src|href)="(https?:)?\/\//)
    const assets = [...text.matchAll(/(?:src|href)="([^"]+\.(?:css|js)[^"]*)"/g)].map(([, asset = '']) => asset)
    expect(assets.length).toBeGreaterThan(2)
    for (const asset of assets) {
      const url = new URL(asset, new URL(/<base href="([^"]+)"/.exec(text)?.[1] ?? `${path}/`, 'http://x'))
      const answer = await call('GET', url.pathname)
      expect([asset, answer.status]).toEqual([asset, 200])
      if (asset.includes('.css')) expect(answer.text).not.toMatch(/(url\(|@import)\s*["']?(https?:)?\/\//)
    }
  })

  test.skipIf(CHROMIUM === undefined)('works in Chromium, and asks nobody else for anything', async () => {
    const { key, url, call } = await startTestServer()
    await call('POST', '/v1/jobs', { body: { command: 'true', targets: 'web[01-03]' } })
    const page = await visit(url + path, key)
    await expect.poll(() => page.evaluate(isThere), { timeout: 30_000 }).toBe(true)
    await page.evaluate(act)
    await expect.poll(() => page.evaluate(hasWorked), { timeout: 30_000 }).toBe(true)
    const asked = page.requests
      .filter((address) => !address.startsWith('data:'))
      .map((address) => new URL(address).host)
    expect(new Set(asked)).toEqual(new Set([new URL(url).host]))
    expect(page.requests.length).toBeGreaterThan(3)
    expect(page.complaints).toEqual([])
  })
})
