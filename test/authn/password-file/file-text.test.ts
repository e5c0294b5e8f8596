import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { formatOf, textOf } from '../../../src/authn/password-file/file-text.ts'

const ARGON2 = '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$kEfNQbPvk6Q7hokW6Jrvn1Mjb9kdT/I7OXVDKsviazk'

describe('the format of a password file', () => {
  const formats: Readonly<Record<string, 'csv' | 'htpasswd'>> = {
    '': 'htpasswd',
    '\n# nobody yet\n': 'htpasswd',
    [`jane:${ARGON2}\n`]: 'htpasswd',
    [`# people\n\n   \njane:${ARGON2}\r\nbob:{SHA}x\r\n`]: 'htpasswd',
    'bob:$apr1$x,y,z$': 'htpasswd',
    'bob:$2y$05$a,b,c': 'htpasswd',
    'bob:rqXexS6ZhobKA\n': 'htpasswd',
    'bob:secret,x\n': 'htpasswd',
    'secret,bob,1\n': 'csv',
    'a:b,bob,1,"x,y"\n': 'csv',
    '$2y$05$abc,bob,1\n': 'csv',
    secret: 'csv',
    '"secret",bob': 'csv',
  }
  for (const [text, format] of Object.entries(formats)) {
    test(`${JSON.stringify(text)} is ${format}`, () => assert.equal(formatOf(text, 'f'), format))
  }

  test('lines of both kinds are refused, with the remedy', () => {
    for (const text of [
      `jane:${ARGON2}\nsecret,bob,1\n`,
      'secret,bob,1\nbob:rqXexS6ZhobKA',
      `x,u,i\na:${ARGON2},u,i`,
    ]) {
      assert.throws(() => formatOf(text, '/f'), { code: 'file_invalid', message: /^\/f: has lines of .* `format`$/ })
    }
  })

  test('what is not UTF-8 is refused', () => {
    assert.throws(() => textOf(Buffer.from([0x66, 0xfc]), '/f'), {
      code: 'file_invalid',
      message: /^\/f: is not UTF-8/,
    })
  })
})
