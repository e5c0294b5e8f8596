import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import type { AuthnResult } from '../../../src/authn/authenticator.ts'
import { type LdapAuthenticatorOptions, ldapAuthenticator } from '../../../src/authn/ldap/ldap.ts'
import { ArchwayError } from '../../../src/errors.ts'
import { Secret } from '../../../src/secret.ts'
import { passwordsAsTokens } from '../../contract/as-tokens.ts'
import { authenticatorContract } from '../../contract/authenticator.ts'
import { callContext } from '../../support/context.ts'
import {
  bindAnswer,
  doneAnswer,
  entryAnswer,
  type FakeAnswer,
  type FakeLdap,
  type FakeRequest,
  referenceAnswer,
  startFakeLdap,
} from '../../support/fake-ldap.ts'

const BASE = 'DC=corp,DC=example'
const GUID = Buffer.from('33221100554477668899aabbccddeeff', 'hex')

type Attributes = Readonly<Record<string, readonly (string | Buffer)[]>>

const ALICE_DN = `CN=Alice\\, A,OU=Users,${BASE}`
const ALICE: Attributes = { sAMAccountName: ['alice'], objectGUID: [GUID], memberOf: [`CN=Devs,OU=Groups,${BASE}`] }

/** A directory in the manner of Active Directory: entries by what a filter asks for, passwords by DN. */
function activeDirectory(over: Attributes = {}) {
  const people = new Map([['alice', { dn: ALICE_DN, attributes: { ...ALICE, ...over } }]])
  return (request: FakeRequest): FakeAnswer => {
    const { id } = request
    if (request.kind === 'bind') {
      if (request.dn === 'cn=archway,dc=corp') return bindAnswer(id)
      if (request.dn === ALICE_DN && request.password === 'pw') return bindAnswer(id)
      const words = `80090308: LdapErr: DSID-0C09, comment: AcceptSecurityContext error, data 52e, v2580`
      return bindAnswer(id, 49, words)
    }
    if (request.kind !== 'search') return undefined
    const name = /\(sAMAccountName=([^)]*)\)/i.exec(request.filter)?.[1]?.toLowerCase()
    const found = name === undefined ? undefined : people.get(name)
    const chain = request.filter.includes(':1.2.840.113556.1.4.1941:')
    return [
      ...(found === undefined ? [] : [entryAnswer(id, found.dn, found.attributes)]),
      ...(chain ? [entryAnswer(id, `CN=Chained,OU=Groups,${BASE}`, { CN: ['Chained'] })] : []),
      referenceAnswer(id, `ldap://other/${BASE}`),
      doneAnswer(id),
    ]
  }
}

async function serve(t: TestContext, answer: (request: FakeRequest) => FakeAnswer): Promise<FakeLdap> {
  const server = await startFakeLdap(answer)
  t.after(() => server.close())
  return server
}

type Over = Partial<Omit<LdapAuthenticatorOptions, 'directory'>>

function optionsFor(url: string, over: Over = {}): LdapAuthenticatorOptions {
  return {
    directory: {
      urls: [url],
      allowPlain: true,
      searchAs: { kind: 'account', dn: 'cn=archway,dc=corp', password: new Secret('account-pw') },
      stepMs: 20_000,
      timeoutMs: 60_000,
    },
    user: { base: BASE, filter: '(&(objectClass=user)(|(sAMAccountName={username})(userPrincipalName={username})))' },
    attributes: { username: 'sAMAccountName', uid: 'objectGUID' },
    ...over,
  }
}

async function login(t: TestContext, server: FakeLdap, over: Over = {}, password = 'pw', username = 'Alice') {
  const authenticator = ldapAuthenticator(optionsFor(server.url, over))
  t.after(() => authenticator.close())
  const context = callContext()
  return { result: await authenticator.authenticate({ username, password }, context), context }
}

