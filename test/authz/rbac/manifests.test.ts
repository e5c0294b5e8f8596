import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseManifests } from '../../../src/authz/rbac/manifests.ts'
import { InvalidDocumentError } from '../../../src/errors.ts'
import { compact } from './support.ts'

const read = (files: Readonly<Record<string, string | Buffer>>) =>
  parseManifests(
    Object.entries(files).map(([name, content]) => [name, Buffer.from(content)]),
    'rbac/',
  )
const warnings = async (text: string) =>
  (await read({ 'a.yaml': text })).warnings.map(({ path, message }) => `${path}: ${message}`)

async function problems(files: Readonly<Record<string, string | Buffer>>): Promise<string[]> {
  try {
    await read(files)
  } catch (thrown) {
    assert.ok(thrown instanceof InvalidDocumentError)
    assert.equal(thrown.code, 'file_invalid')
    assert.equal(thrown.where, 'rbac/')
    return thrown.problems.map(({ path, message }) => `${path}: ${message}`)
  }
  assert.fail('the manifests were accepted')
}

const ROLE = `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: team, creationTimestamp: null, managedFields: [{manager: kubectl}]}
rules:
- {verbs: [get], apiGroups: [""], resources: [pods]}
`
const BINDING = `apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: read, namespace: team}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
- {kind: User, name: ann, apiGroup: rbac.authorization.k8s.io}
- {kind: ServiceAccount, name: ci}
`

describe('RBAC manifests', () => {
  test('are YAML documents, comments and empty documents between them, in any number of files', async () => {
    const { objects, warnings: doubts } = await read({
      'a.yaml': `# one\n---\n${ROLE}---\n---\n# nothing\n`,
      'b.yml': BINDING,
    })
    assert.deepEqual(
      objects.roles.map(({ kind, namespace, name }) => [kind, namespace, name]),
      [['Role', 'team', 'reader']],
    )
    assert.deepEqual(
      objects.bindings.map(({ kind, namespace, name }) => [kind, namespace, name]),
      [['RoleBinding', 'team', 'read']],
    )
    assert.deepEqual(doubts, [])
  })

  test('are read in v1beta1 as in v1', async () => {
    const { objects } = await read({ 'a.yaml': ROLE.replace('/v1', '/v1beta1') })
    assert.equal(objects.roles.length, 1)
  })

  test('may be lists, of anything or of one kind, in YAML and in JSON', async () => {
    const list = {
      apiVersion: 'v1',
      kind: 'List',
      items: [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'x' } }],
    }
    const ofRoles = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleList',
      items: [
        { metadata: { name: 'a' }, rules: null },
        { kind: 'ClusterRole', metadata: { name: 'b' } },
      ],
    }
    const found = await read({
      'a.json': JSON.stringify(list),
      'b.json': JSON.stringify(ofRoles),
      'c.yaml': 'apiVersion: v1\nkind: List\nitems: null\n',
    })
    assert.equal(found.others, 1)
    assert.deepEqual(
      found.objects.roles.map(({ name }) => name),
      ['a', 'b'],
    )
  })

  test('may hold objects of other APIs, which are passed over', async () => {
    const found = await read({ 'a.yaml': `apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: ci}\n---\n${ROLE}` })
    assert.equal(found.others, 1)
    assert.equal(found.objects.roles.length, 1)
  })

  test('may use anchors and merge keys', async () => {
    const { objects } = await read({
      'a.yaml': `${ROLE.replace('- {verbs', '- &base {verbs')}- {<<: *base, resources: [nodes]}\n`,
    })
    assert.deepEqual(compact(objects.roles[0]?.rules ?? [])[1], {
      verbs: ['get'],
      apiGroups: [''],
      resources: ['nodes'],
    })
  })

  test('of aggregated roles say what the roles come to', async () => {
    const labelled = ROLE.replace('kind: Role', 'kind: ClusterRole').replace('namespace: team', 'labels: {to: "yes"}')
    const sum = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: sum}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: "yes"}}]}
