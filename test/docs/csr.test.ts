import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse, parseAllDocuments } from 'yaml'
import { BREACHES, FINDINGS } from '../../src/signer/finding.ts'
import { policySchema } from '../../src/signer/policy-schema.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const page = readFileSync(join(ROOT, 'docs/csr.md'), 'utf8')

describe('docs/csr.md', () => {
  test('has every finding, in order, and no other', () => {
    const documented = [...page.matchAll(/^\| `([a-z-]+)` \| (?:hostile|notice) \|/gm)].map(([, code]) => code)
    assert.deepEqual(documented, [...FINDINGS])
  })

  test('has every breach', () => {
    for (const code of BREACHES) assert.ok(page.includes(`\`${code}\``), code)
  })

  test('has every key of a signer and of a rule, and no other', () => {
    const { signers } = policySchema.parse(parse(readFileSync(join(ROOT, 'examples/csr/policy.yaml'), 'utf8')))
    const [signer = assert.fail()] = Object.values(signers)
    const rules = new Set(signer.rules.flatMap((rule) => Object.keys(rule)))
    const keys = (pattern: RegExp): readonly unknown[] => [...page.matchAll(pattern)].map(([, key]) => key).sort()
    assert.deepEqual([...keys(/^\| `signers\.NAME\.(\w+)` \|/gm), 'rules'].sort(), Object.keys(signer).sort())
    assert.deepEqual([...keys(/^\| `rules\[\]\.(\w+)` \|/gm), 'name'].sort(), [...rules].sort())
  })

  test('the manifests are good YAML, and every account is bound to its role', () => {
    for (const file of globSync('examples/csr/*.yaml', { cwd: ROOT })) {
      const documents = parseAllDocuments(readFileSync(join(ROOT, file), 'utf8'))
      assert.deepEqual(
        documents.flatMap(({ errors }) => errors),
        [],
        file,
      )
      const objects = documents.map((document) => document.toJS())
      const roles = objects.filter(({ kind = '' }) => /Role$/.test(kind)).map(({ metadata }) => metadata.name)
      const bound = objects.filter(({ kind = '' }) => /Binding$/.test(kind)).map(({ roleRef }) => roleRef.name)
      assert.deepEqual(bound.sort(), roles.sort(), file)
    }
  })
})
