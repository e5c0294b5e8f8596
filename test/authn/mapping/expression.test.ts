import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  compileExpression,
  isNarrow,
  type Returns,
  userVariable,
  type Variables,
} from '../../../src/authn/mapping/expression.ts'
import { readObject } from '../../../src/authn/oidc/claims.ts'

const CLAIMS = {
  sub: 'u-1',
  email: 'Jane.Doe@Example.ORG',
  username: 'jane',
  roles: 'admin,viewer',
  groups: ['k8s-dev', 'k8s-ops', 'other'],
  hd: 'example.com',
  exp: 1_700_003_600,
  nbf: 1_700_000_000,
  nested: { tenant: { id: 't-1' } },
  admin: true,
  ratio: 0.5,
  nothing: null,
  korean: '개발😀팀',
}

const claims = readObject(Buffer.from(JSON.stringify(CLAIMS)))?.value

function evaluate(text: string, returns: Returns = 'string', variables: Variables = 'claims'): unknown {
  const user = userVariable({
    username: 'jane',
    uid: 'u-1',
    groups: ['dev', 'ops'],
    extra: new Map([['example.com/x', ['1']]]),
  })
  const values = variables === 'claims' ? { claims } : { user, source: 'people' }
  const result = compileExpression(text, { variables, returns }).evaluate(values)
  return result.kind === 'value' ? result.value : `failed: ${result.reason}`
}

describe('the expressions of the documentation of Kubernetes', () => {
  const documented: readonly [text: string, returns: Returns, value: unknown][] = [
    ['claims.username + ":external-user"', 'string', 'jane:external-user'],
    ['"oidc:" + claims.username', 'string', 'oidc:jane'],
    ['claims.sub', 'string', 'u-1'],
    ['claims.roles.split(",")', 'strings', ['admin', 'viewer']],
    ['claims.hd == "example.com"', 'bool', true],
    ['claims.exp - claims.nbf <= 86400', 'bool', true],
    ['claims.?email_verified.orValue(true) == true', 'bool', true],
    ['has(claims.email) ? claims.email : claims.sub', 'string', 'Jane.Doe@Example.ORG'],
    [
      '(claims.roles.split(",") + claims.groups).map(g, "oidc:" + g)',
      'strings',
      ['oidc:admin', 'oidc:viewer', 'oidc:k8s-dev', 'oidc:k8s-ops', 'oidc:other'],
    ],
    ['claims.nested.tenant.id', 'strings', 't-1'],
    ['claims.?nested.?tenant.?name.orValue("none")', 'string', 'none'],
    ['claims[?"missing"].orValue("")', 'string', ''],
    ['claims.groups.filter(g, g.startsWith("k8s-"))', 'strings', ['k8s-dev', 'k8s-ops']],
    ['claims.groups.exists(g, g == "k8s-ops")', 'bool', true],
    ['claims.groups.all(g, !g.startsWith("system:"))', 'bool', true],
    ['"other" in claims.groups && !("root" in claims.groups)', 'bool', true],
    ['claims.groups.exists_one(g, g.endsWith("dev")) && size(claims.groups) == 3', 'bool', true],
    ['claims.admin == true', 'bool', true],
    ['type(claims.groups) == list && type(claims.exp) == int && type(claims.ratio) == double', 'bool', true],
    ['claims.ratio < 1', 'bool', true],
    ['claims.nothing == null', 'bool', true],
    ['optional.of("a").orValue("b") + (optional.none().hasValue() ? "x" : "y")', 'string', 'ay'],
  ]
  for (const [text, returns, value] of documented) test(text, () => assert.deepEqual(evaluate(text, returns), value))

  const overUser: readonly string[] = [
    "!user.username.startsWith('system:')",
    "user.groups.all(group, !group.startsWith('system:'))",
    "user.uid == 'u-1' && user.extra['example.com/x'][0] == '1'",
    "'example.com/x' in user.extra && !('y' in user.extra)",
  ]
  for (const text of overUser) test(text, () => assert.equal(evaluate(text, 'bool', 'user'), true))

  test('a mapping sees the source as well', () => {
    assert.equal(evaluate('source + ":" + user.username', 'string', 'user-and-source'), 'people:jane')
    assert.throws(() => evaluate('source', 'string', 'user'), /Unknown variable: source/)
  })
})

