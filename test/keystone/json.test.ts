import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseJson } from '../../src/keystone/json.ts'

test('reads JSON as JSON.parse does', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), fc.boolean(), (value, indented) => {
      const text = JSON.stringify(value, undefined, indented ? 2 : undefined)
      assert.deepEqual(parseJson(text), JSON.parse(text))
    }),
  )
})

test('never throws, whatever the text', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseJson(text)))
})

for (const text of ['', '{', '{"a":}', '{a: 1}', "{'a': 1}", '{"a": 1,}', '[1 2]', 'undefined', '\u0000', '{"a":1}{']) {
  test(`is no JSON: ${JSON.stringify(text)}`, () => assert.equal(parseJson(text), undefined))
}

const REPEATED = [
  '{"a": 1, "a": 1}',
  '{"a": 1, "\\u0061": 2}',
  '{"": 1, "": 2}',
  '{"token": {"user": {"id": "a", "name": "n", "id": "b"}}}',
  '[{}, {"x": [], "y": {}, "x": 0}]',
  '{"\\"": 1, "\\"": 2}',
  '{"__proto__": 1, "__proto__": 2}',
]
for (const text of REPEATED) {
  test(`refuses a repeated key: ${text}`, () => assert.equal(parseJson(text), undefined))
}

const DISTINCT = [
  '{"a": {"a": {"a": 1}}}',
  '[{"a": 1}, {"a": 2}]',
  '{"a": "a", "b": "a"}',
  '{"a": ["a", "a"], "A": "\\"a\\": 1, \\"a\\": 2"}',
  '{"a\\\\": 1, "a": 2}',
  '{"a": [{"b": 1}], "b": 2}',
]
for (const text of DISTINCT) {
  test(`takes equal keys of different objects for different: ${text}`, () => {
    assert.deepEqual(parseJson(text), JSON.parse(text))
  })
}

test('finds a repeated key wherever it is inserted', () => {
  const object = fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1, noNullPrototype: true })
  fc.assert(
    fc.property(object, fc.nat(), (value, at) => {
      const members = Object.entries(value).map(([key, member]) => `${JSON.stringify(key)}:${JSON.stringify(member)}`)
      const again = members[at % members.length] ?? ''
      assert.equal(parseJson(`[{"z":{${[...members, again].join()}}}]`), undefined)
    }),
  )
})

test('__proto__ is a key like any other', () => {
  const value = parseJson('{"__proto__": {"admin": true}, "constructor": 1}')
  assert.deepEqual(Object.keys(value as object), ['__proto__', 'constructor'])
  assert.equal(({} as { admin?: boolean }).admin, undefined)
})

test('T-W15 nesting is read to a depth of 64, and a megabyte of brackets is refused like any deeper text', () => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
  assert.notEqual(parseJson(nested(64)), undefined)
  for (const depth of [65, 500_000]) assert.equal(parseJson(nested(depth)), undefined)
})
