import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { RawHead } from '../../../src/proxy/hygiene/hygiene.ts'
import type { HeaderLines } from '../../../src/proxy/wire.ts'
import { assertRefused, check, clean, HOST, passed, raw } from './support.ts'

describe('Connection', () => {
  const identity = ['X-Remote-User', 'x-remote-group', 'X-REMOTE-EXTRA-scopes', 'x_remote_user', 'X-Forwarded-For']
  const others = ['Authorization', 'Impersonate-User', 'impersonate_group', 'Host', 'Content-Length', 'Expect']
  for (const name of [...identity, ...others, 'Transfer-Encoding', 'Connection', 'Content_Length']) {
    test(`T-H1 that names ${name} is refused, wherever it stands in the list`, () => {
      for (const value of [name, ` ${name} `, `close, ${name}`, `${name},close`, `close\t,${name.toUpperCase()}`]) {
        assertRefused(check([['Connection', value]]), 'H1')
      }
      assertRefused(
        check([
          ['Connection', 'close'],
          ['connection', name],
        ]),
        'H1',
      )
    })
  }

  test('T-H1 takes the lines it names with it, and only those', () => {
    const lines = [
      ['X-Private', 'a'],
      ['Connection', 'close, x-private,, Keep-Alive'],
      ['x-PRIVATE', 'b'],
      ['X-Private-Too', 'c'],
      ['Keep-Alive', 'timeout=5'],
    ] as const
    assert.deepEqual(passed(lines), [['X-Private-Too', 'c']])
  })

  test('that is no list of names is refused', () => {
    for (const value of ['a b', '"close"', 'x:y', 'é']) assertRefused(check([['Connection', value]]), 'H1')
  })

  test('T-H1 of a name that is configured to say who asks is refused', () => {
    const options = { identityHeaders: ['x-who'], identityPrefixes: ['x-who-extra-'] }
    for (const name of ['X-Who', 'x_who', 'X-Who-Extra-a.b']) {
      assertRefused(check([['Connection', name]], {}, options), 'H1')
    }
  })
})

describe('lines that say who asks', () => {
  const names = `X-Remote-User x-remote-user X_Remote_User X.Remote.User x-remote_group X-Remote-Uid X-Remote-Whatever
    X-Remote-Extra-Scopes X-Remote-Extra-%61 X-SSL-Client-DN X-Client-Cert X-Client-Certificate Client-Cert Remote-User
    ssl_client_s_dn X-Forwarded-For x_forwarded_user X-Forwarded-Client-Cert Forwarded X-Real-IP X.Real.Ip
    X-Auth-Request-User`
  for (const name of names.split(/\s+/)) {
    test(`T-H2 T-H4 ${name} is left out, as often as it stands`, () => {
      assert.deepEqual(
        passed([
          [name, 'admin'],
          ['Accept', '*/*'],
          [name, ''],
          [name, 'a, b'],
        ]),
        [['Accept', '*/*']],
      )
    })
  }

  test('T-H2 are counted, so that somebody hears of it', () => {
    const lines = [
      ['X-Remote-User', 'a'],
      ['x_remote_group', 'b'],
      ['X-Forwarded-For', 'c'],
    ] as const
    assert.equal(clean(lines).spoofed, 2)
  })

  test('T-H2 are also those that are configured', () => {
    const options = { identityHeaders: ['x-who'], identityPrefixes: ['x-who-extra-'] }
    const lines = [
      ['X-Who', 'a'],
      ['x.who', 'b'],
      ['X_WHO_EXTRA_any', 'c'],
      ['X-Whose', 'd'],
    ] as const
    assert.deepEqual(passed(lines, {}, options), [['X-Whose', 'd']])
  })

  test('T-H13 names that mean something to JavaScript are names like others', () => {
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      assert.deepEqual(passed([[name, 'x']]), [[name, 'x']])
      assert.deepEqual(
        passed([
          [name, 'x'],
          ['Connection', name],
        ]),
        [],
      )
    }
  })

  test('credentials stay here', () => {
    assert.deepEqual(
      passed([
        ['AUTHORIZATION', 'Bearer x'],
        ['Proxy-Authorization', 'Basic x'],
      ]),
      [],
    )
  })
})

