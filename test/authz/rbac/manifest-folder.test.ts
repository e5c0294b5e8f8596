import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import {
  type ManifestFolder,
  type ManifestFolderOptions,
  manifestFolder,
} from '../../../src/authz/rbac/manifest-folder.ts'
import { ArchwayError } from '../../../src/errors.ts'
import { type RecordingLog, recordingLog } from '../../reload/support.ts'

let dir: string
let log: RecordingLog
let opened: ManifestFolder[]
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'archway-rbac-'))
  log = recordingLog()
  opened = []
})
afterEach(async () => {
  for (const folder of opened) folder.close()
  await rm(dir, { recursive: true })
})

async function follow(options: Partial<ManifestFolderOptions> = {}): Promise<ManifestFolder> {
  const folder = await manifestFolder({ path: dir, log, intervalMs: 0, ...options })
  opened.push(folder)
  return folder
}

const write = (name: string, text: string) => writeFile(join(dir, name), text)
const names = (folder: ManifestFolder) => folder.current().bindings.map(({ name }) => name)
const binding = (name: string) => `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: ${name}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: []
`

describe('a folder of RBAC manifests', () => {
  test('is every YAML and JSON file right in it, by name; hidden files, others and folders are not', async () => {
    await write('b.yaml', binding('b'))
    await write('a.yml', binding('a'))
    await write('c.json', '{"apiVersion":"v1","kind":"List","items":[]}')
    await write('.hidden.yaml', 'nonsense: [')
    await write('README.md', 'nonsense: [')
    await mkdir(join(dir, 'folder.yaml'))
    assert.deepEqual(names(await follow()), ['a', 'b'])
  })

  test('is followed: a file that comes, changes or goes', async () => {
    await write('a.yaml', binding('a'))
    const folder = await follow()
    await write('b.yaml', binding('b'))
    assert.equal(await folder.check(), 'reloaded')
    assert.deepEqual(names(folder), ['a', 'b'])
    await write('b.yaml', binding('c'))
    assert.equal(await folder.check(), 'reloaded')
    assert.deepEqual(names(folder), ['a', 'c'])
    await rm(join(dir, 'a.yaml'))
    assert.equal(await folder.check(), 'reloaded')
    assert.deepEqual(names(folder), ['c'])
    assert.equal(await folder.check(), 'unchanged')
  })

  test('T-W13 keeps its last good state as a whole when one file has a mistake', async () => {
    await write('a.yaml', binding('a'))
    const folder = await follow()
    const before = folder.current()
    await write('a.yaml', binding('changed'))
    await write('b.yaml', binding('b').replace('subjects', 'subject'))
    assert.equal(await folder.check(), 'failed')
    assert.equal(folder.current(), before)
    assert.equal(folder.status().ok, false)
    assert.match(folder.status().error ?? '', /b\.yaml:1 ClusterRoleBinding b: subject: is no field/)
    await rm(join(dir, 'b.yaml'))
    assert.equal(await folder.check(), 'reloaded')
    assert.deepEqual(names(folder), ['changed'])
  })

  test('T-W13 a change that takes every binding away is refused, unless that is allowed', async () => {
    await write('a.yaml', binding('a'))
    const careful = await follow()
    const told = await follow({ allowEmpty: true })
    await rm(join(dir, 'a.yaml'))
    assert.equal(await careful.check(), 'failed')
    assert.deepEqual(names(careful), ['a'])
    assert.match(careful.status().error ?? '', /every binding/)
    assert.equal(await told.check(), 'reloaded')
    assert.deepEqual(names(told), [])
  })

  test('may be one file', async () => {
    await write('a.yaml', binding('a'))
    const file = await follow({ path: join(dir, 'a.yaml') })
    await write('b.yaml', binding('b'))
    assert.equal(await file.check(), 'unchanged')
    await write('a.yaml', binding('c'))
    assert.equal(await file.check(), 'reloaded')
    assert.deepEqual(names(file), ['c'])
  })

  test('may be empty at start', async () => {
    assert.deepEqual(names(await follow()), [])
  })

  test('a volume of a ConfigMap is followed through its swapped link', async () => {
    for (const [version, name] of [
      ['v1', 'a'],
      ['v2', 'b'],
    ] as const) {
      await mkdir(join(dir, `..${version}`))
      await write(`..${version}/roles.yaml`, binding(name))
    }
    await symlink('..v1', join(dir, '..data'))
    await symlink('..data/roles.yaml', join(dir, 'roles.yaml'))
    const folder = await follow()
    assert.deepEqual(names(folder), ['a'])
    await symlink('..v2', join(dir, '..tmp'))
    await rename(join(dir, '..tmp'), join(dir, '..data'))
    assert.equal(await folder.check(), 'reloaded')
    assert.deepEqual(names(folder), ['b'])
  })

  test('that is not there, or a file in it that cannot be read, is refused at start by name', async () => {
    await assert.rejects(manifestFolder({ path: join(dir, 'no'), log, intervalMs: 0 }), (error) => {
      assert.ok(error instanceof ArchwayError)
      assert.equal(error.code, 'file_invalid')
      assert.match(error.message, /no: is not there/)
      return true
    })
    await symlink('nowhere', join(dir, 'a.yaml'))
    await assert.rejects(follow(), /a\.yaml/)
  })

  test('its doubtful parts are logged', async () => {
    await write('a.yaml', binding('a').replace('kind: ClusterRole,', 'kind: Role,'))
    await follow()
    const warned = log.lines.find(({ level }) => level === 'warn')
    assert.match(JSON.stringify(warned), /a ClusterRoleBinding can refer to ClusterRole only/)
  })
})
