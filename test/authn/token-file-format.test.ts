import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parseTokenFile, readCsv } from '../../src/authn/token-file-format.ts'
import { ArchwayError, InvalidDocumentError } from '../../src/errors.ts'

const tokens = (text: string | Buffer): string[] => parseTokenFile(text).entries.map(({ token }) => token.reveal())
const warnings = (text: string): string[] => parseTokenFile(text).warnings.map((w) => `${w.line}: ${w.message}`)

function problemsOf(content: string | Buffer): InvalidDocumentError['problems'] {
  try {
    parseTokenFile(content, '/etc/tokens.csv')
  } catch (thrown) {
    assert.ok(thrown instanceof InvalidDocumentError)
    assert.equal(thrown.code, 'file_invalid')
    assert.ok(thrown.message.startsWith('/etc/tokens.csv: '))
    return thrown.problems
  }
  assert.fail('the file was accepted')
}

describe('CSV is read as encoding/csv of Go reads it', () => {
  // What is read and what is refused was taken from running Go's reader; where a mistake stands is said by our own rule.
  const read: readonly [string, readonly (readonly string[])[]][] = [
    ['', []],
    ['\r', []],
    ['\r\n\n\r\n', []],
    ['\n\na,b\n', [['a', 'b']]],
    [' \n', [[' ']]],
    ['\r\r\n', [['\r']]],
    ['a\rb,c\r', [['a\rb', 'c']]],
    ['a,b\r\r\n', [['a', 'b\r']]],
    ['a,\n', [['a', '']]],
    ['a,', [['a', '']]],
    [',\n', [['', '']]],
    ['""\n', [['']]],
    ['"a"\r\n', [['a']]],
    ['"a"\r', [['a']]],
    ['"a\r\nb\rc\n\nd",e\n', [['a\nb\rc\n\nd', 'e']]],
    ['"a\r\r\nb"', [['a\r\nb']]],
    [
      '"a\nb","",c\n"\n",d',
      [
        ['a\nb', '', 'c'],
        ['\n', 'd'],
      ],
    ],
    ['"""a"""', [['"a"']]],
    ['"a,""b"",c",d', [['a,"b",c', 'd']]],
    ['\uFEFFa,b', [['\uFEFFa', 'b']]],
    ['a\u2028b\u0085c,d', [['a\u2028b\u0085c', 'd']]],
    ['a\0b,\0', [['a\0b', '\0']]],
  ]
  for (const [text, fields] of read) {
    test(JSON.stringify(text), () => {
      const { records, problem } = readCsv(text)
      assert.equal(problem, undefined)
      assert.deepEqual(
        records.map((record) => record.fields),
        fields,
      )
    })
  }

  const refused: readonly [string, number, number, RegExp][] = [
    ['a"b', 1, 2, /^field 1 has a quote but does not begin with one\. Put quotes around the whole field/],
    ['a,b\nc, "d"\n', 2, 4, /^field 2 has a quote but/],
    ['\uFEFF"a"\n', 1, 2, /^field 1 has a quote but/],
    ['"a"b\n', 1, 3, /^field 1 goes on after its closing quote\./],
    ['"a" ,b\n', 1, 3, /^field 1 goes on/],
    ['"a"\r\r\n', 1, 3, /^field 1 goes on/],
    ['a,"b\nc"d\n', 2, 2, /^field 2 goes on/],
    ['x\n"', 2, 1, /^the quote that opens field 1 is never closed\./],
    ['a,"b\n\nc\n', 1, 3, /^the quote that opens field 2 is never closed\./],
    ['"a""', 1, 1, /^the quote that opens field 1 is never closed\./],
  ]
  for (const [text, line, column, message] of refused) {
    test(`${JSON.stringify(text)} is a mistake at line ${line}, column ${column}`, () => {
      const { problem } = readCsv(text)
      assert.deepEqual([problem?.line, problem?.column], [line, column])
      assert.match(problem?.message ?? '', message)
    })
  }

  test('records know the line they begin on', () => {
    const { records } = readCsv('\n"a\nb\nc",d\r\n\ne\n')
    assert.deepEqual(
      records.map(({ line }) => line),
      [2, 6],
    )
  })

  test('whatever is written with quotes is read back', () => {
    const field = fc.string({ unit: fc.constantFrom('a', ' ', ',', '"', '\n', '\r', '\uFEFF', 'é', '团', '😀') })
    const quoted = (value: string) => `"${value.replaceAll('"', '""')}"`
    const table = fc.array(fc.array(field, { minLength: 1, maxLength: 5 }), { maxLength: 6 })
    fc.assert(
      fc.property(table, fc.constantFrom('\n', '\r\n'), (rows, end) => {
        const { records, problem } = readCsv(rows.map((row) => row.map(quoted).join(',') + end).join(''))
        assert.equal(problem, undefined)
        const kept = rows.map((row) => row.map((value) => value.replaceAll('\r\n', '\n')))
        assert.deepEqual(
          records.map(({ fields }) => fields),
          kept,
        )
      }),
    )
  })
})

