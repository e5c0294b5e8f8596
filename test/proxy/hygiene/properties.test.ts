import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { headerReader } from '../../../src/authn/request/request-header.ts'
import { createHygiene } from '../../../src/proxy/hygiene/create.ts'
import type { HeaderLines } from '../../../src/proxy/wire.ts'
import type { UserInfo } from '../../../src/user.ts'
import { HOST, ORIGIN, raw } from './support.ts'

const hygiene = createHygiene({ impersonation: 'refuse', identityHeaders: ['x-who'], identityPrefixes: ['x-who-'] })
const USER: UserInfo = { username: 'alice', uid: '', groups: [], extra: new Map() }

/** Anything that something behind might take for it. */
function folded(name: string): string {
  return name
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
}

const FORBIDDEN =
  /^(x-remote-|x-who|impersonate-|authorization$|proxy-|forwarded$|x-real-ip$|x-ssl-|x-client-cert|connection$|keep-alive$|te$|trailer$|transfer-encoding$|upgrade$|content-length$|expect$|http2-settings$)/

/** Names that decide something, bent: another case, another sign between the words. */
const known = fc.constantFrom(
  'X-Remote-User X-Remote-Group X-Remote-Extra-a X-Who X-Who-Extra Impersonate-User Authorization Forwarded TE Trailer Upgrade Connection Keep-Alive Content-Length Transfer-Encoding Expect Host X-Real-IP X-SSL-Client X-Client-Cert Proxy-Authorization Accept X-Harmless'.split(
    ' ',
  ),
)
const bent = fc
  .tuple(known, fc.array(fc.constantFrom('-', '_', '.'), { minLength: 3, maxLength: 3 }), fc.nat())
  .map(([[...names], signs, seed]) => {
    const name = names[seed % names.length] ?? ''
    let at = 0
    const other = name.replace(/-/g, () => signs[at++ % 3] ?? '-')
    return seed % 2 === 0 ? other.toUpperCase() : other
  })
const name = fc.oneof(bent, fc.string({ unit: 'binary-ascii', maxLength: 20 }))
const value = fc.oneof(
  fc.constantFrom('', 'admin', '5', 'chunked', 'close', 'upgrade', 'websocket', '100-continue', 'X-Remote-User, close'),
  fc.string({ unit: 'binary', maxLength: 20 }),
)
const anyLines: fc.Arbitrary<HeaderLines> = fc.array(fc.tuple(name, value), { maxLength: 8 })

describe('whatever a client sends', () => {
  test('T-H1 T-H2 T-H6 T-H8 nothing of it reads like an identity, a credential or a line of the connection', () => {
    let cleaned = 0
    fc.assert(
      fc.property(anyLines, (lines) => {
        const result = hygiene.check(raw(lines))
        if (result.kind === 'refused') return
        cleaned++
        for (const [given, text] of result.head.headers) {
          assert.ok(!FORBIDDEN.test(folded(given)), given)
          assert.doesNotMatch(given + text, /[\r\n\0]/)
        }
        assert.equal(result.head.headers.filter(([given]) => folded(given) === 'host').length, 1)
        const written = hygiene.upstreamHeaders(result.head, USER, ORIGIN)
        assert.ok(written.kind === 'lines')
        assert.deepEqual(
          written.lines.filter(([given]) => /^(x-remote-|x-who)/.test(folded(given))),
          [['X-Remote-User', 'alice']],
        )
      }),
      { numRuns: 1_000 },
    )
    assert.ok(cleaned > 0)
  })

  test('T-H5 the target is the one that came, or none', () => {
    fc.assert(
      fc.property(fc.oneof(fc.webUrl(), fc.string({ unit: 'binary' }), fc.webPath()), (target) => {
        const result = hygiene.check(raw([], { target }))
        if (result.kind === 'refused') return
        assert.equal(result.head.target, target)
        assert.match(target, /^\/[!-"$-~]*$/)
      }),
    )
  })
})

describe('whoever is written', () => {
  const read = headerReader({
    username: ['X-Remote-User'],
    uid: ['X-Remote-Uid'],
    group: ['X-Remote-Group'],
    extraPrefix: ['X-Remote-Extra-'],
  })
  const text = fc
    .oneof(fc.string({ unit: 'grapheme', minLength: 1 }), fc.constantFrom('김철수', '개발팀', '%41', 'a,b', 'Ünal'))
    .filter((one) => !/\p{Cc}/u.test(one) && one.trim() === one)
  const key = text.filter((one) => one === one.toLowerCase())

  test('T-H2 T-H14 is read back as exactly who it is, beside anything the client sends', () => {
    fc.assert(
      fc.property(
        anyLines,
        text,
        fc.array(text),
        fc.dictionary(key, fc.array(text, { minLength: 1 })),
        (lines, username, groups, extra) => {
          const user = { username, uid: 'u', groups, extra: new Map(Object.entries(extra)) }
          const checked = hygiene.check(raw(lines))
          const result = checked.kind === 'clean' ? checked : hygiene.check({ ...raw([]), headers: [HOST] })
          assert.ok(result.kind === 'clean')
          const written = hygiene.upstreamHeaders(result.head, user, ORIGIN)
          assert.ok(written.kind === 'lines')
          assert.deepEqual(read(written.lines), user)
        },
      ),
    )
  })
})