describe('impersonation', () => {
  const names = ['Impersonate-User', 'impersonate-group', 'Impersonate-Uid', 'Impersonate-Extra-a.b', 'Impersonate-New']
  for (const name of names) {
    test(`T-H6 ${name} is refused, and passes where that is wished`, () => {
      assertRefused(check([[name, 'x']]), 'H6')
      const head = clean([[name, 'x']], {}, { impersonation: 'pass' })
      assert.ok(head.impersonates)
      assert.ok(head.headers.some(([given]) => given === name))
    })
  }

  for (const name of ['Impersonate_User', 'impersonate.group', 'IMPERSONATE_EXTRA_x']) {
    test(`T-H6 ${name} is refused in any case`, () => {
      assertRefused(check([[name, 'x']]), 'H2')
      assertRefused(check([[name, 'x']], {}, { impersonation: 'pass' }), 'H2')
    })
  }
})

describe('what belongs to the connection', () => {
  test('T-H3 TE, Trailer and their like are left out', () => {
    const names = ['TE', 'Trailer', 'Keep-Alive', 'Proxy-Connection', 'HTTP2-Settings', 'keep_alive']
    assert.deepEqual(passed(names.map((name) => [name, 'trailers'])), [])
  })
})

describe('the target', () => {
  const targets = [
    '/',
    '//api//v1',
    '/%2e%2e/x',
    '/a%2fb;c=d',
    '/a/../b/./',
    '/a?b?c',
    '/?',
    '/a%00',
    '/\\',
    '/"<>^`{|}',
  ]
  for (const target of targets) {
    test(`T-H5 ${target} is passed on byte for byte`, () => {
      const head = clean([], { target })
      assert.equal(head.target, target)
      assert.equal(head.path + (target.includes('?') ? `?${head.query}` : ''), target)
    })
  }

  const refused = [
    '',
    '*',
    'http://proxy.example/',
    'https://other/x',
    'proxy.example:6443',
    'api',
    '?x',
    '/a#b',
    '/a b',
  ]
  for (const target of [...refused, '/a\tb', '/\0', '/a\x7f', '/ä', '/\xff', '/%', '/%4', '/%zz', '/a%2?b']) {
    test(`T-H5 ${JSON.stringify(target)} is refused`, () => assertRefused(check([], { target }), 'H5'))
  }
})

test('T-H5 methods that the API does not have are refused, in any spelling', () => {
  for (const method of ['CONNECT', 'TRACE', 'TRACK', 'get', 'PROPFIND', 'PRI', '', 'G T']) {
    assertRefused(check([], { method }), 'H8', 405)
  }
  for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) clean([], { method })
})

describe('Host', () => {
  test('T-H8 stands once, in every version', () => {
    for (const protocol of ['HTTP/1.0', 'HTTP/1.1', 'HTTP/2'] as const) {
      assertRefused(check([], { protocol, headers: [] }), 'H8')
      assertRefused(check([HOST], { protocol }), 'H8')
      assertRefused(check([['host', 'other']], { protocol }), 'H8')
    }
  })

  for (const host of ['', ' ', 'a,b', 'a b', 'a/b', 'user@a', 'a:b', 'a:123456', '[::1', '::1', 'a#', 'ä', 'a\\b']) {
    test(`T-H8 ${JSON.stringify(host)} is refused`, () => assertRefused(check([], { headers: [['Host', host]] }), 'H8'))
  }

  for (const host of ['a', 'a.example:443', '10.0.0.1:6443', '[::1]', '[2001:db8::1]:6443', 'a_b']) {
    test(`${host} passes`, () => {
      assert.deepEqual(clean([], { headers: [['hOsT', host]] }).headers, [['Host', host]])
    })
  }
})

test('T-H2 what decides the end of a body is spelled with a hyphen', () => {
  for (const name of ['Content_Length', 'Transfer_Encoding', 'transfer.encoding', 'CONTENT.LENGTH']) {
    assertRefused(check([[name, '5']]), 'H2')
  }
})

