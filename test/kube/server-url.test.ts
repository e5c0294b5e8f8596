/** Addresses of API servers as they are configured (H11: they come from there and nowhere else). */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ArchwayError } from '../../src/errors.ts'
import { parseUpstreamUrl, parseUpstreamUrls } from '../../src/kube/server-url.ts'

describe('the URL of an API server', () => {
  for (const [text, name, host, port] of [
    ['https://10.0.0.1:6443', '10.0.0.1:6443', '10.0.0.1', 6443],
    ['https://10.0.0.1:6443/', '10.0.0.1:6443', '10.0.0.1', 6443],
    ['https://api.example', 'api.example:443', 'api.example', 443],
    ['https://api.example:443', 'api.example:443', 'api.example', 443],
    ['HTTPS://API.Example:6443', 'api.example:6443', 'api.example', 6443],
    ['https://api.example.:6443', 'api.example.:6443', 'api.example.', 6443],
    ['https://[fd00::1]:6443', '[fd00::1]:6443', 'fd00::1', 6443],
    ['https://[FD00:0:0:0:0:0:0:1]', '[fd00::1]:443', 'fd00::1', 443],
    ['https://0x7f.1:6443', '127.0.0.1:6443', '127.0.0.1', 6443], // as everything that reads URLs has it
  ] as const) {
    test(`${text} is ${name}`, () => assert.deepEqual(parseUpstreamUrl(text), { name, host, port }))
  }

  for (const [text, message] of [
    ['http://10.0.0.1:6443', /its scheme is not https/],
    ['10.0.0.1:6443', /it is not a URL|scheme/],
    ['api.example:6443', /its scheme is not https/],
    ['', /it is not a URL/],
    ['https://', /it is not a URL/],
    ['https:///api.example', /it has no host/],
    ['https:api.example', /it has no host/],
    ['https://api.example:0', /its port is 0/],
    ['https://api.example:65536', /it is not a URL/],
    ['https://kim:s3cret@api.example', /it has a user name in it; write https:\/\/api.example;/],
    ['https://@api.example', /it has a user name in it/],
    ['https://api.example?', /it has a query/],
    ['https://api.example/#', /it has a query or a fragment/],
    ['https://api.example:6443/k8s/clusters/c-1', /it has a path; write https:\/\/api.example:6443;/],
    ['https://api.example//', /it has a path/],
    ['https://api.example/.', /it has a path/],
    ['https://api.exa mple', /blanks/],
    ['https://api.example\\evil', /backslashes/],
    [' https://api.example', /blanks/],
  ] as const) {
    test(`${JSON.stringify(text)} is refused`, () => {
      assert.throws(
        () => parseUpstreamUrl(text),
        (error) => {
          assert(error instanceof ArchwayError && error.code === 'config_invalid')
          assert.match(error.message, message)
          return !error.message.includes('s3cret')
        },
      )
    })
  }
})

describe('several', () => {
  test('keep their order', () => {
    const names = parseUpstreamUrls(['https://b', 'https://a:6443', 'https://a']).map(({ name }) => name)
    assert.deepEqual(names, ['b:443', 'a:6443', 'a:443'])
  })

  test('that are one are refused, however they are written', () => {
    for (const [one, two] of [
      ['https://api.example', 'https://API.example:443/'],
      ['https://[::1]', 'https://[0:0::1]:443'],
    ] as const) {
      const message = /upstream .*:443 stands there twice/
      assert.throws(() => parseUpstreamUrls([one, two]), { code: 'config_invalid', message })
    }
  })

  test('cannot be none', () => {
    assert.throws(() => parseUpstreamUrls([]), { code: 'config_invalid', message: /at least one upstream/ })
  })
})
