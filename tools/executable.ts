/**
 * `npm run build:executable`: the credential plugin as one file that needs no Node, for this platform, or for others by
 * name. Owns which Bun goes into it and how it is built; what is in it is src/cli/plugin.ts.
 *
 * Every Bun, that of another platform too, comes from npm by the lock in tools/executable, so that its bytes are known.
 * tools/executable/targets.json is the table of platforms, for this program and for the matrix of a CI.
 *
 * usage: node tools/executable.ts [--target TARGET …] [--all] [--out FOLDER]
 *        node tools/executable.ts --list      the targets
 *        node tools/executable.ts --missing   the package of Bun that is not here yet, for this platform
 *        node tools/executable.ts --install   brings it
 */

import { createHash } from 'node:crypto'
import {
  copyFileSync,
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { say, step } from './progress.cjs'

const ROOT = dirname(import.meta.dirname)
const LOCKED = join(import.meta.dirname, 'executable')
const ENTRY = join(ROOT, 'src/cli/plugin.ts')
const SUMS = 'SHA256SUMS'

/** A platform: as npm calls it, and as Bun does. */
export interface Target {
  /** `linux-x64`; the file is `archway-linux-x64`. */
  readonly target: string
  readonly os: NodeJS.Platform
  readonly cpu: string
  readonly libc?: string
  /** npm's package of Bun. */
  readonly runtime: string
  /** Bun's `--target`. */
  readonly compile: string
}

export const TARGETS: readonly Target[] = JSON.parse(readFileSync(join(LOCKED, 'targets.json'), 'utf8'))

/** Of the machine this runs on; undefined where Bun does not run. */
export function hostTarget(): Target | undefined {
  return TARGETS.find(
    ({ os, cpu, libc = 'glibc' }) => os === process.platform && cpu === process.arch && libc === 'glibc',
  )
}

/** `archway-linux-x64`. */
export function fileOf({ target, os }: Target): string {
  return `archway-${target}${os === 'win32' ? '.exe' : ''}`
}

class BuildError extends Error {}

// --- Bun ---------------------------------------------------------------------------------------------------------

/** The folder of a target's Bun. A new lock has a new one. */
function runtimeFolder({ target }: Target): string {
  const lock = createHash('sha256').update(readFileSync(join(LOCKED, 'package-lock.json')))
  return join(ROOT, '.cache/executable', `${target}-${lock.digest('hex').slice(0, 16)}`)
}

function bunIn(folder: string, { runtime, os }: Target): string {
  return join(folder, 'node_modules', runtime, 'bin', os === 'win32' ? 'bun.exe' : 'bun')
}

function hasRuntime(target: Target): boolean {
  return existsSync(bunIn(runtimeFolder(target), target))
}

/** Brings the Bun of a target where it is not there yet (some 40 MB to download) and gives its path. */
async function bringRuntime(target: Target): Promise<string> {
  const folder = runtimeFolder(target)
  const bun = bunIn(folder, target)
  if (existsSync(bun)) return bun
  mkdirSync(dirname(folder), { recursive: true })
  const making = mkdtempSync(`${folder}.`)
  try {
    for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(LOCKED, file), join(making, file))
    const { runtime, os, cpu, libc } = target
    const platform = [`--os=${os}`, `--cpu=${cpu}`, ...(libc === undefined ? [] : [`--libc=${libc}`])]
    const title = `bringing ${runtime}, which makes the executable (npm ci, once)`
    const { status, output } = await step(title, 'npm', ['ci', ...NPM_FLAGS, ...platform], { cwd: making })
    if (status !== 0 || !existsSync(bunIn(making, target))) {
      const remedy = "check that npm's registry can be reached (npm ping), and that npm is 10.4 or newer"
      throw new BuildError(`${output}\nnpm ci did not bring ${runtime}: ${remedy}`)
    }
    await rename(making, folder).catch((error: unknown) => {
      if (!existsSync(bun)) throw error // else another run was quicker
    })
    removeOthers(folder, target)
    return bun
  } finally {
    rmSync(making, { recursive: true, force: true })
  }
}

/** Those of earlier locks, 100 MB each. */
function removeOthers(folder: string, { target }: Target): void {
  const isOther = (name: string): boolean =>
    name !== basename(folder) && name.startsWith(`${target}-`) && /^[0-9a-f]{16}$/.test(name.slice(target.length + 1))
  for (const name of readdirSync(dirname(folder)).filter(isOther)) {
    rmSync(join(dirname(folder), name), { recursive: true, force: true })
  }
}

/** Scripts of strangers never run, and a registry that hangs is given up. */
const NPM_FLAGS = [
  '--ignore-scripts',
  '--include=optional',
  '--no-audit',
  '--no-fund',
  '--loglevel=error',
  '--fetch-timeout=60000',
  '--fetch-retries=2',
]

// --- the executable ----------------------------------------------------------------------------------------------

/** What is settled by the build; no file where the executable runs can unsettle it. */
const FLAGS = [
  '--compile',
  '--bytecode',
  '--format=esm', // with bytecode Bun would make CommonJS, which knows no import.meta
  '--splitting', // what a kept token does not need is not loaded: node:https alone takes as long as all the rest
  '--reject-unresolved',
  '--no-compile-autoload-dotenv',
  '--no-compile-autoload-bunfig',
  '--no-compile-autoload-tsconfig',
  '--no-compile-autoload-package-json',
]

