import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseValkeyUrl } from '../../src/valkey/url.ts'

describe('an address of Valkey or Redis', () => {
  for (const [url, host, port, database, tls] of [
    ['rediss://redis.example', 'redis.example', 6379, 0, true],
    ['valkeys://redis.example:7000/3', 'redis.example', 7000, 3, true],
    ['redis://127.0.0.1:6380/', '127.0.0.1', 6380, 0, false],
    ['valkey://localhost', 'localhost', 6379, 0, false],
    ['redis://[::1]:1', '::1', 1, 0, false],
    ['rediss://[2001:db8::1]', '2001:db8::1', 6379, 0, true],
  ] as const) {
    test(`${url} is read`, () => assert.deepEqual(parseValkeyUrl(url), { host, port, database, tls }))
  }

  for (const [url, message] of [
    ['', /rediss:\/\/host/],
    ['https://redis.example', /rediss:\/\/host/],
    ['redis://', /rediss:\/\/host/],
    ['rediss://user@redis.example', /no user and no password/],
    ['rediss://:secret@redis.example', /no user and no password/],
    ['rediss://redis.example/db', /number of a database/],
    ['rediss://redis.example/0?x=1', /nothing after the database/],
    ['redis://redis.example', /use rediss/],
    ['redis://127.0.0.1.example', /use rediss/],
    ['redis://10.0.0.1', /use rediss/],
  ] as const) {
    test(`${url || 'nothing'} is refused`, () => {
      assert.throws(() => parseValkeyUrl(url), { code: 'config_invalid', message })
    })
  }

  test('a password in it is not repeated', () => {
    assert.throws(
      () => parseValkeyUrl('rediss://:canary@redis.example'),
      (error: unknown) => !/canary/.test(String(error)),
    )
  })

  test('without TLS another machine is talked to only where that is said', () => {
    assert.equal(parseValkeyUrl('redis://10.0.0.1', { allowPlain: true }).tls, false)
  })
})
