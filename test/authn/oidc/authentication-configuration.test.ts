import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parseAuthenticationConfiguration } from '../../../src/authn/oidc/authentication-configuration.ts'
import { authenticationConfigurationFile } from '../../../src/authn/oidc/authentication-configuration-file.ts'
import { InvalidDocumentError } from '../../../src/errors.ts'
import { LATER, memoryFiles, recordingLog } from '../../reload/support.ts'
import { callContext } from '../../support/context.ts'
import { createAuthority } from '../../support/tls.ts'
import { AUDIENCE, ISSUER, NOW, outcome, rounds, signed, testIssuer, unreachable } from './support.ts'

/** Of the documentation of Kubernetes, with everything that can be set. */
const WHOLE = `
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: https://issuer.example
    discoveryURL: https://discovery.example.com/.well-known/openid-configuration
    audiences: [my-app, my-other-app]
    audienceMatchPolicy: MatchAny
  claimValidationRules:
  - claim: hd
    requiredValue: example.com
  - expression: 'claims.exp - claims.nbf <= 86400'
    message: total token lifetime must not exceed 24 hours
  claimMappings:
    username:
      expression: 'claims.username + ":external-user"'
    groups:
      expression: 'claims.roles.split(",")'
    uid:
      expression: 'claims.sub'
    extra:
    - key: 'example.com/tenant'
      valueExpression: 'claims.tenant'
  userValidationRules:
  - expression: "!user.username.startsWith('system:')"
    message: 'username cannot used reserved system: prefix'
  - expression: "user.groups.all(group, !group.startsWith('system:'))"
    message: 'groups cannot used reserved system: prefix'
anonymous:
  enabled: true
  conditions:
  - path: /livez
`

const ONE = `
apiVersion: apiserver.config.k8s.io/v1beta1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: ${ISSUER}, audiences: [${AUDIENCE}]}
  claimMappings:
    username: {claim: sub, prefix: ""}
`

function problemsOf(content: string | Buffer): readonly string[] {
  try {
    parseAuthenticationConfiguration(content, 'authn.yaml')
  } catch (thrown) {
    assert.ok(thrown instanceof InvalidDocumentError, String(thrown))
    assert.equal(thrown.code, 'file_invalid')
    assert.equal(thrown.where, 'authn.yaml')
    return thrown.problems.map(({ path, message, line }) => `${line ?? '-'} ${path}: ${message}`)
  }
  return []
}