describe('the body', () => {
  const post = (lines: HeaderLines, other: Partial<RawHead> = {}) => check(lines, { method: 'POST', ...other })
  const framing = (lines: HeaderLines, other: Partial<RawHead> = {}) =>
    clean(lines, { method: 'POST', ...other }).framing

  test('ends where one line says so', () => {
    assert.deepEqual(framing([]), { kind: 'none' })
    assert.deepEqual(framing([['Content-Length', '0']]), { kind: 'length', bytes: 0 })
    assert.deepEqual(framing([['content-length', '123456789012345']]), { kind: 'length', bytes: 123456789012345 })
    assert.deepEqual(framing([['Transfer-Encoding', 'Chunked']]), { kind: 'chunked' })
    assert.deepEqual(framing([], { protocol: 'HTTP/2' }), { kind: 'chunked' })
    assert.deepEqual(framing([], { protocol: 'HTTP/2', ended: true }), { kind: 'none' })
  })

  for (const length of [
    '',
    '+5',
    '-1',
    '5,5',
    '5, 6',
    '0x5',
    '05',
    '5 ',
    ' 5',
    '5\t',
    '1e3',
    '9999999999999999',
    '٥',
  ]) {
    test(`T-H8 of ${JSON.stringify(length)} bytes is refused`, () => {
      const result = post([['Content-Length', length]])
      assertRefused(result, /^[\t -~]*$/.test(length) ? 'H8' : 'H14')
    })
  }

  const twice: readonly HeaderLines[] = [
    [
      ['Content-Length', '5'],
      ['Content-Length', '5'],
    ],
    [
      ['Content-Length', '5'],
      ['content-length', '6'],
    ],
    [
      ['Content-Length', '5'],
      ['Transfer-Encoding', 'chunked'],
    ],
    [
      ['Transfer-Encoding', 'chunked'],
      ['Transfer-Encoding', 'chunked'],
    ],
    [
      ['Transfer-Encoding', 'chunked'],
      ['Content_Length', '5'],
    ],
  ]
  for (const lines of twice) {
    test(`T-H8 ends at one place: ${lines.map((line) => line.join(': ')).join('; ')}`, () => {
      assert.equal(post(lines).kind, 'refused')
    })
  }

  for (const coding of [
    'gzip',
    'gzip, chunked',
    'chunked, chunked',
    'identity',
    'xchunked',
    'chunked\t',
    ' chunked',
    '',
  ]) {
    test(`T-H8 in the coding ${JSON.stringify(coding)} is refused`, () => {
      assertRefused(post([['Transfer-Encoding', coding]]), 'H8', 501)
    })
  }

  test('T-H8 is not chunked in HTTP/1.0 or HTTP/2', () => {
    for (const protocol of ['HTTP/1.0', 'HTTP/2'] as const) {
      assertRefused(post([['Transfer-Encoding', 'chunked']], { protocol }), 'H8')
    }
  })

  test('waits for 100 where the client does, and there is a body', () => {
    const expects = ['Expect', '100-Continue'] as const
    assert.equal(clean([expects, ['Content-Length', '5']]).expectContinue, true)
    assert.equal(clean([expects]).expectContinue, false)
    assert.equal(clean([expects, ['Content-Length', '5']], { protocol: 'HTTP/1.0' }).expectContinue, false)
    assert.deepEqual(passed([expects]), [])
  })

  test('T-H8 is expected in no other way', () => {
    for (const value of ['200-ok', '100-continue, x', '']) assertRefused(check([['Expect', value]]), 'H8', 417)
    assertRefused(
      check([
        ['Expect', '100-continue'],
        ['expect', '100-continue'],
      ]),
      'H8',
      417,
    )
  })
})

describe('an upgrade', () => {
  const to = (protocol: string, lines: HeaderLines = [['Connection', 'Upgrade']], other: Partial<RawHead> = {}) =>
    check([['Upgrade', protocol], ...lines], other)

  test('T-H9 is passed on for what is on the list, in the spelling of the list', () => {
    assert.equal(
      clean([
        ['Upgrade', 'WebSocket'],
        ['Connection', 'keep-alive, Upgrade'],
      ]).upgrade,
      'websocket',
    )
    const spdy = [
      ['upgrade', 'spdy/3.1'],
      ['connection', 'upgrade'],
      ['Content-Length', '0'],
    ] as const
    const head = clean(spdy, { method: 'POST' })
    assert.deepEqual([head.upgrade, head.framing], ['SPDY/3.1', { kind: 'none' }])
    assert.deepEqual(passed(spdy, { method: 'POST' }), [])
  })

  for (const protocol of ['h2c', 'HTTP/2.0', 'TLS/1.0', 'websocket, h2c', 'SPDY/3', '', 'tcp']) {
    test(`T-H9 to ${JSON.stringify(protocol)} is refused`, () => assertRefused(to(protocol), 'H9'))
  }

  test('T-H9 without Connection, with a body, twice, or outside of HTTP/1.1 is refused', () => {
    assertRefused(to('websocket', []), 'H9')
    assertRefused(to('websocket', [['Connection', 'close']]), 'H9')
    assertRefused(
      to('websocket', [
        ['Connection', 'upgrade'],
        ['Content-Length', '1'],
      ]),
      'H9',
    )
    assertRefused(
      to('websocket', [
        ['Connection', 'upgrade'],
        ['Transfer-Encoding', 'chunked'],
      ]),
      'H9',
    )
    assertRefused(
      to('websocket', [
        ['Connection', 'upgrade'],
        ['Upgrade', 'SPDY/3.1'],
      ]),
      'H9',
    )
    assertRefused(to('websocket', undefined, { protocol: 'HTTP/1.0' }), 'H9')
    assertRefused(to('websocket', undefined, { method: 'PUT' }), 'H9')
    assertRefused(to('websocket', undefined, { protocol: 'HTTP/2' }), 'H8')
  })

  test('is none where only Connection says so', () => {
    assert.equal(clean([['Connection', 'upgrade']]).upgrade, undefined)
  })
})

