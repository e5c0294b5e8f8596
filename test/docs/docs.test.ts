import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { revocationBudget } from '../../src/authn/revocation.ts'
import { loadConfig } from '../../src/config/load.ts'
import { knownKeys } from '../../src/config/options.ts'
import { ERROR_CODES } from '../../src/errors.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const PAGES = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', ...globSync('docs/*.md', { cwd: ROOT })]

function read(page: string): string {
  return readFileSync(join(ROOT, page), 'utf8')
}

describe('documentation', () => {
  test('generated pages are what the code says', async () => {
    await promisify(execFile)(process.execPath, [join(ROOT, 'tools/docs.ts'), '--check'])
  })

  test('every error code has its row, and no row is without a code', () => {
    const documented = [...read('docs/errors.md').matchAll(/^\| `([a-z_]+)` \|/gm)].map(([, code]) => code)
    assert.deepEqual(documented, Object.keys(ERROR_CODES))
  })

  test('T-W8 the revocation time that is stated is the sum of the defaults', () => {
    const minimal = {
      server: { tls: { certFile: 'a', keyFile: 'b' } },
      authenticators: [{ keystone: { url: 'https://k' } }],
    }
    const { cache, kubernetes } = loadConfig({ file: { path: 'defaults', text: JSON.stringify(minimal) } })
    const { parts, totalMs } = revocationBudget({
      archwayMs: cache.ttl,
      apiserverWebhookMs: kubernetes.authenticationCacheTtl,
    })
    const page = read('docs/operations.md')
    assert.ok(page.includes(`at most **${totalMs / 1000} s** with the defaults`))
    for (const [name, ms] of [
      ['Archway', parts.archway],
      ["kube-apiserver's webhook cache", parts.apiserverWebhook],
      ["kube-apiserver's token cache", parts.apiserverTokens],
    ] as const) {
      assert.ok(page.includes(`| ${name} | ${ms / 1000} s |`), name)
    }
  })

  test('the configuration files shown are configurations', () => {
    for (const page of PAGES) {
      for (const [, text = ''] of read(page).matchAll(/```yaml\n([\s\S]*?)```/g)) {
        if (!/^(server|authenticators):/m.test(text)) continue
        assert.doesNotThrow(() => loadConfig({ file: { path: page, text } }))
      }
    }
  })

  test('the sources shown are sources, and one of each kind is', () => {
    const server = { tls: { certFile: 'a', keyFile: 'b' } }
    const shown = [...read('docs/identity.md').matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => parse(text))
    for (const authenticators of shown) {
      const text = JSON.stringify({ server, authenticators })
      assert.doesNotThrow(() => loadConfig({ file: { path: 'docs/identity.md', text } }))
    }
    const [all] = shown
    const kinds = knownKeys(['authenticators', '0']).filter((key) => key !== 'mapping')
    assert.deepEqual(Object.keys(Object.assign({}, ...all)).sort(), [...kinds].sort())
  })

  test('the example configuration is one', () => {
    const { authenticators } = loadConfig({
      file: { path: 'examples/archway.yaml', text: read('examples/archway.yaml') },
    })
    assert.deepEqual(
      authenticators.map((source) => Object.keys(source)),
      [['tokenFile'], ['keystone']],
    )
  })

  test('links lead somewhere', () => {
    for (const page of PAGES) {
      for (const [, target = ''] of read(page).matchAll(/\]\(([^)#]+)[^)]*\)/g)) {
        if (/^https?:/.test(target)) continue
        assert.ok(existsSync(join(ROOT, dirname(page), target)), `${page} → ${target}`)
      }
    }
  })
})
