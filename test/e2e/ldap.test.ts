/** The LDAP authenticator against a real OpenLDAP. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { Client } from 'ldapts'
import type { AuthnResult } from '../../src/authn/authenticator.ts'
import type { GroupLookup } from '../../src/authn/ldap/groups.ts'
import { type LdapAuthenticator, type LdapAuthenticatorOptions, ldapAuthenticator } from '../../src/authn/ldap/ldap.ts'
import { ArchwayError } from '../../src/errors.ts'
import type { DirectoryOptions } from '../../src/ldap/directory.ts'
import { Secret } from '../../src/secret.ts'
import { passwordsAsTokens } from '../contract/as-tokens.ts'
import { authenticatorContract } from '../contract/authenticator.ts'
import { callContext } from '../support/context.ts'
import { type Relay, startRelay } from '../support/relay.ts'
import { type SlapdRig, startSlapd } from '../support/rigs.ts'
import { createAuthority } from '../support/tls.ts'

const BASE = 'dc=example,dc=org'
const PEOPLE = `ou=people,${BASE}`
const GROUPS = `ou=groups,${BASE}`
const ACCOUNT_PASSWORD = 'account-pw'

let rig: SlapdRig
let ca: Buffer
before(async () => {
  rig = await startSlapd()
  ca = readFileSync(rig.caFile)
  await seed(rig)
})
after(() => rig[Symbol.asyncDispose]())

function person(uid: string, name: string, password: string): Record<string, string> {
  return { objectClass: 'inetOrgPerson', uid, cn: name, sn: name, userPassword: password }
}

function group(cn: string, members: readonly string[]): readonly [string, Record<string, string | readonly string[]>] {
  return [`cn=${cn},${GROUPS}`, { objectClass: 'groupOfNames', cn, member: members }]
}

/** alice and bob are there already, and the groups admins and devs. */
async function seed({ addAll, replace }: SlapdRig): Promise<void> {
  await addAll([
    [`ou=services,${BASE}`, { objectClass: 'organizationalUnit', ou: 'services' }],
    [`ou=elsewhere,${BASE}`, { objectClass: 'organizationalUnit', ou: 'elsewhere' }],
    [
      `cn=archway,ou=services,${BASE}`,
      { objectClass: 'person', cn: 'archway', sn: 'x', userPassword: ACCOUNT_PASSWORD },
    ],
    // two of one uid, in different places
    [`ou=guests,${PEOPLE}`, { objectClass: 'organizationalUnit', ou: 'guests' }],
    [`uid=twin,${PEOPLE}`, person('twin', 'First Twin', 'twin-pw')],
    [`uid=twin,ou=guests,${PEOPLE}`, person('twin', 'Second Twin', 'twin-pw')],
    // names of all sorts
    [`uid=김철수,${PEOPLE}`, person('김철수', '김철수', '비밀번호')],
    [`cn=Smith\\, John \\+ Co\\ ,${PEOPLE}`, person('jsmith', 'Smith, John + Co ', 'smith-pw')],
    [`uid=a*(b)\\\\c,${PEOPLE}`, person('a*(b)\\c', 'Star', 'star-pw')],
    [`uid=system:admin,${PEOPLE}`, person('system:admin', 'Root', 'root-pw')],
    [`cn=Two Names,${PEOPLE}`, { ...person('x', 'Two Names', 'two-pw'), uid: 'two', mail: 'two@example.org' }],
    [`uid=photo,${PEOPLE}`, { ...person('photo', 'Photo', 'photo-pw'), jpegPhoto: [Buffer.from([0xff, 0xd8, 0, 1])] }],
    // a chain and a loop: leaf ⊂ middle ⊂ top ⊂ leaf; a group elsewhere
    [`uid=nested,${PEOPLE}`, person('nested', 'Nested', 'nested-pw')],
    group('leaf', [`uid=nested,${PEOPLE}`]),
    group('middle', [`cn=leaf,${GROUPS}`]),
    group('top', [`cn=middle,${GROUPS}`]),
    [`cn=stolen,ou=elsewhere,${BASE}`, { objectClass: 'groupOfNames', cn: 'admins', member: [`uid=nested,${PEOPLE}`] }],
    group('팀', [`uid=김철수,${PEOPLE}`]),
    [`uid=many,${PEOPLE}`, person('many', 'Many', 'many-pw')],
  ])
  await replace(`cn=leaf,${GROUPS}`, 'member', [`uid=nested,${PEOPLE}`, `cn=top,${GROUPS}`])
  await replace(`cn=Two Names,${PEOPLE}`, 'uid', ['two', 'zwei'])
  await addAll(Array.from({ length: 600 }, (_, n) => group(`many-${n}`, [`uid=many,${PEOPLE}`])))
}

