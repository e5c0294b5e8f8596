import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'
import { compileExpression } from '../../../src/authn/mapping/expression.ts'
import { mapped } from '../../../src/authn/mapping/mapped.ts'
import { SIGNING_ALGORITHMS } from '../../../src/authn/oidc/algorithms.ts'
import { parseAuthenticationConfiguration } from '../../../src/authn/oidc/authentication-configuration.ts'
import { mappingOptions } from '../../../src/config/mapping-options.ts'
import { authenticationConfigurationSource, oidcSource } from '../../../src/config/oidc-source.ts'
import { authenticated, fakeAuthenticator } from '../support.ts'

const page = readFileSync(new URL('../../../docs/oidc.md', import.meta.url), 'utf8')
const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => text)

test('every block of docs/oidc.md is what it says', () => {
  const seen = blocks.map((text) => {
    if (text.includes('kind: AuthenticationConfiguration')) {
      assert.equal(parseAuthenticationConfiguration(text, 'docs').issuers.length, 1)
      return 'file'
    }
    const value = parse(text)
    if (text.startsWith('mapping:')) {
      mapped(
        fakeAuthenticator(() => authenticated()),
        mappingOptions.parse(value.mapping),
      )
      return 'mapping'
    }
    const [{ oidc, authenticationConfiguration }] = value
    if (oidc === undefined) authenticationConfigurationSource.parse(authenticationConfiguration)
    else oidcSource.parse(oidc)
    return 'source'
  })
  assert.deepEqual(seen, ['source', 'source', 'source', 'file', 'mapping'])
})

test('every option, algorithm and default is in docs/oidc.md', () => {
  for (const name of [...Object.keys(oidcSource.shape), ...SIGNING_ALGORITHMS])
    assert.ok(page.includes(`\`${name}\``), name)
  const given = oidcSource.parse({ issuer: 'https://x', audiences: ['a'] })
  const seconds = { leeway: '30s', timeout: '5s', refresh: '10m', cooldown: '10s', staleKeys: '4h' }
  const milliseconds = { leeway: 30_000, timeout: 5000, refresh: 600_000, cooldown: 10_000, staleKeys: 14_400_000 }
  for (const [name, text] of Object.entries(seconds))
    assert.match(page, new RegExp(`\\| \`${name}\` \\| \`${text}\` \\|`))
  for (const [name, value] of Object.entries(milliseconds)) assert.equal(Reflect.get(given, name), value)
})

test('what docs/oidc.md says is not supported is refused, and its tables name what is', () => {
  const [, list = ''] = /told at load: ([\s\S]*?)the\ntwo-variable loops/.exec(page) ?? []
  const names = [...list.matchAll(/`([\w.]+)`/g)].map(([, name = '']) => name)
  assert.ok(names.length > 15)
  for (const name of names) {
    for (const text of [`${name}(claims.a)`, `claims.a.${name}()`, `claims.a.${name}(x, x)`]) {
      assert.throws(
        () => compileExpression(text, { variables: 'claims', returns: 'strings' }),
        /not a function that is supported/,
        text,
      )
    }
  }
  const supported = [...page.matchAll(/^\| (?:functions|of \w+) \| (.*) \|$/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, name = '']) => name),
  )
  assert.ok(supported.length > 20)
  for (const name of supported) {
    const isKnown = [`${name}(claims.a)`, `claims.a.${name}()`].some((text) => {
      try {
        compileExpression(text, { variables: 'claims', returns: 'strings' })
        return true
      } catch (thrown) {
        return !String(thrown).includes('not a function that is supported')
      }
    })
    assert.ok(isKnown, name)
  }
})