describe('Active Directory', () => {
  test('a login, with objectGUID as uid and groups of memberOf', async (t) => {
    const groups = { kind: 'memberOf', base: `OU=Groups,${BASE}` } as const
    const { result } = await login(t, await serve(t, activeDirectory()), { groups })
    assert.deepEqual(result, {
      kind: 'authenticated',
      source: 'ldap',
      user: { username: 'alice', uid: '00112233-4455-6677-8899-aabbccddeeff', groups: ['Devs'], extra: new Map() },
    })
  })

  test('groups through the chain rule, asked with the DN the server gave', async (t) => {
    const server = await serve(t, activeDirectory())
    const groups = {
      kind: 'search',
      base: BASE,
      filter: '(&(objectClass=group)(member={dn}))',
      nested: 'inChain',
    } as const
    const { result } = await login(t, server, { groups })
    assert.deepEqual(result.kind === 'authenticated' && result.user.groups, ['Chained'])
    const asked = server.requests.at(-1)
    assert.equal(
      asked?.kind === 'search' && asked.filter,
      `(&(objectclass=group)(member:1.2.840.113556.1.4.1941:=${ALICE_DN.replace('\\', '\\5c')}))`,
    )
  })

  test('why is in the log; the result is the same for every cause', async (t) => {
    const server = await serve(t, activeDirectory())
    const wrong = await login(t, server, {}, 'canary')
    const unknown = await login(t, server, {}, 'canary', 'canary-name')
    const refused: AuthnResult = { kind: 'rejected', code: 'login_failed', source: 'ldap' }
    assert.deepEqual([wrong.result, unknown.result], [refused, refused])
    const fields = { source: 'ldap', code: 'login_failed' }
    assert.deepEqual(wrong.context.log.lines, [
      {
        level: 'info',
        fields: { ...fields, cause: 'wrong password (data 52e)', dn: ALICE_DN },
        message: 'login refused',
      },
    ])
    assert.deepEqual(unknown.context.log.lines, [
      { level: 'info', fields: { ...fields, cause: 'no such user' }, message: 'login refused' },
    ])
    const last = server.requests.at(-1)
    assert.ok(last?.kind === 'bind' && /^cn=[0-9a-f-]{36},DC=corp,DC=example$/.test(last.dn))
    assert.notEqual(last.password, 'canary')
  })

  test('a part of memberOf is more than is taken, not less', async (t) => {
    const part = Array.from({ length: 1500 }, (_, n) => `CN=${n},OU=Groups,${BASE}`)
    const server = await serve(t, activeDirectory({ memberOf: [], 'memberOf;range=0-1499': part }))
    const groups = { kind: 'memberOf', base: BASE } as const
    const { result } = await login(t, server, { groups, maxGroups: 5000 })
    assert.deepEqual(result, { kind: 'rejected', code: 'group_limit_exceeded', source: 'ldap' })
  })

  test('groups that are elsewhere, no DNs or without one name are left out', async (t) => {
    const memberOf = [`CN=A\\2CB,OU=Groups,${BASE}`, `OU=X,OU=Groups,${BASE}`, `CN=Out,${BASE}`, 'nonsense', '']
    const server = await serve(t, activeDirectory({ memberOf }))
    const groups = { kind: 'memberOf', base: `ou=groups,${BASE}` } as const
    const { result, context } = await login(t, server, { groups })
    assert.deepEqual(result.kind === 'authenticated' && result.user.groups, ['A,B'])
    const dns = [`OU=X,OU=Groups,${BASE}`]
    assert.deepEqual(
      context.log.lines.map(({ level, fields }) => ({ level, fields })),
      [{ level: 'warn', fields: { count: 1, dns } }],
    )
  })
})

describe('an entry that is no identity', () => {
  const invalid: AuthnResult = { kind: 'rejected', code: 'identity_invalid', source: 'ldap' }
  test('has no name, two, an empty one, one that is not text, or no uid', async (t) => {
    const rows: readonly Attributes[] = [
      { sAMAccountName: [] },
      { sAMAccountName: ['alice', 'admin'] },
      { sAMAccountName: [''] },
      { sAMAccountName: [Buffer.from([0xff])] },
      { objectGUID: [] },
      { objectGUID: [GUID, GUID] },
      { objectGUID: [''] },
    ]
    for (const over of rows) {
      const server = await serve(t, activeDirectory(over))
      assert.deepEqual((await login(t, server)).result, invalid, JSON.stringify(over))
      assert.equal((await login(t, server, {}, 'wrong')).result.kind, 'rejected')
    }
  })

  test('T-S6 without a DN nobody binds', async (t) => {
    const server = await serve(t, (request) => {
      if (request.kind === 'bind') return bindAnswer(request.id)
      return [entryAnswer(request.id, '', ALICE), doneAnswer(request.id)]
    })
    await assert.rejects(login(t, server), { code: 'ldap_answer_invalid' })
    assert.deepEqual(
      server.requests.map(({ kind }) => kind),
      ['bind', 'search'],
    )
  })
})

test('extra has the values of its attributes, text or not, and no key without one', async (t) => {
  const server = await serve(t, activeDirectory({ mail: ['b@x', 'a@x'], photo: [Buffer.from([0xff])] }))
  const extra = [
    { key: 'example.org/mail', attribute: 'Mail' },
    { key: 'example.org/photo', attribute: 'photo' },
    { key: 'example.org/none', attribute: 'none' },
    { key: '__proto__', attribute: 'mail' },
  ]
  const { result } = await login(t, server, { attributes: { username: 'samaccountname', extra } })
  assert.deepEqual(result.kind === 'authenticated' && result.user, {
    username: 'alice',
    uid: '',
    groups: [],
    extra: new Map([
      ['example.org/mail', ['a@x', 'b@x']],
      ['example.org/photo', ['hex:ff']],
      ['__proto__', ['a@x', 'b@x']],
    ]),
  })
})

