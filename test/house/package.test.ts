/** What is published: built, packed and started as a stranger would have it. */

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'

const ROOT = dirname(dirname(import.meta.dirname))

describe('the package', () => {
  const folder = mkdtempSync(join(tmpdir(), 'package-'))
  after(() => rmSync(folder, { recursive: true }))

  before(() => {
    const build = ['exec', 'tsc', '-p', 'tsconfig.build.json', '--outDir', join(folder, 'dist')]
    execFileSync(process.execPath, ['tools/run.cjs', ...build], { cwd: ROOT })
    for (const entry of ['bin', 'package.json']) cpSync(join(ROOT, entry), join(folder, entry), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  })

  function start(program: string) {
    return spawnSync(process.execPath, [join(folder, 'bin', program), '--version'], { encoding: 'utf8' })
  }

  for (const program of ['archway', 'k8s-keystone-auth', 'client-keystone-auth']) {
    it(`starts as ${program} and knows its version`, () => {
      const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
      const { status, stdout, stderr } = start(program)
      assert.equal(stderr, '')
      assert.ok(stdout.includes(version), `--version prints ${stdout}`)
      assert.equal(status, 0)
    })
  }

  it('holds the programs and the build, and nothing that only the repository needs', () => {
    const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: folder,
      encoding: 'utf8',
    })
    const files: string[] = JSON.parse(output)[0].files.map(({ path }: { path: string }) => path)
    for (const file of [
      'bin/archway',
      'bin/launch.cjs',
      'bin/package.json',
      'dist/cli/main.js',
      'dist/index.js',
      'dist/index.d.ts',
      'package.json',
    ]) {
      assert.ok(files.includes(file), `${file} is not in the package: ${files.join(' ')}`)
    }
    assert.deepEqual(
      files.filter((file) => !/^(bin|dist|docs|examples)\/|^[^/]+$/.test(file)),
      [],
    )
  })
})
