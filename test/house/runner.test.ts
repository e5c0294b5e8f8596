/** The test runner counts what node's runner tells, and puts a broken file into words. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { after, describe, it } from 'node:test'
import { inNumbers, reportSuite } from '../../tools/testing/report.ts'
import { linesOf } from '../../tools/testing/suite.ts'
import { suiteOf } from '../../tools/testing/suites.ts'

const ROOT = dirname(dirname(import.meta.dirname))

/** Runs files under node's runner with our reporter, and the lines through our report. */
function runFiles(files: Readonly<Record<string, string>>): { output: string; counts: string } {
  const folder = mkdtempSync(join(tmpdir(), 'runner-'))
  after(() => rmSync(folder, { recursive: true }))
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text)
  const args = [
    '--test',
    '--test-timeout=300',
    `--test-reporter=${join(ROOT, 'tools/testing/events.ts')}`,
    ...Object.keys(files).filter((file) => file.endsWith('.test.mjs')),
  ]
  const { NODE_TEST_CONTEXT: _, ...env } = process.env // we are inside node's runner ourselves
  const { stdout } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8', env })
  let output = ''
  const report = reportSuite({
    name: 'unit',
    files: 1,
    emptyFileFails: true,
    write: (line) => {
      output += `${line}\n`
    },
    now: () => 0,
  })
  for (const line of stdout.trim().split('\n')) report.take(JSON.parse(line))
  assert.deepEqual(report.unfinished(), [])
  const counts = inNumbers(report.finish())
  return { output, counts }
}

describe('the test runner', () => {
  it('counts tests once, and what is skipped or to do as skipped', () => {
    const text = `
      import { describe, it } from 'node:test'
      it('is good', () => {})
      it('is skipped', { skip: true }, () => {})
      it('is to do, and fails', { todo: true }, () => { throw new Error('not yet') })
      it('has a part', (t) => t.test('the part', () => {}))
      describe('a group', () => { it('is good too', () => {}) })
      describe('a skipped group', { skip: 'why' }, () => { it('is never seen', () => {}) })
    `
    assert.equal(runFiles({ 'a.test.mjs': text }).counts, '4 passed, 0 failed, 3 skipped')
  })

  it('shows a failure with its place, its names and its cause, and counts it once', () => {
    const text = `import { describe, it } from 'node:test'
      describe('a group', () => {
        it('fails', () => { throw new Error('it is broken', { cause: new Error('rust') }) })
      })
    `
    const { output, counts } = runFiles({ 'a.test.mjs': text })
    assert.match(output, /^✗ a\.test\.mjs:3 {2}a group › fails\n {4}Error: it is broken\n {8}at .*a\.test\.mjs:3:35/)
    assert.match(output, /caused by Error: rust/)
    assert.equal(counts, '0 passed, 1 failed, 0 skipped')
  })

  it('counts tests that another file defines, and names both files', () => {
    const { output, counts } = runFiles({
      'a.test.mjs': "import { contract } from './contract.mjs'\ncontract('a')\n",
      'b.test.mjs': "import { contract } from './contract.mjs'\ncontract('b')\n",
      'contract.mjs': `import { it } from 'node:test'
        export function contract(name) {
          it(name + ' is good', () => {})
          it(name + ' fails', () => { throw new Error(name) })
        }`,
    })
    assert.match(output, /^✗ contract\.mjs:4 {2}a fails \(a\.test\.mjs\)/m)
    assert.equal(counts, '2 passed, 2 failed, 0 skipped')
  })

  it('fails a file that cannot be loaded, with what it printed', () => {
    const { output, counts } = runFiles({ 'a.test.mjs': "import './nowhere.mjs'\n" })
    assert.match(output, /^✗ a\.test\.mjs\n/)
    assert.match(output, /Cannot find module .*nowhere\.mjs/)
    assert.equal(counts, '0 passed, 1 failed, 0 skipped')
  })

  it('fails a file without tests', () => {
    const { output, counts } = runFiles({ 'a.test.mjs': 'export {}\n' })
    assert.match(output, /^✗ a\.test\.mjs\n {4}there is no test in this file/)
    assert.equal(counts, '0 passed, 1 failed, 0 skipped')
  })

  it('fails a test that hangs, and a group whose hook fails', () => {
    const text = `
      import { before, describe, it } from 'node:test'
      it('hangs', () => new Promise((resolve) => setTimeout(resolve, 5_000)))
      describe('a group', () => { before(() => { throw new Error('no server') }); it('is not reached', () => {}) })
    `
    const { output, counts } = runFiles({ 'a.test.mjs': text })
    assert.match(output, /timed out after 300ms/)
    assert.match(output, /no server/)
    assert.match(output, /a\.test\.mjs: 1 tests were not reached/)
    assert.match(counts, /^0 passed, [23] failed, 0 skipped$/)
  })

  it('takes a line for a line, whatever a test is called', async () => {
    const found: string[] = []
    for await (const line of linesOf(Readable.from(['{"a":"\u2028', '\r"}\n{', '}\n']))) found.push(line)
    assert.deepEqual(found, ['{"a":"\u2028\r"}', '{}'])
  })

  it('knows the suite of each file, and asks for one where there is none', () => {
    assert.equal(suiteOf('test/authn/union.test.ts').name, 'unit')
    assert.equal(suiteOf('test/e2e/keystone-faults.test.ts').name, 'keystone')
    assert.equal(suiteOf('test/rigs/kube-apiserver.test.ts').name, 'kubernetes')
    assert.throws(() => suiteOf('test/e2e/other.test.ts'), /belongs to no suite: rename it, or register its suite/)
  })

  it('names a suite or file that does not exist', () => {
    const { status, stderr } = spawnSync(process.execPath, ['tools/test.ts', 'unti'], { cwd: ROOT, encoding: 'utf8' })
    assert.match(stderr, /"unti" is neither a suite nor a test: suites are unit, keystone, kubernetes/)
    assert.equal(status, 2)
  })
})
