/** Login counters that replicas share, in a real Redis. */

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { after, afterEach, before, describe, test } from 'node:test'
import fc from 'fast-check'
import type { PasswordAuthenticator } from '../../src/authn/authenticator.ts'
import type { LoginCounters, Policy } from '../../src/authn/protection/counters.ts'
import { memoryCounters } from '../../src/authn/protection/memory-counters.ts'
import { protectedLogin } from '../../src/authn/protection/protected-login.ts'
import { sharedDigest } from '../../src/authn/protection/shared-digest.ts'
import { slots } from '../../src/authn/protection/slots.ts'
import { valkeyCounters } from '../../src/authn/protection/valkey-counters.ts'
import { ArchwayError } from '../../src/errors.ts'
import { Secret } from '../../src/secret.ts'
import { type Valkey, type ValkeyOptions, valkey, valkeyScript } from '../../src/valkey/valkey.ts'
import { countersContract } from '../authn/protection/counters-contract.ts'
import { clockAt, keysOf, play, SMALL, steps } from '../authn/protection/support.ts'
import { callContext, recordingLog } from '../support/context.ts'
import { startValkey, type ValkeyRig } from '../support/rigs.ts'

let rig: ValkeyRig
before(async () => {
  rig = await startValkey()
})
after(() => rig[Symbol.asyncDispose]())

const open: Valkey[] = []
afterEach(() => {
  for (const one of open.splice(0)) one.close()
})

/** Patient: what is tested is not how busy this machine is. */
function connect(over: Partial<ValkeyOptions> = {}): Valkey {
  const password = (): Secret => new Secret(rig.password)
  const connection = valkey({ url: rig.url, password, timeoutMs: 20_000, pauseMs: 0, ...over })
  open.push(connection)
  return connection
}

interface Replica {
  readonly counters: LoginCounters
  readonly log: ReturnType<typeof recordingLog>
  readonly fallbacks: () => number
}

function replica(
  connection: Valkey,
  { policy = SMALL, prefix, now }: { readonly policy?: Policy; readonly prefix: string; readonly now?: () => number },
): Replica {
  const log = recordingLog()
  let fallbacks = 0
  const counters = valkeyCounters({
    valkey: connection,
    memory: memoryCounters({ policy, entries: 1000, ...(now === undefined ? {} : { now }) }),
    policy,
    prefix,
    pendingMs: 60_000,
    onFallback: () => {
      fallbacks++
    },
    log,
    ...(now === undefined ? {} : { now }),
  })
  return { counters, log, fallbacks: () => fallbacks }
}

const newPrefix = (): string => `test:${randomUUID()}:`
/** A policy in which nothing expires while a test runs. */
const LASTING: Policy = {
  ...SMALL,
  pair: { ...SMALL.pair, firstDelayMs: 3_600_000, longestDelayMs: 3_600_000, forgetMs: 7_200_000 },
}