describe('the token among the subprotocols', () => {
  const TOKEN = 'base64url.bearer.authorization.k8s.io.dG9rZW4'
  const offer = (...values: readonly string[]): HeaderLines =>
    values.map((value) => ['Sec-WebSocket-Protocol', value] as const)

  test('T-H12 is taken out, and the others stay in their order', () => {
    assert.deepEqual(passed(offer(`v5.channel.k8s.io, ${TOKEN},v4.channel.k8s.io`)), [
      ['Sec-WebSocket-Protocol', 'v5.channel.k8s.io, v4.channel.k8s.io'],
    ])
    assert.deepEqual(passed(offer(TOKEN, 'a , b')), [['Sec-WebSocket-Protocol', 'a , b']])
    assert.deepEqual(passed(offer('a,b', 'c')), offer('a,b', 'c'))
  })

  test('T-H12 alone, twice, or beside another credential is refused', () => {
    assertRefused(check(offer(TOKEN)), 'H12')
    assertRefused(check(offer(`${TOKEN}, `)), 'H12')
    assertRefused(check(offer(`a, ${TOKEN}, ${TOKEN}x`)), 'H12')
    assertRefused(check([...offer(`a, ${TOKEN}`), ['Authorization', 'Bearer x']]), 'H12')
    assertRefused(check([['authorization', ''], ...offer(`a, ${TOKEN.toUpperCase()}`)]), 'H12')
  })
})

describe('text', () => {
  test('T-H14 of a name is ASCII, of a value anything but controls', () => {
    for (const name of ['é', 'X-Ñ', 'a b', 'a:', '', 'a\0', '한국', 'a(b)']) assertRefused(check([[name, 'x']]), 'H14')
    for (const value of ['\0', 'a\rb', 'a\nb', '\x1f', '\x7f', '한국']) assertRefused(check([['X', value]]), 'H14')
    const bytes = Buffer.from('김철수\t').toString('latin1')
    assert.deepEqual(passed([['X', bytes]]), [['X', bytes]])
  })

  test('T-H16 of too many lines or bytes is refused, and the limit named', () => {
    const limits = { lines: 3, bytes: 100 }
    clean(
      [
        ['a', 'b'],
        ['c', 'd'],
      ],
      {},
      { limits },
    )
    const many = check(
      [
        ['a', 'b'],
        ['c', 'd'],
        ['e', 'f'],
      ],
      {},
      { limits },
    )
    assertRefused(many, 'H16', 431)
    assert.match(many.kind === 'refused' ? many.message : '', /more than 3 header lines/)
    const long = check([['a', 'x'.repeat(100)]], {}, { limits })
    assertRefused(long, 'H16', 431)
    assert.match(long.kind === 'refused' ? long.message : '', /100 bytes/)
    const usual = (count: number) => check(Array.from({ length: count }, (_, at) => [`x-${at}`, '']))
    assert.equal(usual(999).kind, 'clean')
    assertRefused(usual(1_000), 'H16', 431)
  })

  test('no refusal repeats what the client sent', () => {
    const secret = 'c4n4ry'
    const heads: readonly RawHead[] = [
      raw([], { method: secret }),
      raw([], { target: `/${secret}#` }),
      raw([[`${secret} `, 'x']]),
      raw([['x', `${secret}\0`]]),
      raw([['Connection', `${secret} x`]]),
      raw([['Host', secret]]),
      raw([
        ['Upgrade', secret],
        ['Connection', 'upgrade'],
      ]),
      raw([['Content-Length', secret]]),
      raw([['Impersonate-User', secret]]),
      raw([['Expect', secret]]),
    ]
    for (const { headers, ...head } of heads) {
      const result = check(headers.slice(1), head)
      assert.ok(result.kind === 'refused' && !JSON.stringify(result).includes(secret))
    }
  })
})

test('cookies of HTTP/2, which come in pieces, become one line', () => {
  const lines = [
    ['cookie', 'a=b'],
    ['accept', '*/*'],
    ['cookie', 'c=d'],
  ] as const
  assert.deepEqual(passed(lines, { protocol: 'HTTP/2' }), [
    ['accept', '*/*'],
    ['Cookie', 'a=b; c=d'],
  ])
})