describe('a token file', () => {
  test('gives token, user name, uid and groups of each record', () => {
    const { entries, warnings: none } = parseTokenFile('t,u,i\nt2,"u, 2",,"a, b,a"\r\n')
    assert.deepEqual(
      entries.map(({ token, ...rest }) => ({ token: token.reveal(), ...rest })),
      [
        { token: 't', line: 1, username: 'u', uid: 'i', groups: [] },
        { token: 't2', line: 2, username: 'u, 2', uid: '', groups: ['a', ' b', 'a'] },
      ],
    )
    assert.deepEqual(none, [])
  })

  test('T-H13 names of Object.prototype are names', () => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty']
    const { entries } = parseTokenFile(names.map((name) => `${name},${name},${name},"${name},x"\n`).join(''))
    const seen = entries.map(({ token, username, uid, groups }) => [token.reveal(), username, uid, ...groups])
    assert.deepEqual(
      seen,
      names.map((name) => [name, name, name, name, 'x']),
    )
  })

  test('T-W11 of two records with one token the last wins, and a warning names both lines', () => {
    const text = 'canary,u1,i1\nother,u,i\ncanary,u2,i2\n'
    assert.deepEqual(
      parseTokenFile(text).entries.map(({ username }) => username),
      ['u2', 'u'],
    )
    assert.deepEqual(warnings(text), ['3: the token is that of line 1 too; this record wins'])
  })

  test('a byte order mark is part of the first token, with a warning', () => {
    assert.deepEqual(tokens(Buffer.from('\uFEFFt,u,i\n')), ['\uFEFFt'])
    assert.match(warnings('\uFEFFt,u,i\n').join(), /^1: a byte order mark stands before the first token/)
  })

  test('an empty fourth column is one group without a name, with a warning', () => {
    assert.deepEqual(parseTokenFile('t,u,i,\n').entries[0]?.groups, [''])
    assert.match(warnings('t,u,i,\n').join(), /^1: a group name is empty\. Leave the fourth column out/)
  })

  const doubtful: readonly [string, RegExp][] = [
    [',u,i\n', /^1: the token is empty; the record is skipped$/],
    ['t,,i\n', /^1: the user name is empty; its token will be refused$/],
    ['t,u,i,a,b\n', /^1: columns after the fourth are ignored\. Several groups stand in one pair of quotes/],
  ]
  for (const [text, warning] of doubtful) {
    test(`${JSON.stringify(text)} is read with a warning`, () => assert.match(warnings(text).join(), warning))
  }

  test('all records that are too short are named, and the first mistake of grammar', () => {
    const problems = problemsOf('t\nt,u,i\n \n#t,u\nt,"u\n')
    assert.deepEqual(
      problems.map(({ line }) => line),
      [1, 3, 4, 5],
    )
    assert.match(problems[0]?.message ?? '', /^has one column, fewer than 3\. A record is token,user name,user uid/)
    assert.match(problems[2]?.message ?? '', /^has 2 columns, .* there are no comments/)
  })

  test('a file of nothing but mistakes gives a message of bearable length', () => {
    assert.equal(problemsOf('x\n'.repeat(10_000)).length, 20)
  })

  test('a byte order mark that spoils the first record is named as the reason', () => {
    assert.match(problemsOf('\uFEFF"t",u,i\n').at(-1)?.message ?? '', /byte order mark stands before the first field/)
  })

  const notUtf8: readonly [string, Buffer | string, number | undefined][] = [
    ['Latin-1', Buffer.from('t,u,i\nt2,bj\u00f6rn,i\n', 'latin1'), 2],
    ['Latin-1 in the last line', Buffer.from('t,u,i\nt2,u,\u00f6', 'latin1'), 2],
    ['UTF-16', Buffer.from('\uFEFFt,u,i\n', 'utf16le'), 1],
    ['a lone surrogate', 't,\ud800,i\n', undefined],
  ]
  for (const [title, content, line] of notUtf8) {
    test(`${title} is refused as not UTF-8, with the line`, () => {
      const [problem] = problemsOf(content)
      assert.match(problem?.message ?? '', /^is not UTF-8\. Save it as UTF-8/)
      assert.equal(problem?.line, line)
    })
  }

  test('any bytes give entries or file_invalid', () => {
    const csvish = fc
      .string({ unit: fc.constantFrom('t', ',', ',', '"', '\n', '\r', 'é') })
      .map((text) => Buffer.from(text))
    const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array))
    fc.assert(
      fc.property(fc.oneof(csvish, bytes), (content) => {
        try {
          for (const { token } of parseTokenFile(content).entries) assert.notEqual(token.reveal(), '')
        } catch (thrown) {
          assert.ok(thrown instanceof ArchwayError, String(thrown))
          assert.equal(thrown.code, 'file_invalid')
        }
      }),
    )
  })

  test('T-S1 no mistake, warning or printed entry shows what the file holds', () => {
    const canary = 'c4n4ry'
    const cell = fc.constantFrom(canary, '', `"${canary}"`, `${canary}"`, `"${canary}`, `"${canary}"x`, '\n', '\r\n')
    const file = fc.array(cell, { maxLength: 12 }).map((cells) => cells.join(','))
    fc.assert(
      fc.property(file, (text) => {
        const shown = () => {
          try {
            const { entries, warnings: doubts } = parseTokenFile(text)
            return [...doubts.map(({ message }) => message), ...entries.map(({ token }) => `${token}`)].join('\n')
          } catch (thrown) {
            return `${thrown instanceof Error ? thrown.stack : thrown}`
          }
        }
        assert.ok(!shown().includes(canary))
      }),
    )
  })
})
