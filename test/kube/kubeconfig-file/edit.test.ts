/** What a kubeconfig looks like after an edit, in plain examples. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ArchwayError } from '../../../src/errors.ts'
import { parseKubeconfig } from '../../../src/kube/kubeconfig-file/document.ts'
import { editKubeconfig, renderKubeconfig } from '../../../src/kube/kubeconfig-file/edit.ts'
import type { Entry } from '../../../src/kube/kubeconfig-file/entries.ts'

const CLUSTER: Entry = { kind: 'cluster', name: 'b', settings: { server: 'https://b:6443' } }
const CONTEXT: Entry = { kind: 'context', name: 'b', settings: { cluster: 'b', user: 'b', namespace: 'team' } }
const USER: Entry = {
  kind: 'user',
  name: 'b',
  settings: {
    exec: {
      apiVersion: 'client.authentication.k8s.io/v1beta1',
      command: 'archway',
      args: ['credential', '--user-name=yes'],
      env: null,
      installHint: 'Where to get it:\nask.',
      interactiveMode: 'IfAvailable',
      provideClusterInfo: false,
    },
  },
}

function edited(text: string, entries: readonly Entry[], currentContext?: string): string {
  return editKubeconfig(parseKubeconfig('file', text), { entries, currentContext }).text
}

describe('editing a kubeconfig', () => {
  test('a new file is laid out as kubectl lays it out', () => {
    const expected = `apiVersion: v1
clusters:
- cluster:
    server: https://b:6443
  name: b
contexts:
- context:
    cluster: b
    namespace: team
    user: b
  name: b
current-context: b
kind: Config
users:
- name: b
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1beta1
      args:
      - credential
      - --user-name=yes
      command: archway
      env: null
      installHint: |-
        Where to get it:
        ask.
      interactiveMode: IfAvailable
      provideClusterInfo: false
`
    assert.equal(edited('', [CLUSTER, USER, CONTEXT], 'b'), expected)
    assert.equal(renderKubeconfig([CLUSTER, USER, CONTEXT], 'b'), expected)
    assert.equal(edited('# mine', [CLUSTER, USER, CONTEXT], 'b'), `# mine\n${expected}`)
  })

  test('an entry comes after the last one, and the remarks below each stay with it', () => {
    const text = `# mine
clusters:
  - name: a     # the first
    cluster: {server: "https://a"}
    # of a

  # before contexts
contexts: []   # none yet
users:
kind: Config
`
    const expected = `# mine
clusters:
  - name: a     # the first
    cluster: {server: "https://a"}
    # of a
  - cluster:
      server: https://b:6443
    name: b

  # before contexts
contexts:
- context:
    cluster: b
    namespace: team
    user: b
  name: b   # none yet
users:
kind: Config
`
    assert.equal(edited(text, [CLUSTER, CONTEXT]), expected)
  })

  test('an entry that is replaced keeps its place, its name and what stands around it', () => {
    const text = `clusters:
- name: b # name
  # above
  cluster:
    server: https://old
    insecure-skip-tls-verify: true
  # below
- name: c
  cluster: {server: x}
`
    assert.equal(
      edited(text, [CLUSTER]),
      text.replace(/ {4}server: https:\/\/old\n.*\n/, '    server: https://b:6443\n'),
    )
  })

  test('remarks of what comes next stay with it', () => {
    const text = `clusters:
- name: a
  cluster:
    server: x
    # of a

# all the users
users: []
`
    const expected = text.replace('    # of a\n', '    # of a\n- cluster:\n    server: https://b:6443\n  name: b\n')
    assert.equal(edited(text, [CLUSTER]), expected)
  })

  test('what some reader takes for anything but text is in quotes', () => {
    for (const name of ['yes', 'n', 'null', '1', '0o17', '12:30', '2024-01-01', '~', '']) {
      assert.match(edited('', [{ ...CLUSTER, name }]), new RegExp(`name: "${name}"\n`))
    }
  })

  test('JSON stays JSON, with its indentation', () => {
    const before = { kind: 'Config', clusters: [{ name: 'a', cluster: { server: 'x' } }], contexts: [] }
    const after = {
      kind: 'Config',
      clusters: [before.clusters[0], { cluster: { server: 'https://b:6443' }, name: 'b' }],
      contexts: [{ context: { cluster: 'b', namespace: 'team', user: 'b' }, name: 'b' }],
      'current-context': 'b',
    }
    for (const indent of [2, 4]) {
      const text = `${JSON.stringify(before, null, indent)}\n`
      assert.equal(edited(text, [CLUSTER, CONTEXT], 'b'), `${JSON.stringify(after, null, indent)}\n`)
    }
    assert.deepEqual(JSON.parse(edited(JSON.stringify(before), [CLUSTER, CONTEXT], 'b')), after)
    assert.deepEqual(JSON.parse(edited('{}', [CLUSTER])), { clusters: [after.clusters[1]] })
  })

  test('the very same document where nothing is to change, also after kubectl has written it', () => {
    const document = parseKubeconfig('file', edited('', [CLUSTER, USER, CONTEXT], 'b'))
    assert.equal(editKubeconfig(document, { entries: [CLUSTER, USER, CONTEXT], currentContext: 'b' }), document)
    const rewritten = document.text.replace(/\n +env: null/, '').replace(/\n +provideClusterInfo: false/, '')
    assert.notEqual(rewritten, document.text)
    assert.equal(edited(rewritten, [USER]), rewritten)
  })

  test('what cannot be set alone is refused, and nothing is written anew', () => {
    const cases = [
      ['clusters: &all\n- name: a\n  cluster: {}\nothers: *all\n', 'the list stands elsewhere as well'],
      ['all: &all\n- name: a\n  cluster: {}\nclusters: *all\n', 'the list is an alias'],
      ['clusters:\n- name: b\n  cluster: &b {server: x}\n- name: c\n  cluster: *b\n', 'the entry is used by another'],
      ['clusters:\n- &item\n  name: b\n  cluster: {}\nothers: [*item]\n', 'the item stands elsewhere as well'],
      ['base: &item {name: b, cluster: {}}\nclusters:\n- *item\n', 'the item is an alias'],
      ['? clusters\n: - name: b\n', 'the key is an unusual one'],
    ] as const
    for (const [text, why] of cases) {
      const uneditable = (thrown: unknown): boolean =>
        thrown instanceof ArchwayError && thrown.code === 'kubeconfig_uneditable' && /--print/.test(thrown.message)
      assert.throws(() => edited(text, [CLUSTER]), uneditable, why)
    }
  })

  test('anchors that are not in the way stay', () => {
    const text = 'ca: &ca QUJD\nclusters:\n- name: a\n  cluster: {certificate-authority-data: *ca}\n'
    assert.equal(edited(text, [CLUSTER]), `${text}- cluster:\n    server: https://b:6443\n  name: b\n`)
  })
})
