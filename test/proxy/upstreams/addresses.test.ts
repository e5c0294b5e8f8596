/** Which addresses the name of an API server may stand for, and which have gone (T-H11). */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  ADDRESS_REFUSED,
  type Addresses,
  addressesOf,
  GONE_MS,
  type LookupAll,
} from '../../../src/proxy/upstreams/addresses.ts'
import { handClock } from './support.ts'

interface Site {
  readonly addresses: Addresses
  readonly clock: ReturnType<typeof handClock>
  /** What the name server says; an error is thrown. */
  answer: readonly string[] | Error
  readonly asked: string[]
  gone: number
}

function site(host: string, answer: readonly string[] | Error): Site {
  const clock = handClock()
  const lookup: LookupAll = async (name) => {
    found.asked.push(name)
    if (found.answer instanceof Error) throw found.answer
    return found.answer.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
  }
  const onGone = (): void => void found.gone++
  const found: Site = { addresses: addressesOf({ host, clock, onGone, lookup }), clock, answer, asked: [], gone: 0 }
  return found
}

describe('T-H11 a name', () => {
  for (const [name, answer, allowed] of [
    ['api.example', ['203.0.113.7', '10.0.0.1', 'fd00::1'], ['203.0.113.7', '10.0.0.1', 'fd00::1']],
    ['api.example', ['127.0.0.1', '203.0.113.7'], ['203.0.113.7']],
    ['api.example', ['127.0.0.1'], undefined],
    ['api.example', ['127.255.0.9', '::1'], undefined],
    ['api.example', ['::ffff:127.0.0.1', '::ffff:169.254.169.254'], undefined],
    ['api.example', ['169.254.169.254', 'fe80::1', 'febf::1'], undefined],
    ['api.example', ['0.0.0.0', '0.1.2.3', '::'], undefined],
    ['api.example', [], undefined],
    ['localhost', ['127.0.0.1', '::1'], ['127.0.0.1', '::1']],
    ['LOCALHOST.', ['127.0.0.1'], ['127.0.0.1']],
    ['api.localhost', ['127.0.0.2', '169.254.0.1'], ['127.0.0.2']],
    ['localhost', ['169.254.169.254'], undefined],
    ['localhost.example', ['127.0.0.1'], undefined],
    ['notlocalhost', ['127.0.0.1'], undefined],
  ] as const) {
    test(`${name} at ${answer.join() || 'nothing'}: ${allowed?.join() ?? 'refused'}`, async () => {
      const found = site(name, answer).addresses.resolve()
      if (allowed === undefined) await assert.rejects(found, { code: ADDRESS_REFUSED })
      else assert.deepEqual(await found, allowed)
    })
  }

  test('is judged anew each time: one that is made to lead here later is refused then', async () => {
    const one = site('api.example', ['203.0.113.7'])
    assert.deepEqual(await one.addresses.resolve(), ['203.0.113.7'])
    one.answer = ['169.254.169.254']
    await assert.rejects(one.addresses.resolve(), { code: ADDRESS_REFUSED })
    one.answer = Object.assign(new Error('no answer'), { code: 'EAI_AGAIN' })
    await assert.rejects(one.addresses.resolve(), 'what was refused is not what a failed look-up falls back to')
  })

  test('is looked up once for all who ask at the same time, and again for the next', async () => {
    const one = site('api.example', ['203.0.113.7'])
    await Promise.all([one.addresses.resolve(), one.addresses.resolve(), one.addresses.resolve()])
    assert.equal(one.asked.length, 1)
    await one.addresses.resolve()
    assert.equal(one.asked.length, 2)
  })

  test('an address that was written is not looked up', async () => {
    for (const host of ['127.0.0.1', '169.254.7.7', '::1']) {
      const one = site(host, [])
      assert.deepEqual(await one.addresses.resolve(), [host])
      assert.deepEqual(one.asked, [])
    }
  })
})

describe('a name server', () => {
  const down = Object.assign(new Error('no answer'), { code: 'EAI_AGAIN' })

  test('that is down takes no API server away', async () => {
    const one = site('api.example', ['203.0.113.7'])
    await one.addresses.resolve()
    one.addresses.opened('203.0.113.7')
    one.answer = down
    await one.clock.pass(GONE_MS * 3)
    assert.deepEqual(await one.addresses.resolve(), ['203.0.113.7'])
    assert.equal(one.gone, 0)
  })

  test('that never answered is an error', async () => {
    await assert.rejects(site('api.example', down).addresses.resolve(), { code: 'EAI_AGAIN' })
  })
})

describe('an address that the name loses', () => {
  test('is told of once, when it has stayed away', async () => {
    const one = site('api.example', ['203.0.113.7'])
    await one.addresses.resolve()
    one.addresses.opened('203.0.113.7')
    one.answer = ['203.0.113.8']
    assert.deepEqual(await one.addresses.resolve(), ['203.0.113.8'], 'new connections go to the new one at once')
    assert.equal(one.gone, 0)
    await one.clock.pass(GONE_MS)
    for (let look = 0; look < 3; look++) await one.addresses.resolve()
    assert.equal(one.gone, 1)
  })

  test('is not gone where the answer only leaves it out now and then', async () => {
    const one = site('api.example', ['203.0.113.7'])
    await one.addresses.resolve()
    one.addresses.opened('203.0.113.7')
    for (let look = 0; look < 10; look++) {
      one.answer = look % 2 === 0 ? ['203.0.113.8'] : ['203.0.113.7']
      await one.clock.pass(GONE_MS / 2)
      await one.addresses.resolve()
    }
    assert.equal(one.gone, 0)
  })

  test('concerns nobody without an open connection to it', async () => {
    const one = site('api.example', ['203.0.113.7'])
    await one.addresses.resolve()
    const [first, second] = [one.addresses.opened('203.0.113.7'), one.addresses.opened('203.0.113.7')]
    one.answer = ['203.0.113.8']
    first()
    second()
    await one.clock.pass(GONE_MS * 2)
    await one.addresses.resolve()
    assert.equal(one.gone, 0)
  })
})

describe('an address that failed', () => {
  test('is tried after the others, until it succeeds', async () => {
    const one = site('api.example', ['203.0.113.1', '203.0.113.2', '203.0.113.3'])
    one.addresses.failed('203.0.113.1')
    assert.deepEqual(await one.addresses.resolve(), ['203.0.113.2', '203.0.113.3', '203.0.113.1'])
    one.addresses.opened('203.0.113.1')
    assert.deepEqual(await one.addresses.resolve(), ['203.0.113.1', '203.0.113.2', '203.0.113.3'])
  })
})