describe('functions of strings are those of kube-apiserver', () => {
  const given: readonly [text: string, value: unknown][] = [
    ['claims.email.lowerAscii()', 'jane.doe@example.org'],
    ['"\u212aelvin \u0130 ÄB".lowerAscii()', '\u212aelvin \u0130 Äb'], // letters beyond ASCII are nobody's capitals
    ['"straße é".upperAscii()', 'STRAßE é'],
    ['"\\u00a0 \\t x\\u0085".trim()', 'x'],
    ['"\ufeffx".trim()', '\ufeffx'],
    ['claims.korean.substring(2, 4)', '😀팀'],
    ['claims.korean.substring(3)', '팀'],
    ['claims.korean.charAt(2)', '😀'],
    ['claims.korean.charAt(4)', ''],
    ['string(claims.korean.indexOf("팀"))', '3'],
    ['string(claims.korean.indexOf("개", 1))', '-1'],
    ['string("abab".lastIndexOf("ab"))', '2'],
    ['string("abab".lastIndexOf("ab", 1))', '0'],
    ['string(claims.korean.size())', '4'],
    ['"a-b-c".replace("-", "+")', 'a+b+c'],
    ['"a-b-c".replace("-", "+", 1)', 'a+b-c'],
    ['"a-b".replace("-", "$&")', 'a$&b'],
    ['"ab".replace("", "-")', '-a-b-'],
    ['"a,b,c".split(",", 2).join("|")', 'a|b,c'],
    ['"a,b".split(",", 0).join("|")', ''],
    ['"a,b".split(",", 9).join("|")', 'a|b'],
    ['claims.email.split("@")[0]', 'Jane.Doe'],
  ]
  for (const [text, value] of given) test(text, () => assert.equal(evaluate(text), value))

  test('matches() is RE2: unanchored, with its own classes, and linear in time', () => {
    assert.equal(evaluate('claims.sub.matches("-")', 'bool'), true)
    assert.equal(evaluate('claims.sub.matches("^\\\\A[[:alpha:]]-\\\\d\\\\z$")', 'bool'), true)
    assert.equal(evaluate('claims.groups.filter(g, g.matches("^(?i)K8S-(dev|qa)$"))', 'strings')?.toString(), 'k8s-dev')
    const expression = compileExpression('claims.x.matches("^(a+)+$")', { variables: 'claims', returns: 'bool' })
    // A backtracking engine does not come back from this.
    assert.deepEqual(expression.evaluate({ claims: new Map([['x', `${'a'.repeat(5000)}!`]]) }), {
      kind: 'value',
      value: false,
    })
  })

  test('they are in place wherever they stand', () => {
    const fold = '"\u212a".lowerAscii() == "k"'
    for (const text of [
      fold,
      `!!(${fold})`,
      `["x"].exists(x, ${fold})`,
      `["x"].filter(x, ${fold}).size() > 0`,
      `["x"].map(x, ${fold}, x).size() > 0`,
      `["\u212a"].map(x, x.lowerAscii()) == ["k"]`,
      `optional.of(false).orValue(${fold})`,
      `optional.none().orValue(${fold})`,
      `true ? ${fold} : ${fold}`,
      `false || ${fold}`,
      `{"a": ${fold}}["a"]`,
      `[${fold}][0]`,
      `dyn(${fold}) == true`,
      `["\u212a".lowerAscii()].exists_one(x, x == "k")`,
    ]) {
      assert.equal(evaluate(text, 'bool'), false, text)
    }
  })

  test('positions outside of the text fail', () => {
    for (const text of [
      '"a".charAt(2)',
      '"a".charAt(-1)',
      '"a".substring(2)',
      '"abc".substring(2, 1)',
      'string("a".indexOf("a", 5))',
      '"x".substring(9223372036854775807)',
    ]) {
      assert.match(String(evaluate(text)), /^failed: /, text)
    }
  })

  test('T-W15 a text or a list does not grow without end', () => {
    const expression = compileExpression('claims.x.replace("a", claims.x)', { variables: 'claims', returns: 'string' })
    assert.equal(expression.evaluate({ claims: new Map([['x', 'a'.repeat(10_000)]]) }).kind, 'failed')
    const split = compileExpression('claims.x.split("")', { variables: 'claims', returns: 'strings' })
    assert.equal(split.evaluate({ claims: new Map([['x', 'a'.repeat(501)]]) }).kind, 'failed')
  })
})