export interface BuildOptions {
  readonly target: Target
  /** Folder of the executable; made where it is missing. */
  readonly out: string
}

/** Builds one executable and gives its path. The same sources, lock and target give the same bytes. */
export async function buildExecutable({ target, out }: BuildOptions): Promise<string> {
  const host = hostTarget()
  if (host === undefined) throw new BuildError(`Bun does not run on ${process.platform}-${process.arch}`)
  const bun = await bringRuntime(host)
  const runtime = await bringRuntime(target)
  mkdirSync(out, { recursive: true })
  const file = join(out, fileOf(target))
  // An empty home, and of the environment nothing: neither holds settings of Bun for this build.
  const home = mkdtempSync(join(tmpdir(), 'executable-'))
  try {
    const made = join(home, fileOf(target))
    const inside = join(home, 'inside.json')
    const { status, output } = await step(
      `building ${fileOf(target)}`,
      bun,
      [
        'build',
        ...FLAGS,
        `--target=${target.compile}`,
        `--compile-executable-path=${runtime}`,
        `--define=ARCHWAY_EXECUTABLE_VERSION=${JSON.stringify(packageVersion())}`,
        `--metafile=${inside}`,
        `--outfile=${made}`,
        ENTRY,
      ],
      { cwd: ROOT, env: { HOME: home, TMPDIR: home } },
    )
    if (status !== 0) throw new BuildError(`${output}\nbun build failed for ${target.target}`)
    const replaced = leftToRuntime(JSON.parse(readFileSync(inside, 'utf8')))
    if (replaced.length > 0) throw new BuildError(`not in the executable, Bun has its own: ${replaced.join(', ')}`)
    // Beside its place first: the one that is there may be running, and is whole at any time.
    copyFileSync(made, `${file}.${process.pid}`)
    await rename(`${file}.${process.pid}`, file)
    return file
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

/** The part of Bun's account of a build that is read here. */
interface BuildAccount {
  readonly inputs: Readonly<Record<string, { readonly imports: readonly BuildImport[] }>>
}

interface BuildImport {
  readonly path: string
  readonly external?: boolean
}

/**
 * Libraries, other than Node's, that are not in the executable. Bun has something of its own for some of npm's, undici
 * for one, and takes it without a word; that one does not know the options by which we trust a server.
 */
export function leftToRuntime({ inputs }: BuildAccount): readonly string[] {
  const left = Object.values(inputs).flatMap(({ imports }) =>
    imports.filter(({ path, external }) => external === true && !path.startsWith('.') && !isBuiltin(path)),
  )
  return [...new Set(left.map(({ path }) => path))].sort()
}

function packageVersion(): string {
  const { version }: { readonly version?: unknown } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  if (typeof version !== 'string') throw new BuildError('package.json has no version')
  return version
}

/** Writes SHA256SUMS over every executable of the folder, as `sha256sum --check` reads it. */
export async function writeSums(out: string): Promise<void> {
  const lines: string[] = []
  for (const file of TARGETS.map(fileOf).filter((name) => existsSync(join(out, name)))) {
    const hash = createHash('sha256')
    await pipeline(createReadStream(join(out, file)), hash)
    lines.push(`${hash.digest('hex')}  ${file}\n`)
  }
  await writeFile(join(out, SUMS), lines.join(''))
}

// --- the command -------------------------------------------------------------------------------------------------

/** The targets that the words of the command line mean. */
function chosen({ all, names }: { readonly all: boolean; readonly names: readonly string[] }): readonly Target[] {
  if (all) return TARGETS
  const host = hostTarget()
  if (names.length === 0 && host !== undefined) return [host]
  if (names.length === 0) throw new BuildError(`there is no target for this machine: --target ${listed()}`)
  return names.map((name) => {
    const found = TARGETS.find(({ target }) => target === name)
    if (found === undefined) throw new BuildError(`no target "${name}": there are ${listed()}`)
    return found
  })
}

function listed(): string {
  return TARGETS.map(({ target }) => target).join(', ')
}

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      target: { type: 'string', multiple: true, default: [] },
      all: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      missing: { type: 'boolean', default: false },
      install: { type: 'boolean', default: false },
      out: { type: 'string', default: join(ROOT, 'dist/executable') },
    },
  })
  if (values.list) {
    console.log(listed())
    return 0
  }
  const host = chosen({ all: false, names: [] })
  if (values.missing) {
    for (const target of host.filter((one) => !hasRuntime(one))) console.log(target.runtime)
    return 0
  }
  if (values.install) {
    for (const target of host) await bringRuntime(target)
    return 0
  }
  const out = resolve(values.out)
  for (const target of chosen({ all: values.all, names: values.target })) {
    console.log(await buildExecutable({ target, out }))
  }
  await writeSums(out)
  console.log(join(out, SUMS))
  return 0
}

if (process.argv[1] === import.meta.filename) {
  try {
    process.exitCode = await main(process.argv.slice(2))
  } catch (error) {
    const isUsage = error instanceof Error && 'code' in error && /^ERR_PARSE_ARGS/.test(String(error.code))
    const isTold = isUsage || error instanceof BuildError
    say(isTold ? `archway: ${error.message}` : String(error instanceof Error ? error.stack : error))
    process.exitCode = isUsage ? 2 : 1
  }
}
