import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { asObject, member, optionalString, requiredString, stringList } from '../../src/kube/fields.ts'

const parsed = (text: string): ReturnType<typeof asObject> => asObject(JSON.parse(text), 'it')

test('only objects are objects', () => {
  assert.deepEqual(asObject({ a: 1 }, 'it'), { a: 1 })
  for (const value of [undefined, null, [], 'text', 5, true]) {
    assert.throws(() => asObject(value, 'spec'), { code: 'body_invalid', message: 'spec is missing or not an object' })
  }
})

describe('a member', () => {
  test('that is null is absent, and what is empty is not', () => {
    const object = parsed('{"null":null,"empty":"","zero":0,"no":false}')
    assert.equal(member(object, 'null'), undefined)
    assert.equal(member(object, 'absent'), undefined)
    assert.equal(member(object, 'empty'), '')
    assert.equal(member(object, 'zero'), 0)
    assert.equal(member(object, 'no'), false)
  })

  test('T-H13 is the object’s own: what every object inherits is absent', () => {
    const object = parsed('{}')
    for (const key of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf']) {
      assert.equal(member(object, key), undefined, key)
      assert.equal(optionalString(object, key, key), '')
      assert.deepEqual(stringList(object, key, key, 1), [])
      assert.throws(() => requiredString(object, key), { message: `${key} is missing or not a string` })
    }
    assert.equal(member(parsed('{"__proto__":"own"}'), '__proto__'), 'own')
  })
})

test('a list has as many items as allowed and not one more', () => {
  const object = parsed('{"list":["a","b"]}')
  assert.deepEqual(stringList(object, 'list', 'spec.list', 2), ['a', 'b'])
  assert.throws(() => stringList(object, 'list', 'spec.list', 1), {
    code: 'body_invalid',
    message: 'spec.list has more than 1 items',
  })
})