describe('what is wrong is found when it is read, with its place', () => {
  const faulty: readonly [text: string, returns: Returns, message: RegExp][] = [
    ['', 'string', /is empty/],
    [' ', 'string', /is empty/],
    ['claims.', 'string', /at character 8$/],
    ['claims.sub +', 'string', /Unexpected token: EOF, at character 13$/],
    ['nope.sub', 'string', /^Unknown variable: nope, at character 1$/],
    ['claims.a && nope', 'bool', /Unknown variable: nope, at character 13$/],
    ['user.username', 'string', /Unknown variable: user/],
    ['claims.sub.nope()', 'string', /^nope\(\) is not a function that is supported here, at character 1$/],
    ['nope(claims.sub)', 'string', /^nope\(\) is not/],
    ['claims.sub.lowerAscii(1)', 'string', /^found no matching overload for 'dyn\.lowerAscii\(int\)', at character 1$/],
    ['1 + "a"', 'string', /no such overload: int \+ string/],
    ['claims.a', 'bool', /^it gives dyn, and has to give true or false/],
    ['"a"', 'bool', /^it gives string/],
    ['true', 'string', /^it gives bool, and has to give a string$/],
    ['[1]', 'strings', /^it gives list<int>/],
    ['{"a": "b"}', 'strings', /^it gives map/],
    ['claims.?groups', 'strings', /orValue/],
    ['claims.sub.matches(claims.pattern)', 'bool', /written out as a text/],
    ['claims.sub.matches("(")', 'bool', /not one of RE2/],
    ['claims.sub.matches("(?=a)")', 'bool', /not one of RE2/],
    ['claims.sub.matches("a{1000}{1000}")', 'bool', /not one of RE2|too big/],
    ['claims.a.all(x, x.all(y, y.all(z, true)))', 'bool', /nested deeper than 2, at character/],
    [`${'('.repeat(100)}1${')'.repeat(100)}`, 'string', /Exceeded|limit|deep/i],
    [`"${'x'.repeat(5000)}"`, 'string', /longer than 4096/],
    [`[${'"a",'.repeat(300)}"a"]`, 'strings', /Exceeded|limit/i],
  ]
  for (const [text, returns, message] of faulty) {
    test(text.slice(0, 50) || '(nothing)', () => {
      assert.throws(
        () => compileExpression(text, { variables: 'claims', returns }),
        (thrown) => {
          assert.ok(thrown instanceof TypeError)
          assert.match(thrown.message, message)
          return !thrown.message.includes('\n')
        },
      )
    })
  }

  test('what Kubernetes has and this has not is a mistake, never another meaning', () => {
    const unsupported = [
      'ip("1.2.3.4").family()',
      'cidr("10.0.0.0/8")',
      'url(claims.iss).getHost()',
      'quantity("1")',
      'semver("1.0.0")',
      'timestamp(claims.exp)',
      'duration("1h")',
      'bytes("a")',
      'int("1")',
      'double("1")',
      'bool("true")',
      'uint(1)',
      'claims.groups.isSorted()',
      'claims.groups.sum()',
      'claims.groups.sort()',
      'claims.groups.reverse()',
      'claims.sub.find("a")',
      'claims.sub.findAll("a")',
      '"%s".format([claims.sub])',
      'claims.sub.reverse()',
      'strings.quote("a")',
      'sets.contains([1],[1])',
      'claims.?a.optMap(x, x)',
      'claims.?a.optFlatMap(x, x)',
      'cel.bind(x, 1, x)',
      'math.greatest(1, 2)',
      'b"a".json()',
      'b"a".hex()',
      'claims.groups.transformList(i, v, v)',
      'claims.groups.all(i, v, true)',
      'authorizer.group("")',
      'request.user',
    ]
    for (const text of unsupported) {
      for (const returns of ['string', 'strings', 'bool'] as const) {
        assert.throws(() => compileExpression(text, { variables: 'claims', returns }), TypeError, text)
      }
    }
  })

  test('a field of `user` that there is not is a mistake', () => {
    assert.throws(
      () => compileExpression('user.name == ""', { variables: 'user', returns: 'bool' }),
      /No such key: name/,
    )
  })
})

