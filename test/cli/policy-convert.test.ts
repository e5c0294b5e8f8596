/** `archway policy convert`: the result, what is lost, and the proof. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { ABAC, archway, file, MEMBERS } from './policy-support.ts'

const ID = '0123456789abcdef0123456789abcdef'
const V1 = file('v1.json', [
  {
    resource: { verbs: ['get'], resources: ['pods/log'], version: '*', namespace: 'default' },
    match: [
      { type: 'role', values: ['member'] },
      { type: 'project', values: ['demo'] },
    ],
  },
])

interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string }
  readonly rules?: readonly object[]
  readonly subjects?: readonly { readonly name: string }[]
}

function documents(text: string): readonly Manifest[] {
  return parseAllDocuments(text).map((document) => document.toJS())
}

describe('archway policy convert --to v2', () => {
  test('prints the policy, and how many decisions were compared', async () => {
    const { status, out, err } = await archway('policy', 'convert', await V1, '--to', 'v2')
    assert.equal(status, 0)
    assert.deepEqual(JSON.parse(out), [
      { users: { projects: ['demo'], roles: ['member'] }, resource_permissions: { 'default/pods/log': ['get'] } },
    ])
    assert.match(err, /^\d+ decisions compared: all the same\n$/)
  })

  test('tells what is kept or wider; decisions that differ make the status 1', async () => {
    const policy = await file('wide.json', [
      {
        resource: { verbs: ['get'], resources: ['pods'], version: '*', namespace: 'default' },
        match: [{ type: 'project', values: ['demo'] }],
      },
    ])
    const kept = await archway('policy', 'convert', policy, '--to', 'v2')
    assert.equal(kept.status, 0)
    assert.match(kept.err, /^kept: .*wide\.json\[0\]\.resource \(pods\): /)
    const wider = await archway('policy', 'convert', policy, '--to', 'v2', '--widen')
    assert.equal(wider.status, 1)
    assert.match(
      wider.err,
      /^wider: [\s\S]*\d+ decisions compared: \d+ newly allowed, 0 no longer allowed\n {2}\+ .*pods.*\/log/,
    )
  })

  test('examples do not come along, which is told', async () => {
    const { err } = await archway('policy', 'convert', MEMBERS, '--to', 'v2')
    assert.match(err, /^skipped: .*members\.yaml: 1 example: /)
  })
})

describe('archway policy convert --to rbac', () => {
  const POLICY = file('rbac-able.json', [
    { users: { projects: [ID] }, resource_permissions: { 'team/configmaps@core': ['get'] } },
  ])

  test('prints manifests, proved with the decisions they make', async () => {
    const { status, out, err } = await archway(
      'policy',
      'convert',
      await POLICY,
      '--to',
      'rbac',
      '--policy-subresources',
      'strict',
    )
    assert.equal(status, 0)
    assert.deepEqual(
      documents(out).map(({ kind, metadata: { namespace } }) => `${kind} in ${namespace}`),
      ['Role in team', 'RoleBinding in team'],
    )
    assert.match(err, /^wider: a group or name counts wherever it comes from\n\d+ decisions compared: all the same\n$/)
  })

  test('--group-for gives groups to roles and projects', async () => {
    const convert = async (...groups: string[]) =>
      archway(
        'policy',
        'convert',
        await V1,
        '--to',
        'rbac',
        groups.flatMap((group) => ['--group-for', group]),
      )
    const without = await convert()
    assert.equal(without.status, 1)
    assert.match(without.err, /skipped: .*no group stands for role member on project demo[\s\S]* no longer allowed/)
    const { status, out, err } = await convert('member@demo=keystone:demo')
    assert.equal(status, 0, err)
    assert.equal(documents(out)[1]?.subjects?.[0]?.name, 'keystone:demo')
    const wrong = await convert('member')
    assert.equal(wrong.status, 2)
    assert.match(wrong.err, /--group-for member: expected ROLE=GROUP/)
  })

  test('--namespaces and --resources are for rules about all but some', async () => {
    const policy = await file('but.json', [
      { users: { projects: [ID] }, resource_permissions: { '!a/!secrets': ['get'] } },
    ])
    const lists = ['--namespaces', 'a,b', '--resources', 'pods,secrets']
    const { out } = await archway('policy', 'convert', policy, '--to', 'rbac', '--policy-subresources', 'strict', lists)
    assert.deepEqual(documents(out)[0]?.rules, [{ apiGroups: ['*'], resources: ['pods'], verbs: ['get'] }])
  })
})

describe('archway policy convert --from abac', () => {
  const convert = (path: string) => archway('policy', 'convert', path, '--from', 'abac', '--to', 'rbac')

  test('a line becomes a role and a binding', async () => {
    const { status, out, err } = await convert(ABAC)
    assert.equal(status, 0)
    const [role, binding] = documents(out)
    assert.deepEqual(role?.rules, [
      { apiGroups: ['*'], resources: ['*'], verbs: ['*'] },
      { nonResourceURLs: ['*'], verbs: ['*'] },
    ])
    assert.deepEqual(binding?.subjects, [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'alice' }])
    assert.match(err, /^\d+ decisions compared: all the same\n$/)
  })

  test('never wider; what RBAC cannot say is told with its line', async () => {
    const spec = (fields: object): string =>
      JSON.stringify({ apiVersion: 'abac.authorization.kubernetes.io/v1beta1', kind: 'Policy', spec: fields })
    const path = await file(
      'lines.jsonl',
      [
        spec({ user: 'u', namespace: 'team', resource: 'pods', readonly: true }),
        spec({ user: 'u', group: 'g', namespace: '*', resource: 'pods' }),
        spec({ group: 'g', resource: 'nodes' }),
        spec({ resource: 'pods', namespace: '*' }),
        spec({ group: 'g', namespace: 'team', nonResourcePath: '/logs*' }),
        '{"user":"old","resource":"events"}',
        spec({ user: 'u', namespace: '*', resource: 'po*' }),
      ].join('\n'),
    )
    const { status, out, err } = await convert(path)
    assert.equal(status, 1)
    assert.match(err, /narrower: .*lines\.jsonl:1: of the subresources of pods only attach, .* are carried over\n/)
    assert.match(err, /skipped: .*lines\.jsonl:2: RBAC cannot ask for a user and a group at once\n/)
    assert.match(err, /skipped: .*lines\.jsonl:3: RBAC has no rule for requests without namespace only\n/)
    assert.match(err, /dropped: .*lines\.jsonl:4: it is for nobody\n/)
    assert.match(err, /dropped: .*lines\.jsonl:7: no resource is called po\*\n/)
    assert.match(err, /decisions compared: 0 newly allowed, \d+ no longer allowed\n/)
    assert.deepEqual(
      documents(out).map(({ kind, metadata: { name, namespace } }) => [kind, name, namespace]),
      [
        ['Role', 'abac-1', 'team'],
        ['RoleBinding', 'abac-1', 'team'],
        ['ClusterRole', 'abac-5', undefined],
        ['ClusterRoleBinding', 'abac-5', undefined],
        ['ClusterRole', 'abac-6', undefined],
        ['ClusterRoleBinding', 'abac-6', undefined],
      ],
    )
  })

  test('a large file is compared in part', async () => {
    const lines = Array.from({ length: 400 }, (_, i) =>
      JSON.stringify({ user: `u${i}`, namespace: `n${i}`, resource: '*' }),
    )
    const { status, err } = await convert(await file('large.jsonl', lines.join('\n')))
    assert.equal(status, 0, err)
    const [, count] = /^(\d+) decisions/.exec(err) ?? []
    assert.ok(Number(count) > 10_000 && Number(count) < 60_000, err)
  })

  test('goes to rbac only; mistakes have their lines', async () => {
    const { status, err } = await archway('policy', 'convert', ABAC, '--from', 'abac', '--to', 'v2')
    assert.equal(status, 2)
    assert.match(err, /to rbac only/)
    const bad = await convert(await file('bad-lines.jsonl', '{"user":"x"}\nnonsense\n'))
    assert.equal(bad.status, 2)
    assert.match(bad.err, /bad-lines\.jsonl:2: is not one JSON object/)
  })
})
