import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { doubtAbout, parseStoredHash } from '../../../src/authn/password-file/stored-hash.ts'

const SALT = 'c29tZXNhbHQ'
const TAG = 'kEfNQbPvk6Q7hokW6Jrvn1Mjb9kdT/I7OXVDKsviazk'
const BCRYPT = 'T9tmVOn7bh2SCenXftuVRudw9IEMxQaVLvmWWbApmxn6eTsKfWkSe'

const argon2 = (parameters: string, name = 'argon2id', version = 19) =>
  `$${name}$v=${version}$${parameters}$${SALT}$${TAG}`

describe('T-S4 a hash that asks for more work than a login gets', () => {
  const tooMuch: Readonly<Record<string, string>> = {
    [`$6$rounds=999999999$salt$${'.'.repeat(86)}`]: 'SHA-crypt with 999999999 rounds is more work',
    [`$5$rounds=700001$salt$${'.'.repeat(43)}`]: 'SHA-crypt with 700001 rounds is more work',
    [`$5$rounds=${'9'.repeat(400)}$salt$${'.'.repeat(43)}`]: 'is more work',
    [`$2y$31$${BCRYPT}`]: 'bcrypt with cost 31 is more work',
    [`$2b$16$${BCRYPT}`]: 'bcrypt with cost 16 is more work',
    [argon2('m=4194304,t=1,p=1')]: 'argon2id with m=4194304,t=1,p=1 is more work',
    [argon2('m=8,t=4294967295,p=1')]: 'is more work',
    [argon2('m=262144,t=5,p=1')]: 'is more work',
    [argon2('m=1024,t=1,p=255')]: 'is more work',
  }
  for (const [text, words] of Object.entries(tooMuch)) {
    test(`${text.slice(0, 30)} is refused with a remedy`, () => {
      const parsed = parseStoredHash(text)
      assert.ok(parsed.kind === 'problem')
      assert.ok(parsed.message.includes(words), parsed.message)
      assert.match(parsed.message, /\. Set the password again with `archway passwd`$/)
    })
  }

  test('the bounds themselves are taken', () => {
    for (const text of [
      `$6$rounds=700000$salt$${'.'.repeat(86)}`,
      `$2b$15$${BCRYPT}`,
      argon2('m=262144,t=4,p=16'),
      argon2('m=8,t=131072,p=1'),
    ]) {
      assert.equal(parseStoredHash(text).kind, 'hash', text)
    }
  })
})

describe('T-S5 what is no hash of a kind that is taken', () => {
  const refused = [
    '',
    'secret',
    'rqXexS6ZhobKA',
    '$1$saltsalt$2vnaRpHa6Jxjz5n83ok8Z0',
    '{SSHA}0c0blFTXXNuAMHECS4uxrj3ZieMoWImr',
    '$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7',
    argon2('m=1024,t=2,p=2', 'argon2i'),
    argon2('m=1024,t=2,p=2', 'argon2d'),
    argon2('m=1024,t=2,p=2', 'argon2id', 16),
    argon2('m=0,t=2,p=2'),
    argon2('m=1024,t=0,p=2'),
    argon2('m=1024,t=2,p=0'),
    argon2('m=-1024,t=2,p=2'),
    argon2('m=1e3,t=2,p=2'),
    argon2('m=1,t=2,p=4'),
    argon2('t=2,m=1024,p=2'),
    argon2('m=1024,t=2,p=2,keyid=AAAA'),
    argon2('m=1024,t=2,p=2').slice(0, -30),
    `${argon2('m=1024,t=2,p=2')}=`,
    `${argon2('m=1024,t=2,p=2')} `,
    `$2x$05$${BCRYPT}`,
    `$2$05$${BCRYPT}`,
    `$2y$+5$${BCRYPT}`,
    `$2y$03$${BCRYPT}`,
    `$2y$32$${BCRYPT}`,
    `$2y$05$${BCRYPT}x`,
    `$2y$05$${BCRYPT.slice(1)}`,
    `$5$salt$${'.'.repeat(86)}`,
    `$6$salt$${'.'.repeat(43)}`,
    `$6$$${'.'.repeat(86)}`,
    `$6$${'s'.repeat(17)}$${'.'.repeat(86)}`,
    `$6$rounds=999$salt$${'.'.repeat(86)}`,
    `$6$rounds=$salt$${'.'.repeat(86)}`,
    `$6$rounds=05000$salt$${'.'.repeat(86)}`,
    `$6$sa:lt$${'.'.repeat(86)}`,
    '$apr1$$JVi6CxZAmWVD5VQ/Tff7k0',
    '$apr1$saltsalts$JVi6CxZAmWVD5VQ/Tff7k0',
    '$apr1$saltsalt$JVi6CxZAmWVD5VQ/Tff7k',
    '{SHA}',
    '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ',
    '{SHA}!en6G6MezRroT3XKqkdPOmY/BfQ=',
  ]
  for (const text of refused) {
    test(`${text.slice(0, 40)} is refused`, () => assert.equal(parseStoredHash(text).kind, 'problem'))
  }

  test('T-S1 no text makes the reader throw, and no message quotes it', () => {
    const mark = fc.constantFrom('', '$argon2id$v=19$m=', '$2y$', '$5$', '$6$rounds=', '$apr1$', '{SHA}')
    fc.assert(
      fc.property(mark, fc.string({ unit: 'binary', minLength: 8 }), (before, text) => {
        const parsed = parseStoredHash(`${before}${text}`)
        if (parsed.kind === 'problem') assert.ok(!parsed.message.includes(text))
      }),
    )
  })
})

test('hashes of one cost have one effort, and quickly guessed ones are doubted', () => {
  const effort = (text: string) => {
    const parsed = parseStoredHash(text)
    return parsed.kind === 'hash' ? [parsed.stored.effort, doubtAbout(parsed.stored) !== undefined] : parsed
  }
  assert.deepEqual(effort(argon2('m=1024,t=2,p=2')), ['argon2id m=1024,t=2,p=2', false])
  assert.deepEqual(effort(`$2a$05$${BCRYPT}`), ['bcrypt 5', false])
  assert.deepEqual(effort(`$2y$05$${BCRYPT}`), ['bcrypt 5', false])
  assert.deepEqual(effort(`$6$salt$${'.'.repeat(86)}`), ['sha512-crypt 5000', false])
  assert.deepEqual(effort(`$6$rounds=5000$salt$${'.'.repeat(86)}`), ['sha512-crypt 5000', false])
  assert.deepEqual(effort('$apr1$saltsalt$JVi6CxZAmWVD5VQ/Tff7k0'), ['apr1', true])
  assert.deepEqual(effort('{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ='), ['sha1', true])
})
