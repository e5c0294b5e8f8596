/** What is decided about a request: as whose it is counted, and for how long. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Call } from '../../src/proxy/call.ts'
import type { ClientExchange } from '../../src/proxy/client/client.ts'
import { decide, type Judges } from '../../src/proxy/decide.ts'
import { createHygiene } from '../../src/proxy/hygiene/create.ts'
import type { RawHead } from '../../src/proxy/hygiene/hygiene.ts'
import { DEFAULT_LIMITS } from '../../src/proxy/limits.ts'
import { recordingLog } from '../reload/support.ts'
import { JANE } from './support/door.ts'

const head: RawHead = { protocol: 'HTTP/1.1', method: 'GET', target: '/api', headers: [['Host', 'localhost']] }

/** A client of that address; what else it can do is for nobody who decides. */
function clientAt(remoteAddress: string): ClientExchange {
  const part: Pick<ClientExchange, 'head' | 'remoteAddress'> = { head, remoteAddress }
  return part as ClientExchange
}

/** Everybody is let in; `admit` is told of whom, `release` of the end. */
function judgesWith(admit: (name: string) => void, release: () => void, rest: Partial<Judges> = {}): Judges {
  return {
    hygiene: createHygiene({ impersonation: 'refuse' }),
    identify: () => ({ kind: 'passed-on', authorization: 'Bearer token' }),
    authorizer: undefined,
    admission: {
      admit(name) {
        admit(name)
        return { kind: 'admitted', permit: { release } }
      },
      counts: () => ({ requests: 0, streams: 0, waiting: 0, users: 0 }),
    },
    limits: DEFAULT_LIMITS,
    certificateOf: () => undefined,
    now: () => 0,
    ...rest,
  }
}

/** Whom admission is asked about for a token that is passed on, by the address it comes from. */
async function countedAs(remoteAddress: string): Promise<string> {
  const names: string[] = []
  const judges = judgesWith((name) => void names.push(name), ignore)
  const decision = await decide(judges, clientAt(remoteAddress), { isLong: false }, new Call('r1', recordingLog(), []))
  assert.equal(decision?.kind, 'go')
  return names.join()
}

function ignore(): void {}

describe('a permit', () => {
  test('T-W14 is given back when the client leaves, although the authorizer never comes to an end', async () => {
    let released = 0
    const asked = Promise.withResolvers<void>()
    const judges = judgesWith(ignore, () => void released++, {
      identify: () => ({ kind: 'user', user: JANE, source: 'test' }),
      authorizer: {
        name: 'hung',
        authorize() {
          asked.resolve()
          return new Promise(ignore)
        },
      },
    })
    const call = new Call('r1', recordingLog(), [])
    void decide(judges, clientAt('192.0.2.1'), { isLong: false }, call)
    await asked.promise
    assert.equal(released, 0)
    call.end()
    assert.equal(released, 1)
  })
})

describe('a token that is passed on', () => {
  test('T-S4 is counted by network, so that nobody has a share for each address of one', async () => {
    assert.equal(await countedAs('2001:db8::1'), await countedAs('2001:db8::2:0:0:1'))
    assert.notEqual(await countedAs('2001:db8::1'), await countedAs('2001:db8:0:1::1'))
    assert.notEqual(await countedAs('192.0.2.1'), await countedAs('192.0.2.2'))
  })

  test('is counted alike whatever way its IPv4 address is written', async () => {
    assert.equal(await countedAs('::ffff:192.0.2.1'), await countedAs('192.0.2.1'))
  })

  test('is never counted as somebody of that name', async () => {
    assert.match(await countedAs('192.0.2.1'), /^\0/)
  })
})
