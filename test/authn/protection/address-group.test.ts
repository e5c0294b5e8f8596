import assert from 'node:assert/strict'
import { isIPv6 } from 'node:net'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { addressGroup } from '../../../src/authn/protection/address-group.ts'

describe('an address group', () => {
  for (const [address, group] of [
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::FFFF:cb00:7107', '203.0.113.7'],
    ['0:0:0:0:0:ffff:203.0.113.7', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2:0:0:0:0/64'],
    ['2001:DB8:1:2::', '2001:db8:1:2:0:0:0:0/64'],
    ['2001:db8::1', '2001:db8:0:0:0:0:0:0/64'],
    ['::1', '0:0:0:0:0:0:0:0/64'],
    ['::', '0:0:0:0:0:0:0:0/64'],
    ['64:ff9b::203.0.113.7', '64:ff9b:0:0:0:0:0:0/64'],
    ['fe80::1%eth0', 'fe80:0:0:0:0:0:0:0/64'],
    [undefined, 'none'],
    ['', 'unknown'],
    ['localhost', 'unknown'],
    ['203.0.113.7, 10.0.0.1', 'unknown'],
  ] as const) {
    test(`T-S4 of ${address} is ${group}`, () => assert.equal(addressGroup(address), group))
  }

  test('is as wide as is said', () => {
    assert.equal(addressGroup('2001:db8:1234:56ff::1', 56), '2001:db8:1234:5600:0:0:0:0/56')
    assert.equal(addressGroup('2001:db8:1234:56ff::1', 48), '2001:db8:1234:0:0:0:0:0/48')
    assert.equal(addressGroup('203.0.113.7', 48), '203.0.113.7')
  })

  test('T-S4 is one for all addresses of a /64, however they are written, and another for the next one', () => {
    fc.assert(
      fc.property(fc.ipV6(), fc.bigInt(0n, 2n ** 64n - 1n), (address, host) => {
        fc.pre(isIPv6(address))
        const group = addressGroup(address)
        fc.pre(group.endsWith('/64'))
        const network = group.split(':').slice(0, 4).join(':')
        const rest = host.toString(16).padStart(16, '0').match(/.{4}/g)?.join(':')
        assert.equal(addressGroup(`${network}:${rest}`), group)
        const [first = '', ...others] = network.split(':')
        const next = [(Number.parseInt(first, 16) ^ 1).toString(16), ...others].join(':')
        assert.notEqual(addressGroup(`${next}:${rest}`), group)
      }),
    )
  })
})