test('T-S3 whatever the directory says to the bind that is nobody’s, the name stays unknown', async (t) => {
  for (const code of [0, 32, 34, 49, 53]) {
    const server = await serve(t, ({ id, kind }) => (kind === 'bind' ? bindAnswer(id, code) : doneAnswer(id)))
    const options = optionsFor(server.url)
    const authenticator = ldapAuthenticator({
      ...options,
      directory: { ...options.directory, searchAs: { kind: 'anonymous' } },
    })
    const result = await authenticator.authenticate({ username: 'x', password: 'y' }, callContext())
    assert.deepEqual(result, { kind: 'rejected', code: 'login_failed', source: 'ldap' })
    await authenticator.close()
  }
})

test('the entry of a template that cannot be read is no refusal', async (t) => {
  const server = await serve(t, ({ id, kind }) => (kind === 'bind' ? bindAnswer(id) : doneAnswer(id)))
  for (const kind of ['person', 'anonymous'] as const) {
    const options = optionsFor(server.url, { user: { dnTemplate: 'uid={username},dc=x' } })
    const authenticator = ldapAuthenticator({ ...options, directory: { ...options.directory, searchAs: { kind } } })
    await assert.rejects(authenticator.authenticate({ username: 'x', password: 'y' }, callContext()), {
      code: 'ldap_answer_invalid',
    })
    await authenticator.close()
  }
})

test('what cannot be used is refused at once, in words', () => {
  const person = { searchAs: { kind: 'person' } as const }
  const rows: readonly (readonly [Over & { directory?: object }, RegExp])[] = [
    [{ user: { base: 'people', filter: '(uid={username})' } }, /user\.base: expected a DN/],
    [{ user: { base: BASE, filter: '(uid=x)' } }, /user\.filter: the filter needs \{username\}/],
    [{ user: { base: BASE, filter: '(member={dn})' } }, /user\.filter: unknown placeholder/],
    [{ user: { dnTemplate: 'uid=x' } }, /user\.dnTemplate: a DN template needs/],
    [{ directory: person }, /user: to search as the person/],
    [{ attributes: { username: '' } }, /attributes: "" is not the name/],
    [{ attributes: { username: 'uid', uid: '*' } }, /attributes: "\*" is not the name/],
    [{ attributes: { username: 'uid', extra: [{ key: 'Mail', attribute: 'mail' }] } }, /Mail: keys are in lower case/],
    [{ groups: { kind: 'memberOf', base: '' } }, /groups\.base: expected a DN/],
    [{ groups: { kind: 'search', base: BASE, filter: '(cn=x)' } }, /groups\.filter: the filter needs/],
    [{ groups: { kind: 'search', base: BASE, filter: '(memberUid={username})', nested: 'walk' } }, /needs \{dn\}/],
    [{ groups: { kind: 'search', base: BASE, filter: '(x={dn}y)', nested: 'inChain' } }, /needs \(member=\{dn\}\)/],
  ]
  for (const [{ directory, ...over }, message] of rows) {
    const options = optionsFor('ldap://x', over)
    assert.throws(
      () => ldapAuthenticator({ ...options, directory: { ...options.directory, ...directory } }),
      (error: unknown) => {
        assert.ok(error instanceof ArchwayError && error.code === 'config_invalid')
        assert.match(error.message, message)
        return true
      },
    )
  }
})

authenticatorContract('ldap, by user and password', async () => {
  const names = new Map([
    ['alice:pw', 'alice'],
    ['김철수:비밀번호', '김철수'],
    ['a*:x:y', 'a*'],
  ])
  const known = new Map([...names].map(([token, name]) => [name, token.slice(name.length + 1)]))
  let broken = false
  const server = await startFakeLdap((request) => {
    if (broken) return 'end'
    const { id } = request
    if (request.kind === 'bind') {
      const name = /^uid=(.*),dc=x$/.exec(request.dn)?.[1] ?? ''
      return bindAnswer(id, known.get(name) === request.password ? 0 : 49)
    }
    if (request.kind !== 'search') return undefined
    const name = [...known.keys()].find((one) => request.filter === `(uid=${one.replace('*', '\\2a')})`)
    return [...(name === undefined ? [] : [entryAnswer(id, `uid=${name},dc=x`, { uid: [name] })]), doneAnswer(id)]
  })
  const options = optionsFor(server.url)
  const authenticator = ldapAuthenticator({
    directory: { ...options.directory, searchAs: { kind: 'anonymous' } },
    user: { base: 'dc=x', filter: '(uid={username})' },
    attributes: { username: 'uid' },
  })
  return {
    authenticator: passwordsAsTokens(authenticator),
    good: names,
    breakDown() {
      broken = true
    },
    async close() {
      await authenticator.close()
      await server.close()
    },
  }
})
