/** What is kept comes back, and nothing else does. */

import assert from 'node:assert/strict'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Asker } from '../../../src/credential/cache/store.ts'
import { Secret } from '../../../src/secret.ts'
import { credentialOf, filesOf, filled, inCache, newHome, openIn, SUBJECT } from './cache-rig.ts'

const KUBECTL: Asker = { pid: 4242, started: '1234567' }
const NAME = /^[\w-]{43}$/

describe('an entry', () => {
  it('comes back as it was written, to any process', async () => {
    const home = newHome()
    const written = credentialOf('token\n"ü"', { refreshToken: new Secret('refresh') })
    const key = openIn(home).keyOf(SUBJECT)
    await openIn(home).write(key, written)
    const read = await openIn(home).read(key)
    assert.ok(read)
    assert.deepEqual({ ...read, token: '', refreshToken: '' }, { ...written, token: '', refreshToken: '' })
    assert.equal(read.token.reveal(), 'token\n"ü"')
    assert.equal(read.refreshToken?.reveal(), 'refresh')
  })

  it('has no refresh token when it was written without', async () => {
    const { store, key } = await filled()
    assert.equal(Object.hasOwn((await store.read(key)) ?? {}, 'refreshToken'), false)
  })

  it('is replaced whole', async () => {
    const { home, store, key } = await filled('a longer token than the next')
    await store.write(key, credentialOf('short'))
    assert.equal((await store.read(key))?.token.reveal(), 'short')
    assert.deepEqual([...filesOf(inCache(home)).keys()].sort(), [`${key}.json`, 'key'].sort())
  })

  it('is filed under its subject, in whatever order that stands', () => {
    const store = openIn(newHome())
    assert.equal(store.keyOf({ a: '1', b: '2' }), store.keyOf({ b: '2', a: '1' }))
    const others = [{}, { a: '1' }, { a: '12', b: '' }, { a: '1', b: '2', c: '' }, { 'a":"1","b': '2' }]
    for (const other of others) assert.notEqual(store.keyOf(other), store.keyOf({ a: '1', b: '2' }))
  })

  it('is not written under the name of another subject, nor read from there', async () => {
    const { home, store, key } = await filled()
    const other = store.keyOf({ provider: 'keystone', user: 'bob' })
    copyFileSync(inCache(home, `${key}.json`), inCache(home, `${other}.json`))
    assert.equal(await store.read(other), undefined)
    await store.write(other, credentialOf('x'))
    assert.match(store.problem() ?? '', /not filed under its own subject/)
    assert.match(filesOf(inCache(home)).get(`${other}.json`) ?? '', /the-token/)
  })

  it('is listed and removed, with what lies beside it', async () => {
    const { home, store, key } = await filled()
    const bob = { provider: 'keystone', user: 'bob' }
    await store.write(store.keyOf(bob), credentialOf('bobs', { subject: bob }))
    await store.served(key, credentialOf('the-token'), KUBECTL)
    writeFileSync(inCache(home, 'notes.json'), '{}', { mode: 0o600 })
    const listed = await store.list()
    assert.deepEqual(listed.map(({ credential }) => credential.token.reveal()).sort(), ['bobs', 'the-token'])
    for (const { key } of listed) await store.remove(key)
    assert.deepEqual(await store.list(), [])
    assert.deepEqual([...filesOf(inCache(home)).keys()].sort(), ['key', 'notes.json'])
    await store.remove(key) // there is nothing any more
    assert.equal(store.problem(), undefined)
  })

  it('that cannot be removed is told of: a logout has not logged out', async () => {
    const { home, store, key } = await filled()
    renameSync(inCache(home, `${key}.json`), inCache(home, 'moved'))
    mkdirSync(inCache(home, `${key}.json`))
    await store.remove(key)
    assert.match(store.problem() ?? '', /\.json cannot be removed: /)
  })

  it('keeps nothing outside of its folder, whatever the key', async () => {
    const { home, store } = await filled()
    writeFileSync(inCache(home, '..', 'victim.json'), '{}', { mode: 0o600 })
    for (const key of ['../victim', '', '.', 'x'.repeat(44), `${'x'.repeat(43)}\n`]) {
      assert.equal(await store.read(key), undefined)
      await store.remove(key)
      await store.served(key, credentialOf('x'), KUBECTL)
      assert.equal(await store.wasServed(key, credentialOf('x'), KUBECTL), false)
      await assert.rejects(store.lock(key, 0), TypeError)
    }
    assert.ok(existsSync(inCache(home, '..', 'victim.json')))
  })

  it('too long to be read is not written', async () => {
    const { store, key } = await filled()
    await store.write(key, credentialOf('x'.repeat(300_000)))
    assert.equal((await store.read(key))?.token.reveal(), 'the-token')
    assert.match(store.problem() ?? '', /of 300\d\d\d bytes is too long/)
  })

  it('with a date that is none is not written, and costs no login', async () => {
    const { store, key } = await filled()
    await store.write(key, credentialOf('x', { expiresAt: new Date(Number.NaN) }))
    assert.equal((await store.read(key))?.token.reveal(), 'the-token')
    assert.ok(store.problem())
  })
})

