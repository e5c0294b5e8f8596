/** Many calls at once, few connections, one deadline. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ArchwayError } from '../../src/errors.ts'
import { type Connection, openConnection } from '../../src/keystone/connection.ts'
import type { Attempt } from '../../src/keystone/deadline.ts'
import { createPool } from '../../src/keystone/pool.ts'
import { half, hang, reply, reset, type Script } from '../support/fake-keystone.ts'
import { assertNoCanary, CANARY, failure, newCall, setUp, until } from './support.ts'

describe('calls at the same time', () => {
  test('200 calls with 20 tokens: each gets the answer about its own token (D-03)', async (t) => {
    const { keystone, client } = await setUp(t, { connections: 8 })
    const users = Array.from({ length: 20 }, (_, n) => `user-${n}`)
    const tokens = users.map((user) => ({ user, token: keystone.issue({ user, groups: [`group-of-${user}`] }) }))
    const calls = Array.from({ length: 200 }, (_, n) => tokens[(n * 7) % tokens.length] ?? assert.fail())
    await Promise.all(
      calls.map(async ({ user, token }, n) => {
        if (n % 10 === 0) assert.equal(await client.validateToken(`${CANARY}${n}`, newCall()), undefined)
        assert.equal((await client.validateToken(token, newCall()))?.user.name, user)
        const groups = await client.listGroups(token, keystone.userId(user), newCall())
        assert.equal(groups.kind === 'listed' && groups.groups[0]?.name, `group-of-${user}`)
      }),
    )
    for (const { path, headers } of keystone.requests) {
      if (path.includes('/auth/tokens')) assert.equal(headers['x-auth-token'], headers['x-subject-token'])
      else assert.equal(headers['x-subject-token'], undefined)
    }
    assert.equal(keystone.requests.length, 420)
  })

  test('are never more than the cap, and use no more connections', async (t) => {
    const { keystone, client } = await setUp(t, { connections: 3 })
    keystone.always((request, response) => {
      setTimeout(() => reply(401, '', { 'WWW-Authenticate': 'Keystone' })(request, response), 2)
    })
    await Promise.all(Array.from({ length: 30 }, () => client.validateToken(CANARY, newCall())))
    assert.equal(keystone.inFlight.most, 3)
    assert.equal(keystone.connections, 3)
  })

  test('beyond the queue are busy at once, and the rest goes on', async (t) => {
    const { keystone, client, observed } = await setUp(t, { connections: 2, queue: 3 })
    const held: (() => void)[] = []
    keystone.always((request, response) => {
      held.push(() => reply(401, '', { 'WWW-Authenticate': 'Keystone' })(request, response))
    })
    const calls = Array.from({ length: 5 }, () => client.validateToken(CANARY, newCall()))
    await until(() => held.length === 2)
    const error = await failure(client.validateToken(CANARY, newCall()), 'keystone_busy', /^2 calls .* and 3 more wait/)
    assert.equal(error.retryAfter, 1)
    assert.equal(observed[0]?.outcome, 'keystone_busy')
    for (let n = 0; n < 5; n++) {
      await until(() => held.length > 0)
      held.shift()?.()
    }
    assert.deepEqual(await Promise.all(calls), Array.from({ length: 5 }))
  })

  test('a place in the queue is free again when its caller has gone', async (t) => {
    const { keystone, client } = await setUp(t, { connections: 1, queue: 1 })
    keystone.always(hang)
    const first = new AbortController()
    const second = new AbortController()
    const running = client.validateToken(CANARY, newCall(first.signal))
    const waiting = client.validateToken(CANARY, newCall(second.signal))
    await until(() => keystone.requests.length === 1)
    await failure(client.validateToken(CANARY, newCall()), 'keystone_busy')
    second.abort()
    await failure(waiting, 'keystone_timeout', /caller/)
    const third = client.validateToken(keystone.issue(), newCall())
    keystone.always(undefined)
    first.abort()
    await failure(running, 'keystone_timeout', /caller/)
    assert.notEqual(await third, undefined)
  })
})

describe('the deadline', () => {
  test('counts the time in line', async (t) => {
    const { keystone, client } = await setUp(t, { connections: 1, timeoutMs: 100 })
    keystone.always(hang)
    const [first, second] = [client.validateToken(CANARY, newCall()), client.validateToken(CANARY, newCall())]
    await failure(first, 'keystone_timeout', /no answer came/)
    await failure(second, 'keystone_timeout', /all connections were in use/)
  })

  test('is that of the caller, if that is earlier', async (t) => {
    const { keystone, client, observed } = await setUp(t)
    keystone.always(hang)
    const error = await failure(
      client.validateToken(CANARY, newCall(AbortSignal.timeout(50))),
      'keystone_timeout',
      /caller/,
    )
    assert(error.cause instanceof DOMException)
    assert.equal(observed[0]?.outcome, 'aborted')
  })

  test('of a caller that has gone before: nothing is asked', async (t) => {
    const { keystone, client } = await setUp(t)
    await failure(client.validateToken(CANARY, newCall(AbortSignal.abort())), 'keystone_timeout', /caller/)
    assert.equal(keystone.connections, 0)
  })

  test('keeps the reason of a caller that has one of ours', async (t) => {
    const { client } = await setUp(t)
    const signal = AbortSignal.abort(new ArchwayError('stopping', 'going down'))
    await failure(client.validateToken(CANARY, newCall(signal)), 'stopping')
  })

  for (const [name, script] of [
    ['before the answer', hang],
    ['within the answer', half('hang')],
  ] as const) {
    test(`a caller that goes ${name} ends the request at Keystone too`, async (t) => {
      const { keystone, client } = await setUp(t)
      keystone.script(script)
      const caller = new AbortController()
      const asked = client.validateToken(CANARY, newCall(caller.signal))
      await until(() => keystone.inFlight.now === 1)
      caller.abort()
      await failure(asked, 'keystone_timeout', /caller/)
      await until(() => keystone.open === 0)
      assert.notEqual(await client.validateToken(keystone.issue(), newCall()), undefined)
    })
  }

  test('leaves nothing behind on the caller: its signal may live long', async (t) => {
    const { keystone, client } = await setUp(t, { connections: 1 })
    const token = keystone.issue()
    let listeners = 0
    const signal = new AbortController().signal
    const { addEventListener, removeEventListener } = signal
    signal.addEventListener = function (this: AbortSignal, ...given: Parameters<typeof addEventListener>) {
      listeners++
      return addEventListener.apply(this, given)
    }
    signal.removeEventListener = function (this: AbortSignal, ...given: Parameters<typeof removeEventListener>) {
      listeners--
      return removeEventListener.apply(this, given)
    }
    await Promise.all(Array.from({ length: 5 }, () => client.validateToken(token, newCall(signal))))
    assert.equal(listeners, 0)
  })
})

describe('a connection', () => {
  test('is kept and used again', async (t) => {
    const { keystone, client } = await setUp(t)
    const token = keystone.issue()
    for (let n = 0; n < 5; n++) await client.validateToken(token, newCall())
    assert.equal(keystone.connections, 1)
  })

  test('that Keystone closed while it was idle is opened anew', async (t) => {
    const { keystone, client } = await setUp(t)
    const token = keystone.issue()
    for (let n = 1; n <= 5; n++) {
      assert.notEqual(await client.validateToken(token, newCall()), undefined)
      keystone.dropIdle()
    }
    assert.equal(keystone.connections, 5)
  })

  test('kept, and dead when used, is opened anew and the request repeated', async (t) => {
    const { keystone, client, observed } = await setUp(t)
    const token = keystone.issue()
    await client.validateToken(token, newCall())
    keystone.script(reset)
    assert.notEqual(await client.validateToken(token, newCall()), undefined)
    assert.deepEqual(
      keystone.requests.map(({ connection }) => connection),
      [1, 1, 2],
    )
    assert.deepEqual(
      observed.map(({ outcome }) => outcome),
      ['ok', 'ok'],
    )
  })

  test('is opened anew once, not twice', async (t) => {
    const { keystone, client } = await setUp(t)
    await client.validateToken(keystone.issue(), newCall())
    keystone.script(reset, reset)
    await failure(client.validateToken(CANARY, newCall()), 'keystone_unreachable')
    assert.equal(keystone.requests.length, 3)
  })

  test('that is new is not tried again', async (t) => {
    const { keystone, client } = await setUp(t)
    keystone.script(reset)
    await failure(client.validateToken(CANARY, newCall()), 'keystone_unreachable')
    assert.equal(keystone.requests.length, 1)
  })

  const begun: readonly (readonly [string, Script])[] = [
    ['a body', half('reset')],
    ['a few bytes of a head', (request) => request.socket.end('HTTP/1.1 200 O')],
  ]
  for (const [name, script] of begun) {
    test(`kept, that dies after ${name}, is not tried again`, async (t) => {
      const { keystone, client } = await setUp(t)
      await client.validateToken(keystone.issue(), newCall())
      keystone.script(script)
      await assert.rejects(client.validateToken(CANARY, newCall()))
      assert.equal(keystone.requests.length, 2)
    })
  }
})

describe('requests', () => {
  test('ask for what they need and carry no more', async (t) => {
    const { keystone, client } = await setUp(t, { userAgent: 'magnum/1 archway/0.1.0' })
    const token = keystone.issue()
    await client.validateToken(token, newCall())
    await client.listGroups(token, keystone.userId('alice'), newCall())
    await client.ping(newCall())
    const { host } = new URL(keystone.url)
    const common = {
      host,
      connection: 'keep-alive',
      accept: 'application/json',
      'user-agent': 'magnum/1 archway/0.1.0',
    }
    assert.deepEqual(
      keystone.requests.map(({ method, path, headers }) => ({ method, path, headers: { ...headers } })),
      [
        {
          method: 'GET',
          path: '/v3/auth/tokens?nocatalog',
          headers: { ...common, 'x-auth-token': token, 'x-subject-token': token },
        },
        {
          method: 'GET',
          path: `/v3/users/${keystone.userId('alice')}/groups`,
          headers: { ...common, 'x-auth-token': token },
        },
        { method: 'GET', path: '/v3/', headers: common },
      ],
    )
  })

  test('are all of the same client as tokens come and go', async (t) => {
    const { keystone, client } = await setUp(t)
    const token = keystone.issue({ project: 'demo', roles: ['reader', 'member'] })
    const found = await client.validateToken(token, newCall())
    assert.equal(found?.scope.kind === 'project' && found.scope.name, 'demo')
    assert.deepEqual(found?.roles, ['reader', 'member'])
    keystone.revoke(token)
    assert.equal(await client.validateToken(token, newCall()), undefined)
    assert.deepEqual(await client.listGroups(token, keystone.userId('alice'), newCall()), { kind: 'refused' })
    const expired = keystone.issue({ expiresAt: new Date(0) })
    assert.equal(await client.validateToken(expired, newCall()), undefined)
  })

  test('a User-Agent that cannot be sent is refused at once', async (t) => {
    for (const userAgent of ['', ' a', 'a\r\nX-Auth-Token: b', 'ä']) {
      await assert.rejects(setUp(t, { userAgent }), { code: 'config_invalid' })
    }
  })
})

describe('close', () => {
  test('lets calls under way and in line finish, and takes no more', async (t) => {
    const { keystone, client } = await setUp(t, { connections: 1 })
    let answer = () => {}
    keystone.script((request, response) => {
      answer = () => reply(401, '', { 'WWW-Authenticate': 'Keystone' })(request, response)
    })
    const running = client.validateToken(CANARY, newCall())
    const waiting = client.validateToken(keystone.issue(), newCall())
    await until(() => keystone.inFlight.now === 1)
    const closing = client.close()
    await failure(client.validateToken(CANARY, newCall()), 'stopping')
    answer()
    assert.equal(await running, undefined)
    assert.notEqual(await waiting, undefined)
    await closing
    await until(() => keystone.open === 0)
    await client.close()
  })

  test('of a client that was never used is nothing', async (t) => {
    const { keystone, client } = await setUp(t)
    await client.close()
    assert.equal(keystone.connections, 0)
  })
})

test('a pool whose connections cannot be made stays usable', async () => {
  let broken = true
  const connection: Connection = { broken: false, send: () => assert.fail(), close: async () => {} }
  const pool = createPool({
    connections: 1,
    queue: 0,
    open: () => {
      if (broken) throw new TypeError('no')
      return connection
    },
  })
  const { signal } = new AbortController()
  await assert.rejects(
    pool.run(signal, async () => 1),
    TypeError,
  )
  broken = false
  assert.equal(await pool.run(signal, async () => 2), 2)
  await pool.close()
})

test('a connector that fails at once fails the call, not the process', async () => {
  const connection = openConnection('http://127.0.0.1:9', () => {
    throw new TypeError('canary')
  })
  const attempt: Attempt = { signal: new AbortController().signal, phase: 'queue', enter: () => {} }
  await assert.rejects(connection.send({ path: '/', headers: {} }, attempt), TypeError)
  await connection.close()
})

test('what is observed has the names of calls and outcomes, and no more', async (t) => {
  const { keystone, client, observed } = await setUp(t, { url: 'http://127.0.0.1:9/v3' })
  const call = newCall()
  await failure(client.validateToken(CANARY, call), 'keystone_unreachable')
  await failure(client.listGroups(CANARY, 'u1', call), 'keystone_unreachable')
  await failure(client.ping(call), 'keystone_unreachable')
  assert.deepEqual(
    observed.map(({ call }) => call),
    ['validate', 'groups', 'version'],
  )
  for (const { seconds, ...rest } of observed) {
    assert(seconds > 0 && seconds < 10)
    assert.deepEqual(Object.keys(rest), ['call', 'outcome'])
  }
  assertNoCanary([observed, call.lines])
  assert.equal(keystone.connections, 0)
})