describe('login counters in Redis', () => {
  countersContract((policy) => {
    const clock = clockAt(1_700_000_000_000)
    return { counters: replica(connect(), { policy, prefix: newPrefix(), now: clock.now }).counters, clock }
  })

  test('T-S4 answer whatever is done as those in memory do', async () => {
    const connection = connect()
    await fc.assert(
      fc.asyncProperty(steps, async (todo) => {
        const [here, there] = [clockAt(1_700_000_000_000), clockAt(1_700_000_000_000)]
        const memory = memoryCounters({ policy: SMALL, entries: 1000, now: here.now })
        const { counters, fallbacks } = replica(connection, { prefix: newPrefix(), now: there.now })
        const expected = await play(memory, here, todo)
        const found = await play(counters, there, todo)
        assert.deepEqual(found.answers, expected.answers)
        assert.equal(fallbacks(), 0)
      }),
      { numRuns: 25 },
    )
  })

  test('T-S4 a thousand attempts at once at two replicas are no more than the free ones', async () => {
    const prefix = newPrefix()
    const replicas = [replica(connect(), { prefix }), replica(connect(), { prefix })]
    const admissions = await Promise.all(
      Array.from({ length: 1000 }, (_, i) => replicas[i % 2]?.counters.admit(keysOf('alice', '10.0.0.1'))),
    )
    const kinds = Map.groupBy(admissions, (admission) => admission?.kind)
    assert.equal(kinds.get('go')?.length, SMALL.pair.free)
    assert.equal(kinds.get('busy')?.length, 1000 - SMALL.pair.free)
  })

  test('T-S4 what fails at one replica is refused at the other, by the clock of the server', async () => {
    const prefix = newPrefix()
    const [one, two] = [
      replica(connect(), { policy: LASTING, prefix }),
      replica(connect(), { policy: LASTING, prefix }),
    ]
    for (const { counters } of [one, two]) {
      const admission = await counters.admit(keysOf('alice', '10.0.0.1'))
      assert.ok(admission.kind === 'go')
      await admission.settle('failed')
    }
    for (const { counters } of [one, two]) {
      const admission = await counters.admit(keysOf('alice', '10.0.0.1'))
      assert.ok(admission.kind === 'refused')
      assert.ok(admission.waitMs > 0 && admission.waitMs <= 3_600_000, String(admission.waitMs))
    }
  })

  test('T-S15 everything that lies on the server expires', async () => {
    const prefix = newPrefix()
    const { counters } = replica(connect(), { prefix })
    for (const [user, outcome] of [
      ['alice', 'failed'],
      ['bob', 'passed'],
      ['carol', undefined],
    ] as const) {
      const admission = await counters.admit(keysOf(user, '10.0.0.1'))
      assert.ok(admission.kind === 'go')
      if (outcome !== undefined) await admission.settle(outcome)
    }
    const keys = (await rig.cli('--scan', '--pattern', `${prefix}*`)).split('\n').filter(Boolean)
    assert.ok(keys.length >= 5, keys.join())
    for (const key of keys) assert.ok(Number(await rig.cli('PTTL', key)) > 0, key)
  })

  test('S4 need no more of the access list than docs/login-protection.md says', async () => {
    const docs = readFileSync(new URL('../../docs/login-protection.md', import.meta.url), 'utf8')
    const [rules = ''] = /~archway:login:\* \+eval[^`]*/.exec(docs) ?? []
    await rig.cli('ACL', 'SETUSER', 'archway', 'reset', 'on', '>archway-pw', ...rules.trim().split(/\s+/))
    const connection = connect({ username: 'archway', password: () => new Secret('archway-pw') })
    const { counters, fallbacks } = replica(connection, { prefix: 'archway:login:' })
    for (const outcome of ['failed', 'unknown', 'passed'] as const) {
      const admission = await counters.admit(keysOf('alice', '10.0.0.1'))
      assert.ok(admission.kind === 'go')
      await admission.settle(outcome)
    }
    for (let i = 0; i < 7; i++) {
      const admission = await counters.admit(keysOf('bob', `10.0.1.${i}`))
      if (admission.kind === 'go') await admission.settle('failed')
    }
    assert.equal(fallbacks(), 0)
    const other = replica(connection, { prefix: 'other:' })
    await other.counters.admit(keysOf('alice', '10.0.0.1'))
    assert.equal(other.fallbacks(), 1, 'the list does hold')
  })

  test('an operator lifts a lock by deleting its key', async () => {
    const prefix = newPrefix()
    const { counters } = replica(connect(), { policy: LASTING, prefix })
    for (let i = 0; i < 2; i++) {
      const admission = await counters.admit(keysOf('alice', '10.0.0.1'))
      assert.ok(admission.kind === 'go')
      await admission.settle('failed')
    }
    assert.equal((await counters.admit(keysOf('alice', '10.0.0.1'))).kind, 'refused')
    await rig.cli('DEL', `${prefix}pair:alice at 10.0.0.1`)
    assert.equal((await counters.admit(keysOf('alice', '10.0.0.1'))).kind, 'go')
  })
})

describe('a Redis that goes away', () => {
  test('T-S4 in the middle of an attack leaves nobody unprotected, and is used again when it is back', async () => {
    const prefix = newPrefix()
    const { counters, log, fallbacks } = replica(connect(), { policy: LASTING, prefix })
    const other = replica(connect(), { policy: LASTING, prefix })
    let checked = 0
    const guess = async (at: LoginCounters, user: string): Promise<string> => {
      const admission = await at.admit(keysOf(user, '10.0.0.1'))
      if (admission.kind === 'go') {
        checked++
        await admission.settle('failed')
      }
      return admission.kind
    }
    for (let i = 0; i < 50; i++) await guess(counters, 'alice')
    assert.equal(checked, 2)
    assert.equal(fallbacks(), 0)

    const dying = rig.kill()
    for (let i = 0; i < 50; i++) await guess(counters, 'alice')
    await dying
    for (let i = 0; i < 50; i++) await guess(counters, 'alice')
    assert.equal(checked, 2, 'what this replica saw still counts')
    assert.ok(fallbacks() > 0)
    for (let i = 0; i < 50; i++) await guess(counters, 'bob')
    assert.equal(checked, 4, 'and what comes now is counted')
    assert.equal(log.lines.filter(({ level }) => level === 'warn').length, 1)

    await rig.start()
    await until(async () => {
      const before = fallbacks()
      await guess(counters, 'alice')
      return fallbacks() === before
    })
    assert.equal(checked, 4)
    assert.equal(log.lines.at(-1)?.message, 'login counters are shared again')
    await until(async () => {
      const before = other.fallbacks()
      const kind = await guess(other.counters, 'alice')
      return other.fallbacks() === before && kind === 'refused'
    })
  })

  test('and does not answer costs the deadline once, then nobody waits', async () => {
    let time = 0
    const connection = connect({ timeoutMs: 300, pauseMs: 1000, now: () => time })
    const echo = valkeyScript('return ARGV[1]')
    const patient = connect()
    assert.equal(await patient.run(echo, [], ['there']), 'there')
    await until(async () => {
      time += 1001
      return (await connection.run(echo, [], ['there']).catch(() => '')) === 'there'
    })
    await rig.pause()
    try {
      await assert.rejects(connection.run(echo, [], ['1']), isUnreachable(/no answer within 300 ms/))
      for (let i = 0; i < 1000; i++) {
        await assert.rejects(connection.run(echo, [], ['1']), isUnreachable(/left alone for a moment/))
      }
      time += 1001
      const [first, second] = await Promise.allSettled([
        connection.run(echo, [], ['1']),
        connection.run(echo, [], ['1']),
      ])
      assert.ok(first.status === 'rejected' && /no answer/.test(String(first.reason)), 'one goes ahead')
      assert.ok(second.status === 'rejected' && /left alone/.test(String(second.reason)), 'the others do not wait')
    } finally {
      await rig.resume()
    }
    await until(async () => {
      time += 1001
      return (await connection.run(echo, [], ['back']).catch(() => '')) === 'back'
    })
  })
})

describe('the connection', () => {
  const echo = valkeyScript('return ARGV[1]')

  test('is made over TLS with the CA that is named, and with no other', async () => {
    const ca = readFileSync(rig.caFile)
    assert.equal(await connect({ url: rig.tlsUrl, ca }).run(echo, [], ['there']), 'there')
    await assert.rejects(
      connect({ url: rig.tlsUrl, timeoutMs: 2000 }).run(echo, [], ['']),
      isUnreachable(/certificate/),
    )
  })

  test('with a wrong password is an outage, told as what it is, until the password is right', async () => {
    let password = 'wrong'
    const connection = connect({ password: () => new Secret(password), timeoutMs: 2000 })
    await assert.rejects(connection.run(echo, [], ['']), isUnreachable(/WRONGPASS|NOAUTH/))
    password = rig.password
    await until(async () => (await connection.run(echo, [], ['there']).catch(() => '')) === 'there')
  })

  test('sends a script that the server does not know, or knows no more', async () => {
    const connection = connect()
    assert.equal(await connection.run(echo, [], ['1']), '1')
    await rig.cli('SCRIPT', 'FLUSH')
    assert.equal(await connection.run(echo, [], ['2']), '2')
  })
})

test('T-S4 T-S1 a login at two replicas: shared counts, and no name, address or password on the server', async () => {
  const secret = new Secret('0123456789abcdef0123456789abcdef')
  const prefix = newPrefix()
  let checked = 0
  const inner: PasswordAuthenticator = {
    name: 'ldap',
    async authenticate() {
      checked++
      return { kind: 'rejected', code: 'login_failed', source: 'ldap' }
    },
  }
  const logins = Array.from({ length: 2 }, () =>
    protectedLogin(inner, {
      counters: replica(connect(), { policy: LASTING, prefix }).counters,
      slots: slots({ slots: 2, queue: 10 }),
      digest: sharedDigest(secret),
      checkMs: 10_000,
    }),
  )
  for (let i = 0; i < 10; i++) {
    for (const login of logins) {
      const result = await login.authenticate(
        {
          username: i % 2 === 0 ? 'Canary-Alice' : 'ｃａｎａｒｙ-alice',
          password: `canary-pw-${i}`,
          address: '203.0.113.77',
        },
        callContext(),
      )
      assert.equal(result.kind, 'rejected')
    }
  }
  assert.equal(checked, 2)
  const keys = (await rig.cli('--scan', '--pattern', `${prefix}*`)).split('\n').filter(Boolean)
  assert.ok(keys.length >= 3)
  const contents = await Promise.all(keys.map((key) => rig.cli('DUMP', key)))
  assert.doesNotMatch([...keys, ...contents].join('\n'), /canary|alice|203\.0\.113/i)
})

/** Tries until it holds; what ends a test that never does is its time limit. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setImmediate(resolve))
}

function isUnreachable(cause: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof ArchwayError)
    assert.equal(error.code, 'valkey_unreachable')
    assert.match(error.message, cause)
    return true
  }
}
