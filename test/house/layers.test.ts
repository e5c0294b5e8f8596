/** tools/check-layers.ts finds what it is there to find. */

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { violations } from '../../tools/check-layers.ts'

function check(files: Readonly<Record<string, string>>): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'layers-'))
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), text)
  }
  const found = violations(folder)
  rmSync(folder, { recursive: true })
  return found
}

const leaf = 'export const x = 1\n'

describe('check-layers', () => {
  it('accepts imports that point down, and free ones inside a room', () => {
    const found = check({
      'cli/main.ts': "import { x } from '../compose/service.ts'\nimport './serve.ts'\n",
      'cli/serve.ts': "import { z } from 'zod'\nimport { request } from 'node:http'\n",
      'compose/service.ts': "export { x } from '../webhook/routes.ts'\n",
      'webhook/routes.ts': "import type { User } from '../user.ts'\n",
      'user.ts': "import { code } from './errors.ts'\n",
      'errors.ts': leaf,
    })
    assert.deepEqual(found, [])
  })

  const upward = {
    'an import': "import { x } from '../webhook/b.ts'",
    'a type-only import': "import type { x } from '../webhook/b.ts'",
    'an import over several lines': "import {\n  x,\n} from '../webhook/b.ts'",
    'an import for its effects': "import '../webhook/b.ts'",
    're-exporting': "export { x } from '../webhook/b.ts'",
    're-exporting everything': "export * from '../webhook/b.ts'",
    'a dynamic import': "const b = await import('../webhook/b.ts')",
    'a type in place': "let b: import('../webhook/b.ts').x",
  }
  for (const [how, text] of Object.entries(upward)) {
    it(`refuses ${how} that points up`, () => {
      assert.deepEqual(check({ 'authn/a.ts': `${text}\n`, 'webhook/b.ts': leaf }), [
        'src/authn/a.ts → src/webhook/b.ts: upward (authn → webhook)',
      ])
    })
  }

  it('refuses an import between rooms of one floor', () => {
    assert.deepEqual(check({ 'proxy/a.ts': "import { x } from '../server/b.ts'\n", 'server/b.ts': leaf }), [
      'src/proxy/a.ts → src/server/b.ts: sideways (proxy → server)',
    ])
  })

  it('refuses a circle of files, also inside a room, and names its way once', () => {
    const found = check({
      'kube/a.ts': "import { x } from './b.ts'\n",
      'kube/b.ts': "import type { y } from './c.ts'\n",
      'kube/c.ts': "export { z } from './a.ts'\n",
    })
    assert.deepEqual(found, ['src/kube/a.ts → src/kube/b.ts → src/kube/c.ts → src/kube/a.ts: circular'])
  })

  it('refuses a circle on the ground floor, whose files may otherwise use one another', () => {
    const found = check({ 'errors.ts': "import './user.ts'\n", 'user.ts': "import './errors.ts'\n" })
    assert.deepEqual(found, ['src/errors.ts → src/user.ts → src/errors.ts: circular'])
  })

  it('says where to register a room it does not know', () => {
    assert.deepEqual(check({ 'attic/a.ts': leaf }), [
      'src/attic: unknown room (give it a floor in tools/check-layers.ts)',
    ])
  })

  it('refuses an import from outside of src', () => {
    assert.deepEqual(check({ 'errors.ts': "import '../tools/x.ts'\n" }), [
      'src/errors.ts → tools/x.ts: outside of src/',
    ])
  })

  it('takes no notice of imports that are only spoken of', () => {
    const comment = "/**\n * import { x } from '../webhook/b.ts'\n */\n// import '../webhook/b.ts'\n"
    assert.deepEqual(check({ 'authn/a.ts': comment, 'webhook/b.ts': leaf }), [])
  })
})
