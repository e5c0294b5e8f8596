import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ArchwayError } from '../../src/errors.ts'
import { parseStrictJson, shown } from '../../src/kube/strict-json.ts'

const parse = (text: string, maxDepth?: number): unknown =>
  parseStrictJson(Buffer.from(text), maxDepth === undefined ? {} : { maxDepth })

/** A key that two parsers could read as one value and as the other (T-W11). */
const duplicates: readonly [name: string, text: string][] = [
  ['at the top', '{"a":1,"a":2}'],
  ['with equal values', '{"a":1,"a":1}'],
  ['deep inside', '{"x":[{"y":{"a":1,"b":2,"a":3}}]}'],
  ['after a nested object', '{"a":{"a":1},"b":2,"a":3}'],
  ['after a nested list', '{"a":["a",{"a":1}],"a":3}'],
  ['in the second item of a list', '[{"a":1},{"b":1,"b":2}]'],
  ['written as an escape', '{"a":1,"\\u0061":2}'],
  ['written as an escape the first time', '{"\\u0061":1,"a":2}'],
  ['written as two different escapes', '{"\\/":1,"\\u002f":2}'],
  ['as an escape in the middle of a word', '{"status":1,"sta\\u0074us":2}'],
  ['with a quote in it', '{"\\"":1,"\\u0022":2}'],
  ['with backslashes in it', '{"\\\\":1,"\\u005c":2}'],
  ['empty', '{"":1,"":2}'],
  ['called __proto__', '{"__proto__":1,"__proto__":2}'],
  ['called __proto__ by an escape', '{"__proto__":{},"__pr\\u006fto__":{}}'],
  ['called constructor', '{"constructor":1,"constructor":2}'],
  ['with blanks before the colon', '{"a" :1,\n"a"\t:2}'],
  ['outside the basic plane', '{"\u{1f600}":1,"\\ud83d\\ude00":2}'],
]
for (const [name, text] of duplicates) {
  test(`T-W11 a key that stands twice is refused: ${name}`, () => {
    assert.throws(() => parse(text), {
      name: 'ArchwayError',
      code: 'body_invalid',
      message: /^a key stands twice in one object, at character \d+$/,
    })
  })
}

test('the place of the second key is told, counted from 1', () => {
  assert.throws(() => parse('{"a":1,"a":2}'), { message: 'a key stands twice in one object, at character 8' })
})

const unalike: readonly string[] = [
  '{"a":1,"A":2}',
  '{"a":{"a":{"a":1}}}',
  '[{"a":1},{"a":2}]',
  '{"a":"a","b":"a"}',
  '{"a":["a","a"]}',
  '{"a":[{"b":1}],"b":2}',
  '{"a":"\\"a\\":1,\\"a\\":2"}',
  '{"a":"{","b":"}"}',
  '{"a":"\\\\","b":"a"}',
  '{"a\\\\":1,"a":2}',
  '{"\\\\\\"":1,"\\"":2}',
  '{"a":[],"b":{},"c":[[]]}',
  '{"a":null,"b":true,"c":-0,"d":1e400}',
  '[]',
  '"text"',
  '0',
  ' null\r\n',
]
for (const text of unalike) {
  test(`${text.trim()} has no key twice`, () => assert.deepEqual(parse(text), JSON.parse(text)))
}

