import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FIRST_BACKOFF_MS, LONGEST_BACKOFF_MS, serverHealth } from '../../src/ldap/health.ts'
import { parseLdapUrl } from '../../src/ldap/url.ts'

test('servers are asked as configured; one that failed comes last until its time is over', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((host) => parseLdapUrl(`ldaps://${host}`)) as [never, never, never]
  let now = 5000
  const health = serverHealth([a, b, c], () => now)
  assert.deepEqual(health.inOrder(), [a, b, c])

  health.down(a)
  assert.deepEqual(health.inOrder(), [b, c, a])
  now += 1
  for (let call = 0; call < 20; call += 1) health.down(b) // calls side by side fail of one cause
  assert.deepEqual(health.inOrder(), [c, a, b])
  now += FIRST_BACKOFF_MS - 1
  assert.deepEqual(health.inOrder(), [a, c, b])

  health.trying(a) // one tries; the others do not wait for it
  assert.deepEqual(health.inOrder(), [c, b, a])
  health.down(a)
  now += FIRST_BACKOFF_MS
  assert.deepEqual(health.inOrder(), [b, c, a], 'the second time it has twice as long')
  health.up(a)
  assert.deepEqual(health.inOrder(), [a, b, c])

  for (let times = 0; times < 40; times += 1) {
    health.down(a)
    assert.deepEqual(health.inOrder(), [b, c, a])
    now += LONGEST_BACKOFF_MS
    assert.deepEqual(health.inOrder(), [a, b, c], 'never longer than the longest')
  }
})
