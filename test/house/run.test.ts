/** tools/run.cjs: what it answers to a mistake, which Node it chooses, when it installs, and that two runs take turns. */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, describe, it } from 'node:test'
import { withLock } from '../../tools/lock.cjs'
import { chooseNode, hasSurplus, missingFrom, satisfies, stampOf } from '../../tools/setup.cjs'

const ROOT = dirname(dirname(import.meta.dirname))

function run(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  return spawnSync(process.execPath, ['tools/run.cjs', ...args], {
    cwd: ROOT,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  })
}

describe('run.cjs', () => {
  it('lists its commands', () => {
    const { status, stdout } = run(['--help'])
    assert.equal(status, 0)
    for (const command of ['demo', 'test', 'rigs', 'bench', 'check', 'docs', 'exec'])
      assert.match(stdout, new RegExp(`^  ${command} `, 'm'))
  })

  const mistakes: readonly [string, readonly string[], NodeJS.ProcessEnv, number, RegExp][] = [
    ['no command', [], {}, 2, /^archway: no command\nusage: /],
    ['an unknown command', ['strat'], {}, 2, /^archway: no command "strat"\nusage: /],
    ['a name every object has', ['constructor'], {}, 2, /^archway: no command "constructor"/],
    ['exec without a tool', ['exec'], {}, 2, /^archway: exec needs the name of a tool/],
    ['an unknown tool', ['exec', 'bioem'], {}, 1, /^archway: there is no tool "bioem" in node_modules\/.bin/],
    [
      'a Node that is none',
      ['exec', 'tsc'],
      { ARCHWAY_NODE: '/bin/false' },
      1,
      /^archway: ARCHWAY_NODE names \/bin\/false, which does not run/,
    ],
  ]
  for (const [what, args, env, status, words] of mistakes) {
    it(`names ${what}, and the remedy`, () => {
      const result = run(args, env)
      assert.match(result.stderr, words)
      assert.equal(result.status, status)
    })
  }

  it("keeps the command's own status and output", () => {
    const { status, stdout } = run([
      'exec',
      'node',
      '-e',
      'console.log(process.argv[1]); process.exitCode = 7',
      'an argument',
    ])
    assert.equal(stdout, 'an argument\n')
    assert.equal(status, 7)
  })

  it('turns a signal that ended the command into 128+n', () => {
    assert.equal(run(['exec', 'node', '-e', 'process.kill(process.pid, "SIGKILL")']).status, 137)
  })

  it('passes SIGTERM on to the command', async () => {
    const script =
      'process.on("SIGTERM", () => { console.log("stopping"); process.exit(3) }); console.log("up"); setInterval(() => {}, 1000)'
    const child = spawn(process.execPath, ['tools/run.cjs', 'exec', 'node', '-e', script], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (output === '') child.kill('SIGTERM')
      output += text
    })
    assert.deepEqual(await once(child, 'close'), [3, null])
    assert.equal(output, 'up\nstopping\n')
  })
})

describe('the choice of a Node', () => {
  const machine = { named: undefined, range: '>=22.19', platform: 'linux', arch: 'x64', version: 'v18.20.4' } as const
  const kindOf = (change: object) => chooseNode({ ...machine, ...change }).kind

  it('is the pinned one on Linux, whichever is running', () => {
    assert.equal(kindOf({}), 'pinned')
    assert.equal(kindOf({ arch: 'arm64', version: 'v26.0.0' }), 'pinned')
  })

  it('is the one that ARCHWAY_NODE names, if it does', () => {
    assert.equal(kindOf({ named: '/opt/node' }), 'named')
  })

  it('is the running one where there is no pinned one and it is recent enough', () => {
    assert.equal(kindOf({ platform: 'darwin', version: 'v22.19.0' }), 'this')
    assert.equal(kindOf({ arch: 'riscv64', version: 'v24.1.0' }), 'this')
  })

  it('fails elsewhere, saying what to install', () => {
    const choice = chooseNode({ ...machine, platform: 'darwin', version: 'v22.18.9' })
    assert.match(
      choice.reason ?? '',
      /no pinned Node for darwin-x64, and this one is v22\.18\.9: install Node >=22\.19/,
    )
  })

  it('compares versions by number', () => {
    assert.equal(satisfies('v22.9.0', '>=22.19'), false)
    assert.equal(satisfies('v22.100.0', '>=22.19'), true)
    assert.equal(satisfies('v9.0.0', '>=22.19'), false)
  })
})