const memberSearch: GroupLookup = { kind: 'search', base: GROUPS, filter: '(&(objectClass=groupOfNames)(member={dn}))' }

interface Over extends Partial<Omit<LdapAuthenticatorOptions, 'directory'>> {
  readonly directory?: Partial<DirectoryOptions>
}

function authenticatorOf(over: Over = {}): LdapAuthenticator {
  return ldapAuthenticator({
    user: { base: PEOPLE, filter: '(&(objectClass=inetOrgPerson)(uid={username}))' },
    attributes: { username: 'uid', uid: 'entryUUID', extra: [{ key: 'example.org/mail', attribute: 'mail' }] },
    groups: memberSearch,
    ...over,
    directory: {
      urls: [rig.ldapsUrl],
      ca,
      searchAs: { kind: 'account', dn: rig.adminDn, password: new Secret(rig.adminPassword) },
      ...over.directory,
    },
  })
}

/** Logs in once with an authenticator of these settings. */
async function login(username: string, password: string, over: Over = {}): Promise<AuthnResult> {
  const authenticator = authenticatorOf(over)
  try {
    return await authenticator.authenticate({ username, password }, callContext())
  } finally {
    await authenticator.close()
  }
}

async function groupsOf(username: string, password: string, over: Over = {}): Promise<readonly string[]> {
  const result = await login(username, password, over)
  assert.ok(result.kind === 'authenticated', JSON.stringify(result))
  return result.user.groups
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    return `no error: ${JSON.stringify(await work)}`
  } catch (error) {
    assert.ok(error instanceof ArchwayError, String(error))
    return error.code
  }
}

const REFUSED: AuthnResult = { kind: 'rejected', code: 'login_failed', source: 'ldap' }

/** Operations that slapd did while `work` ran. */
async function operations(work: () => Promise<unknown>): Promise<string[]> {
  const before = (await rig.log()).length
  await work()
  return (await rig.log()).slice(before).filter((line) => / (BIND dn|SRCH base|STARTTLS)/.test(line))
}

