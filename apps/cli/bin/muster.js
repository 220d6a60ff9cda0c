#!/usr/bin/env node
// The entry point that npm links; what it runs is built by `npm run build`.
import { existsSync } from 'node:fs'

const main = new URL('../dist/main.js', import.meta.url)
if (existsSync(main)) await import(main.href)
else {
  console.error('muster is not built yet: run "npm run build" in its folder')
  process.exitCode = 2
}