describe('an install', () => {
  const entry = { version: '1.0.0', integrity: 'sha512-x' }
  const optional = (os: string, cpu: string, libc?: string) => ({
    ...entry,
    optional: true,
    os: [os],
    cpu: [cpu],
    ...(libc && { libc: [libc] }),
  })
  const lock = {
    packages: {
      '': {},
      'node_modules/a': entry,
      'node_modules/a-darwin-arm64': optional('darwin', 'arm64'),
      'node_modules/a-linux-x64': optional('linux', 'x64'),
      'node_modules/b-linux-x64-gnu': optional('linux', 'x64', 'glibc'),
      'node_modules/b-linux-x64-musl': optional('linux', 'x64', 'musl'),
      'node_modules/wasm-helper': { ...entry, optional: true },
    },
  }
  const installed = {
    'node_modules/a': entry,
    'node_modules/a-linux-x64': entry,
    'node_modules/b-linux-x64-gnu': entry,
  }
  const missing = (packages: object) => missingFrom({ packages }, lock, 'linux', 'x64')

  it('is complete with what this platform needs', () => {
    assert.deepEqual(missing(installed), [])
    assert.deepEqual(missing(lock.packages), [])
  })

  it('lacks what npm has silently left out', () => {
    assert.deepEqual(missing({ 'node_modules/a': entry }), ['node_modules/a-linux-x64', 'node_modules/b-linux-x64-gnu'])
    assert.equal(missingFrom({}, lock, 'linux', 'x64').length, 3)
  })

  it('lacks a package whose version or content is another', () => {
    assert.deepEqual(missing({ ...installed, 'node_modules/a': { ...entry, version: '1.0.1' } }), ['node_modules/a'])
    assert.deepEqual(missing({ ...installed, 'node_modules/a': { ...entry, integrity: 'sha512-y' } }), [
      'node_modules/a',
    ])
  })

  it('is not trusted with a package too many', () => {
    assert.equal(hasSurplus({ packages: installed }, lock), false)
    assert.equal(hasSurplus({ packages: { ...installed, 'node_modules/c': entry } }, lock), true)
  })

  it('bears the stamp of its lock and platform', () => {
    assert.equal(stampOf('{}', 'linux', 'x64'), stampOf('{}', 'linux', 'x64'))
    assert.notEqual(stampOf('{}', 'linux', 'x64'), stampOf('{ }', 'linux', 'x64'))
    assert.notEqual(stampOf('{}', 'linux', 'x64'), stampOf('{}', 'linux', 'arm64'))
  })
})

describe('the lock of the set-up', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lock-'))
  after(() => rmSync(folder, { recursive: true }))

  it('lets one in at a time and leaves nothing', async () => {
    let inside = 0
    const order: number[] = []
    const enter = (number: number) =>
      withLock(join(folder, 'a'), async () => {
        assert.equal(++inside, 1)
        await new Promise((resolve) => setTimeout(resolve, 20))
        order.push(number)
        inside--
      })
    await Promise.all([enter(1), enter(2)])
    assert.deepEqual(order.sort(), [1, 2])
    assert.deepEqual(readdirSync(folder), [])
  })

  for (const owner of ['999999999 12345', `${process.pid} 1`]) {
    it(`is taken over from an owner that is gone (${owner.endsWith(' 1') ? 'its pid in use again' : 'no such pid'})`, async () => {
      mkdirSync(join(folder, 'b'))
      writeFileSync(join(folder, 'b/owner'), owner)
      assert.equal(await withLock(join(folder, 'b'), async () => 'in'), 'in')
      assert.deepEqual(readdirSync(folder), [])
    })
  }

  it('is given back when the work fails', async () => {
    await assert.rejects(
      withLock(join(folder, 'c'), async () => {
        throw new Error('no network')
      }),
      /no network/,
    )
    assert.deepEqual(readdirSync(folder), [])
  })
})
