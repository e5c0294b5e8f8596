import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type AnswerHead, MalformedAnswer } from '../../../src/proxy/upstream/answer-head.ts'
import { type Asked, ResponseParser } from '../../../src/proxy/upstream/response-parser.ts'

const LIMITS = { headBytes: 2048, headLines: 20 }
const GET: Asked = { method: 'GET' }

/** What one answer was read as. */
interface Reading {
  readonly continued: number
  readonly head: AnswerHead | undefined
  readonly switched: boolean
  readonly body: string
  /** Bytes behind the answer. */
  readonly surplus: string
  readonly end: 'whole' | 'unfinished' | 'malformed'
  readonly fault: string
}

/** Feeds the pieces to a parser, then the end of the connection. */
function readPieces(pieces: readonly Buffer[], asked: Asked = GET, parser = new ResponseParser(LIMITS)): Reading {
  let [continued, switched, body, surplus] = [0, false, '', '']
  let head: AnswerHead | undefined
  const tell = (one: AnswerHead): void => {
    assert.equal(head, undefined, 'a second head')
    head = one
  }
  const events = {
    continued() {
      continued += 1
    },
    head: tell,
    switched(one: AnswerHead) {
      switched = true
      tell(one)
    },
    data(chunk: Buffer) {
      assert(head !== undefined && chunk.length > 0)
      body += chunk.toString('latin1')
      return true
    },
  }
  const reading = (end: Reading['end'], fault = ''): Reading => ({
    continued,
    head,
    switched,
    body,
    surplus,
    end,
    fault,
  })
  parser.begin(asked)
  try {
    for (const piece of pieces) {
      const at = parser.whole ? 0 : parser.read(piece, events)
      assert(parser.whole || at === piece.length, 'bytes were left although nobody held it back')
      surplus += piece.toString('latin1', at)
    }
    return reading(parser.close() ? 'whole' : 'unfinished')
  } catch (error) {
    if (error instanceof MalformedAnswer) return reading('malformed', error.message)
    throw error
  }
}

function readText(text: string, asked: Asked = GET): Reading {
  const bytes = Buffer.from(text, 'latin1')
  const whole = readPieces([bytes], asked)
  const single = readPieces(
    [...bytes].map((byte) => Buffer.of(byte)),
    asked,
  )
  const { fault: _, ...seen } = whole
  const { fault: __, ...seenOneByOne } = single
  // What is malformed may be noticed later when it comes in one piece, never not at all.
  if (whole.end !== 'malformed') assert.deepEqual(seenOneByOne, seen)
  else assert.equal(single.end, 'malformed')
  return whole
}

const OK = 'HTTP/1.1 200 OK\r\n'
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\n'

