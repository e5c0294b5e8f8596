/** A change that is spread over the files of KUBECONFIG, by the rules of kubectl. */
import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { ArchwayError } from '../../../src/errors.ts'
import {
  applyChange,
  type ChangeRequest,
  changesAnything,
  loadKubeconfigs,
  planChange,
} from '../../../src/kube/kubeconfig-file/change-files.ts'
import type { Entry } from '../../../src/kube/kubeconfig-file/entries.ts'
import { kubeconfigFiles } from '../../../src/kube/kubeconfig-file/locate.ts'
import { createFolder, type TestFolder } from '../../support/tls.ts'

const CLUSTER: Entry = { kind: 'cluster', name: 'c', settings: { server: 'https://c' } }
const CONTEXT: Entry = { kind: 'context', name: 'x', settings: { cluster: 'c', user: 'u' } }
const NOW = new Date(0)

let folder: TestFolder
beforeEach(async () => {
  folder = await createFolder()
})
afterEach(() => folder.remove())

function request(files: readonly string[], change: Partial<ChangeRequest> = {}): ChangeRequest {
  return {
    files: files.map((name) => folder.path(name)),
    entries: [CLUSTER, CONTEXT],
    current: { name: 'x', when: 'none-yet' },
    isHarmlessFlag: () => false,
    ...change,
  }
}

async function apply(wanted: ChangeRequest, overwrite = false): Promise<readonly string[]> {
  const applied = await applyChange({ request: wanted, overwrite, backup: false, now: NOW, lockWaitMs: 0 })
  return applied.map(({ path }) => path.slice(folder.path('x').length - 1))
}

describe('which files', () => {
  const where = (file: string | undefined, KUBECONFIG?: string) =>
    kubeconfigFiles({ file, env: { KUBECONFIG }, home: '/home/alice', cwd: '/here' })

  test('the one that is named, else those of KUBECONFIG, else the one at home', () => {
    assert.deepEqual(where('a', '/b'), ['/here/a'])
    assert.deepEqual(where(undefined, '/b:c::/b'), ['/b', '/here/c'])
    for (const none of [undefined, '', ':']) assert.deepEqual(where(undefined, none), ['/home/alice/.kube/config'])
  })
})

describe('a change of the kubeconfig', () => {
  test('goes into the first file that is there; where none is, into the last', async () => {
    await writeFile(folder.path('b'), '# b\n')
    await writeFile(folder.path('c'), '# c\n')
    assert.deepEqual(await apply(request(['a', 'b', 'c'])), ['b'])
    assert.equal(await readFile(folder.path('c'), 'utf8'), '# c\n')
    assert.deepEqual(await apply(request(['d', 'e'])), ['e'])
    assert.equal((await stat(folder.path('e'))).mode & 0o777, 0o600)
  })

  test('goes where the entry of that name is; the first one counts', async () => {
    await writeFile(folder.path('a'), 'current-context: y\n')
    await writeFile(folder.path('b'), 'clusters:\n- name: c\n  cluster: {server: "https://old"}\n')
    await writeFile(folder.path('d'), 'clusters:\n- name: c\n  cluster: {server: "https://c"}\n')
    const wanted = request(['a', 'b', 'd'])
    const { entries, currentContext } = planChange(wanted, loadKubeconfigs(wanted.files))
    assert.deepEqual(
      entries.map(({ path, state }) => [path.slice(-1), state]),
      [
        ['b', 'different'],
        ['a', 'new'],
      ],
    )
    assert.equal(currentContext, undefined)
    assert.deepEqual([...(await apply(wanted, true))].sort(), ['a', 'b'])
    assert.match(await readFile(folder.path('b'), 'utf8'), /server: https:\/\/c/)
    assert.match(await readFile(folder.path('a'), 'utf8'), /^current-context: y\n/)
  })

  test('the current context is set where there is none, or always, or never', async () => {
    await writeFile(folder.path('b'), 'current-context: y\n')
    const plan = (when: ChangeRequest['current']['when'], files: readonly string[]) => {
      const wanted = request(files, { current: { name: 'x', when } })
      return planChange(wanted, loadKubeconfigs(wanted.files)).currentContext
    }
    assert.equal(plan('none-yet', ['a', 'b']), undefined)
    assert.deepEqual(plan('none-yet', ['a']), { path: folder.path('a'), from: '', to: 'x' })
    assert.deepEqual(plan('always', ['a', 'b']), { path: folder.path('b'), from: 'y', to: 'x' })
    assert.equal(plan('never', ['a']), undefined)
  })

  test('an entry that differs is in the way unless it may be replaced', async () => {
    const old = 'clusters:\n- name: c\n  cluster: {server: "https://old"}\n'
    await writeFile(folder.path('a'), old)
    const refused = (thrown: unknown): boolean =>
      thrown instanceof ArchwayError && thrown.code === 'kubeconfig_unwritable'
    await assert.rejects(apply(request(['a'])), refused)
    assert.equal(await readFile(folder.path('a'), 'utf8'), old)
    await apply(request(['a']), true)
    assert.doesNotMatch(await readFile(folder.path('a'), 'utf8'), /old/)
  })

  test('where there is nothing to do, nothing is touched and no lock is needed', async () => {
    await apply(request(['a']))
    const before = await stat(folder.path('a'))
    await writeFile(folder.path('a.lock'), '')
    const wanted = request(['a'])
    assert.equal(changesAnything(planChange(wanted, loadKubeconfigs(wanted.files))), false)
    assert.deepEqual(await apply(wanted), [])
    const after = await stat(folder.path('a'))
    assert.deepEqual([after.ino, after.mtimeMs], [before.ino, before.mtimeMs])
  })

  test('one file that cannot be edited leaves every file as it is', async () => {
    await writeFile(folder.path('a'), 'kind: Config\n')
    const shared = 'clusters:\n- name: c\n  cluster: &c {server: x}\nothers: [*c]\n'
    await writeFile(folder.path('b'), shared)
    await assert.rejects(apply(request(['a', 'b']), true), /cannot be set without touching something else/)
    assert.equal(await readFile(folder.path('a'), 'utf8'), 'kind: Config\n')
    assert.equal(await readFile(folder.path('b'), 'utf8'), shared)
    assert.deepEqual((await readdir(folder.path('.'))).sort(), ['a', 'b'])
  })

  test('a file that is broken stops everything, named', async () => {
    await writeFile(folder.path('a'), 'clusters: [\n')
    await assert.rejects(apply(request(['a', 'b'])), /\/a: .*is not YAML/)
    await mkdir(folder.path('d'))
    await assert.rejects(apply(request(['d'])), /\/d: /)
  })

  test('many at once: every change is there in the end', async () => {
    const all = Array.from(
      { length: 12 },
      (_, i): Entry => ({ kind: 'cluster', name: `c${i}`, settings: { server: `https://c${i}` } }),
    )
    await Promise.all(
      all.map((entry) =>
        applyChange({
          request: request(['a'], { entries: [entry], current: { name: 'x', when: 'never' } }),
          overwrite: false,
          backup: false,
          now: NOW,
          lockWaitMs: 30_000,
        }),
      ),
    )
    const names =
      loadKubeconfigs([folder.path('a')])
        .get(folder.path('a'))
        ?.names('cluster') ?? []
    assert.deepEqual([...names].sort(), all.map(({ name }) => name).sort())
  })
})