describe('T-S12: what is no entry', () => {
  it('is a miss, whatever its bytes, and is replaced', async () => {
    const { home, store, key } = await filled()
    const file = inCache(home, `${key}.json`)
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.uint8Array({ maxLength: 400 }), fc.json().map(Buffer.from)), async (bytes) => {
        writeFileSync(file, bytes, { mode: 0o600 })
        assert.equal(await store.read(key), undefined)
      }),
    )
    await store.write(key, credentialOf('new'))
    assert.equal((await store.read(key))?.token.reveal(), 'new')
    assert.equal(store.problem(), undefined)
  })

  it('is a miss when it is half an entry, or one and more', async () => {
    const { home, store, key } = await filled()
    const file = inCache(home, `${key}.json`)
    const whole = readFileSync(file)
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(file, whole.subarray(0, length), { mode: 0o600 })
      assert.equal(await store.read(key), undefined, `${length} bytes`)
    }
    for (const more of ['}', '\0', whole]) {
      writeFileSync(file, Buffer.concat([whole, Buffer.from(more)]), { mode: 0o600 })
      assert.equal(await store.read(key), undefined)
    }
    writeFileSync(file, whole, { mode: 0o600 })
    assert.ok(await store.read(key), 'the whole one is an entry')
  })

  it('is a miss when any member is missing, of another type, or one too many', async () => {
    const { home, store, key } = await filled()
    const file = inCache(home, `${key}.json`)
    const good = JSON.parse(readFileSync(file, 'utf8'))
    const spoilt: object[] = [
      [good],
      { ...good, version: 2 },
      { ...good, more: '' },
      { ...good, __proto__: null, token: '' },
    ]
    for (const member of Object.keys(good)) {
      for (const value of [undefined, null, 7, '', {}, [], { a: 1 }, 'now', '2030-01-02', true]) {
        const isFine = (member === 'account' && JSON.stringify(value) === '{}') || isText(member, value)
        if (!isFine) spoilt.push({ ...good, [member]: value })
      }
    }
    for (const value of [null, 7, '', {}]) spoilt.push({ ...good, refreshToken: value })
    for (const entry of spoilt) {
      writeFileSync(file, JSON.stringify(entry), { mode: 0o600 })
      assert.equal(await store.read(key), undefined, JSON.stringify(entry))
    }
    function isText(member: string, value: unknown): boolean {
      return typeof value === 'string' && (member === 'expiresAtText' || (member === 'token' && value !== ''))
    }
  })

  it('is no way to change what objects have: __proto__ is a name like others', async () => {
    const home = newHome()
    const store = openIn(home)
    const subject: Record<string, string> = JSON.parse('{"__proto__":"x","constructor":"y"}')
    const key = store.keyOf(subject)
    await store.write(key, credentialOf('t', { subject, account: subject }))
    assert.deepEqual(Object.entries((await store.read(key))?.subject ?? {}), Object.entries(subject))
  })
})