describe('an answer is read', () => {
  const cases: readonly (readonly [name: string, text: string, body: string, asked?: Asked])[] = [
    ['with a length', `${OK}Content-Length: 5\r\n\r\nhello`, 'hello'],
    ['with an empty body', `${OK}Content-Length: 0\r\n\r\n`, ''],
    ['with one length said twice', `${OK}Content-Length: 2\r\ncontent-length: 2\r\n\r\nhi`, 'hi'],
    ['in chunks', `${CHUNKED}3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n`, 'abcd'],
    [
      'in chunks of hexadecimal size',
      `${CHUNKED}0A\r\n0123456789\r\nb\r\n0123456789a\r\n000\r\n\r\n`,
      '01234567890123456789a',
    ],
    ['in chunks with extensions', `${CHUNKED}3;a=b; c="d"\r\nabc\r\n0;last\r\n\r\n`, 'abc'],
    ['without its trailers', `${CHUNKED}1\r\na\r\n0\r\nX-Remote-User: admin\r\nOther:\r\n\r\n`, 'a'],
    ['until the connection ends', `${OK}\r\nall of this`, 'all of this'],
    ['in HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\nold', 'old'],
    ['in HTTP/1.0 with a length', 'HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold', 'old'],
    ['without a reason', 'HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\na', 'a'],
    ['without a blank for the reason', 'HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na', 'a'],
    ['with a reason outside ASCII', 'HTTP/1.1 200 \xe9\xff\r\nContent-Length: 1\r\n\r\na', 'a'],
    ['with blanks around values', `${OK}Content-Length:\t 1 \t\r\nTransfer:x\r\n\r\na`, 'a'],
    ['to HEAD, without a body', `${OK}Content-Length: 500\r\n\r\n`, '', { method: 'HEAD' }],
    ['to HEAD, chunked and without a body', CHUNKED, '', { method: 'HEAD' }],
    ['204 without a body', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n', ''],
    ['304 without a body', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n', ''],
    ['behind interim answers', `HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${OK}Content-Length: 1\r\n\r\na`, 'a'],
    ['of which the bytes are no text', `${OK}Content-Length: 4\r\n\r\n\0\r\n\xff`, '\0\r\n\xff'],
  ]
  for (const [name, text, body, asked] of cases) {
    test(name, () => {
      const reading = readText(text, asked)
      assert.equal(reading.fault, '')
      assert.deepEqual([reading.end, reading.body, reading.surplus], ['whole', body, ''])
    })
  }

  test('with its lines in their order, as they were', () => {
    const { head } = readText(`${OK}b: 1\r\nA: \xfc\r\nb:  two  words \r\n__proto__: x\r\nContent-Length: 0\r\n\r\n`)
    assert.deepEqual(head?.headers, [
      ['b', '1'],
      ['A', '\xfc'],
      ['b', 'two  words'],
      ['__proto__', 'x'],
      ['Content-Length', '0'],
    ])
  })

  test('100 is told of, other interim answers are not', () => {
    const interim = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n'
    const { continued, head } = readText(`${interim}${OK}Content-Length: 0\r\n\r\n`)
    assert.deepEqual([continued, head?.status], [1, 200])
  })
})

describe('a connection lasts', () => {
  const cases: readonly (readonly [name: string, head: string, lasts: boolean])[] = [
    ['with a length', `${OK}Content-Length: 0\r\n\r\n`, true],
    ['with chunks', `${CHUNKED}0\r\n\r\n`, true],
    ['without a body', 'HTTP/1.1 204 No Content\r\n\r\n', true],
    ['not after Connection: close', `${OK}Content-Length: 0\r\nConnection: close\r\n\r\n`, false],
    ['not after close among other words', `${OK}Content-Length: 0\r\nconnection: Foo ,\tCLOSE\r\n\r\n`, false],
    ['not after close in a second line', `${OK}Content-Length: 0\r\nConnection: a\r\nConnection: close\r\n\r\n`, false],
    ['not without a framing', `${OK}\r\n`, false],
    ['not in HTTP/1.0', 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n', false],
  ]
  for (const [name, text, lasts] of cases) test(name, () => assert.equal(readText(text).head?.lasting, lasts))
})

describe('H8 what has two readings, or none, is no answer', () => {
  const cases: readonly (readonly [name: string, text: string, fault: RegExp, asked?: Asked])[] = [
    ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n\r\n', /status line|no answer/],
    ['HTTP/2', 'HTTP/2.0 200 OK\r\n\r\n', /status line|no answer/],
    ['another minor version', 'HTTP/1.2 200 OK\r\n\r\n', /status line/],
    ['a version in lower case', 'http/1.1 200 OK\r\n\r\n', /status line/],
    ['an empty line before it', `\r\n${OK}\r\n`, /status line/],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n', /status line/],
    ['a status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n', /status line/],
    ['a status past the classes', 'HTTP/1.1 600 Hm\r\n\r\n', /status line/],
    ['a status below the classes', 'HTTP/1.1 099 Hm\r\n\r\n', /status line/],
    ['two blanks before the status', 'HTTP/1.1  200 OK\r\n\r\n', /status line/],
    ['control characters in the reason', 'HTTP/1.1 200 O\0K\r\n\r\n', /status line/],
    ['line feeds alone', 'HTTP/1.1 200 OK\nA: b\n\n\r\n\r\n', /./],
    ['one line feed alone', `${OK}A: b\nContent-Length: 0\r\n\r\n`, /control|without CR/],
    ['a lone CR in a value', `${OK}A: b\rc\r\n\r\n`, /control/],
    ['NUL in a value', `${OK}A: b\0\r\n\r\n`, /control/],
    ['DEL in a value', `${OK}A: b\x7f\r\n\r\n`, /control/],
    ['a folded line', `${OK}A: b\r\n c\r\n\r\n`, /proper name/],
    ['a folded line that could be one', `${OK}A: b\r\n c: d\r\n\r\n`, /proper name/],
    ['a blank before the colon', `${OK}Content-Length : 0\r\n\r\n`, /proper name/],
    ['no colon', `${OK}A b\r\n\r\n`, /proper name/],
    ['no colon, and one in the next line', `${OK}A b\r\nC: d\r\n\r\n`, /proper name/],
    ['no name', `${OK}: b\r\n\r\n`, /proper name/],
    ['a name outside ASCII', `${OK}\xc4: b\r\n\r\n`, /proper name/],
    ['two lengths', `${OK}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`, /two values/],
    ['a list of lengths', `${OK}Content-Length: 1, 1\r\n\r\na`, /no number/],
    ['a length with a sign', `${OK}Content-Length: +1\r\n\r\na`, /no number/],
    ['a negative length', `${OK}Content-Length: -1\r\n\r\na`, /no number/],
    ['a hexadecimal length', `${OK}Content-Length: 0x1\r\n\r\na`, /no number/],
    ['an empty length', `${OK}Content-Length:\r\n\r\na`, /no number/],
    ['a length past all counting', `${OK}Content-Length: 9007199254740993\r\n\r\na`, /no number/],
    ['length and chunks', `${OK}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, /beside/],
    ['chunks and length', `${OK}Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n`, /beside/],
    [
      'length and chunks to HEAD',
      `${OK}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
      /beside/,
      { method: 'HEAD' },
    ],
    ['another encoding', `${OK}Transfer-Encoding: gzip\r\n\r\n`, /other than/],
    ['two encodings', `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n`, /other than/],
    ['chunked twice', `${OK}Transfer-Encoding: chunked, chunked\r\n\r\n`, /other than/],
    ['chunked in two lines', `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`, /two lines/],
    ['chunked with something behind', `${OK}Transfer-Encoding: chunked;x\r\n\r\n`, /other than/],
    ['identity', `${OK}Transfer-Encoding: identity\r\n\r\n`, /other than/],
    ['chunked in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', /HTTP\/1.0/],
    ['a chunk without a size', `${CHUNKED}\r\nabc\r\n0\r\n\r\n`, /without a size/],
    ['an extension without a size', `${CHUNKED};a\r\nabc\r\n0\r\n\r\n`, /without a size/],
    ['a size with 0x', `${CHUNKED}0x3\r\nabc\r\n0\r\n\r\n`, /does not end/],
    ['a size with a sign', `${CHUNKED}-3\r\nabc\r\n0\r\n\r\n`, /without a size/],
    ['a size with a blank', `${CHUNKED}3 \r\nabc\r\n0\r\n\r\n`, /does not end/],
    ['a size past all counting', `${CHUNKED}${'f'.repeat(14)}\r\nabc`, /of that size/],
    ['a size of many zeros', `${CHUNKED}${'0'.repeat(14)}\r\n\r\n`, /of that size/],
    ['a size ended by a line feed', `${CHUNKED}3\nabc\r\n0\r\n\r\n`, /does not end/],
    ['a size ended by CR', `${CHUNKED}3\rabc\r\n0\r\n\r\n`, /does not end/],
    ['a chunk longer than its size', `${CHUNKED}3\r\nabcd\r\n0\r\n\r\n`, /does not end/],
    ['a chunk ended by a line feed', `${CHUNKED}3\r\nabc\n0\r\n\r\n`, /does not end/],
    ['a line feed in an extension', `${CHUNKED}3;a\nb\r\nabc\r\n0\r\n\r\n`, /control/],
    ['extensions without an end', `${CHUNKED}3;${'a'.repeat(1025)}`, /extensions/],
    ['trailers without an end', `${CHUNKED}0\r\n${'A: b\r\n'.repeat(3000)}`, /trailers/],
    ['a trailer line without an end', `${CHUNKED}0\r\nA: ${'b'.repeat(17_000)}`, /trailers/],
    ['a trailer that is no line', `${CHUNKED}0\r\nHTTP/1.1 200 OK\r\n\r\n`, /proper name/],
    ['a trailer ended by a line feed', `${CHUNKED}0\r\nA: b\n\r\n`, /without CR/],
    ['trailers ended by a line feed', `${CHUNKED}0\r\n\n`, /without CR/],
    ['a head too long', `${OK}A: ${'b'.repeat(2048)}\r\n\r\n`, /longer than 2048/],
    ['a head without an end', `${OK}A: ${'b'.repeat(3000)}`, /longer than 2048/],
    ['too many lines', `${OK}${'A: b\r\n'.repeat(21)}\r\n`, /more than 20 lines/],
    ['an interim answer in HTTP/1.0', `HTTP/1.0 100 Continue\r\n\r\n${OK}Content-Length: 0\r\n\r\n`, /interim/],
    ['interim answers without an end', 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(17), /interim/],
  ]
  for (const [name, text, fault, asked] of cases) {
    test(name, () => {
      const reading = readText(text, asked)
      assert.equal(reading.end, 'malformed')
      assert.match(reading.fault, fault)
    })
  }
})

describe('an answer is not whole', () => {
  for (const text of [
    '',
    'HTTP/1.',
    `${OK}Content-Length: 0\r\n`,
    'HTTP/1.1 100 Continue\r\n\r\n',
    `${OK}Content-Length: 2\r\n\r\na`,
    CHUNKED,
    `${CHUNKED}2\r\na`,
    `${CHUNKED}1\r\na\r\n`,
    `${CHUNKED}0\r\n`,
    `${CHUNKED}0\r\nA: b\r\n`,
  ]) {
    test(JSON.stringify(text), () => assert.equal(readText(text).end, 'unfinished'))
  }
})

describe('H9 the protocol changes', () => {
  const websocket: Asked = { method: 'GET', upgrade: 'websocket' }
  const spdy: Asked = { method: 'POST', upgrade: 'SPDY/3.1' }

  test('at a 101 for what was asked; what follows is no HTTP', () => {
    const reading = readText(`${SWITCH}Connection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n\x81\x01a`, websocket)
    assert.deepEqual([reading.switched, reading.surplus], [true, '\x81\x01a'])
    assert.equal(readText(`${SWITCH}connection: x, upgrade\r\nupgrade: spdy/3.1\r\n\r\n`, spdy).switched, true)
  })

  const refused: readonly (readonly [name: string, text: string, asked: Asked])[] = [
    ['nobody asked', `${SWITCH}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`, GET],
    ['another was asked for', `${SWITCH}Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n`, websocket],
    ['several are named', `${SWITCH}Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n`, websocket],
    ['several lines name one', `${SWITCH}Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n`, websocket],
    ['none is named', `${SWITCH}Connection: Upgrade\r\n\r\n`, websocket],
    ['Connection does not say so', `${SWITCH}Upgrade: websocket\r\n\r\n`, websocket],
    ['Connection says something else', `${SWITCH}Connection: keep-alive\r\nUpgrade: websocket\r\n\r\n`, websocket],
  ]
  for (const [name, text, asked] of refused) {
    test(`not where ${name}`, () => assert.equal(readText(text, asked).end, 'malformed'))
  }

  for (const status of [200, 302, 403, 426, 500]) {
    test(`not at a ${status}, which is an answer as any other`, () => {
      const head = `HTTP/1.1 ${status} X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\n`
      const reading = readText(`${head}no`, websocket)
      assert.deepEqual([reading.switched, reading.head?.status, reading.body], [false, status, 'no'])
    })
  }
})

describe('however an answer is cut into pieces', () => {
  const name = fc.stringMatching(/^X-[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}$/)
  const value = fc.stringMatching(/^[!-~\x80-\xff]([\t -~\x80-\xff]{0,20}[!-~\x80-\xff])?$/)
  const lines = fc.array(fc.tuple(name, value), { maxLength: 8 })
  const body = fc.string({ unit: 'binary-ascii', maxLength: 400 })
  const chunks = fc.array(fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 90 }), { maxLength: 6 })
  const status = fc.integer({ min: 200, max: 599 }).filter((one) => one !== 204 && one !== 304)
  const cuts = fc.array(fc.nat(3000), { maxLength: 30 })

  const inPieces = (text: string, places: readonly number[]): Buffer[] => {
    const bytes = Buffer.from(text, 'latin1')
    const sorted = [0, ...places.filter((at) => at < bytes.length).sort((a, b) => a - b), bytes.length]
    return sorted.slice(1).map((end, index) => bytes.subarray(sorted[index], end))
  }
  const headText = (code: number, headers: readonly (readonly [string, string])[]): string =>
    `HTTP/1.1 ${code} Reason\r\n${headers.map(([key, text]) => `${key}: ${text}\r\n`).join('')}`

  test('it is the same answer, with a length', () => {
    fc.assert(
      fc.property(
        status,
        lines,
        body,
        cuts,
        fc.string({ unit: 'binary-ascii', maxLength: 20 }),
        (code, headers, text, places, behind) => {
          const wire = `${headText(code, headers)}Content-Length: ${text.length}\r\n\r\n${text}${behind}`
          const reading = readPieces(inPieces(wire, places))
          assert.deepEqual(reading.head?.headers, [...headers, ['Content-Length', String(text.length)]])
          assert.deepEqual(
            [reading.head.status, reading.body, reading.surplus, reading.end],
            [code, text, behind, 'whole'],
          )
        },
      ),
    )
  })

  test('it is the same answer, in chunks, behind interim answers', () => {
    const wireOf = (parts: readonly string[], trailers: readonly (readonly [string, string])[]): string =>
      [
        ...parts.map((part) => `${part.length.toString(16)};x=1\r\n${part}\r\n`),
        `0\r\n${trailers.map(([key, text]) => `${key}: ${text}\r\n`).join('')}\r\n`,
      ].join('')
    fc.assert(
      fc.property(status, lines, chunks, lines, fc.nat(5), cuts, (code, headers, parts, trailers, hints, places) => {
        const interim = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(hints)
        const wire = `${interim}${headText(code, headers)}transfer-encoding: Chunked\r\n\r\n${wireOf(parts, trailers)}`
        const reading = readPieces(inPieces(wire, places))
        assert.equal(reading.fault, '')
        assert.deepEqual(
          [reading.head?.status, reading.body, reading.surplus, reading.end],
          [code, parts.join(''), '', 'whole'],
        )
      }),
    )
  })

  test('H8 no bytes whatever make it throw anything else, or end twice', () => {
    const token = fc.constantFrom(
      OK,
      CHUNKED,
      'HTTP/1.1 ',
      '100 Continue',
      '\r\n',
      '\r\n\r\n',
      '\r',
      '\n',
      'Content-Length: ',
      '5',
      '0',
      'a;b',
      'Transfer-Encoding: chunked\r\n',
      'Connection: Upgrade\r\n',
      'Upgrade: websocket\r\n',
      SWITCH,
      ' ',
      ':',
      '\0',
      'ff',
    )
    const wire = fc.array(fc.oneof(token, fc.string({ unit: 'binary-ascii', maxLength: 9 })), { maxLength: 30 })
    const asked = fc.constantFrom<Asked>(GET, { method: 'HEAD' }, { method: 'GET', upgrade: 'websocket' })
    fc.assert(
      fc.property(wire, cuts, asked, (parts, places, one) => {
        const pieces = inPieces(parts.join(''), places)
        const cut = readPieces(pieces, one)
        const whole = readPieces([Buffer.concat(pieces)], one)
        if (whole.end === 'whole') assert.deepEqual(cut, whole)
        else assert.notEqual(cut.end, 'whole')
      }),
      { numRuns: 500 },
    )
  })
})

describe('reading is held back', () => {
  test('where the taker wants no more, and goes on there', () => {
    const parser = new ResponseParser(LIMITS)
    const taken: string[] = []
    const events = {
      continued() {},
      head() {},
      switched() {},
      data(chunk: Buffer) {
        taken.push(chunk.toString('latin1'))
        return false
      },
    }
    parser.begin(GET)
    let rest = Buffer.from(`${CHUNKED}2\r\nab\r\n1\r\nc\r\n0\r\n\r\n`)
    for (const expected of [['ab'], ['ab', 'c']]) {
      rest = rest.subarray(parser.read(rest, events))
      assert.deepEqual([taken, parser.whole], [expected, false])
    }
    assert.equal(parser.read(rest, events), rest.length)
    assert.equal(parser.whole, true)
  })

  test('and nothing of an answer stays behind for the next', () => {
    const parser = new ResponseParser(LIMITS)
    const hints = 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(10)
    const halves = [`${hints}${OK}Content-`, 'Length: 1\r\n\r\na'].map((text) => Buffer.from(text))
    for (let round = 0; round < 3; round += 1) assert.equal(readPieces(halves, GET, parser).body, 'a')
  })
})
