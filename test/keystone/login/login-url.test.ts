import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ArchwayError } from '../../../src/errors.ts'
import { parseLoginUrl } from '../../../src/keystone/login/login-url.ts'

describe('the version is a path segment, wherever people stopped copying', () => {
  const table: readonly (readonly [string, string, boolean])[] = [
    ['https://keystone.example:5000', '', false],
    ['https://keystone.example:5000/', '', false],
    ['https://keystone.example:5000/v3', '/v3', true],
    ['https://keystone.example:5000/v3/', '/v3', true],
    ['https://keystone.example:5000/V3', '/v3', true],
    ['https://keystone.example:5000/v3/auth/tokens', '/v3', true],
    ['https://keystone.example:5000/v3//auth/', '/v3', true],
    ['https://keystone.example:5000/v2.0', '/v3', true],
    ['https://keystone.example:5000/v2.0/', '/v3', true],
    ['https://keystone.example:5000/identity', '/identity', false],
    ['https://keystone.example:5000/identity/v3', '/identity/v3', true],
    ['https://keystone.example:5000/srv1/identity/v3', '/srv1/identity/v3', true],
    ['https://keystone.example:5000/v1/identity/v3', '/v1/identity/v3', true],
    ['https://v3.example:5000/identity', '/identity', false],
    ['https://keystone.example:5000/v3beta', '/v3beta', false],
    ['HTTPS://KEYSTONE.example:5000/v3', '/v3', true],
  ]
  for (const [text, path, versioned] of table) {
    test(text, () => {
      const url = parseLoginUrl(text)
      assert.deepEqual([url.path, url.versioned], [path, versioned])
      assert.match(url.origin, /^https:\/\/(keystone|v3)\.example:5000$/)
    })
  }
})

describe('what cannot be an address is refused, and not repeated', () => {
  const table = [
    '',
    'canary',
    'ftp://canary/v3',
    'https://u:canary@host/v3',
    'https://host/v3?canary',
    'https:///v3',
    'https://host /v3/canary',
  ]
  for (const text of table) {
    test(text, () => {
      assert.throws(
        () => parseLoginUrl(text),
        (error) =>
          error instanceof ArchwayError && error.code === 'config_invalid' && !error.message.includes('canary'),
      )
    })
  }
})
