import assert from 'node:assert/strict'
import { test } from 'node:test'
import { format, inspect } from 'node:util'
import { Secret } from '../../src/secret.ts'

const canary = 'canary-5ca1ab1e'
const secret = new Secret(canary)

test('a secret gives its value to who asks for it', () => {
  assert.equal(secret.reveal(), canary)
  assert.equal(new Secret('').reveal(), '')
})

const printed: readonly [how: string, text: string][] = [
  ['as a string', String(secret)],
  ['in a template', `${secret}`],
  ['joined', [secret, secret].join()],
  ['as JSON', JSON.stringify(secret)],
  ['deep in JSON', JSON.stringify({ a: [{ secret }] })],
  ['inspected', inspect(secret)],
  ['deep inside, hidden members and all', inspect({ a: new Map([['k', secret]]) }, { depth: 9, showHidden: true })],
  ['by console.log', format('%s %o %O %j', secret, secret, secret, secret)],
  ['in the message of an error', new Error(`${secret}`).message],
]
for (const [how, text] of printed) {
  test(`T-S1 a secret prints itself redacted: ${how}`, () => {
    assert.ok(text.includes('[redacted]'), text)
    assert.ok(!text.includes('5ca1ab1e'), text)
  })
}

test('T-S1 a secret has no member that could be copied, and gives nothing to a clone', () => {
  assert.deepEqual(Object.getOwnPropertyNames(secret), [])
  assert.deepEqual(Object.getOwnPropertySymbols(secret), [])
  assert.deepEqual({ ...secret }, {})
  assert.deepEqual(structuredClone(secret), {})
})
