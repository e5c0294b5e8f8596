import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { Asked } from '../../src/signer/asked.ts'
import { askedBy } from '../../src/signer/asked.ts'
import { compilePattern, isWithinLabel } from '../../src/signer/pattern.ts'
import type { PolicyDecision } from '../../src/signer/policy.ts'
import { parsePolicy } from '../../src/signer/policy-file.ts'
import { parseLifetime } from '../../src/signer/policy-schema.ts'
import { HOSTILE } from './hostile.ts'
import { type TestCsr, testCsr } from './support.ts'

const POLICY = `
signers:
  example.com/people:
    approval: automatic
    lifetime: {default: 8h, most: 24h}
    rules:
      - name: themselves
        requester: {groups: [people]}
        commonName: "{username}"
        organizations: [people]
        organizationsOfRequester: true
        usages: [client auth, digital signature]
`

async function decide(policy: string, csr: TestCsr): Promise<PolicyDecision> {
  const asked = askedBy(await testCsr(csr)) ?? assert.fail('cannot be read')
  return parsePolicy(policy, 'policy.yaml').decide(asked)
}

async function refusedFor(policy: string, csr: TestCsr): Promise<readonly string[]> {
  const decision = await decide(policy, csr)
  return decision.kind === 'refused' ? decision.breaches.map(({ code }) => code) : assert.fail(decision.kind)
}

/** A policy with one rule. */
function rule(text: string, signer = ''): string {
  return `signers: {example.com/people: {lifetime: {default: 1h, most: 24h}, ${signer} rules: [{name: r, ${text}}]}}`
}

describe('what is granted', () => {
  test('jane for herself, in her own groups, for as long as the signer says', async () => {
    assert.deepEqual(await decide(POLICY, { organizations: ['people'] }), {
      kind: 'granted',
      rule: 'themselves',
      approval: 'automatic',
      seconds: 8 * 3600,
    })
  })

  test('what is asked for, where it is less than the most', async () => {
    const decision = await decide(POLICY, { expirationSeconds: 600 })
    assert.equal(decision.kind === 'granted' && decision.seconds, 600)
  })

  test('a rule’s own lifetime never lengthens the signer’s', async () => {
    const policy = rule('requester: {users: ["*"]}, commonName: "*", lifetime: 30d')
    assert.deepEqual(await refusedFor(policy, { expirationSeconds: 2 * 86_400 }), ['too-long'])
  })

  test('what is too long is shortened where the operator says so', async () => {
    const policy = POLICY.replace('most: 24h', 'most: 24h, tooLong: shorten')
    const decision = await decide(policy, { expirationSeconds: 366 * 86_400 })
    assert.equal(decision.kind === 'granted' && decision.seconds, 86_400)
  })

  test('a reserved name that is listed, in exactly its spelling', async () => {
    const policy = rule(
      'requester: {users: ["*"]}, commonName: "system:node:n1", organizations: ["system:nodes"], reserved: ["system:node:n1", "system:nodes"]',
    )
    const node = { username: 'kubelet', commonName: 'system:node:n1', organizations: ['system:nodes'] }
    assert.equal((await decide(policy, node)).kind, 'granted')
    assert.ok((await refusedFor(policy, { ...node, commonName: 'System:node:n1' })).includes('reserved-user'))
  })

  test('the rule that comes nearest gives the reasons', async () => {
    const policy = `${POLICY}
      - {name: servers, requester: {groups: [people]}, commonName: "*.example.com", names: {dns: ["*.example.com"]}, usages: [server auth]}
`
    const decision = await decide(policy, {
      commonName: 'a.example.com',
      names: { dns: ['a.example.com', 'b.elsewhere.org'] },
      usages: ['server auth'],
    })
    assert.equal(decision.kind === 'refused' && decision.rule, 'servers')
    assert.deepEqual(decision.kind === 'refused' && decision.breaches.map(({ message }) => message), [
      'host name "b.elsewhere.org" is not granted',
    ])
  })

  test('networks and addresses, of both families', async () => {
    const policy = rule(
      'requester: {users: ["*"]}, commonName: "*", names: {ip: [10.20.0.0/16, "fd00::/8", 192.0.2.7]}, usages: [server auth]',
    )
    const asks = (ip: readonly string[]): TestCsr => ({ names: { ip }, usages: ['server auth'] })
    assert.equal((await decide(policy, asks(['10.20.255.1', 'fd00::1', '192.0.2.7']))).kind, 'granted')
    for (const ip of ['10.21.0.1', 'fe80::1', '192.0.2.8', '::ffff:11.20.0.1']) {
      assert.deepEqual(await refusedFor(policy, asks([ip])), ['alternative-name'], ip)
    }
  })

  test('a star is one label of a host name, and stands for no star', async () => {
    const policy = rule(
      'requester: {users: ["*"]}, commonName: "*", names: {dns: ["*.example.com"]}, usages: [server auth]',
    )
    const asks = (dns: string): TestCsr => ({ names: { dns: [dns] }, usages: ['server auth'] })
    assert.equal((await decide(policy, asks('A.Example.com'))).kind, 'granted')
    for (const dns of ['a.b.example.com', '*.example.com', 'example.com', 'a.example.com.evil.org', 'aexample.com']) {
      assert.deepEqual(await refusedFor(policy, asks(dns)), ['alternative-name'], dns)
    }
  })

  test('another signer is not ours', async () => {
    assert.deepEqual(await decide(POLICY, { signerName: 'example.com/other' }), { kind: 'not-ours' })
  })
})

