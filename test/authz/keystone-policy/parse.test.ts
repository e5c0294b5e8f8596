import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parsePolicy } from '../../../src/authz/keystone-policy/parse.ts'
import { MAX_POLICY_BYTES } from '../../../src/authz/keystone-policy/text.ts'
import { InvalidDocumentError } from '../../../src/errors.ts'

function problems(text: string | Buffer): string[] {
  try {
    parsePolicy(text, { where: 'policy.json' })
  } catch (thrown) {
    assert.ok(thrown instanceof InvalidDocumentError, String(thrown))
    assert.equal(thrown.code, 'file_invalid')
    return thrown.problems.map(({ path, message, line }) => `${line ?? '-'} ${path}: ${message}`)
  }
  return []
}

const warnings = (text: string): string[] =>
  parsePolicy(text).warnings.map(({ code, path, line }) => `${line} ${path}: ${code}`)

describe('forms', () => {
  for (const text of [
    'null',
    '[]',
    ' [ ] ',
    '{"policies": []}',
    '{"policies": null}',
    '[null]',
    '~',
    '# nothing\n[]',
  ]) {
    test(`${JSON.stringify(text)} allows nothing`, () => assert.deepEqual(parsePolicy(text).policies, []))
  }

  test('JSON and YAML of one policy are the same', () => {
    const json = '[{"users": {"projects": ["1e10"]}, "resource_permissions": {"*/pods": ["get"]}, "match": null}]'
    const yaml = '- users: {projects: ["1e10"]}\n  resource_permissions:\n    "*/pods": [get]\n'
    assert.deepEqual({ ...parsePolicy(yaml), warnings: [] }, parsePolicy(json))
  })

  test('policies keep their place in the list, null elements counted', () => {
    const { policies } = parsePolicy('[null,\n{"match": []},\nnull,\n{}]')
    assert.deepEqual(
      policies.map(({ index, path, line }) => [index, path, line]),
      [
        [1, '[1]', 2],
        [3, '[3]', 4],
      ],
    )
  })

  test('null is absent, for every field', () => {
    const text = JSON.stringify([
      { users: null, match: null, resource_permissions: null, nonresource_permissions: null, resource: null },
      { nonresource: { verbs: null, path: null }, resource: { verbs: null, version: null } },
    ])
    const [first, second] = parsePolicy(text).policies
    assert.deepEqual(first, { index: 0, path: '[0]', line: 1, match: [] })
    assert.deepEqual(second?.resource, { verbs: [], resources: [] })
    assert.deepEqual(second?.nonresource, { verbs: [] })
  })
})