describe('what is not one JSON value in UTF-8 is refused', () => {
  const bad: readonly [name: string, bytes: Buffer, message: string][] = [
    ['nothing', Buffer.alloc(0), 'the body is empty; send one JSON object'],
    ['blanks', Buffer.from(' \n'), 'the body is not valid JSON'],
    ['half a document', Buffer.from('{"a":'), 'the body is not valid JSON'],
    ['trailing data', Buffer.from('{"a":1} x'), 'the body is not valid JSON'],
    ['two documents', Buffer.from('{"a":1}{"a":2}'), 'the body is not valid JSON'],
    ['two documents on two lines', Buffer.from('{}\n{}'), 'the body is not valid JSON'],
    ['a byte order mark', Buffer.from('\ufeff{}'), 'the body is not valid JSON'],
    ['UTF-16', Buffer.from('{}', 'utf16le'), 'the body is not valid JSON'],
    ['a comment', Buffer.from('{/* */}'), 'the body is not valid JSON'],
    ['a trailing comma', Buffer.from('{"a":1,}'), 'the body is not valid JSON'],
    ['single quotes', Buffer.from("{'a':1}"), 'the body is not valid JSON'],
    ['a line break in a string', Buffer.from('"a\nb"'), 'the body is not valid JSON'],
    ['NaN', Buffer.from('NaN'), 'the body is not valid JSON'],
    ['Latin-1', Buffer.from('{"a":"é"}', 'latin1'), 'the body is not UTF-8'],
    ['an overlong slash', Buffer.from([0x22, 0xc0, 0xaf, 0x22]), 'the body is not UTF-8'],
    ['a surrogate in UTF-8', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), 'the body is not UTF-8'],
    ['half a character', Buffer.from([0x22, 0xe2, 0x82, 0x22]), 'the body is not UTF-8'],
    ['a stray byte after the value', Buffer.from([0x7b, 0x7d, 0xff]), 'the body is not UTF-8'],
    ['a NUL after the value', Buffer.from('{}\0'), 'the body is not valid JSON'],
  ]
  for (const [name, bytes, message] of bad) {
    test(name, () =>
      assert.throws(() => parseStrictJson(bytes), { name: 'ArchwayError', code: 'body_invalid', message }),
    )
  }
})