rules: [{verbs: ["*"], apiGroups: ["*"], resources: ["*"]}]
`
    const { objects } = await read({ 'a.yaml': `${sum}---\n${labelled}` })
    assert.deepEqual(compact(objects.roles.find(({ name }) => name === 'sum')?.rules ?? []), [
      { verbs: ['get'], apiGroups: [''], resources: ['pods'] },
    ])
  })
})

describe('mistakes in RBAC manifests are all told, with file, line and object', () => {
  const refused: readonly [string, string | Buffer, readonly string[]][] = [
    [
      'a field nobody knows',
      ROLE.replace('resources:', 'resourceName: [x], resources:'),
      ['a.yaml:1 Role team/reader: rules[0].resourceName: is no field of this object'],
    ],
    [
      'a wrong type',
      ROLE.replace('[get]', 'get'),
      ['a.yaml:1 Role team/reader: rules[0].verbs: expected array, received string'],
    ],
    [
      'a number for a name',
      ROLE.replace('name: reader', 'name: 7'),
      ['a.yaml:1 Role team: metadata.name: expected string, received number'],
    ],
    [
      'no name',
      ROLE.replace('name: reader', 'name: ""'),
      ['a.yaml:1 Role team: metadata.name: Too small: expected string to have >=1 characters'],
    ],
    ['no namespace', ROLE.replace('namespace: team', 'x: y'), ['a.yaml:1 Role reader: metadata.namespace: is missing']],
    [
      'no roleRef',
      BINDING.replace(/roleRef.*\n/, ''),
      ['a.yaml:1 RoleBinding team/read: roleRef: expected object, received undefined'],
    ],
    [
      'a kind nobody knows',
      ROLE.replace('kind: Role', 'kind: Rolle'),
      ['a.yaml:1 Rolle team/reader: is none of Role, ClusterRole, RoleBinding, ClusterRoleBinding'],
    ],
    [
      'a version nobody knows',
      ROLE.replace('/v1', '/v1alpha1'),
      ['a.yaml:1 Role team/reader: "rbac.authorization.k8s.io/v1alpha1" is not read: use rbac.authorization.k8s.io/v1'],
    ],
    ['no kind', ROLE.replace('kind: Role\n', ''), ['a.yaml:1: apiVersion or kind is missing']],
    ['no object', '- a\n', ['a.yaml:1: the document is missing or not an object']],
    ['not YAML', 'a: b: c\n', ['a.yaml:1: Nested mappings are not allowed in compact mappings']],
    ['a key twice', `${ROLE}rules: []\n`, ['a.yaml:6: Map keys must be unique']],
    ['not UTF-8', Buffer.from([0x61, 0xff]), ['a.yaml: is not UTF-8 text']],
    [
      'the same object twice',
      `${ROLE}---\n${ROLE}`,
      ['a.yaml:7 Role team/reader: stands twice, first at a.yaml:1 Role team/reader'],
    ],
    ['a list of no list', 'apiVersion: v1\nkind: List\nitems: x\n', ['a.yaml:1: items of this List is not a list']],
    [
      'a list in a list',
      'apiVersion: v1\nkind: List\nitems: [{kind: List, apiVersion: v1}]\n',
      ['a.yaml:1: items[0] is a list itself'],
    ],
    [
      'several at once',
      `${ROLE.replace('[get]', 'get')}---\n${BINDING.replace('kind: User', 'kid: User')}`,
      [
        'a.yaml:1 Role team/reader: rules[0].verbs: expected array, received string',
        'a.yaml:7 RoleBinding team/read: subjects[0].kind: expected string, received undefined',
        'a.yaml:7 RoleBinding team/read: subjects[0].kid: is no field of this object',
      ],
    ],
  ]
  for (const [what, text, expected] of refused) {
    test(what, async () => assert.deepEqual(await problems({ 'a.yaml': text }), expected))
  }

  test('JSON that is none, and an item of a list in it', async () => {
    assert.deepEqual(await problems({ 'a.json': '{' }), ['a.json: is not valid JSON'])
    const list = {
      apiVersion: 'v1',
      kind: 'List',
      items: [{ apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role' }],
    }
    assert.deepEqual(await problems({ 'a.json': JSON.stringify(list) }), [
      'a.json items[0] Role: metadata: expected object, received undefined',
    ])
  })

  test('T-W15 aliases that multiply, and endless nesting, are mistakes and no crash', async () => {
    const bomb = [
      'a: &a [x,x,x,x,x,x,x,x,x]',
      ...'bcdefgh'.split('').map((key, i) => `${key}: &${key} [${Array(9).fill(`*${'abcdefgh'[i]}`)}]`),
    ]
    assert.match((await problems({ 'a.yaml': bomb.join('\n') })).join(), /alias/)
    const deep = '['.repeat(10_000) + ']'.repeat(10_000)
    assert.match((await problems({ 'a.yaml': deep })).join(), /call stack/)
    assert.deepEqual(await problems({ 'a.json': deep }), ['a.json: the text is nested deeper than 64 levels'])
  })

  test('many mistakes are cut short', async () => {
    const bad = Array.from({ length: 80 }, () => 'kind: x\n').join('---\n')
    const told = await problems({ 'a.yaml': bad })
    assert.equal(told.length, 51)
    assert.equal(told.at(-1), ': and 30 more mistakes')
  })
})

describe('what the API server would not store is told and evaluated all the same', () => {
  const doubtful: readonly [string, string, readonly string[]][] = [
    [
      'URLs in a Role',
      ROLE.replace('{verbs: [get], apiGroups: [""], resources: [pods]}', '{verbs: [get], nonResourceURLs: [/x]}'),
      ['rules[0].nonResourceURLs: a Role cannot give URLs: use a ClusterRole'],
    ],
    ['no verb', ROLE.replace('verbs: [get], ', ''), ['rules[0].verbs: no verb: the rule allows nothing']],
    [
      'no group',
      ROLE.replace('apiGroups: [""], ', ''),
      ['rules[0].apiGroups: no API group: the rule allows nothing; "" is the core group'],
    ],
    [
      'a binding of the cluster to a Role',
      BINDING.replace('RoleBinding', 'ClusterRoleBinding').replace('name: ci', 'name: ci, namespace: x'),
      ['roleRef.kind: a ClusterRoleBinding can refer to ClusterRole only'],
    ],
    [
      'an account without a home',
      BINDING.replace('RoleBinding', 'ClusterRoleBinding').replace('kind: Role,', 'kind: ClusterRole,'),
      ['subjects[1].namespace: a service account without a namespace is nobody here'],
    ],
    [
      'everybody by a star',
      BINDING.replace('name: ann', 'name: "*"'),
      ['subjects[0].name: is a star, which is nobody; for everybody name system:authenticated'],
    ],
    [
      'a subject of no kind',
      BINDING.replace('kind: User', 'kind: Robot'),
      ['subjects[0].kind: is neither User, Group nor ServiceAccount: nobody'],
    ],
  ]
  for (const [what, text, expected] of doubtful) {
    test(what, async () =>
      assert.deepEqual(
        (await warnings(text)).map((line) => line.replace(/^a.yaml:1 \S+ \S+: /, '')),
        expected,
      ),
    )
  }
})
