import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type AbacAuthorizer, type AbacOptions, abacFile } from '../../../src/authz/abac/abac.ts'
import { type AbacPolicy, parseAbacFile } from '../../../src/authz/abac/policy-file.ts'
import { abacIndex, policyAllows } from '../../../src/authz/abac/policy-index.ts'
import type { Attributes } from '../../../src/authz/authorizer.ts'
import { InvalidDocumentError } from '../../../src/errors.ts'
import { memoryFiles, recordingLog } from '../../reload/support.ts'
import { attributes, idleContext, userInfo } from '../rbac/support.ts'

const V1 = '"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy"'
const parse = (text: string | Buffer) => parseAbacFile(Buffer.from(text), '/etc/abac.jsonl')
const warnings = (text: string) => parse(text).warnings.map(({ line, path, message }) => `${line} ${path}: ${message}`)

function problems(text: string | Buffer): string[] {
  try {
    parse(text)
  } catch (thrown) {
    assert.ok(thrown instanceof InvalidDocumentError)
    assert.equal(thrown.code, 'file_invalid')
    assert.ok(thrown.message.startsWith('/etc/abac.jsonl: '))
    return thrown.problems.map(({ line, message }) => `${line ?? ''}: ${message}`)
  }
  assert.fail('the file was accepted')
}

describe('an ABAC policy file', () => {
  test('has a policy a line; blank lines and comments count as lines and say nothing', () => {
    const text = `\uFEFF# who\r\n\n  \t\n  # may\n{${V1},"spec":{"user":"ann"}}\r\n{"user":"bob"}`
    assert.deepEqual(
      parse(text).policies.map(({ line, user }) => [line, user]),
      [
        [5, 'ann'],
        [6, 'bob'],
      ],
    )
  })

  test('every bad line is told with its number', () => {
    const long = `{"user":"${'x'.repeat(65_536)}"}`
    assert.deepEqual(
      problems(`{"user":"a"}\nuser: a\n{"user":"a"} # why\n[]\n{"user":1}\n{"readonly":"true"}\n${long}\nnull`),
      [
        '2: is not one JSON object. A comment needs a line of its own',
        '3: is not one JSON object. A comment needs a line of its own',
        '4: the line is missing or not an object',
        '5: user is not a string',
        '6: readonly is not true or false',
        '7: is longer than 64 KiB',
        '8: the line is missing or not an object',
      ],
    )
  })

  test('a line is of one of two forms, told apart by apiVersion and kind', () => {
    const group = 'abac.authorization.kubernetes.io'
    const accepted = [
      '{}',
      '{"kind":"Policy"}',
      '{"apiVersion":null,"kind":null}',
      `{"apiVersion":"${group}/v0"}`,
      `{"apiVersion":"${group}/v0","kind":"Policy"}`,
      `{${V1}}`,
      `{${V1},"spec":null}`,
    ]
    for (const line of accepted) assert.equal(parse(line).policies.length, 1, line)
    const refused: readonly [string, string][] = [
      [`{"apiVersion":"${group}/v1beta1"}`, '1: kind is missing: "Policy"'],
      [
        `{"apiVersion":"${group}/v1","kind":"Policy"}`,
        `1: "Policy" of "${group}/v1" is not read: use Policy of ${group}/v1beta1`,
      ],
      ['{"kind":"Other"}', `1: "Other" of "" is not read: use Policy of ${group}/v1beta1`],
      ['{"apiVersion":7}', '1: apiVersion is not a string'],
      [`{${V1},"spec":[]}`, '1: spec is missing or not an object'],
    ]
    for (const [line, problem] of refused) assert.deepEqual(problems(line), [problem])
  })

  test('is UTF-8', () => {
    assert.deepEqual(problems(Buffer.from([0x7b, 0xff, 0x7d])), [': is not UTF-8 text'])
  })

  test('with nothing but bad lines, a picture say, is told in a few lines', () => {
    assert.equal(problems('x\n'.repeat(1000)).length, 20)
  })

  test('T-H13 a field called __proto__ is a field nobody reads', () => {
    const { policies } = parse('{"__proto__":{"user":"ann"},"group":"g"}')
    assert.equal(policies[0]?.user, '')
  })
})

describe('what opens a line wider than it looks, or makes it useless, is told', () => {
  const doubtful: readonly [string, readonly string[]][] = [
    ['{"user":"a","nonResourcePath":"/x"}', ['1 nonResourcePath: is no field here and counts for nothing']],
    [
      `{${V1},"user":"a"}`,
      ['1 user: is no field here and counts for nothing', '1 spec: neither user nor group: the line is for nobody'],
    ],
    [`{${V1},"spec":{"User":"a","group":"g"}}`, ['1 spec.User: is no field here and counts for nothing']],
    ['{"resource":"pods"}', ['1 : neither user nor group: in this old form that is every user who is logged in']],
    ['{"user":"a","group":"*"}', ['1 : a star for user or group opens the line to every user who is logged in']],
    [
      '{"user":"a","user":"b"}',
      ['1 : a key stands twice in one object, at character 13; where a key stands twice the last one counts'],
    ],
    ['{"user":"*"}', []],
  ]
  for (const [line, expected] of doubtful) test(line, () => assert.deepEqual(warnings(line), expected))
})