describe('at run time', () => {
  test('a claim that is not there, or of another type, is a failure that tells no value', () => {
    for (const text of [
      'claims.missing',
      'claims.groups[7]',
      'claims.sub.nested',
      'claims[claims.email]',
      'claims.exp + claims.sub',
      'claims.exp.lowerAscii()',
      'claims.groups.map(g, g.missing)[0]',
      'claims.groups.exists(g, g.missing == "x") ? "a" : "b"',
    ]) {
      assert.match(String(evaluate(text)), /^failed: [a-z ]+, at character \d+$/, text)
      assert.doesNotMatch(String(evaluate(text)), /Jane/)
    }
  })

  test('a failure on one side of || and && does not hide what the other decides, as in CEL', () => {
    assert.equal(evaluate('claims.missing == "x" || claims.sub == "u-1"', 'bool'), true)
    assert.equal(evaluate('claims.missing == "x" && claims.sub == "u-2"', 'bool'), false)
    assert.match(String(evaluate('claims.missing == "x" && claims.sub == "u-1"', 'bool')), /^failed/)
  })

  test('the same expression gives the same for different callers, in any order', () => {
    const expression = compileExpression('claims.groups.filter(g, g.startsWith(claims.p)).map(g, g + claims.p)', {
      variables: 'claims',
      returns: 'strings',
    })
    const of = (p: string, groups: string[]) =>
      expression.evaluate({
        claims: new Map<string, unknown>([
          ['p', p],
          ['groups', groups],
        ]),
      })
    for (let round = 0; round < 3; round++) {
      assert.deepEqual(of('a', ['ab', 'b']), { kind: 'value', value: ['aba'] })
      assert.equal(of('a', [1, 'a'] as unknown as string[]).kind, 'failed')
      assert.deepEqual(of('b', ['ab', 'b']), { kind: 'value', value: ['bb'] })
    }
  })

  test('T-W15 claims of any shape give a value or a failure, and no throw', () => {
    const expressions = [
      'claims.a + claims.b',
      'claims.a.split(",")',
      'claims.a.map(x, x + "y")',
      'claims.?a.?b.orValue("x")',
      'claims.a in claims.b ? "x" : "y"',
      'claims.a == claims.b ? "x" : "y"',
      'claims.a[0]',
      'string(claims.a)',
      'claims.a.lowerAscii()',
      'size(claims.a) == 1 ? "x" : ""',
      'claims.a < claims.b ? "x" : ""',
      'claims.a.exists(x, x == claims.b) ? "x" : ""',
    ].map((text) => compileExpression(text, { variables: 'claims', returns: 'strings' }))
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        const read = readObject(Buffer.from(JSON.stringify({ a, b })))
        for (const expression of expressions) {
          const result = expression.evaluate({ claims: read?.value })
          assert.ok(result.kind === 'value' || /^[a-z ]+(, at character \d+)?$/.test(result.reason))
        }
      }),
      { numRuns: 300 },
    )
  })

  test('T-W15 any text is an expression or a TypeError', () => {
    const words = fc.constantFrom(
      'claims',
      '.',
      '?',
      '[',
      ']',
      '(',
      ')',
      '"a"',
      '+',
      '==',
      '&&',
      '||',
      '!',
      'x',
      ',',
      'all',
      'map',
      'matches',
      '{',
      '}',
      ':',
      '1',
      'has',
      'orValue',
      'in',
      ' ',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(words, { maxLength: 20 }).map((parts) => parts.join('')),
        ),
        (text) => {
          try {
            compileExpression(text, { variables: 'claims', returns: 'strings' })
          } catch (thrown) {
            assert.ok(thrown instanceof TypeError && !thrown.message.includes('\n'), `${text}: ${String(thrown)}`)
          }
        },
      ),
      { numRuns: 1000 },
    )
  })
})

test('which fields an expression looks at', () => {
  const selects = (text: string, field = 'email') =>
    compileExpression(text, { variables: 'claims', returns: 'strings' }).selects('claims', field)
  for (const text of [
    'claims.email',
    'claims.?email.orValue("")',
    'claims["email"]',
    'claims[?"email"].orValue("")',
    '"x" + claims.email.lowerAscii()',
    'has(claims.email) ? "a" : "b"',
    '["a"].map(x, x + claims.email)',
    '[claims.email]',
    '{"a": claims.email}["a"]',
    'true ? "a" : claims.email',
    '-1 < size(claims.email) ? "a" : "b"',
  ]) {
    assert.ok(selects(text), text)
  }
  for (const text of ['claims.sub', '"claims.email"', 'claims.x.email', '["a"].map(email, email)'])
    assert.ok(!selects(text), text)
})

test('what is narrow', () => {
  assert.ok(isNarrow(new Map([['a', Array.from({ length: 500 }, () => 'x')]])))
  assert.ok(!isNarrow(new Map([['a', Array.from({ length: 501 }, () => 'x')]])))
  assert.ok(!isNarrow([[new Map([['a', Array.from({ length: 501 }, () => 'x')]])]]))
  assert.ok(!isNarrow(new Map(Array.from({ length: 501 }, (_, index) => [`${index}`, '']))))
  assert.ok(isNarrow('x'.repeat(5000)))
})
