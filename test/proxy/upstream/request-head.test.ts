import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { requestHead } from '../../../src/proxy/upstream/request-head.ts'
import type { UpstreamRequest } from '../../../src/proxy/upstream/upstream.ts'
import { request } from './support.ts'

describe('the head of a request', () => {
  const cases: readonly (readonly [name: string, parts: Partial<UpstreamRequest>, text: string])[] = [
    [
      'has its lines in their order',
      {
        headers: [
          ['b', '1'],
          ['Host', 'x'],
          ['b', '2'],
        ],
      },
      'GET / HTTP/1.1\r\nb: 1\r\nHost: x\r\nb: 2\r\n\r\n',
    ],
    [
      'has the target byte for byte',
      { target: '//a/%2e%2E/..;b?c=%20&d#e\xfc' },
      'GET //a/%2e%2E/..;b?c=%20&d#e\xfc HTTP/1.1\r\nHost: a\r\n\r\n',
    ],
    [
      'says how long the body is',
      { method: 'PUT', framing: { kind: 'length', bytes: 0 } },
      'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
    ],
    [
      'says that the body comes in chunks',
      { method: 'PUT', framing: { kind: 'chunked' } },
      'PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n',
    ],
    [
      'asks whether the body is wanted',
      { framing: { kind: 'length', bytes: 7 }, expectContinue: true },
      'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n',
    ],
    [
      'asks for an upgrade',
      { upgrade: 'SPDY/3.1' },
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n',
    ],
  ]
  for (const [name, parts, text] of cases) test(name, () => assert.equal(requestHead(request(parts)), text))
})

describe('H8 no head is written', () => {
  const line = (name: string, value = 'x'): Partial<UpstreamRequest> => ({ headers: [[name, value]] })
  const cases: readonly (readonly [name: string, parts: Partial<UpstreamRequest>])[] = [
    ['with a line end in a value', line('a', 'b\r\nX-Remote-User: admin')],
    ['with CR in a value', line('a', 'b\rc')],
    ['with LF in a value', line('a', 'b\nc')],
    ['with NUL in a value', line('a', 'b\0')],
    ['with a character that is no byte in a value', line('a', 'b\u010d\u010a')],
    ['with a line end in a name', line('a\r\nb')],
    ['with a colon in a name', line('a:b')],
    ['with a blank in a name', line('a ')],
    ['with an empty name', line('')],
    ['with a character that is no byte in a name', line('\u0141')],
    ['with a blank in the target', { target: '/ HTTP/1.1' }],
    ['with a line end in the target', { target: '/\r\n' }],
    ['with a character that is no byte in the target', { target: '/\u0120' }],
    ['with an empty target', { target: '' }],
    ['with a blank in the method', { method: 'GET /' }],
    ['with an empty method', { method: '' }],
    ['for a tunnel of another kind', { method: 'CONNECT' }],
    ...['Content-Length', 'transfer-encoding', 'CONNECTION', 'Upgrade', 'Expect'].map(
      (name) => [`with ${name} among its lines`, line(name, '1')] as const,
    ),
    ['with an upgrade and a body', { upgrade: 'websocket', framing: { kind: 'chunked' } }],
    ['with a negative length', { framing: { kind: 'length', bytes: -1 } }],
    ['with half a byte of length', { framing: { kind: 'length', bytes: 0.5 } }],
    ['with a length past counting', { framing: { kind: 'length', bytes: 2 ** 53 } }],
  ]
  for (const [name, parts] of cases) {
    test(name, () => assert.throws(() => requestHead(request(parts)), { code: 'internal' }))
  }

  test('of which the text could be read as other lines than it was made of', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary-ascii', maxLength: 8 }),
      fc.string({ unit: 'binary', maxLength: 8 }),
      fc.stringMatching(/^[a-z-]{1,8}$/),
    )
    fc.assert(
      fc.property(text, text, fc.array(fc.tuple(text, text), { maxLength: 4 }), (method, target, headers) => {
        let written: string
        try {
          written = requestHead(request({ method, target, headers }))
        } catch {
          return
        }
        const bytes = Buffer.from(written, 'latin1').toString('latin1')
        const lines = headers.map(([name, value]) => `${name}: ${value}`)
        assert.deepEqual(bytes.split(/[\r\n]+/), [`${method} ${target} HTTP/1.1`, ...lines, ''])
        assert.doesNotMatch(method + target, /\s/)
        for (const [name] of headers) assert.doesNotMatch(name, /[:\s]/)
      }),
      { numRuns: 300 },
    )
  })
})
