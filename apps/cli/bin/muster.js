#!/bin/sh
//usr/bin/env true; exec node -- "$0" "$@"
// The entry point that npm links; what it runs is built by `npm run build`. A shell reads the line above, and "--" keeps
// Node from taking our --env-file for its own, which would obey NODE_OPTIONS in that file.
import { existsSync } from 'node:fs'

const main = new URL('../dist/main.js', import.meta.url)
if (existsSync(main)) await import(main.href)
else {
  console.error('muster is not built yet: run "npm run build" in its folder')
  process.exitCode = 2
}
