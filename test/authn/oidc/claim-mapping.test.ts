import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { readClaimRules, type WrittenRules } from '../../../src/authn/oidc/claim-rules.ts'
import { readObject } from '../../../src/authn/oidc/claims.ts'
import { flagRules } from '../../../src/authn/oidc/flag-rules.ts'
import type { UserInfo } from '../../../src/user.ts'
import { mappingOf } from './support.ts'

const SUB: WrittenRules['claimMappings'] = { username: { claim: 'sub', prefix: '' } }

function map(rules: WrittenRules, claims: object): UserInfo | string {
  const read = readObject(Buffer.from(JSON.stringify(claims)))
  assert.ok(read !== undefined)
  const result = mappingOf(rules)(read.value)
  return result.kind === 'mapped' ? result.user : `${result.code}: ${result.detail}`
}

function userOf(rules: WrittenRules, claims: object): UserInfo {
  const user = map(rules, claims)
  assert.ok(typeof user !== 'string', String(user))
  return user
}

function problemsOf(rules: WrittenRules): readonly string[] {
  const read = readClaimRules(rules)
  return read.kind === 'faulty' ? read.problems.map(({ path, message }) => `${path}: ${message}`) : []
}

describe('by claims', () => {
  test('user name, groups and uid, with their prefixes', () => {
    const claimMappings = {
      username: { claim: 'preferred_username', prefix: 'oidc:' },
      groups: { claim: 'groups', prefix: 'g:' },
      uid: { claim: 'sub' },
    }
    assert.deepEqual(map({ claimMappings }, { preferred_username: '제인', groups: ['a', 'b', 'a'], sub: 'u-1' }), {
      username: 'oidc:제인',
      uid: 'u-1',
      groups: ['g:a', 'g:b', 'g:a'],
      extra: new Map(),
    })
  })

  test('groups may be one text; none, null and an empty list are no groups', () => {
    const rules = { claimMappings: { ...SUB, groups: { claim: 'roles', prefix: '' } } }
    assert.deepEqual(userOf(rules, { sub: 'a', roles: 'dev' }).groups, ['dev'])
    for (const claims of [{}, { roles: null }, { roles: [] }]) {
      assert.deepEqual(userOf(rules, { sub: 'a', ...claims }).groups, [])
    }
  })

  test('T-W6 an empty group gets no name by its prefix', () => {
    const rules = { claimMappings: { ...SUB, groups: { claim: 'groups', prefix: 'oidc:' } } }
    assert.deepEqual(userOf(rules, { sub: 'a', groups: ['', 'x'] }).groups, ['', 'oidc:x'])
  })

  test('what is of the wrong type, or not there, is refused and not guessed', () => {
    const rules = {
      claimMappings: {
        username: { claim: 'u', prefix: 'x:' },
        groups: { claim: 'g', prefix: '' },
        uid: { claim: 'i' },
      },
    }
    const good = { u: 'a', g: ['b'], i: 'c' }
    assert.ok(typeof map(rules, good) !== 'string')
    for (const u of [undefined, null, 1, true, ['a'], { a: 1 }])
      assert.match(String(map(rules, { ...good, u })), /^claim_invalid: username: the claim u /)
    for (const g of [1, true, { a: 1 }, ['a', 1], [['a']], [null]])
      assert.match(String(map(rules, { ...good, g })), /^claim_invalid: groups: /)
    for (const i of [undefined, null, 1, ['a']])
      assert.match(String(map(rules, { ...good, i })), /^claim_invalid: uid: /)
    assert.equal(map(rules, { ...good, u: '' }), 'identity_invalid: username: it is empty')
  })

  test('groups that are elsewhere (distributed claims) are not no groups', () => {
    const rules = { claimMappings: { ...SUB, groups: { claim: 'groups', prefix: '' } } }
    const elsewhere = { _claim_names: { groups: 'src1' }, _claim_sources: { src1: { endpoint: 'https://x.example' } } }
    assert.equal(
      map(rules, { sub: 'a', ...elsewhere }),
      'claim_invalid: groups: the claim groups is distributed, which is not supported',
    )
    assert.deepEqual(userOf(rules, { sub: 'a', groups: ['x'], ...elsewhere }).groups, ['x'])
    assert.ok(typeof map(rules, { sub: 'a', _claim_names: { roles: 'src1' } }) !== 'string')
  })
})