describe('an AuthenticationConfiguration', () => {
  test('of the documentation is read whole', () => {
    const { issuers, anonymous } = parseAuthenticationConfiguration(WHOLE, 'x')
    assert.equal(issuers.length, 1)
    const [first] = issuers
    assert.ok(first !== undefined)
    assert.equal(first.issuer, 'https://issuer.example')
    assert.equal(first.discoveryUrl, 'https://discovery.example.com/.well-known/openid-configuration')
    assert.deepEqual(first.audiences, ['my-app', 'my-other-app'])
    assert.equal(first.ca, undefined)
    const { username, groups, uid, extra, claimRules, userRules } = first.rules
    assert.deepEqual([username.kind, groups?.kind, uid?.kind], ['expression', 'expression', 'expression'])
    assert.deepEqual([extra.length, claimRules.length, userRules.length], [1, 2, 2])
    assert.deepEqual(anonymous, { enabled: true, paths: ['/livez'] })
  })

  for (const version of ['v1', 'v1beta1', 'v1alpha1']) {
    test(`is read in ${version}, as YAML and as JSON`, () => {
      const text = ONE.replace('v1beta1', version)
      assert.deepEqual(problemsOf(text), [])
      const json = JSON.stringify({
        apiVersion: `apiserver.config.k8s.io/${version}`,
        kind: 'AuthenticationConfiguration',
        jwt: [
          {
            issuer: { url: ISSUER, audiences: ['a'] },
            claimMappings: { username: { claim: 'sub', prefix: '' }, groups: null },
          },
        ],
        anonymous: null,
      })
      assert.deepEqual(problemsOf(json), [])
    })
  }

  test('without issuers is one', () => {
    for (const jwt of ['', 'jwt: []', 'jwt: null']) {
      const text = `apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n${jwt}`
      assert.deepEqual(parseAuthenticationConfiguration(text, 'x'), { issuers: [], anonymous: undefined })
    }
  })

  test('may bring the authority of an issuer, which has to be one', async () => {
    const { cert, key } = await createAuthority()
    const withCa = (pem: string) =>
      ONE.replace('audiences:', `certificateAuthority: ${JSON.stringify(pem)}, audiences:`)
    assert.equal(parseAuthenticationConfiguration(withCa(cert), 'x').issuers[0]?.ca, cert)
    assert.match(problemsOf(withCa(key)).join(), /jwt\[0\]\.issuer\.certificateAuthority: has no certificate in it/)
    assert.ok(!problemsOf(withCa(key)).join().includes('PRIVATE'))
  })

  const change = (from: string, to: string) => ONE.replace(from, to)
  const faulty: readonly [title: string, content: string, problems: readonly string[]][] = [
    [
      'another version',
      change('v1beta1', 'v2'),
      [
        '2 apiVersion: expected one of apiserver.config.k8s.io/v1, apiserver.config.k8s.io/v1beta1, apiserver.config.k8s.io/v1alpha1',
      ],
    ],
    [
      'another kind',
      change('kind: Auth', 'kind: Auf'),
      ['3 kind: Invalid input: expected "AuthenticationConfiguration"'],
    ],
    [
      'an unknown field',
      change('claimMappings:', 'claimMapping:'),
      ['5 jwt[0].claimMappings: missing; expected object', '6 jwt[0].claimMapping: unknown field'],
    ],
    [
      'a field in other letters',
      change('audiences:', 'Audiences:'),
      ['5 jwt[0].issuer.audiences: missing; expected array', '5 jwt[0].issuer.Audiences: unknown field'],
    ],
    [
      'a wrong type',
      change('claim: sub', 'claim: 7'),
      ['7 jwt[0].claimMappings.username.claim: Invalid input: expected string, received number'],
    ],
    ['no audience', change(`[${AUDIENCE}]`, '[]'), ['5 jwt[0].issuer.audiences: name at least one audience']],
    ['an empty audience', change(`[${AUDIENCE}]`, '[""]'), ['5 jwt[0].issuer.audiences[0]: is empty']],
    [
      'an audience twice',
      change(`[${AUDIENCE}]`, '[a, a], audienceMatchPolicy: MatchAny'),
      ['5 jwt[0].issuer.audiences[1]: stands twice'],
    ],
    [
      'several audiences without a policy',
      change(`[${AUDIENCE}]`, '[a, b]'),
      ['5 jwt[0].issuer.audienceMatchPolicy: has to be MatchAny where there are several audiences'],
    ],
    [
      'an unknown policy',
      change(`[${AUDIENCE}]`, '[a], audienceMatchPolicy: MatchAll'),
      ['5 jwt[0].issuer.audienceMatchPolicy: Invalid option: expected one of ""|"MatchAny"'],
    ],
    ['plain http', change(ISSUER, 'http://127.0.0.1'), ['5 jwt[0].issuer.url: is plain http; write https']],
    [
      'an egress selector',
      change('audiences:', 'egressSelectorType: cluster, audiences:'),
      [
        '5 jwt[0].issuer.egressSelectorType: egress selectors are a thing of kube-apiserver; leave it out, the issuer is asked directly',
      ],
    ],
    [
      'discovery at the issuer',
      change('audiences:', `discoveryURL: ${ISSUER}/, audiences:`),
      ['5 jwt[0].issuer.discoveryURL: is the same as url; leave it out'],
    ],
    [
      'no prefix',
      change(', prefix: ""', ''),
      ['7 jwt[0].claimMappings.username.prefix: missing: set it, to "" for no prefix'],
    ],
    [
      'an expression of another world',
      change('{claim: sub, prefix: ""}', '{expression: claims.sub.format()}'),
      ['7 jwt[0].claimMappings.username.expression: format() is not a function that is supported here, at character 1'],
    ],
    ['an issuer twice', `${ONE}${ONE.slice(ONE.indexOf('- issuer'))}`, ['8 jwt[1].issuer.url: is that of jwt[0] too']],
    [
      'conditions without anonymous',
      `${ONE}anonymous: {enabled: false, conditions: [{path: /x}]}`,
      ['8 anonymous.conditions: stand where anonymous is not enabled'],
    ],
    ['T-W11 a key twice', `${ONE}kind: AuthenticationConfiguration\n`, ['8 : is not YAML (duplicate key)']],
    [
      'an alias',
      change('[kubernetes]', '&a [kubernetes]').replace('claim: sub', 'claim: *a'),
      ['7 : has an alias; write it out'],
    ],
    ['two documents', `${ONE}---\n${ONE}`, ['8 : is not YAML (multiple docs)']],
    ['a list', '- a', ['- : Invalid input: expected object, received array']],
    ['nothing', '', ['- : Invalid input: expected object, received null']],
    ['no YAML', '{', ['1 : is not YAML (missing char)']],
  ]
  for (const [title, content, problems] of faulty) {
    test(`is refused, with the place: ${title}`, () => assert.deepEqual(problemsOf(content), problems))
  }

  test('has all its mistakes told at once', () => {
    const text = change(ISSUER, 'https://a:b@x').replace(`[${AUDIENCE}]`, '[a, b]').replace('sub, prefix: ""', 'sub')
    assert.equal(problemsOf(text).length, 3)
    assert.ok(!problemsOf(text).join().includes('a:b'))
  })

  test('has no more than 64 issuers', () => {
    const items = Array.from({ length: 65 }, (_, index) =>
      ONE.slice(ONE.indexOf('- issuer')).replace(ISSUER, `${ISSUER}/${index}`).trim(),
    )
    assert.match(
      problemsOf(`${ONE.slice(0, ONE.indexOf('- issuer'))}${items.join('\n')}`).join(),
      /more than 64 issuers/,
    )
  })

  test('T-W15 any text is one, or an error of ours', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.string().map((text) => `${ONE}\n${text}`),
        ),
        (text) => {
          problemsOf(text)
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('followed while we run', () => {
  const PATH = '/etc/authn.yaml'

  async function follow(content = ONE) {
    const files = memoryFiles({ [PATH]: content })
    const issuer = testIssuer()
    const log = recordingLog()
    const clock = { ms: NOW.getTime() }
    let changes = 0
    const file = await authenticationConfigurationFile({
      path: PATH,
      log,
      intervalMs: 0,
      reads: files,
      now: () => (clock.ms === 0 ? LATER : new Date(clock.ms)),
      keys: { getDocument: (request) => issuer.get(request), now: () => clock.ms },
      onChange: () => changes++,
    })
    return {
      files,
      issuer,
      log,
      clock,
      file,
      changes: () => changes,
      ask: (token = signed()) => outcome(file.authenticate(token, callContext())),
    }
  }

  test('its issuers are sources, named by it', async () => {
    const { file, ask, issuer } = await follow()
    assert.deepEqual(issuer.asked, [], 'nobody is asked at start')
    const result = await file.authenticate(signed(), callContext())
    assert.ok(result.kind === 'authenticated')
    assert.equal(result.source, `oidc ${ISSUER}`)
    assert.equal(await ask(signed({ iss: 'https://other.example' })), 'skipped')
    assert.deepEqual(
      file.issuers().map((keys) => keys.status().ok),
      [true],
    )
    assert.equal(file.anonymous(), undefined)
  })

  test('a change of rules is in force at once, is announced, and needs no issuer that answers', async () => {
    const { files, file, ask, issuer, changes } = await follow()
    assert.equal(await ask(), 'jane')
    issuer.failure = unreachable()
    files.write(PATH, ONE.replace('prefix: ""', 'prefix: "new:"'))
    assert.equal(await file.check(), 'reloaded')
    assert.equal(await ask(), 'new:jane')
    assert.equal(rounds(issuer), 1)
    assert.equal(changes(), 1)
  })

  test('an issuer that is no longer there is not let in any more', async () => {
    const { files, file, ask } = await follow()
    assert.equal(await ask(), 'jane')
    files.write(PATH, ONE.slice(0, ONE.indexOf('jwt:')))
    assert.equal(await file.check(), 'reloaded')
    assert.equal(await ask(), 'skipped')
    assert.deepEqual(file.issuers(), [])
  })

  test('T-S9 a mistake leaves the last good rules in force, and says so', async () => {
    const { files, file, ask } = await follow()
    for (const broken of ['', 'x', ONE.replace('claim: sub', 'claim: 7'), ONE.replace(ISSUER, 'http://x')]) {
      files.write(PATH, broken)
      assert.equal(await file.check(), 'failed')
      assert.equal(await ask(), 'jane')
      assert.equal(file.status().ok, false)
    }
  })

  test('one that cannot be used at start ends it', async () => {
    await assert.rejects(follow('x'), { code: 'file_invalid' })
  })

  test('after close nobody is asked any more', async () => {
    const { file, issuer } = await follow()
    issuer.hold = new Promise(() => {})
    const waiting = file.authenticate(signed(), callContext())
    file.close()
    await assert.rejects(waiting, { code: 'stopping' })
  })
})
