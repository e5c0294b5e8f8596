import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { optionRegistry } from '../../src/config/option.ts'
import { passwordFileOptions, passwordFileSource } from '../../src/config/password-file-source.ts'

function mistakes(source: object): readonly string[] {
  const { error } = passwordFileSource.safeParse(source)
  return (error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`)
}

describe('a password file as a source', () => {
  test('needs a path, and becomes what the authenticator takes', () => {
    const least = passwordFileSource.parse({ path: 'users.htpasswd' })
    assert.deepEqual(passwordFileOptions(least), { path: 'users.htpasswd', name: 'password-file', format: 'auto' })
    const whole = { path: 'users', name: 'people', format: 'htpasswd', groupsFile: 'groups.csv' }
    assert.deepEqual(passwordFileOptions(passwordFileSource.parse(whole)), whole)
    assert.equal(mistakes({}).length, 1)
  })

  test('mistakes name the option and the remedy', () => {
    assert.deepEqual(mistakes({ path: 'a', format: 'csv', groupsFile: 'b' }), [
      'groupsFile: goes with htpasswd files; a CSV has uids and groups itself. Leave it out',
    ])
    assert.deepEqual(mistakes({ path: 'a', groupsFile: 'a' }), ['groupsFile: is the password file. Name another'])
    assert.equal(mistakes({ path: 'a', format: 'htdigest' }).length, 1)
    assert.equal(mistakes({ path: 'a', groupFile: 'b' }).length, 1)
  })

  test('every option is described, with a flag and a variable where there is one', () => {
    const flags = Object.entries(passwordFileSource.shape).map(([key, schema]) => [
      key,
      optionRegistry.get(schema)?.flag,
    ])
    assert.deepEqual(flags, [
      ['path', 'password-file'],
      ['name', undefined],
      ['format', 'password-file-format'],
      ['groupsFile', 'password-groups-file'],
    ])
    for (const schema of Object.values(passwordFileSource.shape)) assert.ok(schema.description)
  })
})