describe('T-S7 an address as user name', () => {
  const rules = { claimMappings: { username: { claim: 'email', prefix: '' } } }

  test('is taken when it is verified, or when nothing is said of that', () => {
    assert.equal(userOf(rules, { email: 'a@x', email_verified: true }).username, 'a@x')
    assert.equal(userOf(rules, { email: 'a@x' }).username, 'a@x')
  })

  for (const verified of [false, null, 'true', 1, [], {}]) {
    test(`is refused with email_verified ${JSON.stringify(verified)}`, () => {
      assert.match(String(map(rules, { email: 'a@x', email_verified: verified })), /^email_not_verified/)
    })
  }

  test('by an expression has to be looked at by one, whichever way it is written', () => {
    for (const expression of [
      'claims.email',
      'claims.?email.orValue("x")',
      'claims["email"].lowerAscii()',
      'claims.email.split("@")[0]',
    ]) {
      const claimMappings = { username: { expression } }
      assert.match(
        problemsOf({ claimMappings }).join(),
        /^claimMappings\.username\.expression: uses claims\.email and nothing looks at/,
      )
      const looked = 'claims.?email_verified.orValue(true) == true'
      assert.deepEqual(problemsOf({ claimMappings, claimValidationRules: [{ expression: looked }] }), [])
      const extra = [{ key: 'example.com/verified', valueExpression: 'string(claims.email_verified)' }]
      assert.deepEqual(problemsOf({ claimMappings: { ...claimMappings, extra } }), [])
    }
    assert.deepEqual(
      problemsOf({
        claimMappings: { username: { expression: 'claims.email_verified == true ? claims.email : claims.sub' } },
      }),
      [],
    )
    assert.deepEqual(problemsOf({ claimMappings: { ...SUB, uid: { expression: 'claims.email' } } }), [])
  })

  test('by an expression with the rule of the documentation', () => {
    const withRule = {
      claimMappings: { username: { expression: 'claims.email' } },
      claimValidationRules: [{ expression: 'claims.?email_verified.orValue(true) == true' }],
    }
    assert.equal(userOf(withRule, { email: 'a@x' }).username, 'a@x')
    assert.equal(userOf(withRule, { email: 'a@x', email_verified: true }).username, 'a@x')
    for (const email_verified of [false, 'true', 0])
      assert.match(String(map(withRule, { email: 'a@x', email_verified })), /^claim_rule_failed/)
  })
})

