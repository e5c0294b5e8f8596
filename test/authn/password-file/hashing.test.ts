import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, describe, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { z } from 'zod'
import { hashPassword, passwordVerifier } from '../../../src/authn/password-file/hashing.ts'
import { parseStoredHash, type StoredHash, storedClear } from '../../../src/authn/password-file/stored-hash.ts'

const Vectors = z.object({
  vectors: z.array(z.object({ tool: z.string(), scheme: z.string(), password: z.string(), hash: z.string() })),
})

const verifier = passwordVerifier()
after(() => verifier.close())

function stored(text: string): StoredHash {
  const parsed = parseStoredHash(text)
  assert.ok(parsed.kind === 'hash', parsed.kind === 'problem' ? parsed.message : '')
  return parsed.stored
}

describe('hashes made by real tools', () => {
  const file = new URL('../../vectors/password-hash-vectors.json', import.meta.url)
  const { vectors } = Vectors.parse(JSON.parse(readFileSync(file, 'utf8')))
  for (const tool of new Set(vectors.map((vector) => vector.tool))) {
    test(`${tool}: the password matches, others do not`, async () => {
      for (const { scheme, password, hash } of vectors.filter((vector) => vector.tool === tool)) {
        const kept = stored(hash)
        assert.equal(kept.scheme, scheme)
        assert.equal(await verifier.matches(kept, password), true, `${password} ${hash}`)
        const others = [`${password.slice(0, -1)}~`, `~${password.slice(1)}`, '']
        for (const other of others) assert.equal(await verifier.matches(kept, other), false, `${other} ${hash}`)
      }
    })
  }

  test('are of every kind that is taken from a file', () => {
    const kinds = new Set(vectors.map(({ scheme }) => scheme))
    assert.deepEqual([...kinds].sort(), ['apr1', 'argon2id', 'bcrypt', 'sha1', 'sha256-crypt', 'sha512-crypt'])
  })
})

describe('new hashes', () => {
  test('T-S5 are argon2id by OWASP and bcrypt of cost 12, each with a salt of its own', async () => {
    const argon2 = await hashPassword('argon2id', 'correct horse')
    assert.match(argon2, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    assert.notEqual(argon2, await hashPassword('argon2id', 'correct horse'))
    assert.equal(await verifier.matches(stored(argon2), 'correct horse'), true)
    assert.equal(await verifier.matches(stored(argon2), 'correct horse '), false)
    const bcrypt = await hashPassword('bcrypt', 'correct horse')
    assert.match(bcrypt, /^\$2y\$12\$/)
    assert.equal(await verifier.matches(stored(bcrypt), 'correct horse'), true)
  })

  test('T-S5 bcrypt takes no password that it would read only in part', async () => {
    await assert.rejects(hashPassword('bcrypt', 'x'.repeat(73)))
  })
})

test('a password in clear is kept as a keyed digest of its own', async () => {
  const [one, other] = [storedClear('secret'), storedClear('secret')]
  assert.notDeepEqual(one, other)
  assert.ok(!JSON.stringify(one).includes('secret'))
  assert.equal(await verifier.matches(one, 'secret'), true)
  assert.equal(await verifier.matches(one, 'secre'), false)
  assert.equal(await verifier.matches(storedClear(''), ''), true)
})

test('T-S4 the event loop turns while hashes of every kind are computed', async () => {
  const slow = [
    '$6$rounds=100000$saltsalt$'.padEnd('$6$rounds=100000$saltsalt$'.length + 86, '.'),
    '$5$rounds=100000$saltsalt$'.padEnd('$5$rounds=100000$saltsalt$'.length + 43, '.'),
    await hashPassword('bcrypt', 'correct horse'),
    await hashPassword('argon2id', 'correct horse'),
  ]
  for (const hash of slow) {
    let done = false
    const verdict = verifier.matches(stored(hash), 'something else').finally(() => {
      done = true
    })
    let turns = 0
    for (; !done; turns++) await setImmediate()
    assert.equal(await verdict, false)
    assert.ok(turns > 10, `${hash.slice(0, 10)}: ${turns} turns`)
  }
})

test('a thread that was closed fails what waits, and the next job gets a new one', async () => {
  const own = passwordVerifier()
  const hash = stored(`$6$rounds=700000$saltsalt$${'.'.repeat(86)}`)
  const waiting = assert.rejects(own.matches(hash, 'x'), { code: 'internal' })
  own.close()
  await waiting
  const [quick] = [stored('$5$rounds=1000$abc$J8NFJMBN6YUuC3j2ZzWzYNfT7U/4CEBzuXyty5I1fX7')]
  assert.equal(await own.matches(quick, 'x'.repeat(32)), true)
  own.close()
})
