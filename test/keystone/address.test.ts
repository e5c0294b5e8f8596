/** Which addresses a host name may stand for (T-H11). */
import assert from 'node:assert/strict'
import type { LookupAddress } from 'node:dns'
import { describe, test } from 'node:test'
import { ADDRESS_REFUSED, guardedLookup, type LookupAll } from '../../src/keystone/address.ts'
import { CANARY, failure, newCall, setUp } from './support.ts'

const answering =
  (...addresses: readonly string[]): LookupAll =>
  (_hostname, options, callback) => {
    assert.equal(options.all, true)
    const found = addresses.map((address): LookupAddress => ({ address, family: address.includes(':') ? 6 : 4 }))
    setImmediate(() => callback(null, found))
  }

function resolve(hostname: string, lookup: LookupAll, allowLoopback = false): Promise<string[] | string> {
  return new Promise((done) => {
    guardedLookup({ lookup, allowLoopback })(hostname, { all: true }, (error, addresses) => {
      if (error) done(error.code ?? 'error')
      else done(Array.isArray(addresses) ? addresses.map(({ address }) => address) : [addresses])
    })
  })
}

describe('a host name', () => {
  const table: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ['keystone.example', ['203.0.113.7'], ['203.0.113.7']],
    ['keystone.example', ['10.0.0.1', 'fd00::1', '192.168.1.1'], ['10.0.0.1', 'fd00::1', '192.168.1.1']],
    ['keystone.example', ['127.0.0.1', '203.0.113.7'], ['203.0.113.7']],
    ['keystone.example', ['127.0.0.1'], []],
    ['keystone.example', ['127.255.0.9', '::1'], []],
    ['keystone.example', ['::ffff:127.0.0.1', '::ffff:169.254.169.254'], []],
    ['keystone.example', ['169.254.169.254', 'fe80::1', 'febf::1'], []],
    ['keystone.example', ['0.0.0.0', '0.1.2.3', '::'], []],
    ['keystone.example', [], []],
    ['localhost', ['127.0.0.1', '::1'], ['127.0.0.1', '::1']],
    ['LOCALHOST.', ['127.0.0.1'], ['127.0.0.1']],
    ['keystone.localhost', ['127.0.0.1'], ['127.0.0.1']],
    ['localhost', ['169.254.169.254'], []],
    ['localhost.example', ['127.0.0.1'], []],
    ['notlocalhost', ['127.0.0.1'], []],
  ]
  for (const [name, addresses, allowed] of table) {
    test(`${name} at ${addresses.join() || 'nothing'}: ${allowed.join() || 'refused'}`, async () => {
      const got = await resolve(name, answering(...addresses))
      assert.deepEqual(got, allowed.length === 0 ? ADDRESS_REFUSED : allowed)
    })
  }

  test('may be allowed to lead to loopback, and still not to link-local', async () => {
    assert.deepEqual(await resolve('controller', answering('127.0.1.1', '169.254.169.254'), true), ['127.0.1.1'])
  })

  test('is resolved to one address where one is asked for', async () => {
    const lookup = guardedLookup({ lookup: answering('127.0.0.1', 'fd00::7') })
    const got = await new Promise((done) => {
      lookup('keystone.example', {}, (error, address, family) => done([error, address, family]))
    })
    assert.deepEqual(got, [null, 'fd00::7', 6])
  })

  test('of this machine is found by the real resolver', async () => {
    const found = await new Promise((done) =>
      guardedLookup({})('localhost', { all: true }, (_error, list) => done(list)),
    )
    assert(Array.isArray(found) && found.length > 0)
  })
})

describe('the client', () => {
  test('goes to an address in the URL, and to localhost', async (t) => {
    const { keystone, client } = await setUp(t)
    assert.notEqual(await client.validateToken(keystone.issue(), newCall()), undefined)
    const { client: named } = await setUp(t, { url: keystone.url.replace('127.0.0.1', 'localhost') })
    assert.notEqual(await named.validateToken(keystone.issue(), newCall()), undefined)
  })

  test('does not go to a name that has become an address of this machine', async (t) => {
    const { keystone } = await setUp(t)
    const { port } = new URL(keystone.url)
    let address = '127.0.0.1'
    const { client } = await setUp(t, {
      url: `http://keystone.example:${port}/v3`,
      allowLoopback: false,
      lookup: (hostname, options, callback) => answering(address)(hostname, options, callback),
    })
    const text = /loopback or link-local addresses only; if that is meant, write the address itself into the URL/
    await failure(client.validateToken(CANARY, newCall()), 'keystone_unreachable', text)
    address = '169.254.169.254'
    await failure(client.validateToken(CANARY, newCall()), 'keystone_unreachable', text)
    assert.equal(keystone.connections, 0)
  })

  test('goes there where the operator allows it', async (t) => {
    const { keystone } = await setUp(t)
    const url = keystone.url.replace('127.0.0.1', 'controller')
    const { client } = await setUp(t, { url, allowLoopback: true, lookup: answering('127.0.0.1') })
    assert.notEqual(await client.validateToken(keystone.issue(), newCall()), undefined)
  })
})