describe('by expressions', () => {
  const rules: WrittenRules = {
    claimMappings: {
      username: { expression: 'claims.username + ":external-user"' },
      groups: { expression: 'claims.roles.split(",")' },
      uid: { expression: 'claims.sub' },
      extra: [
        { key: 'example.com/tenant', valueExpression: 'claims.tenant' },
        { key: 'example.com/all', valueExpression: '[claims.sub, claims.tenant]' },
        { key: 'example.com/none', valueExpression: 'claims.?nothing.orValue("")' },
      ],
    },
  }
  const claims = { username: 'jane', roles: 'a,b', sub: 'u-1', tenant: 't' }

  test('all of it', () => {
    assert.deepEqual(map(rules, claims), {
      username: 'jane:external-user',
      uid: 'u-1',
      groups: ['a', 'b'],
      extra: new Map([
        ['example.com/tenant', ['t']],
        ['example.com/all', ['u-1', 't']],
      ]),
    })
  })

  test('a claim that is not there is a refusal that says where', () => {
    assert.equal(map(rules, { ...claims, username: undefined }), 'claim_invalid: username: no such key, at character 8')
    assert.equal(
      map(rules, { ...claims, roles: 7 })
        .toString()
        .split(':')[0],
      'claim_invalid',
    )
    assert.equal(
      map(rules, { ...claims, tenant: { a: 1 } }),
      'claim_invalid: extra example.com/tenant: it gives neither a string nor a list of strings',
    )
    assert.equal(map(rules, { ...claims, sub: ['x'] }), 'claim_invalid: uid: it gives no string')
  })

  test('T-W15 a list that is too long for expressions is refused, and only where there are any', () => {
    const groups = Array.from({ length: 501 }, (_, index) => `g${index}`)
    assert.match(String(map(rules, { ...claims, groups })), /^claim_invalid: a claim has more entries/)
    const plain = { claimMappings: { ...SUB, groups: { claim: 'groups', prefix: '' } } }
    assert.equal(userOf(plain, { sub: 'a', groups }).groups.length, 501)
    const judged = { ...plain, userValidationRules: [{ expression: 'user.username != ""' }] }
    assert.match(String(map(judged, { sub: 'a', groups })), /^user_rule_failed: the identity has more groups/)
  })

  test('two long numbers stay two', () => {
    const byNumber = { claimMappings: { username: { expression: 'string(claims.id)' } } }
    const of = (text: string) => {
      const read = readObject(Buffer.from(`{"id":${text}}`))
      assert.ok(read !== undefined)
      return mappingOf(byNumber)(read.value)
    }
    const names = ['9007199254740992', '9007199254740993', '9223372036854775807'].map((text) => {
      const result = of(text)
      return result.kind === 'mapped' ? result.user.username : result.detail
    })
    assert.deepEqual(names, ['9007199254740992', '9007199254740993', '9223372036854775807'])
  })
})

describe('rules', () => {
  test('a required claim is a text, and exactly that', () => {
    const rules = { claimMappings: SUB, claimValidationRules: [{ claim: 'hd', requiredValue: 'example.com' }] }
    assert.ok(typeof map(rules, { sub: 'a', hd: 'example.com' }) !== 'string')
    for (const hd of [undefined, null, '', 'EXAMPLE.com', ['example.com'], 1]) {
      assert.equal(map(rules, { sub: 'a', hd }), 'claim_rule_failed: the claim hd has not the required value')
    }
  })

  test('all have to hold, and their messages are for the log', () => {
    const rules: WrittenRules = {
      claimMappings: { ...SUB, groups: { claim: 'groups', prefix: '' } },
      claimValidationRules: [
        { claim: 'hd', requiredValue: 'x' },
        { expression: 'claims.exp - claims.nbf <= 10', message: 'lives too long' },
      ],
      userValidationRules: [
        { expression: "!user.username.startsWith('system:')", message: 'reserved' },
        { expression: 'user.groups.all(g, g != "root")' },
      ],
    }
    const claims = { sub: 'a', hd: 'x', exp: 20, nbf: 10 }
    assert.ok(typeof map(rules, claims) !== 'string')
    assert.equal(map(rules, { ...claims, exp: 21 }), 'claim_rule_failed: lives too long')
    assert.equal(
      map(rules, { ...claims, exp: 'x' })
        .toString()
        .split(':')[0],
      'claim_rule_failed',
    )
    assert.equal(
      map(rules, { ...claims, nbf: undefined }),
      'claim_rule_failed: lives too long (no such key, at character 21)',
    )
    assert.equal(map(rules, { ...claims, sub: 'system:x' }), 'user_rule_failed: reserved')
    assert.equal(map(rules, { ...claims, groups: ['root'] }), 'user_rule_failed: user.groups.all(g, g != "root")')
  })

  test('on the user judge what comes out of the mapping', () => {
    const rules: WrittenRules = {
      claimMappings: { username: { claim: 'sub', prefix: 'p:' } },
      userValidationRules: [{ expression: 'user.username == "p:a" && user.uid == ""' }],
    }
    assert.ok(typeof map(rules, { sub: 'a' }) !== 'string')
  })
})

