import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { basicCredential } from '../../../src/authn/request/basic.ts'
import { headerCredential } from '../../../src/authn/request/credentials.ts'

const basic = (text: string | Buffer): string => `Basic ${Buffer.from(text).toString('base64')}`
const subprotocol = (token: string): string =>
  `base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString('base64url')}`

describe('basic credentials', () => {
  const read: readonly [string, string, string][] = [
    [basic('user:password'), 'user', 'password'],
    ['bAsIc dXNlcjE6cGFzc3dvcmQx', 'user1', 'password1'],
    [basic('user:pass:word'), 'user', 'pass:word'],
    [basic('user:'), 'user', ''],
    [basic(':password'), '', 'password'],
    [basic('김철수:비밀번호'), '김철수', '비밀번호'],
    [basic(Buffer.from('caf\xe9:x', 'latin1')), 'caf\udce9', 'x'],
    [basic(Buffer.from('x:caf\xe9', 'latin1')), 'x', 'caf\udce9'],
    [basic('\ufeffuser:x'), '\ufeffuser', 'x'],
  ]
  for (const [header, username, password] of read) {
    test(JSON.stringify(header), () => assert.deepEqual(basicCredential(header), { username, password }))
  }

  const none = [
    '',
    'Basic',
    'Basic ',
    'Basic  dTpw',
    'BasicdTpw',
    'Basic dTpw ',
    ' Basic dTpw',
    'Basic dTp',
    'Basic !!!!',
    'Basic dTpw=',
    basic('nocolon'),
    'Bearer dTpw',
    'Basic dT-w',
  ]
  for (const header of none)
    test(`none in ${JSON.stringify(header)}`, () => assert.equal(basicCredential(header), undefined))

  test('what is written is read, for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (username, password) => {
        fc.pre(!username.includes(':'))
        assert.deepEqual(basicCredential(basic(`${username}:${password}`)), { username, password })
      }),
    )
  })
})

describe('the credential of the headers', () => {
  const cases: readonly [string, readonly [string, string][], unknown][] = [
    ['nothing', [['Host', 'x']], { kind: 'none' }],
    ['a token', [['authorization', 'Bearer t']], { kind: 'bearer', token: 't' }],
    ['a name and a password', [['Authorization', basic('u:p')]], { kind: 'basic', username: 'u', password: 'p' }],
    ['another scheme', [['Authorization', 'Negotiate abc']], { kind: 'none' }],
    [
      'T-W11 two headers',
      [
        ['Authorization', 'Bearer a'],
        ['authorization', 'Bearer b'],
      ],
      { kind: 'ambiguous' },
    ],
    [
      'a browser’s token',
      [['Sec-WebSocket-Protocol', `${subprotocol('tö')}, v4.channel.k8s.io`]],
      { kind: 'bearer', token: 'tö' },
    ],
    [
      'the same over two lines',
      [
        ['sec-websocket-protocol', 'v4.channel.k8s.io'],
        ['Sec-WebSocket-Protocol', subprotocol('t')],
      ],
      { kind: 'bearer', token: 't' },
    ],
    ['a browser’s token with no other protocol', [['Sec-WebSocket-Protocol', subprotocol('t')]], { kind: 'none' }],
    [
      'T-W11 two browser’s tokens',
      [['Sec-WebSocket-Protocol', `${subprotocol('a')},${subprotocol('b')},x`]],
      { kind: 'ambiguous' },
    ],
    [
      'T-W11 a header and a browser’s token',
      [
        ['Authorization', 'Bearer a'],
        ['Sec-WebSocket-Protocol', `${subprotocol('b')},x`],
      ],
      { kind: 'ambiguous' },
    ],
    ['padding in a browser’s token', [['Sec-WebSocket-Protocol', `${subprotocol('t')}=,x`]], { kind: 'none' }],
    [
      'bytes that are no text',
      [
        [
          'Sec-WebSocket-Protocol',
          `base64url.bearer.authorization.k8s.io.${Buffer.from([0xff, 0xfe]).toString('base64url')},x`,
        ],
      ],
      { kind: 'none' },
    ],
  ]
  for (const [name, headers, expected] of cases) test(name, () => assert.deepEqual(headerCredential(headers), expected))

  test('T-W15 no headers crash it', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom('authorization', 'sec-websocket-protocol'), fc.string({ unit: 'binary' }))),
        (headers) => {
          assert.equal(typeof headerCredential(headers).kind, 'string')
        },
      ),
    )
  })
})

test('T-W2 bytes of another encoding are not taken for the name or password they would be there', () => {
  for (const text of ['café:x', 'x:café']) {
    const { username = '', password = '' } = basicCredential(basic(Buffer.from(text, 'latin1'))) ?? {}
    assert.ok(!(username.isWellFormed() && password.isWellFormed()))
  }
})
