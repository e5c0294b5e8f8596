/** Who asks, told apart from a later process with the same pid. */

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { ASKER_VARIABLE, currentAsker } from '../../../src/credential/cache/asker.ts'
import { parseStat, processOf } from '../../../src/credential/cache/processes.ts'
import { killed } from './cache-rig.ts'

const notLinux = process.platform !== 'linux'

/** proc(5), fields 3 to 25. */
const FIELDS = 'S 1 2 3 0 -1 4194304 99 0 0 0 1 2 3 4 20 0 1 0 1234082 3133440 380 18446744073709551615'

describe('/proc/PID/stat', () => {
  it('is read past any name of a program', () => {
    for (const name of ['cat', 'a b', ')', '((', ') S 1 2 (x', 'x\n) R 1', '', 'kubectl) Z 1 1 1']) {
      assert.deepEqual(parseStat(`3639 (${name}) ${FIELDS}\n`), { kind: 'running', started: '1234082' }, name)
    }
  })

  it('tells a process that has ended from one that runs', () => {
    for (const state of ['Z', 'X', 'x'])
      assert.deepEqual(parseStat(`1 (a) ${FIELDS.replace('S', state)}`), { kind: 'ended' })
    for (const state of ['R', 'D', 'T', 'I'])
      assert.equal(parseStat(`1 (a) ${FIELDS.replace('S', state)}`)?.kind, 'running')
  })

  it('says nothing when it is something else', () => {
    for (const text of ['', '1', '1 (a)', `1 a ${FIELDS}`, '1 (a) S 1 2', `1 (a) ${FIELDS.replace('1234082', '-7')}`]) {
      assert.equal(parseStat(text), undefined, text)
    }
  })
})

describe('a process', () => {
  it('is known while it runs, and to have ended after that', { skip: notLinux }, async () => {
    const child = spawn('sleep', ['600'])
    await once(child, 'spawn')
    const state = processOf(child.pid ?? 0)
    assert.equal(state.kind, 'running')
    assert.deepEqual(processOf(child.pid ?? 0), state)
    await killed(child)
    assert.deepEqual(processOf(child.pid ?? 0), { kind: 'ended' })
  })

  it('of which there is none has ended', () => {
    assert.deepEqual(processOf(0x7ffffffe), { kind: 'ended' })
  })
})

describe('the asker', () => {
  it('is the parent', () => {
    const { pid, started } = currentAsker({})
    assert.equal(pid, process.ppid)
    if (!notLinux) assert.match(started, /^\d+ \d+:\d+$/)
  })

  it('is the same for every plugin a process starts, and another for the next process', { skip: notLinux }, () => {
    const module = JSON.stringify(import.meta.resolve('../../../src/credential/cache/asker.ts'))
    const plugin = `const { currentAsker } = await import(${module}); console.log(JSON.stringify(currentAsker(process.env)))`
    // A shell for kubectl; the last command is not the only one, so that the shell does not become it.
    const kubectl = '"$0" --no-warnings -e "$1"; "$0" --no-warnings -e "$1"; true'
    const ask = () =>
      execFileSync('sh', ['-c', kubectl, process.execPath, plugin], { encoding: 'utf8' }).trim().split('\n')
    const [first, again] = ask()
    assert.equal(first, again)
    assert.notEqual(first, ask()[0])
  })

  it('is another once the process has become another program', { skip: notLinux }, () => {
    const module = JSON.stringify(import.meta.resolve('../../../src/credential/cache/asker.ts'))
    const plugin = `const { currentAsker } = await import(${module}); console.log(JSON.stringify(currentAsker(process.env)))`
    const twice = `const { execFileSync } = require('node:child_process')
      for (const _ of [1, 2]) execFileSync(process.execPath, ['--no-warnings', '-e', process.argv[1]], { stdio: 'inherit' })`
    const becomes = '"$0" --no-warnings -e "$1"; "$0" --no-warnings -e "$1"; exec "$0" -e "$2" "$1"'
    const output = execFileSync('sh', ['-c', becomes, process.execPath, plugin, twice], { encoding: 'utf8' })
    const [first, again, other, still] = output.trim().split('\n')
    assert.equal(first, again)
    assert.notEqual(first, other)
    assert.equal(other, still)
  })

  it('is whom a launcher names that is the parent, and nobody else', () => {
    const named = (value: string) => currentAsker({ [ASKER_VARIABLE]: value }, 50).pid
    assert.equal(named('50:40'), 40)
    for (const other of ['', '40', '51:40', '50:', ':40', '50:-1', '50:40:1', ' 50:40', '50:4e1', '50:99999999999']) {
      assert.equal(named(other), 50, other)
    }
  })

  it('has no start where it has ended', () => {
    assert.deepEqual(currentAsker({}, 0x7ffffffe), { pid: 0x7ffffffe, started: '' })
  })
})