describe('mistakes are found when the rules are read, all at once', () => {
  const faulty: readonly [rules: WrittenRules, problems: readonly string[]][] = [
    [{}, ['claimMappings.username: missing: name a claim or an expression']],
    [
      { claimMappings: { username: { claim: 'a' } } },
      ['claimMappings.username.prefix: missing: set it, to "" for no prefix'],
    ],
    [
      { claimMappings: { username: { claim: 'a', expression: 'claims.a' } } },
      ['claimMappings.username: claim and expression cannot both be set'],
    ],
    [
      { claimMappings: { username: { expression: 'claims.a', prefix: '' } } },
      ['claimMappings.username.prefix: cannot be set with an expression: put it into the expression'],
    ],
    [
      { claimMappings: { ...SUB, groups: { claim: 'g' } } },
      ['claimMappings.groups.prefix: missing: set it, to "" for no prefix'],
    ],
    [
      { claimMappings: { ...SUB, groups: { prefix: 'x' } } },
      ['claimMappings.groups: has a prefix and nothing to put it before: name a claim'],
    ],
    [
      { claimMappings: { ...SUB, uid: { claim: 'a', expression: 'claims.a' } } },
      ['claimMappings.uid: claim and expression cannot both be set'],
    ],
    [
      { claimMappings: SUB, claimValidationRules: [{}] },
      ['claimValidationRules[0]: missing: name a claim or an expression'],
    ],
    [
      { claimMappings: SUB, claimValidationRules: [{ claim: 'a', expression: 'true' }] },
      ['claimValidationRules[0]: has both a claim and an expression'],
    ],
    [
      { claimMappings: SUB, claimValidationRules: [{ claim: 'a', message: 'm' }] },
      ['claimValidationRules[0].message: goes with an expression, not with a claim'],
    ],
    [
      { claimMappings: SUB, claimValidationRules: [{ expression: 'true', requiredValue: 'm' }] },
      ['claimValidationRules[0].requiredValue: goes with a claim, not with an expression'],
    ],
    [
      { claimMappings: SUB, claimValidationRules: [{ claim: 'a' }, { claim: 'a' }] },
      ['claimValidationRules[1]: stands twice'],
    ],
    [
      { claimMappings: SUB, claimValidationRules: [{ expression: 'true' }, { expression: 'true' }] },
      ['claimValidationRules[1]: stands twice'],
    ],
    [
      { claimMappings: SUB, claimValidationRules: Array.from({ length: 65 }, (_, index) => ({ claim: `c${index}` })) },
      ['claimValidationRules: has more than 64 rules'],
    ],
    [{ claimMappings: SUB, userValidationRules: [{}] }, ['userValidationRules[0].expression: the expression is empty']],
    [
      { claimMappings: SUB, userValidationRules: [{ expression: 'claims.a == ""' }] },
      ['userValidationRules[0].expression: Unknown variable: claims, at character 1'],
    ],
    [
      {
        claimMappings: { username: { expression: 'clams.a' }, groups: { expression: '1' } },
        userValidationRules: [{ expression: 'user.x' }],
      },
      [
        'claimMappings.username.expression: Unknown variable: clams, at character 1',
        'claimMappings.groups.expression: it gives int, and has to give a string or a list of strings',
        'userValidationRules[0].expression: No such key: x, at character 6',
      ],
    ],
  ]
  for (const [rules, problems] of faulty) {
    test(problems.join('; ').slice(0, 100), () => assert.deepEqual(problemsOf(rules), problems))
  }

  const keyProblems = (key: string) =>
    problemsOf({ claimMappings: { ...SUB, extra: [{ key, valueExpression: '"a"' }] } }).map((problem) =>
      problem.split(': ').slice(1).join(': '),
    )

  test('T-W6 keys of extra are paths below a domain of one’s own, in lower case', () => {
    for (const key of [
      'example.com/a',
      'a.example.com/b/c',
      'example.com/a-b_c',
      'x/y',
      'notk8s.io/a',
      'example.com/k8s.io/a',
    ])
      assert.deepEqual(keyProblems(key), [], key)
    for (const key of [
      '',
      'a',
      '/a',
      'example.com/',
      'exa mple.com/a',
      'example..com/a',
      '-a.com/b',
      'example.com/ä',
      'example.com/a b',
      '__proto__',
      `${'a'.repeat(254)}/b`,
    ]) {
      assert.deepEqual(keyProblems(key), ['has to be a path below a domain of yours, such as example.com/tenant'], key)
    }
    for (const key of ['Example.com/a', 'example.com/A']) assert.deepEqual(keyProblems(key), ['has to be lower case'])
    for (const key of ['k8s.io/a', 'x.k8s.io/a', 'kubernetes.io/a', 'authentication.kubernetes.io/credential-id']) {
      assert.deepEqual(keyProblems(key), ['k8s.io, kubernetes.io and what is below them are reserved'])
    }
    const twice = [1, 2].map(() => ({ key: 'example.com/a', valueExpression: '"a"' }))
    assert.deepEqual(problemsOf({ claimMappings: { ...SUB, extra: twice } }), [
      'claimMappings.extra[1].key: stands twice',
    ])
  })
})