describe('T-S1: a secret', () => {
  it('stands in the file of its entry and nowhere else: no name, lock, key, list of askers or problem', async () => {
    const [token, refresh, identity] = ['canary-token', 'canary-refresh', 'canary-identity']
    const { home, store } = await filled()
    const subject = { ...SUBJECT, token: store.digest(new Secret(identity)) }
    const key = store.keyOf(subject)
    const credential = credentialOf(token, { refreshToken: new Secret(refresh), subject })
    await store.write(key, credential)
    await store.served(key, credential, KUBECTL)
    const lock = await store.lock(key, 0)
    writeFileSync(inCache(home, `${key}.lock.x`), '')
    await store.write(store.keyOf({}), credential) // a problem
    const files = filesOf(inCache(home))
    assert.equal([...files.keys()].filter((name) => name.startsWith(key)).length, 4)
    const said = [...files.keys(), key, store.problem()].join('\n')
    for (const [name, content] of files) {
      const secrets = content.match(/canary-\w+/g) ?? []
      assert.deepEqual(secrets, name === `${key}.json` ? [token, refresh] : [], name)
    }
    assert.doesNotMatch(said, /canary|alice|keystone/)
    await lock?.release()
  })

  it('has a digest that depends on the folder, and is not the name of any subject', () => {
    const [here, there] = [openIn(newHome()), openIn(newHome())]
    const secret = new Secret('s')
    assert.match(here.digest(secret), NAME)
    assert.match(here.keyOf({}), NAME)
    assert.notEqual(here.digest(secret), there.digest(secret))
    assert.notEqual(here.keyOf({}), there.keyOf({}))
    assert.notEqual(here.digest(new Secret('[]')), here.keyOf({}))
    assert.notEqual(here.digest(secret), here.digest(new Secret('t')))
  })
})

describe('who was served', () => {
  it('is known to every process, for this token and this asker alone', async () => {
    const { home, store, key } = await filled()
    const credential = credentialOf('the-token')
    assert.equal(await store.wasServed(key, credential, KUBECTL), false)
    await store.served(key, credential, KUBECTL)
    await store.served(key, credential, { pid: 7, started: '' })
    assert.equal(await openIn(home).wasServed(key, credential, KUBECTL), true)
    assert.equal(await store.wasServed(key, credential, { pid: 7, started: '' }), true)
    const others = [
      { ...KUBECTL, pid: 424 },
      { ...KUBECTL, started: '123456' },
      { pid: 7, started: '1' },
      { pid: 4242, started: '' },
    ]
    for (const other of others) assert.equal(await store.wasServed(key, credential, other), false)
    assert.equal(await store.wasServed(key, credentialOf('another'), KUBECTL), false)
  })

  it('is forgotten with the token', async () => {
    const { home, store, key } = await filled()
    await store.served(key, credentialOf('the-token'), KUBECTL)
    await store.write(key, credentialOf('next'))
    assert.equal(filesOf(inCache(home)).has(`${key}.served`), false)
    assert.equal(await store.wasServed(key, credentialOf('the-token'), KUBECTL), false)
  })

  it('is one line, whatever the system calls a start', async () => {
    const { home, store, key } = await filled()
    const odd = { pid: 1, started: 'Thu 1 Jan\n4242 1234567' }
    await store.served(key, credentialOf('t'), odd)
    assert.equal(filesOf(inCache(home)).get(`${key}.served`)?.split('\n').length, 2)
    assert.equal(await store.wasServed(key, credentialOf('t'), odd), true)
    assert.equal(await store.wasServed(key, credentialOf('t'), KUBECTL), false)
  })

  it('does not grow for ever', async () => {
    const { home, store, key } = await filled()
    const file = inCache(home, `${key}.served`)
    writeFileSync(file, `${'x'.repeat(65_000)}\n`, { mode: 0o600 })
    const sizes = []
    for (let pid = 1; pid <= 40; pid++) {
      await store.served(key, credentialOf('t'), { pid, started: '' })
      assert.equal(await store.wasServed(key, credentialOf('t'), { pid, started: '' }), true)
      sizes.push(statSync(file).size)
    }
    assert.ok(Math.max(...sizes) < 66_000 && Math.min(...sizes) < 100, sizes.join(' '))
  })
})

it('T-S12: what killed writers have left is swept when it is old, and nothing else', async () => {
  const { home, store, key } = await filled()
  const old = Date.now() / 1000 - 3_600
  for (const name of ['tmp-0123456789abcdef', 'tmp-0123456789abcdeg', 'tmp-short', 'other']) {
    writeFileSync(inCache(home, name), 'canary', { mode: 0o600 })
    if (name !== 'tmp-0123456789abcdeg') utimesSync(inCache(home, name), old, old)
  }
  await store.write(key, credentialOf('next'))
  const left = [...filesOf(inCache(home)).keys()].filter((name) => /^tmp|^other/.test(name))
  assert.deepEqual(left.sort(), ['other', 'tmp-0123456789abcdeg', 'tmp-short'])
})
