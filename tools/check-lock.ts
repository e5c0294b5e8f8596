/**
 * Checks what `npm ci` needs on machines other than the one that wrote a lock: every platform's package is in it, the
 * rest has an integrity, and no entry names a registry. `--fix` adds platform packages that are missing, which happens
 * when npm writes a lock beside an existing node_modules, or cannot see those packages when it does.
 *
 * usage: node tools/check-lock.ts [--fix]
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

interface LockedPackage {
  readonly version?: string
  readonly integrity?: string
  readonly resolved?: string
  readonly dev?: boolean
  readonly optional?: boolean
  readonly devOptional?: boolean
  readonly os?: readonly string[]
  readonly cpu?: readonly string[]
  readonly libc?: readonly string[]
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

interface Lock {
  packages: Record<string, LockedPackage>
}

const ROOT = dirname(import.meta.dirname)
const LOCKS = ['package-lock.json', 'tools/runtime/package-lock.json', 'tools/executable/package-lock.json']
const SYSTEMS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32']
const PROCESSORS = ['arm', 'arm64', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64']

/** Problems of a lock, each with its remedy. */
export function problemsOf(lock: Lock): string[] {
  const problems = missingFrom(lock).map(([name]) => `${name} is not locked: node tools/check-lock.ts --fix`)
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (path === '') continue
    if (entry.resolved !== undefined) {
      problems.push(`${path} names a registry: npm config set omit-lockfile-registry-resolved true, then npm install`)
    }
    if (entry.integrity === undefined && entry.optional !== true) problems.push(`${path} has no integrity: npm install`)
  }
  return problems
}

/** Adds the missing platform packages; npm fills in their integrity when it next sees them. */
export function complete(lock: Lock): Lock {
  const packages = { ...lock.packages }
  for (const [name, version, dev] of missingFrom(lock)) {
    const words = name.split(/[-/]/)
    const cpu = words.filter((word) => PROCESSORS.includes(word))
    const os = words.filter((word) => SYSTEMS.includes(word))
    if (cpu.length !== 1 || os.length !== 1)
      throw new Error(`the platform of ${name} cannot be told from its name: add it by hand`)
    const libc = words.some((word) => word.startsWith('musl')) ? 'musl' : 'glibc'
    packages[`node_modules/${name}`] = {
      version,
      cpu,
      ...(dev && { dev }),
      ...(os.includes('linux') && { libc: [libc] }),
      optional: true,
      os,
    }
  }
  return { ...lock, packages: Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : 1))) }
}

/** Name, version and dev flag of optional packages that are asked for and not locked. */
function missingFrom(lock: Lock): [string, string, boolean][] {
  return Object.entries(lock.packages).flatMap(([path, entry]) =>
    Object.entries(entry.optionalDependencies ?? {})
      .filter(([name]) => !isLocked(lock, path, name))
      .map(([name, version]): [string, string, boolean] => [name, version, entry.dev === true]),
  )
}

/** As Node resolves: beside the package that asks, or in any node_modules above it. */
function isLocked(lock: Lock, path: string, name: string): boolean {
  for (let at = path; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    if (lock.packages[`${at === '' ? '' : `${at}/`}node_modules/${name}`] !== undefined) return true
    if (at === '') return false
  }
}

function main(fix: boolean): number {
  let found = 0
  for (const file of LOCKS) {
    const path = join(ROOT, file)
    const lock = JSON.parse(readFileSync(path, 'utf8')) as Lock
    if (fix && missingFrom(lock).length > 0) {
      writeFileSync(path, `${JSON.stringify(complete(lock), null, 2)}\n`)
      console.log(`${file}: added ${missingFrom(lock).length} platform packages`)
      continue
    }
    const problems = problemsOf(lock)
    for (const problem of problems) console.log(`${file}: ${problem}`)
    found += problems.length
  }
  return found === 0 ? 0 : 1
}

if (process.argv[1] === import.meta.filename) process.exitCode = main(process.argv.includes('--fix'))
