import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alwaysAllow, alwaysDeny } from '../../src/authz/always.ts'
import { union } from '../../src/authz/union.ts'
import { attributes, idleContext } from './rbac/support.ts'

const asked = attributes({ user: { name: 'ann' }, verb: 'get', isResourceRequest: false, path: '/' })

test('always-allow allows', async () => {
  assert.equal((await alwaysAllow().authorize(asked, idleContext())).kind, 'allow')
})

test('always-deny has no opinion, so that the next one is asked', async () => {
  assert.deepEqual(await alwaysDeny().authorize(asked, idleContext()), {
    kind: 'no-opinion',
    reason: 'Everything is forbidden.',
  })
  assert.equal((await union([alwaysDeny(), alwaysAllow()]).authorize(asked, idleContext())).kind, 'allow')
})

test('always-deny that is hard denies, and nobody after it is asked', async () => {
  assert.equal((await union([alwaysDeny({ hard: true }), alwaysAllow()]).authorize(asked, idleContext())).kind, 'deny')
})

test('both go by the name they are given', () => {
  assert.deepEqual([alwaysAllow().name, alwaysDeny().name], ['always-allow', 'always-deny'])
  assert.deepEqual([alwaysAllow('a').name, alwaysDeny({ name: 'b' }).name], ['a', 'b'])
})
