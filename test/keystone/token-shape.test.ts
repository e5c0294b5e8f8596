import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  looksLikeKeystoneToken,
  MAX_TOKEN_LENGTH,
  type TokenShape,
  tokenShape,
} from '../../src/keystone/token-shape.ts'

const part = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const jwt = (claims: unknown, header: unknown = { alg: 'ES256', typ: 'JWT' }) => `${part(header)}.${part(claims)}.c2ln`

/** Claims of Keystone's `jws` provider. */
const KEYSTONE = {
  sub: '0db6239632034bb3a434c1d3ef0f2468',
  iat: 1795283425,
  exp: 1795287025,
  openstack_methods: ['password'],
  openstack_audit_ids: ['Rvl-KoTaRtunHn4yd3l_bA'],
  openstack_project_id: '33827a10ef37443db6cb0f0967030fd0',
}
const SERVICE_ACCOUNT = {
  iss: 'https://kubernetes.default.svc.cluster.local',
  aud: ['https://kubernetes.default.svc.cluster.local'],
  exp: 1795287025,
  'kubernetes.io': { namespace: 'default', serviceaccount: { name: 'default', uid: '1' } },
  sub: 'system:serviceaccount:default:default',
}
const { iss: _, ...WITHOUT_ISSUER } = SERVICE_ACCOUNT

const TABLE: readonly (readonly [string, string, TokenShape])[] = [
  ['a Fernet token', `gAAAAABn${randomBytes(130).toString('base64url')}`, 'keystone'],
  ['a Fernet token with its padding', 'gAAAAABnY2FuYXJ5Y2FuYXJ5Y2FuYXJ5==', 'keystone'],
  ['a UUID token', '0db6239632034bb3a434c1d3ef0f2468', 'keystone'],
  ['a UUID token with dashes', '0db62396-3203-4bb3-a434-c1d3ef0f2468', 'keystone'],
  ['something opaque', 'sesame', 'keystone'],
  ['something opaque with dots', 'open.sesame.now', 'keystone'],
  ['opaque parts with four dots', 'a.b.c.d.e', 'keystone'],
  ['dots alone', '..', 'keystone'],
  ["Keystone's own JWS", jwt(KEYSTONE), 'keystone'],
  ["Keystone's own JWS without a project", jwt({ sub: 'a', openstack_methods: ['token'] }), 'keystone'],
  ['the longest token', 'x'.repeat(MAX_TOKEN_LENGTH), 'keystone'],
  ['a bootstrap token in upper case', 'ABCDEF.0123456789ABCDEF', 'keystone'],
  ['almost a bootstrap token', 'abcdef.0123456789abcde', 'keystone'],
  ['nothing', '', 'empty'],
  ['a token one too long', 'x'.repeat(MAX_TOKEN_LENGTH + 1), 'too_long'],
  ['blanks around', ' gAAAAABn ', 'not_ascii'],
  ['a line break', 'gAAAAABn\r\nX-Auth-Token: x', 'not_ascii'],
  ['a line break at the end', 'gAAAAABn\n', 'not_ascii'],
  ['a tab', 'gAAA\tAABn', 'not_ascii'],
  ['a NUL', 'gAAA\u0000AABn', 'not_ascii'],
  ['DEL', 'gAAA\u007fAABn', 'not_ascii'],
  ['Latin-1', 'gAAAÄAABn', 'not_ascii'],
  ['an astral character', 'gAAA😀AABn', 'not_ascii'],
  ['a lone surrogate', 'gAAA\ud800AABn', 'not_ascii'],
  ['a bootstrap token', 'abcdef.0123456789abcdef', 'bootstrap'],
  ['a service account token', jwt(SERVICE_ACCOUNT), 'foreign_jwt'],
  ['a service account token without issuer', jwt(WITHOUT_ISSUER), 'foreign_jwt'],
  [
    'a legacy service account token',
    jwt({ iss: 'kubernetes/serviceaccount', 'kubernetes.io/serviceaccount/namespace': 'x' }),
    'foreign_jwt',
  ],
  ['an OpenID Connect token', jwt({ iss: 'https://accounts.example', sub: '1', aud: 'x' }), 'foreign_jwt'],
  ['claims of both', jwt({ ...KEYSTONE, 'kubernetes.io/serviceaccount/namespace': 'x' }), 'foreign_jwt'],
  ["Keystone's claims with an issuer", jwt({ ...KEYSTONE, iss: 'https://evil.example' }), 'foreign_jwt'],
  ["Keystone's claims with an empty issuer", jwt({ ...KEYSTONE, iss: null }), 'foreign_jwt'],
  ['no claims', jwt({}), 'foreign_jwt'],
  ['a claim twice', jwt('{"sub":"a","openstack_methods":[],"sub":"b"}'), 'foreign_jwt'],
  ['an issuer behind an equal key', jwt('{"openstack_methods":[],"iss":"x","iss":"y"}'), 'foreign_jwt'],
  ['a list for claims', jwt(['openstack_methods']), 'foreign_jwt'],
  ['a text for claims', jwt('"openstack_methods"'), 'foreign_jwt'],
  ['null for claims', jwt('null'), 'foreign_jwt'],
  ['claims that are no JSON', jwt('{"openstack_methods":'), 'foreign_jwt'],
  ['a header and nothing else', `${part({ alg: 'none' })}..`, 'foreign_jwt'],
  ['a header and claims without signature', `${part({ alg: 'none' })}.${part(KEYSTONE)}`, 'foreign_jwt'],
  ['an encrypted token', `${part({ alg: 'dir', enc: 'A256GCM' })}.a.b.c.d`, 'foreign_jwt'],
  ['a header with blanks before', `${part(' {"alg":"ES256"}')}.${part({ iss: 'x' })}.c2ln`, 'foreign_jwt'],
  ['__proto__ for a claim', jwt('{"__proto__":{"openstack_methods":[]}}'), 'foreign_jwt'],
]

describe('the shape of a token (T-W4)', () => {
  for (const [name, token, shape] of TABLE) {
    test(`${name}: ${shape}`, () => {
      assert.equal(tokenShape(token), shape)
      assert.equal(looksLikeKeystoneToken(token), shape === 'keystone')
    })
  }

  test('is told of anything, without throwing', () => {
    const pieces = fc.constantFrom(
      '.',
      'eyJ',
      part('{"'),
      part('{"iss":1}'),
      part({ openstack_a: 1 }),
      '{',
      '=',
      'abcdef',
    )
    const token = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.array(fc.oneof(pieces, fc.base64String()), { maxLength: 12 }).map((parts) => parts.join('')),
      fc.jsonValue().map((value) => jwt(value)),
      fc.jsonValue().map((value) => jwt(KEYSTONE, value)),
    )
    fc.assert(
      fc.property(token, (text) => assert.equal(typeof tokenShape(text), 'string')),
      { numRuns: 2000 },
    )
  })

  test('no token with an issuer or of Kubernetes is taken for one of Keystone', () => {
    const claims = fc.tuple(
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.constantFrom('iss', 'kubernetes.io'),
      fc.jsonValue(),
    )
    fc.assert(
      fc.property(claims, ([more, name, value]) => {
        assert.equal(looksLikeKeystoneToken(jwt({ ...more, openstack_methods: [], [name]: value })), false)
      }),
    )
  })
})
