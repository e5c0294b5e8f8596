/** tools/executable.ts: its table of platforms, what it refuses, what it writes beside. Builds are in test/e2e. */

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { fileOf, leftToRuntime, TARGETS, writeSums } from '../../tools/executable.ts'

const ROOT = dirname(dirname(import.meta.dirname))

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'executable-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function build(...args: readonly string[]) {
  return spawnSync(process.execPath, ['tools/executable.ts', '--out', folder, ...args], {
    cwd: ROOT,
    encoding: 'utf8',
    env: { ...process.env, PATH: '' }, // no npm: nothing is brought here
  })
}

describe('the targets of the executable', () => {
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'tools/executable/package-lock.json'), 'utf8'))
  const { optionalDependencies } = JSON.parse(readFileSync(join(ROOT, 'tools/executable/package.json'), 'utf8'))

  for (const { target, runtime, os, cpu, libc } of TARGETS) {
    it(`${target} has its Bun locked, for its platform, by its bytes`, () => {
      const locked = packages[`node_modules/${runtime}`]
      assert.match(locked.integrity, /^sha512-/)
      assert.equal(locked.version, optionalDependencies[runtime])
      assert.deepEqual([locked.os, locked.cpu, locked.libc], [[os], [cpu], libc && [libc]])
    })
  }

  it('have one version of Bun, a name and a file each', () => {
    assert.equal(new Set(Object.values(optionalDependencies)).size, 1)
    assert.deepEqual(TARGETS.map(({ runtime }) => runtime).sort(), Object.keys(optionalDependencies).sort())
    assert.equal(new Set(TARGETS.map(fileOf)).size, TARGETS.length)
    for (const { target, os } of TARGETS) assert.match(target, new RegExp(`^${os.replace('win32', 'windows')}-`))
  })

  it('are listed', () => {
    assert.equal(build('--list').stdout, `${TARGETS.map(({ target }) => target).join(', ')}\n`)
  })
})

describe('building an executable', () => {
  for (const [args, status, words] of [
    [['--target', 'plan9-x64'], 1, /^archway: no target "plan9-x64": there are linux-x64, /],
    [['--tarket', 'linux-x64'], 2, /^archway: .*--tarket/],
    [['linux-x64'], 2, /^archway: .*linux-x64/],
  ] as const) {
    it(`refuses ${args.join(' ')}`, () => {
      const result = build(...args)
      assert.match(result.stderr, words)
      assert.deepEqual([result.status, result.stdout], [status, ''])
    })
  }

  it('finds what was left to Bun: a library it has another of, and nothing of Node', () => {
    const imports = [
      { path: 'undici', external: true },
      { path: 'bun:sqlite', external: true },
      { path: 'node:fs', external: true },
      { path: 'fs/promises', external: true },
      { path: './chunk.js', external: true },
      { path: 'node_modules/zod/index.js' },
    ]
    assert.deepEqual(leftToRuntime({ inputs: { 'a.ts': { imports }, 'b.ts': { imports } } }), ['bun:sqlite', 'undici'])
  })

  it('writes sums that sha256sum reads, of the executables alone', async () => {
    const names = TARGETS.slice(0, 2).map(fileOf)
    for (const name of [...names, 'archway-other']) writeFileSync(join(folder, name), name)
    await writeSums(folder)
    const checked = execFileSync('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: folder, encoding: 'utf8' })
    assert.equal(checked, names.map((name) => `${name}: OK\n`).join(''))
  })

  it('puts nothing into the package for npm', () => {
    cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'))
    mkdirSync(join(folder, 'dist/executable'), { recursive: true })
    for (const file of ['dist/index.js', 'dist/executable/archway-linux-x64', 'dist/executable/SHA256SUMS']) {
      writeFileSync(join(folder, file), '')
    }
    const options = { cwd: folder, encoding: 'utf8' } as const
    const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], options)
    const files = JSON.parse(output)[0].files.map(({ path }: { readonly path: string }) => path)
    assert.deepEqual(files.sort(), ['dist/index.js', 'package.json'])
  })
})