describe('T-S10 what is refused', () => {
  for (const { title, csr, breach } of HOSTILE) {
    test(title, async () => {
      const codes = await refusedFor(POLICY, await csr())
      assert.ok(codes.includes(breach), `${codes}`)
    })
  }

  test('T-S10 usages that do not say what for: it would be good for a client where a server was granted', async () => {
    const server = 'requester: {users: ["*"]}, commonName: "*", usages: [server auth, digital signature]'
    assert.deepEqual(await refusedFor(rule(server), { usages: ['digital signature'] }), ['usage'])
    const decision = await decide(rule(server.replace('server auth', 'any')), { usages: ['digital signature'] })
    assert.equal(decision.kind, 'granted', 'where everything is granted')
  })

  test('a policy that grants everything it can does not grant what is wrong in itself', async () => {
    const generous = rule(
      'requester: {users: ["*"]}, commonName: "*", organizations: ["*"], names: {dns: ["*"], email: ["*"], uri: ["*"], ip: [0.0.0.0/0]}, usages: [any, client auth, server auth, cert sign]',
    )
    const inItself = HOSTILE.filter(
      ({ breach }) =>
        ['reserved-group', 'reserved-user', 'forbidden-characters', 'no-common-name', 'several-common-names'].includes(
          breach,
        ) || ['subject-attributes', 'bad-name', 'authority-requested', 'weak-key', 'weak-signature'].includes(breach),
    )
    assert.ok(inItself.length >= 14)
    for (const { title, csr, breach } of inItself) {
      assert.ok((await refusedFor(generous, await csr())).includes(breach), title)
    }
  })

  test('whatever is asked for: what is granted is for whoever asks, in groups of theirs', async () => {
    const policy = parsePolicy(POLICY, 'policy.yaml')
    const base = askedBy(await testCsr()) ?? assert.fail()
    const name = fc.oneof(fc.constantFrom('jane', 'john', 'system:masters', 'people', ''), fc.string())
    fc.assert(
      fc.property(
        name,
        name,
        fc.array(name, { maxLength: 3 }),
        fc.array(name, { maxLength: 3 }),
        (username, commonName, organizations, groups) => {
          const subject = { commonName, commonNames: [commonName], organizations, hasOthers: false, text: '' }
          const requester = { username, groups: [...groups, 'people'] }
          const asked: Asked = { ...base, requester, request: { ...base.request, subject } }
          const decision = policy.decide(asked)
          if (decision.kind !== 'granted') return
          assert.equal(commonName, username)
          assert.ok(organizations.every((group) => requester.groups.includes(group)))
          assert.ok(![commonName, ...organizations].some((one) => one.startsWith('system:')))
        },
      ),
    )
  })
})

