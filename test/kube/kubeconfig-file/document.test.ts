/** Reading a kubeconfig for editing: what is refused, where it stands, and that nothing of it is quoted. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { InvalidDocumentError } from '../../../src/errors.ts'
import { parseKubeconfig } from '../../../src/kube/kubeconfig-file/document.ts'

function refusal(content: string | Buffer): InvalidDocumentError {
  try {
    parseKubeconfig('/home/alice/.kube/config', content)
  } catch (thrown) {
    assert.ok(thrown instanceof InvalidDocumentError, String(thrown))
    assert.equal(thrown.code, 'file_invalid')
    return thrown
  }
  return assert.fail('was taken')
}

const REFUSED: readonly (readonly [what: string, text: string, line: number | undefined, message: RegExp])[] = [
  ['a syntax error', 'kind: Config\nusers: [\n  {name: CANARY\n', undefined, /is not YAML/],
  ['a line that is no pair', 'kind: Config\nCANARY CANARY\n', 2, /is not YAML/],
  ['a tab as indentation', 'users:\n\t- name: CANARY\n', 2, /is not YAML/],
  ['a second document', 'kind: Config\n---\nkind: CANARY\n', 2, /second document/],
  ['another apiVersion', 'kind: Config\napiVersion: v2\n', 2, /apiVersion: is not v1/],
  ['another kind', 'apiVersion: v1\nkind: Secret\n', 2, /kind: is not Config/],
  ['a list', '- CANARY\n', 1, /is not a kubeconfig/],
  ['a text', 'CANARY\n', 1, /is not a kubeconfig/],
  ['a key that stands twice', 'clusters: []\nusers: []\nclusters: [CANARY]\n', 3, /a key stands twice/],
  [
    'a key that stands twice inside',
    'users:\n- name: a\n  user:\n    token: CANARY\n    token: b\n',
    5,
    /stands twice/,
  ],
  ['an alias without anchor', 'users:\n- name: a\n  user: *CANARY\n', 3, /no anchor/],
  ['clusters that are a mapping', 'kind: Config\nclusters: {a: CANARY}\n', 2, /clusters: is not a list/],
  ['an item that is a text', 'users:\n- CANARY\n', 2, /users\[0\]: is not a mapping/],
  ['an item without a name', 'users:\n- user: {token: CANARY}\n', 2, /users\[0\]\.name: is missing or not a string/],
  ['a name that is a number', 'users:\n- name: 12\n  user: {}\n', 2, /users\[0\]\.name: .*quotes/],
  ['a user that is a list', 'users:\n- name: a\n  user: [CANARY]\n', 2, /users\[0\]\.user: is not a mapping/],
  ['a current context that is a number', 'kind: Config\ncurrent-context: 1\n', 2, /current-context: .*quotes/],
  [
    'two of one name',
    'contexts:\n- name: a\n  context: {}\n- name: a\n',
    4,
    /contexts\[1\]: has the same name as the one of line 2/,
  ],
  ['an unknown tag', 'users: !CANARY []\n', 1, /is not YAML/],
]

describe('reading a kubeconfig for editing', () => {
  for (const [what, text, line, message] of REFUSED) {
    test(`refuses ${what}, and says where`, () => {
      const { problems, message: whole } = refusal(text)
      assert.match(whole, message)
      assert.match(whole, /^\/home\/alice\/\.kube\/config: /)
      if (line !== undefined) assert.equal(problems[0]?.line, line)
      assert.doesNotMatch(whole, /CANARY/)
    })
  }

  test('T-W15 refuses aliases of aliases, deep nesting, length and what is not text', () => {
    const levels = Array.from({ length: 30 }, (_, i) => `a${i}: &a${i} [${i === 0 ? 'x' : `*a${i - 1},*a${i - 1}`}]`)
    assert.match(refusal(levels.join('\n')).message, /too many aliases/)
    const merges = Array.from(
      { length: 40 },
      (_, i) => `m${i}: &m${i} {${i === 0 ? 'x: y' : `<<: [*m${i - 1}, *m${i - 1}]`}}`,
    )
    assert.match(refusal(merges.join('\n')).message, /too many aliases/)
    assert.match(refusal(`a: ${'['.repeat(50_000)}`).message, /is not YAML|nested too deep/)
    assert.match(refusal(`a: ${'['.repeat(20_000)}${']'.repeat(20_000)}`).message, /is not YAML|nested too deep/)
    assert.match(refusal(`# ${'x'.repeat(4 * 1024 * 1024)}`).message, /longer than 4 MiB/)
    assert.match(refusal(Buffer.from([0x6b, 0x3a, 0xff])).message, /not UTF-8/)
  })

  test('T-H13 takes __proto__ and constructor for names as any other', () => {
    const text = 'clusters:\n- name: __proto__\n  cluster: {server: a}\n- name: constructor\n  cluster: {server: b}\n'
    const document = parseKubeconfig('file', text)
    assert.deepEqual(document.names('cluster'), ['__proto__', 'constructor'])
    assert.equal(document.entry('cluster', 'constructor')?.['server'], 'b')
    assert.equal(document.entry('cluster', 'toString'), undefined)
    assert.equal(document.entry('user', '__proto__'), undefined)
  })

  test('takes an empty file, comments alone, and one without kind', () => {
    for (const text of ['', '\n', '# nothing\n', '---\n', 'clusters: []\n', '{}', '\uFEFFkind: Config\n']) {
      assert.equal(parseKubeconfig('file', text).currentContext, '')
    }
  })

  test('arbitrary text is read or refused, and nothing else', () => {
    const piece = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.constantFrom('clusters:\n', '- name: a\n', '  ', ': ', '&a ', '*a', '{', ']', '|', '"', '\n'),
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        try {
          parseKubeconfig('file', pieces.join(''))
        } catch (thrown) {
          assert.ok(thrown instanceof InvalidDocumentError, String(thrown))
        }
      }),
      { numRuns: 500 },
    )
  })
})