describe('the way to the server', () => {
  test('ldaps, StartTLS and, where it is said, plain', async () => {
    for (const directory of [
      {},
      { urls: [rig.url], startTls: true },
      { urls: [rig.ldapsUrl.replace('127.0.0.1', 'localhost')] },
      { urls: [rig.url.replace('127.0.0.1', 'localhost')], startTls: true },
      { urls: [rig.url], allowPlain: true },
    ]) {
      const result = await login('alice', 'alice-pw', { directory })
      assert.ok(result.kind === 'authenticated')
      assert.equal(result.user.username, 'alice')
      assert.match(result.user.uid, /^[0-9a-f-]{36}$/)
      assert.deepEqual(result.user.groups, ['admins', 'devs'])
      assert.deepEqual([...result.user.extra], [['example.org/mail', ['alice@example.org']]])
    }
  })

  test('T-S6 with StartTLS nothing but the wish for TLS is sent in the clear', async (t) => {
    const relay = await startRelay(rig.port)
    t.after(() => relay.close())
    const result = await login('alice', 'alice-pw', {
      directory: { urls: [`ldap://127.0.0.1:${relay.port}`], startTls: true },
    })
    assert.equal(result.kind, 'authenticated')
    const request = Buffer.from('301d02010177188016312e332e362e312e342e312e313436362e3230303337', 'hex')
    const sent = relay.sent()
    assert.equal(relay.connections, 2)
    assert.deepEqual(sent.subarray(0, request.length), request)
    assert.equal(sent[request.length], 0x16, 'a TLS handshake follows')
    for (const word of ['alice', 'alice-pw', rig.adminDn, 'dc=example']) assert.equal(sent.indexOf(word), -1, word)
  })

  test('T-S6 a certificate of another authority, or for another name, ends it before a word is said', async (t) => {
    const relay = await startRelay(rig.port + 1, '127.0.0.2')
    const plainRelay = await startRelay(rig.port, '127.0.0.2')
    t.after(() => Promise.all([relay.close(), plainRelay.close()]))
    const other = (await createAuthority('Another CA')).cert
    const cases: readonly [Partial<DirectoryOptions>, RegExp][] = [
      [{ ca: other }, /not signed by an authority trusted here/],
      [{ ca: other, urls: [rig.url], startTls: true }, /not signed by an authority trusted here/],
      [{ urls: [`ldaps://127.0.0.2:${relay.port}`] }, /for another name/],
      [{ urls: [`ldap://127.0.0.2:${plainRelay.port}`], startTls: true }, /for another name/],
      [{ urls: [`ldaps://127.0.0.1:${rig.port}`] }, /ldaps:\/\/127/], // speaks no TLS
    ]
    for (const [directory, message] of cases) {
      const done = await operations(() =>
        assert.rejects(login('alice', 'alice-pw', { directory }), (error: ArchwayError) => {
          assert.equal(error.code, 'ldap_unreachable')
          assert.match(error.message, message)
          return true
        }),
      )
      assert.deepEqual(
        done,
        done.filter((line) => line.includes('STARTTLS')),
      )
    }
    assert.equal(relay.connections + plainRelay.connections, 2)
  })

  test('the roots of the system do not include the rig: without caFile it is not trusted', async () => {
    const authenticator = ldapAuthenticator({
      directory: { urls: [rig.ldapsUrl], searchAs: { kind: 'anonymous' } },
      user: { base: PEOPLE, filter: '(uid={username})' },
      attributes: { username: 'uid' },
    })
    const context = callContext()
    assert.equal(
      await codeOf(authenticator.authenticate({ username: 'a', password: 'b' }, context)),
      'ldap_unreachable',
    )
    await authenticator.close()
  })

  test('another CA takes effect by reload, and a broken one does not', async () => {
    const authenticator = authenticatorOf({ directory: { ca: (await createAuthority('Old CA')).cert } })
    const alice = { username: 'alice', password: 'alice-pw' }
    assert.equal(await codeOf(authenticator.authenticate(alice, callContext())), 'ldap_unreachable')
    authenticator.reload({ ca })
    assert.equal((await authenticator.authenticate(alice, callContext())).kind, 'authenticated')
    assert.throws(() => authenticator.reload({ ca: 'nothing' }), { code: 'file_invalid' })
    assert.equal((await authenticator.authenticate(alice, callContext())).kind, 'authenticated')
    authenticator.reload({ password: new Secret('wrong') })
    assert.equal(await codeOf(authenticator.authenticate(alice, callContext())), 'ldap_bind_refused')
    await authenticator.close()
  })
})