describe('the index of ABAC policies', () => {
  const word = (...words: string[]) => fc.constantFrom(...words)
  const policy = fc.record({
    user: word('', 'a', 'b', '*'),
    group: word('', 'g', 'h', '*'),
    readonly: fc.boolean(),
    namespace: word('', 'n', '*', 'm'),
    resource: word('', 'pods', '*', 'po*'),
    apiGroup: word('', 'apps', '*'),
    nonResourcePath: word('', '/a', '/a*', '*', '/a/*', '/**'),
  })
  const lines = fc.array(fc.tuple(fc.boolean(), policy), { maxLength: 12 }).map((entries) => {
    const texts = entries.map(([old, fields]) =>
      old ? JSON.stringify(fields) : `{${V1},"spec":${JSON.stringify(fields)}}`,
    )
    return parse(texts.join('\n')).policies
  })
  const user = fc
    .record({ name: word('a', 'b', '', '*'), groups: fc.subarray(['g', 'h', 'system:authenticated']) })
    .map(userInfo)
  const verb = word('get', 'list', 'create', '')
  const request: fc.Arbitrary<Attributes> = fc.oneof(
    fc.record({
      kind: fc.constant('resource' as const),
      user,
      extraPresent: fc.constant(false),
      verb,
      group: word('', 'apps', '*'),
      version: fc.constant('v1'),
      resource: word('', 'pods', '*'),
      subresource: word('', 'exec'),
      namespace: word('', 'n', '*'),
      name: word('', 'x'),
    }),
    fc.record({
      kind: fc.constant('non-resource' as const),
      user,
      extraPresent: fc.constant(false),
      verb,
      path: word('', '/', '/a', '/ab', '/a/', '*'),
    }),
  )

  test('finds the very line that going through the file finds first', () => {
    fc.assert(
      fc.property(lines, fc.array(request, { minLength: 1, maxLength: 10 }), (policies, requests) => {
        const index = abacIndex(policies)
        for (const asked of requests) {
          const direct: AbacPolicy | undefined = policies.find((candidate) => policyAllows(candidate, asked))
          assert.equal(index.find(asked)?.line, direct?.line, JSON.stringify(asked))
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('ABAC as an authorizer', () => {
  const PATH = '/etc/abac.jsonl'
  const asked = (name: string) => attributes({ user: { name }, verb: 'get', isResourceRequest: true, resource: 'pods' })

  async function open(text: string, options: Partial<AbacOptions> = {}) {
    const files = memoryFiles({ [PATH]: text })
    const log = recordingLog()
    const abac: AbacAuthorizer = await abacFile({ path: PATH, log, reads: files, intervalMs: 0, ...options })
    return { abac, files, log }
  }

  test('says by which line of which file it allows, and has no opinion elsewhere', async () => {
    const { abac } = await open('# one\n{"user":"ann"}\n')
    assert.deepEqual(await abac.authorize(asked('ann'), idleContext()), {
      kind: 'allow',
      reason: 'ABAC: allowed by line 2 of abac.jsonl',
    })
    assert.deepEqual(await abac.authorize(asked('bob'), idleContext()), {
      kind: 'no-opinion',
      reason: 'No policy matched.',
    })
  })

  test('T-W13 follows its file; a bad line or an emptied file leaves the last good lines in force', async () => {
    const { abac, files } = await open('{"user":"ann"}')
    const allowed = async (name: string) => (await abac.authorize(asked(name), idleContext())).kind === 'allow'
    files.write(PATH, '{"user":"bob"}\noops')
    assert.equal(await abac.check(), 'failed')
    assert.match(abac.status().error ?? '', /line 2/)
    files.write(PATH, '# nothing\n')
    assert.equal(await abac.check(), 'failed')
    assert.match(abac.status().error ?? '', /every policy/)
    assert.equal(await allowed('ann'), true)
    files.write(PATH, '{"user":"bob"}')
    assert.equal(await abac.check(), 'reloaded')
    assert.deepEqual([await allowed('ann'), await allowed('bob')], [false, true])
    abac.close()
  })

  test('an emptied file is taken where that is allowed, and an empty one at start', async () => {
    const { abac, files } = await open('{"user":"ann"}', { allowEmpty: true })
    files.write(PATH, '')
    assert.equal(await abac.check(), 'reloaded')
    assert.equal((await abac.authorize(asked('ann'), idleContext())).kind, 'no-opinion')
    assert.equal((await (await open('')).abac.authorize(asked('ann'), idleContext())).kind, 'no-opinion')
  })

  test('doubtful lines are logged, once a load', async () => {
    const { log } = await open('{}')
    const warned = log.lines.filter(({ level }) => level === 'warn')
    assert.equal(warned.length, 1)
    assert.match(JSON.stringify(warned), /every user who is logged in/)
  })
})
