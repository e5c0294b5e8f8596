import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ERROR_CODES } from '../../src/errors.ts'
import { statusAnswer } from '../../src/kube/status.ts'

test('an error is told as a Status object with the code of the answer', () => {
  const answer = statusAnswer(400, 'a "quoted"\nmessage')
  assert.equal(answer.status, 400)
  assert.deepEqual(answer.headers, [])
  assert.deepEqual(JSON.parse(answer.body), {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'a "quoted"\nmessage',
    reason: 'BadRequest',
    code: 400,
  })
})

test('a time to wait stands in the header and in the object', () => {
  const answer = statusAnswer(503, 'later', { retryAfter: 7, headers: [['Allow', 'POST']] })
  assert.deepEqual(answer.headers, [
    ['Allow', 'POST'],
    ['Retry-After', '7'],
  ])
  const body = JSON.parse(answer.body) as { reason: string; details: unknown }
  assert.equal(body.reason, 'ServiceUnavailable')
  assert.deepEqual(body.details, { retryAfterSeconds: 7 })
})

test('0 s is a time to wait', () => {
  assert.deepEqual(statusAnswer(503, '', { retryAfter: 0 }).headers, [['Retry-After', '0']])
})

test('every status of the error table has its reason in Kubernetes', () => {
  const statuses = new Set(Object.values(ERROR_CODES).flatMap((row) => ('status' in row ? [row.status] : [])))
  assert.ok(statuses.size > 5)
  for (const status of statuses) {
    assert.notEqual((JSON.parse(statusAnswer(status, '').body) as { reason: string }).reason, 'Unknown', `${status}`)
  }
})

test('a status without a reason of its own is Unknown, as in Kubernetes', () => {
  assert.equal((JSON.parse(statusAnswer(418, '').body) as { reason: string }).reason, 'Unknown')
})

test('what an error is about stands in the details, as far as it is known', () => {
  const details = (of: Parameters<typeof statusAnswer>[2]) =>
    (JSON.parse(statusAnswer(403, '', of).body) as { details: unknown }).details
  assert.deepEqual(details({ details: { name: 'web', group: '', kind: 'pods' } }), { name: 'web', kind: 'pods' })
  assert.deepEqual(details({ details: {} }), {})
  assert.deepEqual(details({ details: { kind: 'pods' }, retryAfter: 2 }), { kind: 'pods', retryAfterSeconds: 2 })
})