describe('names of fields', () => {
  test('are matched without regard to case, with a warning', () => {
    const text =
      '[{"Users": {"projects": ["a"]}, "RESOURCE": {"Verbs": ["get"], "nameSpace": "x"}, "uſerS": {"roles": ["b"]}}]'
    const [policy] = parsePolicy(text).policies
    assert.deepEqual(policy?.users, { roles: ['b'], projects: ['a'] })
    assert.deepEqual(policy?.resource, { verbs: ['get'], resources: [], namespace: 'x' })
    assert.deepEqual(warnings(text), [
      '1 [0].users: field-case',
      '1 [0].resource: field-case',
      '1 [0].users: field-case',
      '1 [0].users: field-repeated',
      '1 [0].resource.verbs: field-case',
      '1 [0].resource.namespace: field-case',
    ])
  })

  test('keys of maps are exact', () => {
    const text = '[{"users": {"Projects": ["a"], "domains": ["b"], "projects": ["c"]}}]'
    assert.deepEqual(parsePolicy(text).policies[0]?.users, { roles: [], projects: ['c'] })
    assert.deepEqual(warnings(text), [
      '1 [0].users.Projects: users-key-unknown',
      '1 [0].users.domains: users-key-unknown',
    ])
  })

  test('unknown ones are ignored with a warning and a guess', () => {
    const text = '[{"comment": "x", "user": {"roles": ["a"]}, "resource-permissions": {}}]'
    const noticed = parsePolicy(text).warnings
    assert.deepEqual(
      noticed.map(({ code }) => code),
      ['field-unknown', 'field-unknown', 'field-unknown'],
    )
    assert.match(noticed[1]?.message ?? '', /Is users meant\?$/)
    assert.match(noticed[2]?.message ?? '', /Is resource_permissions meant\?$/)
  })

  const never: readonly [string, RegExp][] = [
    ['[{"users": {"roles": ["a"]}, "Users": {"roles": ["b"]}}]', /\[0\]\.users\.roles: stands twice/],
    ['[{"match": [], "Match": []}]', /\[0\]\.match: stands twice, upper and lower case being one/],
    ['[{"users": {"projects": ["a"]}, "users": []}]', /\[0\]\.users: stands twice/],
    [
      '[{"resource_permissions": {"a/b": ["get"], "a\\u002fb": ["list"]}}]',
      /resource_permissions\["a\/b"\]: stands twice/,
    ],
    ['[{"resource": {"version": "a", "Version": "*"}}]', /\[0\]\.resource\.version: stands twice/],
    ['{"policies": [], "Policies": []}', /policies: stands twice/],
    ['- resource_permissions:\n    a/b: [get]\n    a/b: [list]', /resource_permissions\["a\/b"\]: stands twice/],
  ]
  for (const [text, message] of never) {
    test(`the last never wins silently: ${text}`, () => assert.match(problems(text).join('\n'), message))
  }

  test('what stands twice without contradiction is united', () => {
    const text = '[{"users": {"roles": ["a"]}, "users": {"projects": ["b"]}, "USERS": null}]'
    assert.deepEqual(parsePolicy(text).policies[0]?.users, { roles: ['a'], projects: ['b'] })
  })

  test('no key is anything but a key', () => {
    const text = '[{"resource_permissions": {"__proto__": ["get"], "constructor": ["x"]}, "__proto__": {"match": []}}]'
    assert.deepEqual(
      [...(parsePolicy(text).policies[0]?.resourcePermissions?.keys() ?? [])],
      ['__proto__', 'constructor'],
    )
  })
})

describe('null in lists', () => {
  test('a null entry of match matches nobody, a null name is an empty one; neither takes a condition away', () => {
    const text = '[{"match": [null], "users": {"roles": ["a", null], "projects": [null]}}]'
    assert.deepEqual(parsePolicy(text).policies[0]?.match, [{ type: '', values: [] }])
    assert.deepEqual(parsePolicy(text).policies[0]?.users, { roles: ['a', ''], projects: [''] })
    assert.equal(warnings(text).length, 3)
  })
})

describe('wrong types are mistakes, all of them at once, with place and remedy', () => {
  test('the ones people make', () => {
    const text = `[
      {"resource_permissions": [{"default/pods": ["get"]}]},
      {"match": {"type": "role", "values": ["a"]}},
      {"users": ["a"]},
      {"users": {"roles": "admin", "projects": [1]}},
      {"resource": {"verbs": "get", "namespace": ["a"], "version": true}},
      {"nonresource": [], "resource_permissions": {"a/b": "get"}},
      7, "x", []
    ]`
    assert.deepEqual(problems(text), [
      '2 [0].resource_permissions: expected an object, found a list of objects. Write "resource_permissions": {"default/pods": ["get", "list"]}: one object with all the keys, not a list of objects',
      '3 [1].match: expected a list of objects, found an object. Write [{"type": "role", "values": ["member"]}], brackets included',
      '4 [2].users: expected an object, found a list. Write {"projects": [...], "roles": [...]}',
      '5 [3].users.roles: expected a list, found text. Write it as a list, also if it is one: ["member"]',
      '5 [3].users.projects[0]: expected text, found a number. Put it in quotes',
      '6 [4].resource.verbs: expected a list, found text. Write the verbs as a list: ["get", "list"], or ["*"] for all',
      '6 [4].resource.version: expected text, found true or false. It is the API group: "*", "apps", or "" for the core group',
      '6 [4].resource.namespace: expected text, found a list. Write one namespace, or "*" for any',
      '7 [5].resource_permissions["a/b"]: expected a list, found text. Write the verbs as a list: ["get", "list"], or ["*"] for all',
      '7 [5].nonresource: expected an object, found a list. Write {"verbs": ["get"], "path": "/healthz"}',
      '8 [6]: expected an object, found a number. Each element of the list is one policy: {"users": {...}, "resource_permissions": {...}}',
      '8 [7]: expected an object, found text. Each element of the list is one policy: {"users": {...}, "resource_permissions": {...}}',
      '8 [8]: expected an object, found a list. Each element of the list is one policy: {"users": {...}, "resource_permissions": {...}}',
    ])
  })

  test('a policy alone, and other things that are no list', () => {
    assert.match(problems('{"users": {}}').join(), /expected a list of policies: put \[ and \] around them/)
    assert.match(problems('"x"').join(), /expected a list of policies, found text/)
    assert.match(problems('just words').join(), /expected a list of policies, found text/)
  })

  test('a hundred are listed, the rest counted', () => {
    const list = problems(JSON.stringify(Array.from({ length: 150 }, () => 1)))
    assert.equal(list.length, 101)
    assert.equal(list.at(-1), '- : and 50 more')
  })
})

