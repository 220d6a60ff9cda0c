/**
 * Makes one program of each app, `dist/main.js`: Node takes longer to find a thousand modules than to run them. `tsc`
 * checks the same sources.
 */
import { dirname, relative, resolve } from 'node:path'
import { defineConfig, type OutputOptions, type Plugin, type RolldownOptions } from 'rolldown'

/** Has native parts, which the installation puts in its place. */
const LEFT_OUT = [/\.node$/, /^ssh2$/, /^cpu-features$/, /^msgpackr-extract$/]

/** A program begins with this file: Node must be told to read maps before it loads what they are for. */
const ENTRY = 'muster:main'
const beginningOf = (main: string) => `process.setSourceMapsEnabled(true)\nawait import(${JSON.stringify(main)})`

/** How modules say where they are. Those of the older kind have no `import.meta`. */
const OWN_PLACE = /\b(?:import\.meta\.url|__dirname|__filename)\b/
const DIST = 'const MUSTER_DIST = import.meta.dirname'

function program(app: string): RolldownOptions {
  const home = resolve('apps', app)
  const dir = resolve(home, 'dist')
  const output: OutputOptions = {
    dir,
    cleanDir: true,
    intro: DIST,
    chunkFileNames: ({ name }) => (name === 'main' ? 'program.js' : '[name].js'),
    // A stack trace names the files that people wrote.
    sourcemap: true,
    sourcemapExcludeSources: true,
    comments: false,
    codeSplitting: { groups: [{ name: 'packages', test: /[\\/]node_modules[\\/]/, entriesAware: true }] },
  }
  const plugins = [ownSources(resolve(home, 'src/main.ts')), places(dir), withoutMapsOfPackages()]
  return {
    input: { main: ENTRY },
    external: LEFT_OUT,
    platform: 'node',
    checks: { eval: false },
    plugins,
    output,
    logLevel: 'warn',
  }
}

/** The programs are made of the sources, not of what `tsc` made of them, so that maps lead there. */
function ownSources(main: string): Plugin {
  return {
    name: 'muster:own-sources',
    resolveId: {
      filter: { id: /^@muster\/\w+$|^muster:main$/ },
      handler: (id) => (id === ENTRY ? id : resolve(id.replace('@muster', 'libs'), 'src/index.ts')),
    },
    load: { filter: { id: /^muster:main$/ }, handler: () => beginningOf(main) },
  }
}

/** A module finds what lies beside it (scripts in Lua, programs, pages) as if it still were in its own place. */
function places(dir: string): Plugin {
  return {
    name: 'muster:places',
    transform: {
      filter: { id: /^\//, code: OWN_PLACE },
      handler(code, id) {
        const path = relative(dir, id)
        const own = code.replaceAll('import.meta.url', `new URL('${path}', import.meta.url).href`)
        // On the same line: the map is that of the module.
        const older = `var __filename = MUSTER_DIST + '/${path}', __dirname = MUSTER_DIST + '/${dirname(path)}';`
        return { code: own === code ? `${older}${code}` : own, map: null }
      },
    },
  }
}

/** Node would read them at every start, and nobody looks for a fault there. */
function withoutMapsOfPackages(): Plugin {
  return {
    name: 'muster:without-maps-of-packages',
    generateBundle(_options, bundle) {
      for (const [name, file] of Object.entries(bundle)) {
        if (!name.startsWith('packages')) continue
        if (file.type === 'chunk') file.code = file.code.replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n')
        else delete bundle[name]
      }
    },
  }
}

export default defineConfig(['server', 'worker', 'cli', 'demo'].map(program))