describe('who gets in', () => {
  test('a wrong password and an unknown name are one refusal, and the same work', async () => {
    const authenticator = authenticatorOf()
    const ask = (username: string, password: string) => () =>
      authenticator.authenticate({ username, password }, callContext())
    await ask('alice', 'alice-pw')() // connections are open from here on
    assert.deepEqual(await ask('alice', 'wrong')(), REFUSED)
    assert.deepEqual(await ask('nobody-here', 'wrong')(), REFUSED)
    assert.deepEqual(await ask('twin', 'twin-pw')(), REFUSED)
    const kinds = async (work: () => Promise<unknown>) =>
      (await operations(work)).map((line) => / (BIND|SRCH) /.exec(line)?.[1])
    const wrong = await kinds(ask('alice', 'wrong'))
    assert.deepEqual(wrong, ['SRCH', 'BIND'])
    assert.deepEqual(await kinds(ask('nobody-here', 'wrong')), wrong)
    assert.deepEqual(await kinds(ask('twin', 'twin-pw')), wrong)
    await authenticator.close()
  })

  test('T-S3 the password of an unknown name is sent nowhere', async (t) => {
    const relay = await startRelay(rig.port)
    t.after(() => relay.close())
    const directory = { urls: [`ldap://127.0.0.1:${relay.port}`], allowPlain: true }
    assert.deepEqual(await login('nobody-here', 'a-password-typed', { directory }), REFUSED)
    assert.ok(relay.sent().includes('nobody-here'))
    assert.equal(relay.sent().indexOf('a-password-typed'), -1)
  })

  test('T-S6 an empty password, NUL and what cannot be a name are refused with nothing sent', async () => {
    const cases: readonly [string, string, string][] = [
      ['alice', '', 'credential_empty'],
      ['', 'alice-pw', 'credential_empty'],
      ['alice', 'alice-pw\0', 'login_failed'],
      ['alice\0', 'alice-pw', 'login_failed'],
      ['alice', 'alice-pw\ud800', 'login_failed'],
      ['ali\u200bce', 'alice-pw', 'login_failed'],
      [' alice', 'alice-pw', 'login_failed'],
      ['alice ', 'alice-pw', 'login_failed'],
      ['a'.repeat(257), 'alice-pw', 'credential_too_large'],
      ['alice', 'x'.repeat(1025), 'credential_too_large'],
    ]
    for (const [username, password, code] of cases) {
      const done = await operations(async () =>
        assert.deepEqual(await login(username, password), { kind: 'rejected', code, source: 'ldap' }),
      )
      assert.deepEqual(done, [])
    }
  })

  test('T-S6 a server says yes to an empty name and password: no account can be without', async () => {
    const client = new Client({ url: rig.url })
    await client.bind('', '') // no error: this is why
    await client.unbind()
    for (const searchAs of [
      { kind: 'account', dn: '', password: new Secret('x') },
      { kind: 'account', dn: rig.adminDn, password: new Secret('') },
    ] as const) {
      assert.throws(() => authenticatorOf({ directory: { searchAs } }), { code: 'config_invalid' })
    }
  })

  test('T-S6 names that would be filters, DNs or wild cards find nobody', async () => {
    const names = [
      '*',
      'a*',
      'alic*',
      '*)(uid=*',
      '*)(uid=*))(|(uid=*',
      'alice)(|(uid=*',
      'alice))(&(uid=bob',
      'alice\\2a',
      '\\61lice',
      'alice,ou=people',
      `alice,${PEOPLE}`,
      'alice+cn=Alice Archer',
      'alice\\',
      '\\',
      '(',
      ')',
      '{username}',
      '{dn}',
      '#616c696365',
      '"alice"',
      'alice;x',
      'a=b',
    ]
    for (const username of names) {
      assert.deepEqual(await login(username, 'alice-pw'), REFUSED, username)
      for (const template of [`uid={username},${PEOPLE}`, `cn=x+uid={username},${PEOPLE}`]) {
        const result = await login(username, 'alice-pw', { user: { dnTemplate: template } })
        assert.deepEqual(result, REFUSED, `${username} in ${template}`)
      }
    }
  })

  test('names of all sorts, by search and by template', async () => {
    const names: readonly [string, string][] = [
      ['김철수', '비밀번호'],
      ['a*(b)\\c', 'star-pw'],
      ['alice', 'alice-pw'],
    ]
    for (const [username, password] of names) {
      for (const user of [
        { base: PEOPLE, filter: '(uid={username})' },
        { base: PEOPLE, filter: '(|(uid={username})(mail={username}))' },
        { dnTemplate: `uid={username},${PEOPLE}` },
      ]) {
        const result = await login(username, password, { user })
        assert.ok(result.kind === 'authenticated', username)
        assert.equal(result.user.username, username)
        assert.deepEqual(await login(username, `${password}x`, { user }), REFUSED)
      }
    }
    const byComma = await login('Smith, John + Co', 'smith-pw', { user: { base: PEOPLE, filter: '(cn={username})' } })
    assert.equal(byComma.kind === 'authenticated' && byComma.user.username, 'jsmith')
    const template = { dnTemplate: `cn={username},${PEOPLE}` }
    const byTemplate = await login('Smith, John + Co', 'smith-pw', { user: template })
    assert.equal(byTemplate.kind === 'authenticated' && byTemplate.user.username, 'jsmith')
    assert.deepEqual(await groupsOf('김철수', '비밀번호'), ['팀'])
  })

  test('however a name is typed, the identity is the one of the directory', async () => {
    for (const user of [
      { base: PEOPLE, filter: '(|(uid={username})(mail={username}))' },
      { dnTemplate: `UID={username},OU=People,${BASE}` },
    ]) {
      for (const typed of ['alice', 'ALICE', 'Alice']) {
        const result = await login(typed, 'alice-pw', { user })
        assert.equal(result.kind === 'authenticated' && result.user.username, 'alice')
      }
    }
    const byMail = await login('Alice@Example.ORG', 'alice-pw', { user: { base: PEOPLE, filter: '(mail={username})' } })
    assert.equal(byMail.kind === 'authenticated' && byMail.user.username, 'alice')
  })

  test('T-S6 of two matches neither gets in, and the operator is told', async () => {
    const authenticator = authenticatorOf()
    const context = callContext()
    assert.deepEqual(await authenticator.authenticate({ username: 'twin', password: 'twin-pw' }, context), REFUSED)
    const [entry] = context.log.lines.filter(({ level }) => level === 'error')
    assert.match(JSON.stringify(entry), /several entries match; narrow `filter` or `base`/)
    await authenticator.close()
    const one = await login('twin', 'twin-pw', { user: { base: PEOPLE, scope: 'one', filter: '(uid={username})' } })
    assert.equal(one.kind, 'authenticated')
  })

  test('an attribute with two values is no name, a missing one no uid', async () => {
    const user = { base: PEOPLE, filter: '(mail={username})' }
    const invalid = { kind: 'rejected', code: 'identity_invalid', source: 'ldap' }
    assert.deepEqual(await login('two@example.org', 'two-pw', { user }), invalid)
    assert.deepEqual(await login('two@example.org', 'wrong', { user }), REFUSED, 'said to who has proven it only')
    const attributes = { username: 'uid', uid: 'employeeNumber' }
    assert.deepEqual(await login('alice', 'alice-pw', { attributes }), invalid)
  })

  test('bytes become text', async () => {
    const result = await login('photo', 'photo-pw', { attributes: { username: 'uid', uid: 'jpegPhoto' } })
    assert.equal(result.kind === 'authenticated' && result.user.uid, 'hex:ffd80001')
  })

  test('with nobody to search as, the person reads the own entry, on a connection nobody else gets', async () => {
    const user = { dnTemplate: `uid={username},${PEOPLE}` }
    const authenticator = authenticatorOf({ user, directory: { searchAs: { kind: 'person' } } })
    const lines = await operations(async () => {
      for (const [username, password] of [
        ['alice', 'alice-pw'],
        ['bob', 'bob-pw'],
        ['alice', 'wrong'],
        ['alice', 'alice-pw'],
      ] as const) {
        const result = await authenticator.authenticate({ username, password }, callContext())
        if (password === 'wrong') assert.deepEqual(result, REFUSED)
        else assert.equal(result.kind === 'authenticated' && result.user.username, username)
      }
    })
    await authenticator.close()
    const byConnection = Map.groupBy(lines, (line) => /conn=\d+/.exec(line)?.[0] ?? '')
    const searchedOn = [...byConnection.values()].filter((done) => done.some((line) => line.includes(' SRCH ')))
    assert.equal(searchedOn.length, 3, 'one connection for each proof')
    for (const done of searchedOn) {
      const search = done.findIndex((line) => line.includes(' SRCH '))
      const [boundAs, base] = [
        /BIND dn="([^"]*)"/.exec(done[search - 1] ?? ''),
        /base="([^"]*)"/.exec(done[search] ?? ''),
      ]
      assert.ok(boundAs?.[1] !== undefined && boundAs[1] === base?.[1], done.join('\n'))
      assert.ok(!done.slice(search).some((line) => line.includes(' BIND ')), 'nobody binds on it again')
    }
    assert.throws(() => authenticatorOf({ directory: { searchAs: { kind: 'person' } } }), { code: 'config_invalid' })
  })

  test('as nobody only where it is said; here nobody may see a thing, which is no refusal', async () => {
    const directory = { searchAs: { kind: 'anonymous' } } as const
    assert.equal(await codeOf(login('alice', 'alice-pw', { directory })), 'ldap_answer_invalid')
  })

  test('a wrong password of the account is not a wrong password of the person', async () => {
    const searchAs = { kind: 'account', dn: rig.adminDn, password: new Secret('canary-wrong') } as const
    await assert.rejects(login('alice', 'alice-pw', { directory: { searchAs } }), (error: ArchwayError) => {
      assert.equal(error.code, 'ldap_bind_refused')
      assert.doesNotMatch(error.message, /canary/)
      return true
    })
  })

  test('a base that is not there is no refusal', async () => {
    const user = { base: `ou=nowhere,${BASE}`, filter: '(uid={username})' }
    assert.equal(await codeOf(login('alice', 'alice-pw', { user })), 'ldap_answer_invalid')
  })

  test('T-S1 no password is in a log, an error or a result', async () => {
    const context = callContext()
    const authenticator = authenticatorOf()
    await authenticator.authenticate({ username: 'alice', password: 'canary-1' }, context)
    await authenticator.authenticate({ username: 'canary-2', password: 'canary-1' }, context)
    assert.doesNotMatch(JSON.stringify(context.log.lines), /canary/)
    assert.ok(context.log.lines.length > 1)
    await authenticator.close()
  })
})