describe('T-W15 depth is bounded', () => {
  const lists = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
  const objects = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`

  for (const nested of [lists, objects]) {
    test(`${nested.name}: 32 levels pass and 33 do not`, () => {
      assert.deepEqual(parse(nested(32)), JSON.parse(nested(32)))
      assert.throws(() => parse(nested(33)), {
        code: 'body_invalid',
        message: 'the text is nested deeper than 32 levels',
      })
    })
  }

  test('the limit can be set, and levels count that are open at once', () => {
    assert.deepEqual(parse('[[],[],[{}]]', 3), [[], [], [{}]])
    assert.throws(() => parse('[[],[[[]]]]', 3), { message: 'the text is nested deeper than 3 levels' })
    assert.equal(parse('1', 0), 1)
    assert.throws(() => parse('[]', 0), { code: 'body_invalid' })
  })

  test('brackets inside strings are no levels', () => {
    assert.equal(parse(JSON.stringify('[{'.repeat(1000))), '[{'.repeat(1000))
  })

  test('half a million levels are refused and not recursed into', () => {
    assert.throws(() => parse(lists(500_000)), { code: 'body_invalid' })
  })
})

describe('T-W15 an object has at most 256 keys', () => {
  const withKeys = (count: number): string =>
    JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, i])))

  test('256 pass', () => assert.equal(Object.keys(parse(withKeys(256)) as object).length, 256))
  test('257 do not', () => {
    assert.throws(() => parse(withKeys(257)), { code: 'body_invalid', message: 'an object has more than 256 keys' })
  })
})

test('T-W15 a string of a million escaped quotes is skipped in linear time', () => {
  const value = '"\\'.repeat(1_000_000)
  const startedAt = performance.now()
  assert.deepEqual(parse(JSON.stringify({ token: value })), { token: value })
  // Quadratic would be minutes; the bound is generous for a busy machine.
  assert.ok(performance.now() - startedAt < 5000)
})

test('T-H13 names of Object.prototype are keys like any other', () => {
  const value = parse('{"__proto__":{"polluted":1},"constructor":2,"toString":3}') as Record<string, unknown>
  assert.deepEqual(Object.keys(value), ['__proto__', 'constructor', 'toString'])
  assert.equal(Object.getPrototypeOf(value), Object.prototype)
  assert.equal(Reflect.get({}, 'polluted'), undefined)
})

describe('T-S1 no message quotes the text', () => {
  const canary = 'canary-5ca1ab1e'
  const texts: readonly string[] = [
    `{"${canary}":1,"${canary}":2}`,
    `{"token":"${canary}"`,
    `${canary}`,
    `{"token":"${canary}"} ${canary}`,
    `${'["'.repeat(40)}${canary}`,
    `${'['.repeat(40)}"${canary}"${']'.repeat(40)}`,
    `{"a":"${canary}\u0001"}`,
  ]
  for (const text of texts) {
    test(text.slice(0, 50), () => {
      assert.throws(
        () => parse(text),
        (thrown) => {
          assert.ok(thrown instanceof ArchwayError)
          assert.equal(thrown.code, 'body_invalid')
          assert.equal(thrown.cause, undefined, 'the message of JSON.parse quotes the text')
          assert.ok(!thrown.message.includes(canary) && !thrown.message.includes('5ca1'))
          return true
        },
      )
    })
  }
})

describe('properties', () => {
  test('a document without a key twice comes out as JSON.parse has it', () => {
    fc.assert(
      fc.property(
        fc.json({ maxDepth: 6, stringUnit: 'binary' }),
        fc.constantFrom(undefined, 1, '\t'),
        (text, indent) => {
          const value: unknown = JSON.parse(text)
          const written = JSON.stringify(value, null, indent)
          assert.deepEqual(parse(written), value)
        },
      ),
      { numRuns: 500 },
    )
  })

  test('a key written twice is found wherever it stands and however it is spelt', () => {
    const escaped = (key: string): string =>
      `"${[...Array(key.length).keys()].map((i) => `\\u${key.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')}"`
    const member = fc.tuple(fc.string({ unit: 'binary' }), fc.json({ maxDepth: 2 }))
    fc.assert(
      fc.property(
        fc.uniqueArray(member, { minLength: 1, maxLength: 8, selector: ([key]) => key }),
        fc.nat(),
        fc.nat(),
        fc.boolean(),
        (members, pick, place, asEscapes) => {
          const written = members.map(([key, value]) => `${JSON.stringify(key)}:${value}`)
          assert.doesNotThrow(() => parse(`[{${written.join(',')}}]`))
          const [key, value] = members[pick % members.length] ?? ['', '']
          const again = `${asEscapes ? escaped(key) : JSON.stringify(key)}:${value}`
          written.splice(place % (written.length + 1), 0, again)
          assert.throws(() => parse(`[{${written.join(',')}}]`), { code: 'body_invalid', message: /twice/ })
        },
      ),
    )
  })

  test('T-W15 any bytes give a value or body_invalid, and nothing else', () => {
    const jsonish = fc
      .array(fc.constantFrom('{', '}', '[', ']', ',', ':', '"a"', '"b"', '"', '\\', '1', 'null', ' '), {
        maxLength: 24,
      })
      .map((parts) => Buffer.from(parts.join('')))
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 64 }).map(Buffer.from), jsonish)
    fc.assert(
      fc.property(bytes, (body) => {
        try {
          parseStrictJson(body)
        } catch (thrown) {
          assert.ok(thrown instanceof ArchwayError && thrown.code === 'body_invalid', String(thrown))
          return
        }
        JSON.parse(body.toString()) // what was accepted is JSON
      }),
      { numRuns: 2000 },
    )
  })
})

describe('shown', () => {
  test('quotes, escapes and cuts what a stranger sent', () => {
    assert.equal(shown('v1'), '"v1"')
    assert.equal(shown('a"\n'), '"a\\"\\n"')
    assert.equal(shown('x'.repeat(64)), JSON.stringify('x'.repeat(64)))
    assert.equal(shown('x'.repeat(65)), JSON.stringify(`${'x'.repeat(64)}…`))
  })
})