describe('T-W15 texts that are not of their language', () => {
  const refused: readonly [string | Buffer, RegExp][] = [
    ['', /is empty\. Write \[\]/],
    ['  \n', /is empty/],
    ['\uFEFF[]', /byte order mark/],
    [Buffer.from([0x5b, 0xff, 0x5d]), /is not UTF-8/],
    ['[] []', /goes on after its end/],
    ['[1,]', /a comma before \]/],
    ['{"a" 1}', /something else where a colon is expected/],
    ["['a']", /single quote/],
    ['[{} // no\n]', /has a comment where a comma or \]/],
    ['["a', /a quote that is never closed/],
    ['["a\nb"]', /line break or control character/],
    ['["\\x"]', /backslash/],
    ['[01]', /something else where a comma/],
    ['[tru]', /something else where a value/],
    ['[[', /ends where a value/],
    [`${'['.repeat(17)}${']'.repeat(17)}`, /nested deeper than 16/],
    ['['.repeat(1_000_000), /nested deeper than 16/],
    [`- ${'['.repeat(200)}`, /./],
    ['a: &x [1]\nb: *x', /anchor or alias/],
    ['!kube-system/pods: [get]', /keys that begin with ! in quotes/],
    ['- resource_permissions:\n    !kube-system/pods: [get]', /keys that begin with ! in quotes/],
    ['- !!binary abc', /tag/],
    ['*/pods: [get]', /in quotes/],
    ['- [a\n- b', /not YAML/],
    ['---\n[]\n---\n[]', /not YAML/],
  ]
  for (const [text, message] of refused) {
    test(JSON.stringify(text).slice(0, 60), () => assert.match(problems(text).join(), message))
  }

  test('a text that is too long is refused before it is looked at', () => {
    assert.match(problems(' '.repeat(MAX_POLICY_BYTES + 1)).join(), /is longer than/)
  })

  test('so is a list that is too long', () => {
    assert.match(problems(`[${'1,'.repeat(200_000)}1]`).join(), /has more than 200000 elements/)
    assert.match(problems(`[{"match": [${'1,'.repeat(200_000)}1]}]`).join(), /\[0\]\.match: has more than/)
  })

  test('what follows the first value is ignored on demand, with a warning', () => {
    const { policies, warnings: noticed } = parsePolicy('[{}] trailing', { trailing: 'ignore' })
    assert.equal(policies.length, 1)
    assert.deepEqual(
      noticed.map(({ code, column }) => [code, column]),
      [['trailing-text', 6]],
    )
  })

  test('the place of a mistake is told', () => {
    assert.match(problems('[\n  {"a": 1},\n  {"a": }\n]').join(), /^3 : has something else where a value is expected/)
  })

  test('JSON is read as JSON.parse reads it', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), (text) => {
        const wrapped = `[{"x": ${text}}]`
        assert.deepEqual(problems(wrapped), [])
      }),
    )
  })

  test('no text is anything but a policy or a list of mistakes', () => {
    const pieces = fc.constantFrom(
      '[',
      ']',
      '{',
      '}',
      '"users"',
      ':',
      ',',
      'null',
      '"',
      '\\',
      "'",
      '1',
      '-',
      '&a',
      '*a',
      '!t',
      '\n',
      ' ',
      '#',
      '"match"',
      '[]',
    )
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 30 }), (parts) => void problems(parts.join(''))),
      { numRuns: 500 },
    )
  })
})