describe('groups', () => {
  const walk = (over: object = {}): GroupLookup => ({ ...memberSearch, nested: 'walk', ...over }) as GroupLookup
  const memberOf = (over: object = {}): GroupLookup => ({ kind: 'memberOf', base: GROUPS, ...over }) as GroupLookup

  test('T-S6 direct, and nested through a loop, with a bound on the depth', async () => {
    const cases: readonly [GroupLookup, readonly string[]][] = [
      [memberSearch, ['leaf']],
      [walk(), ['leaf', 'middle', 'top']],
      [walk({ depth: 1 }), ['leaf', 'middle']],
      [walk({ depth: 0 }), ['leaf']],
      [walk({ depth: 100 }), ['leaf', 'middle', 'top']],
      [memberOf(), ['leaf']],
      [memberOf({ nested: 'walk' }), ['leaf', 'middle', 'top']],
      [memberOf({ nested: 'walk', depth: 1 }), ['leaf', 'middle']],
      [memberOf({ nameAttribute: 'dn' }), [`cn=leaf,${GROUPS}`]],
      [walk({ nameAttribute: 'dn', depth: 1 }), [`cn=leaf,${GROUPS}`, `cn=middle,${GROUPS}`]],
    ]
    for (const [groups, expected] of cases) {
      assert.deepEqual(await groupsOf('nested', 'nested-pw', { groups }), expected, JSON.stringify(groups))
    }
    assert.deepEqual(await groupsOf('nested', 'nested-pw', { groups: memberOf({ base: BASE }) }), ['leaf', 'stolen'])
  })

  test('T-S6 a loop ends where it closes, whatever depth is allowed', async () => {
    const rows = [
      [walk({ depth: 100 }), 5], // the person; above the person, leaf, middle and top
      [memberOf({ nested: 'walk', depth: 100 }), 4], // the person, leaf, middle, top
    ] as const
    for (const [groups, searches] of rows) {
      const done = await operations(() => groupsOf('nested', 'nested-pw', { groups }))
      assert.equal(done.filter((line) => line.includes(' SRCH ')).length, searches, done.join('\n'))
    }
  })

  test('hundreds of them come in pages, whole, and sorted', async () => {
    const expected = Array.from({ length: 600 }, (_, n) => `many-${n}`).sort()
    for (const groups of [memberSearch, walk(), memberOf(), memberOf({ nested: 'walk' })]) {
      assert.deepEqual(await groupsOf('many', 'many-pw', { groups }), expected, JSON.stringify(groups))
    }
  })

  test('more than maxGroups is a refusal with a name of its own, and never a shorter list', async () => {
    for (const groups of [memberSearch, walk(), memberOf(), memberOf({ nested: 'walk' })]) {
      for (const maxGroups of [1, 100, 250, 599]) {
        const result = await login('many', 'many-pw', { groups, maxGroups })
        assert.deepEqual(result, { kind: 'rejected', code: 'group_limit_exceeded', source: 'ldap' })
      }
      assert.equal((await groupsOf('many', 'many-pw', { groups, maxGroups: 600 })).length, 600)
    }
    const walked = await login('nested', 'nested-pw', { groups: walk(), maxGroups: 2 })
    assert.deepEqual(walked, { kind: 'rejected', code: 'group_limit_exceeded', source: 'ldap' })
  })

  test("the server's own limit is an outage, never a shorter list", async () => {
    const searchAs = {
      kind: 'account',
      dn: `cn=archway,ou=services,${BASE}`,
      password: new Secret(ACCOUNT_PASSWORD),
    } as const // slapd shows 500 entries to one who is not its administrator
    assert.deepEqual(await groupsOf('alice', 'alice-pw', { directory: { searchAs } }), ['admins', 'devs'])
    await assert.rejects(login('many', 'many-pw', { directory: { searchAs } }), (error: ArchwayError) => {
      assert.equal(error.code, 'ldap_answer_invalid')
      assert.match(error.message, /sizeLimitExceeded/)
      return true
    })
  })

  test('a reserved name is the gate’s to judge: it comes out as it is', async () => {
    const result = await login('system:admin', 'root-pw')
    assert.equal(result.kind === 'authenticated' && result.user.username, 'system:admin')
  })
})