describe('patterns', () => {
  const slow = (pattern: string, name: string): boolean =>
    new RegExp(
      `^${pattern
        .split('*')
        .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
        .join('[^]*')}$`,
    ).test(name)

  test('match as their regular expressions would', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '*', '.'), maxLength: 8 })
    fc.assert(
      fc.property(text, text, (pattern, name) => {
        assert.equal(compilePattern(pattern).matches(name, ''), slow(pattern, name))
      }),
    )
  })

  test('the asker’s name is text, whatever is in it', () => {
    const own = compilePattern('{username}')
    assert.ok(own.matches('a*', 'a*'))
    assert.ok(!own.matches('ab', 'a*'))
    assert.ok(!own.matches('{username}', 'jane'))
    assert.ok(compilePattern('dev-{username}-*').matches('dev-jane-1', 'jane'))
  })

  test('a star can be meant', () => {
    const wildcard = compilePattern('\\*.example.com', isWithinLabel)
    assert.ok(wildcard.matches('*.example.com', ''))
    assert.ok(!wildcard.matches('a.example.com', ''))
  })
})

describe('policy files', () => {
  function problems(text: string): readonly string[] {
    try {
      parsePolicy(text, 'policy.yaml')
    } catch (thrown) {
      assert.ok(thrown instanceof Error && 'code' in thrown && thrown.code === 'file_invalid', String(thrown))
      return thrown.message.split('\n')
    }
    return assert.fail('it was taken')
  }

  test('the example of the documentation is good', () => {
    const path = new URL('../../examples/csr/policy.yaml', import.meta.url)
    assert.deepEqual(parsePolicy(readFileSync(path, 'utf8'), 'policy.yaml').signerNames, ['example.com/people'])
  })

  test('an example that does not hold keeps the policy out, with the reason', () => {
    const examples = `
examples:
  - {name: john as jane, signer: example.com/people, requester: {username: john, groups: [people]}, commonName: jane, expect: granted}
  - {name: jane herself, signer: example.com/people, requester: {username: jane, groups: [people]}, commonName: jane, expect: refused}
  - {name: wrong reason, signer: example.com/people, requester: {username: jane, groups: [people]}, commonName: john, expect: refused, breach: too-long}
  - {name: other signer, signer: example.com/other, requester: {username: jane}, commonName: jane, expect: refused}
`
    const [first = '', ...rest] = problems(POLICY + examples)
    assert.match(first, /examples\[0\]: "john as jane": is refused: common-name: "john" may not be certified as "jane"/)
    assert.match(rest.join('\n'), /"jane herself": is granted, by rule "themselves"/)
    assert.match(rest.join('\n'), /"wrong reason": is refused, but not for too-long/)
    assert.match(rest.join('\n'), /example.com\/other is not among the signers/)
  })

  const MISTAKES: readonly (readonly [string, string, RegExp])[] = [
    ['no YAML', 'signers: {', /line \d/],
    ['no signer', 'signers: {}', /at least one signer/],
    ['a name that is none of a signer', POLICY.replace('example.com/people', 'people'), /is no name of a signer/],
    ['a misspelt key', POLICY.replace('approval:', 'aproval:'), /aproval/],
    ['a usage nobody knows', POLICY.replace('client auth', 'clientauth'), /is no usage the API knows/],
    ['a default above the most', POLICY.replace('default: 8h', 'default: 48h'), /more than lifetime.most/],
    ['a lifetime that is none', POLICY.replace('most: 24h', 'most: 24'), /such as 8h/],
    ['less than the API takes', POLICY.replace('default: 8h', 'default: 1m'), /from 10m/],
    ['nobody a rule is for', POLICY.replace('groups: [people]', 'groups: []'), /users, groups, or both/],
    [
      'system:masters among the reserved names',
      rule('requester: {users: ["*"]}, commonName: a, reserved: [System:Masters]'),
      /never certified/,
    ],
    [
      'a pattern of reserved names',
      rule('requester: {users: ["*"]}, commonName: a, reserved: ["system:*"]'),
      /one by one/,
    ],
    [
      'a network that is none',
      rule('requester: {users: ["*"]}, commonName: a, names: {ip: [10.0.0.0/33]}'),
      /address or a network/,
    ],
  ]
  for (const [title, text, message] of MISTAKES) {
    test(`${title} is told`, () => assert.match(problems(text).join('\n'), message))
  }

  test('lifetimes add up', () => {
    assert.deepEqual(['8h', '1h30m', '90d', '45s', '', '8', '8h ', '-1h'].map(parseLifetime), [
      28_800,
      5400,
      7_776_000,
      45,
      ...Array(4).fill(undefined),
    ])
  })
})