describe('the flags of kube-apiserver', () => {
  const issuer = 'https://issuer.example'
  const username = (over: Parameters<typeof flagRules>[0]) =>
    userOf(flagRules(over), { sub: 's', email: 'e@x', name: 'n' }).username

  test('put the issuer before the name, unless it is an address or told otherwise', () => {
    assert.equal(username({ issuer }), `${issuer}#s`)
    assert.equal(username({ issuer, usernameClaim: 'name' }), `${issuer}#n`)
    assert.equal(username({ issuer, usernameClaim: 'email' }), 'e@x')
    assert.equal(username({ issuer, usernamePrefix: '-' }), 's')
    assert.equal(username({ issuer, usernameClaim: 'email', usernamePrefix: 'oidc:' }), 'oidc:e@x')
  })

  test('take groups from the claim that is named, and from none otherwise', () => {
    const claims = { sub: 's', groups: ['a'] }
    assert.deepEqual(userOf(flagRules({ issuer }), claims).groups, [])
    assert.deepEqual(userOf(flagRules({ issuer, groupsClaim: 'groups' }), claims).groups, ['a'])
    assert.deepEqual(userOf(flagRules({ issuer, groupsClaim: 'groups', groupsPrefix: 'g:' }), claims).groups, ['g:a'])
  })
})

test('T-W15 claims of any shape are mapped to texts, or refused', () => {
  const byClaims = {
    claimMappings: { username: { claim: 'a', prefix: 'p' }, groups: { claim: 'b', prefix: '' }, uid: { claim: 'c' } },
  }
  const byExpressions: WrittenRules = {
    claimMappings: {
      username: { expression: 'claims.a' },
      groups: { expression: 'claims.b' },
      uid: { expression: 'claims.c' },
      extra: [{ key: 'x/y', valueExpression: 'claims.a' }],
    },
    userValidationRules: [{ expression: 'user.groups.all(g, g != "x")' }],
  }
  const mappings = [byClaims, byExpressions].map(mappingOf)
  const value = fc.oneof(fc.jsonValue(), fc.string({ unit: 'binary' }), fc.array(fc.string()))
  fc.assert(
    fc.property(value, value, value, (a, b, c) => {
      const read = readObject(Buffer.from(JSON.stringify({ a, b, c })))
      assert.ok(read !== undefined)
      for (const mapping of mappings) {
        const result = mapping(read.value)
        if (result.kind === 'refused') continue
        const { username, uid, groups, extra } = result.user
        for (const text of [username, uid, ...groups, ...[...extra.values()].flat()])
          assert.equal(typeof text, 'string')
        assert.notEqual(username, '')
      }
    }),
    { numRuns: 500 },
  )
})