describe('outages', () => {
  let own: SlapdRig
  let relay: Relay
  before(async () => {
    own = await startSlapd()
    relay = await startRelay(own.port + 1)
  })
  after(async () => {
    await relay.close()
    await own[Symbol.asyncDispose]()
  })
  const alice = { username: 'alice', password: 'alice-pw' }
  const through = (ports: readonly number[], over: Partial<DirectoryOptions> = {}): LdapAuthenticator =>
    authenticatorOf({
      directory: { urls: ports.map((port) => `ldaps://127.0.0.1:${port}`), ca: readFileSync(own.caFile), ...over },
    })

  test('T-W3 a server that is gone, cut off or silent is never a refusal, and is back when it is back', async () => {
    const authenticator = through([relay.port], { stepMs: 1500, timeoutMs: 4000 })
    const ask = (password = 'alice-pw') => authenticator.authenticate({ username: 'alice', password }, callContext())
    assert.equal((await ask()).kind, 'authenticated')
    await authenticator.ping(callContext())

    relay.cut()
    for (const password of ['alice-pw', 'wrong']) assert.equal(await codeOf(ask(password)), 'ldap_unreachable')
    assert.equal(await codeOf(authenticator.ping(callContext())), 'ldap_unreachable')
    relay.mend()
    assert.equal((await ask()).kind, 'authenticated')
    assert.deepEqual(await ask('wrong'), REFUSED)

    relay.hold()
    for (const password of ['alice-pw', 'wrong']) assert.equal(await codeOf(ask(password)), 'ldap_timeout')
    relay.mend()
    assert.equal((await ask()).kind, 'authenticated')
    await authenticator.close()
    assert.equal(await codeOf(ask()), 'stopping')
  })

  test('who asks may give up', async () => {
    const authenticator = through([relay.port])
    assert.equal((await authenticator.authenticate(alice, callContext())).kind, 'authenticated')
    relay.hold()
    const controller = new AbortController()
    const asked = authenticator.authenticate(alice, callContext({ signal: controller.signal }))
    controller.abort()
    assert.equal(await codeOf(asked), 'ldap_timeout')
    assert.equal(
      await codeOf(authenticator.authenticate(alice, callContext({ signal: AbortSignal.abort() }))),
      'ldap_timeout',
    )
    relay.mend()
    assert.equal((await authenticator.authenticate(alice, callContext())).kind, 'authenticated')
    await authenticator.close()
  })

  test('the next server answers for one that is down, silent or has a wrong certificate', async (t) => {
    const wrong = await startRelay(rig.port + 1) // another CA's
    t.after(() => wrong.close())
    for (const first of [relay.port, wrong.port]) {
      relay.hold()
      const authenticator = through([first, own.port + 1], { stepMs: 1500 })
      assert.equal((await authenticator.authenticate(alice, callContext())).kind, 'authenticated')
      const before = relay.connections + wrong.connections
      assert.deepEqual(await authenticator.authenticate({ ...alice, password: 'wrong' }, callContext()), REFUSED)
      assert.equal(relay.connections + wrong.connections, before, 'the one that failed is left alone for a while')
      relay.mend()
      await authenticator.close()
    }
  })

  test('killed, stopped and started while logins run: no wrong refusal, no wrong proof', async () => {
    const authenticator = authenticatorOf({
      directory: { urls: [own.url], startTls: true, ca: readFileSync(own.caFile), connections: 4, stepMs: 2000 },
      groups: { ...memberSearch, nested: 'walk' },
    })
    const tally = { proofs: 0, refusals: 0, outages: 0 }
    let running = true
    const logins = async (username: string, good: boolean): Promise<void> => {
      while (running) {
        const password = good ? `${username}-pw` : 'wrong'
        try {
          const result = await authenticator.authenticate({ username, password }, callContext())
          assert.equal(result.kind, good ? 'authenticated' : 'rejected', `${username} ${password}`)
          if (result.kind === 'authenticated') {
            assert.equal(result.user.username, username)
            assert.deepEqual(result.user.groups, username === 'alice' ? ['admins', 'devs'] : ['devs'])
            tally.proofs += 1
          } else {
            assert.deepEqual(result, REFUSED)
            tally.refusals += 1
          }
        } catch (error) {
          assert.ok(error instanceof ArchwayError && error.code.startsWith('ldap_'), String(error))
          tally.outages += 1
        }
        await new Promise(setImmediate)
      }
    }
    const reached = async (wanted: typeof tally): Promise<void> => {
      const done = () =>
        tally.proofs >= wanted.proofs && tally.refusals >= wanted.refusals && tally.outages >= wanted.outages
      while (!done()) await new Promise(setImmediate)
    }
    const more = (proofs: number, refusals: number, outages: number): typeof tally => ({
      proofs: tally.proofs + proofs,
      refusals: tally.refusals + refusals,
      outages: tally.outages + outages,
    })
    const workers = [
      ...['alice', 'bob', 'alice', 'bob', 'alice', 'bob'].map((name) => logins(name, true)),
      ...['alice', 'bob', 'nobody', 'alice', 'bob', 'nobody'].map((name) => logins(name, false)),
    ]
    const watched = Promise.all(workers)
    const play = async (): Promise<void> => {
      for (const end of [own.kill, own.stop, own.kill]) {
        await reached(more(20, 20, 0))
        await end()
        await reached(more(0, 0, 5))
        await own.start()
      }
      await reached(more(20, 20, 0))
      running = false
    }
    await Promise.race([watched, play()]).finally(() => {
      running = false
    })
    await watched
    await authenticator.close()
  })
})

authenticatorContract('ldap, by user and password', async () => {
  const relay = await startRelay(rig.port + 1)
  const authenticator = authenticatorOf({ directory: { urls: [`ldaps://127.0.0.1:${relay.port}`] } })
  return {
    authenticator: passwordsAsTokens(authenticator),
    good: new Map([
      ['alice:alice-pw', 'alice'],
      ['bob:bob-pw', 'bob'],
      ['김철수:비밀번호', '김철수'],
    ]),
    breakDown: () => relay.cut(),
    async close() {
      await authenticator.close()
      await relay.close()
    },
  }
})
