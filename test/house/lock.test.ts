/** tools/check-lock.ts knows what npm ci would refuse, and what it would accept and should not. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { complete, problemsOf } from '../../tools/check-lock.ts'

const tool = {
  version: '1.0.0',
  integrity: 'sha512-x',
  dev: true,
  optionalDependencies: { '@tool/cli-linux-x64-musl': '1.0.0' },
}
const musl = { version: '1.0.0', cpu: ['x64'], dev: true, libc: ['musl'], optional: true, os: ['linux'] }

describe('check-lock', () => {
  it("misses a platform's package and can add it", () => {
    const lock = { packages: { '': {}, 'node_modules/tool': tool } }
    assert.deepEqual(problemsOf(lock), ['@tool/cli-linux-x64-musl is not locked: node tools/check-lock.ts --fix'])
    assert.deepEqual(complete(lock).packages, {
      '': {},
      'node_modules/@tool/cli-linux-x64-musl': musl,
      'node_modules/tool': tool,
    })
    assert.deepEqual(problemsOf(complete(lock)), [])
  })

  it('finds a package where Node would: beside the one that asks, or further up', () => {
    for (const place of ['node_modules/tool/node_modules/', 'node_modules/']) {
      const packages = { 'node_modules/tool': tool, [`${place}@tool/cli-linux-x64-musl`]: musl }
      assert.deepEqual(problemsOf({ packages }), [])
    }
  })

  it('refuses an entry without integrity, and one that names a registry', () => {
    const packages = {
      'node_modules/a': { version: '1.0.0' },
      'node_modules/b': { version: '1.0.0', integrity: 'sha512-x', resolved: 'https://registry.example/b.tgz' },
    }
    const found = problemsOf({ packages })
    assert.equal(found.length, 2)
    assert.match(found[0] ?? '', /^node_modules\/a has no integrity/)
    assert.match(found[1] ?? '', /^node_modules\/b names a registry/)
  })

  it('does not guess a platform', () => {
    const packages = { 'node_modules/tool': { ...tool, optionalDependencies: { 'tool-native': '1.0.0' } } }
    assert.throws(() => complete({ packages }), /the platform of tool-native cannot be told/)
  })
})
