import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ArchwayError } from '../../src/errors.ts'
import { parseKeystoneUrl } from '../../src/keystone/url.ts'

describe('a Keystone URL', () => {
  const good: readonly (readonly [string, string, string, boolean, boolean])[] = [
    // text, origin, path, versioned, insecure
    ['https://keystone.example', 'https://keystone.example', '', false, false],
    ['https://keystone.example/', 'https://keystone.example', '', false, false],
    ['https://keystone.example:5000', 'https://keystone.example:5000', '', false, false],
    ['https://keystone.example:5000/v3', 'https://keystone.example:5000', '/v3', true, false],
    ['https://keystone.example:5000/v3/', 'https://keystone.example:5000', '/v3', true, false],
    ['https://keystone.example:5000/v3//', 'https://keystone.example:5000', '/v3', true, false],
    ['https://keystone.example//v3', 'https://keystone.example', '/v3', true, false],
    ['https://keystone.example/identity', 'https://keystone.example', '/identity', false, false],
    ['https://keystone.example/identity/', 'https://keystone.example', '/identity', false, false],
    ['https://keystone.example/identity/v3', 'https://keystone.example', '/identity/v3', true, false],
    ['https://keystone.example:443/v3', 'https://keystone.example', '/v3', true, false],
    ['HTTPS://Keystone.Example/v3', 'https://keystone.example', '/v3', true, false],
    ['http://keystone.example:5000/v3', 'http://keystone.example:5000', '/v3', true, true],
    ['https://[fd00::1]:5000/v3', 'https://[fd00::1]:5000', '/v3', true, false],
    ['https://10.0.0.1:5000/v3', 'https://10.0.0.1:5000', '/v3', true, false],
    ['https://keystone.example/v3x', 'https://keystone.example', '/v3x', false, false],
    ['https://keystone.example/a/../v3', 'https://keystone.example', '/v3', true, false],
  ]
  for (const [text, origin, path, versioned, insecure] of good) {
    test(`is read: ${text}`, () => {
      const { hostname, ...read } = parseKeystoneUrl(text)
      assert.deepEqual(read, { origin, path, versioned, insecure })
      assert.equal(hostname, new URL(text).hostname)
    })
  }

  const bad: readonly (readonly [string, RegExp])[] = [
    ['', /not a URL; write it like https:/],
    ['keystone.example', /not a URL/],
    ['keystone.example:5000', /scheme is not https/],
    ['/v3', /not a URL/],
    ['ftp://keystone.example/v3', /scheme is not https/],
    ['file:///etc/passwd', /scheme is not https/],
    ['javascript:alert(1)', /scheme is not https/],
    ['https:/keystone.example/v3', /no host/],
    ['https:keystone.example', /no host/],
    ['https:///v3', /no host/],
    ['https://admin:hunter2@keystone.example/v3', /user name.*write https:\/\/keystone\.example;/],
    ['https://admin@keystone.example/v3', /user name/],
    ['https://@keystone.example/v3', /user name/],
    ['https://:@keystone.example/v3', /user name/],
    ['https://keystone.example/v3?hunter2', /query.*write https:\/\/keystone\.example\/v3$/],
    ['https://keystone.example/v3?', /query/],
    ['https://keystone.example/v3#hunter2', /fragment/],
    ['https://keystone.example/v3#', /fragment/],
    ['https://keystone.example:5000/v2.0', /v2\.0.*end it with \/v3/],
    ['https://keystone.example:5000/v2.0/', /v2\.0/],
    ['https://keystone.example:5000/identity/v2', /v2\.0/],
    ['https://keystone.example:5000/v3/auth/tokens', /goes on after \/v3; end it with \/v3/],
    [' https://keystone.example/v3', /blanks/],
    ['https://keystone.example/v3\n', /blanks/],
    ['https://keystone.example/v 3', /blanks/],
    ['https:\\\\keystone.example\\v3', /backslashes/],
    ['https://keystone.example:99999/v3', /not a URL/],
  ]
  for (const [text, message] of bad) {
    test(`is refused, with what to do: ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parseKeystoneUrl(text),
        (error) => {
          assert(error instanceof ArchwayError)
          assert.equal(error.code, 'config_invalid')
          assert.match(error.message, message)
          assert.doesNotMatch(error.message, /hunter2/)
          return true
        },
      )
    })
  }
})
