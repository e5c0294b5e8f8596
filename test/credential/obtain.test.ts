/** The flow of a token: kept, refused, renewed, waited for. The contracts around it are played in memory. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { describeAccount, obtain } from '../../src/credential/obtain.ts'
import type { Terminal } from '../../src/credential/plan.ts'
import { ArchwayError, type ErrorCode } from '../../src/errors.ts'
import { Secret } from '../../src/secret.ts'
import {
  door,
  idTokens,
  keystoneToken,
  memoryStore,
  oidcPlan,
  PASSWORD_PLAN,
  play,
  settings,
  testClock,
} from './support.ts'

const refusal = new ArchwayError('login_refused', 'Keystone refuses the credentials of alice')

/** A Keystone that numbers its tokens. */
function numbering(clock = testClock(), seconds = 3600) {
  let number = 0
  const played = play({ issue: () => keystoneToken(`token-${++number}`, clock.now(), seconds) })
  return { clock, played, issued: () => number }
}

/** The person at the keyboard, with the answers. */
function person(answers: readonly string[]): { terminal: Terminal; readonly closed: () => number } {
  const left = [...answers]
  let closed = 0
  return {
    closed: () => closed,
    terminal: {
      async ask() {
        return left.shift() ?? ''
      },
      say() {},
      close() {
        closed++
      },
    },
  }
}

function code(expected: ErrorCode, message: RegExp = /./) {
  return (thrown: unknown): boolean => {
    assert.ok(thrown instanceof ArchwayError, String(thrown))
    assert.equal(thrown.code, expected)
    assert.match(thrown.message, message)
    return true
  }
}

describe('obtain', () => {
  test('logs in once, and gives others the kept token without asking anybody', async () => {
    const { clock, played } = numbering()
    const store = memoryStore()
    const first = await obtain(door({ played, clock, store }))
    assert.equal(first.token.reveal(), 'token-1')
    assert.deepEqual(played.calls, ['issue', 'close'])
    for (const pid of [8, 9]) {
      const again = await obtain(door({ played, clock, store, asker: { pid, started: '' } }))
      assert.equal(again.token.reveal(), 'token-1')
    }
    assert.deepEqual(played.calls, ['issue', 'close'])
    assert.equal(store.locks.held, 0)
  })

  test('a token within its margin is used up: a tenth of its life, at most a minute', async () => {
    for (const [life, good, over] of [
      [3600, 3539, 3541],
      [100, 89, 91],
    ] as const) {
      const { clock, played, issued } = numbering(testClock(), life)
      const store = memoryStore()
      const ask = (pid: number) => obtain(door({ played, clock, store, asker: { pid, started: '' } }))
      await ask(1)
      clock.pass(good)
      await ask(2)
      assert.equal(issued(), 1)
      clock.pass(over - good)
      await ask(3)
      assert.equal(issued(), 2)
    }
  })

  test('a client that asks again for a token it was given gets a new one, and so do the others after it', async () => {
    const { clock, played, issued } = numbering()
    const store = memoryStore()
    const ask = (pid: number) => obtain(door({ played, clock, store, asker: { pid, started: '' } }))
    await ask(1)
    assert.equal((await ask(1)).token.reveal(), 'token-2')
    assert.equal((await ask(2)).token.reveal(), 'token-2')
    assert.equal(issued(), 2)
  })

  test('v1alpha1 says outright that the token was refused', async () => {
    const { clock, played } = numbering()
    const store = memoryStore()
    await obtain(door({ played, clock, store, asker: { pid: 1, started: '' } }))
    const exec = { asked: true, refused: true }
    const again = await obtain(door({ played, clock, store, exec, asker: { pid: 2, started: '' } }))
    assert.equal(again.token.reveal(), 'token-2')
  })

  test('whoever is no Kubernetes client may ask as often as it likes', async () => {
    const { clock, played, issued } = numbering()
    const store = memoryStore()
    for (let i = 0; i < 3; i++) await obtain(door({ played, clock, store, exec: { asked: false, refused: false } }))
    assert.equal(issued(), 1)
  })

  test('--force logs in whatever is kept', async () => {
    const { clock, played } = numbering()
    const store = memoryStore()
    await obtain(door({ played, clock, store }))
    const forced = await obtain(door({ played, clock, store, force: true, asker: { pid: 9, started: '' } }))
    assert.equal(forced.token.reveal(), 'token-2')
  })

  test('T-S12 fifty at once are one login, whose token all of them get', async () => {
    const clock = testClock()
    let number = 0
    const played = play({
      async issue() {
        number++
        await new Promise((resolve) => setImmediate(resolve))
        return keystoneToken(`token-${number}`, clock.now())
      },
    })
    const store = memoryStore()
    const asking = Array.from({ length: 50 }, (_, pid) =>
      obtain(door({ played, clock, store, asker: { pid, started: '' } })),
    )
    const tokens = new Set((await Promise.all(asking)).map(({ token }) => token.reveal()))
    assert.deepEqual([...tokens], ['token-1'])
    assert.deepEqual([number, store.locks.held], [1, 0])
  })

  test('T-S12 the wrong password of fifty at once is sent once', async () => {
    const clock = testClock()
    const played = play({
      issue: () => {
        throw refusal
      },
    })
    const store = memoryStore()
    const asking = Array.from({ length: 50 }, () => obtain(door({ played, clock, store })))
    for (const result of await Promise.allSettled(asking)) {
      assert.equal(result.status, 'rejected')
      if (result.status === 'rejected')
        code('login_refused', /Keystone refuses the credentials of alice/)(result.reason)
    }
    assert.equal(played.calls.filter((call) => call === 'issue').length, 1)
    assert.equal(store.locks.held, 0)
  })

  test('a refusal is forgotten after ten seconds, and for other proofs and --force at once', async () => {
    const clock = testClock()
    let refuses = true
    const played = play({
      issue: () => {
        if (refuses) throw refusal
        return keystoneToken('token', clock.now())
      },
    })
    const store = memoryStore()
    const asks = () => played.calls.filter((call) => call === 'issue').length
    await assert.rejects(obtain(door({ played, clock, store })), code('login_refused'))
    clock.pass(9)
    await assert.rejects(obtain(door({ played, clock, store })), code('login_refused', /asked again in 1 s/))
    assert.equal(asks(), 1)
    clock.pass(1)
    await assert.rejects(obtain(door({ played, clock, store })), code('login_refused'))
    assert.equal(asks(), 2)
    await assert.rejects(obtain(door({ played, clock, store, force: true })), code('login_refused'))
    assert.equal(asks(), 3)
    refuses = false
    const [method] = PASSWORD_PLAN.provider === 'keystone' ? PASSWORD_PLAN.methods : []
    assert.ok(method?.method === 'password')
    const corrected = { ...PASSWORD_PLAN, methods: [{ ...method, password: new Secret('another') }] }
    const got = await obtain(door({ played, clock, store, settings: settings({ plan: corrected }) }))
    assert.equal(got.token.reveal(), 'token')
  })

  test('T-S1 what is remembered of a refusal does not hold the password, nor a fast hash of it', async () => {
    const clock = testClock()
    const played = play({
      issue: () => {
        throw refusal
      },
    })
    const stores = [memoryStore(), memoryStore()]
    const kept: string[] = []
    for (const store of stores) {
      await assert.rejects(obtain(door({ played, clock, store })))
      const [entry] = [...store.entries.values()]
      const text = JSON.stringify([entry, entry?.token.reveal()])
      assert.ok(!text.includes('canary'))
      kept.push(entry?.token.reveal() ?? '')
    }
    assert.notEqual(kept[0], kept[1])
    assert.match(kept[0] ?? '', /^[\w-]{22}\.[\w-]{43}$/)
  })

  test('could-not-tell is not remembered as a refusal', async () => {
    const clock = testClock()
    const played = play({
      issue: () => {
        throw new ArchwayError('keystone_unreachable', 'gone')
      },
    })
    const store = memoryStore()
    for (let i = 0; i < 2; i++) {
      await assert.rejects(obtain(door({ played, clock, store })), code('keystone_unreachable'))
    }
    assert.equal(played.calls.filter((call) => call === 'issue').length, 2)
    assert.equal(store.entries.size, 0)
  })

  test('a lock that does not come in time is an error of its own', async () => {
    const { clock, played } = numbering()
    const store = memoryStore()
    const lock = await store.lock(store.keyOf(settings().subject), 0)
    const asked = obtain(door({ played, clock, store, lockWaitMs: 0 }))
    await assert.rejects(asked, code('credential_locked', /another process is logging in/))
    assert.deepEqual(played.calls, [])
    await lock?.release()
  })

  test('warnings are told before a login, and not with a kept token', async () => {
    const { clock, played } = numbering()
    const store = memoryStore()
    const warned = settings({ warnings: ['any certificate is accepted'] })
    const first = door({ played, clock, store, settings: warned })
    await obtain(first)
    assert.deepEqual(first.warned, ['any certificate is accepted'])
    const second = door({ played, clock, store, settings: warned, asker: { pid: 9, started: '' } })
    await obtain(second)
    assert.deepEqual(second.warned, [])
  })
})

describe('obtain checks what it was given', () => {
  test('[C-14] an empty token and one with control characters are neither kept nor given', async () => {
    for (const bad of ['', 'a\nb', 'a b']) {
      const clock = testClock()
      const store = memoryStore()
      const played = play({ issue: () => keystoneToken(bad, clock.now()) })
      await assert.rejects(obtain(door({ played, clock, store })), code('credential_unusable'))
      assert.equal(store.entries.size, 0)
    }
  })

  test('a token that has expired when it comes is a wrong clock, and said to be', async () => {
    const clock = testClock()
    const store = memoryStore()
    const played = play({ issue: () => keystoneToken('token', clock.now(), -60) })
    await assert.rejects(
      obtain(door({ played, clock, store })),
      code('credential_unusable', /09:59:00.* clock of this machine says 2026-05-01T10:00:00/),
    )
    assert.equal(store.entries.size, 0)
  })
})

describe('obtain and the person', () => {
  const question = { prompt: 'Please enter password: ', hidden: true }
  const asking = settings({
    questions: [question],
    async plan(terminal) {
      if (terminal === undefined) throw new ArchwayError('credential_input_needed', 'the password is missing')
      await terminal.ask(question)
      return PASSWORD_PLAN
    },
  })

  test('asks what is missing, and gives the terminal back', async () => {
    const { clock, played } = numbering()
    const { terminal, closed } = person(['secret'])
    await obtain(door({ played, clock, settings: asking, openTerminal: async () => terminal }))
    assert.equal(closed(), 1)
  })

  test('where nobody can be asked, it says what is missing', async () => {
    const { clock, played } = numbering()
    await assert.rejects(
      obtain(door({ played, clock, settings: asking })),
      code('credential_input_needed', /the password is missing/),
    )
  })

  test('a kept token opens no terminal', async () => {
    const { clock, played } = numbering()
    const store = memoryStore()
    await obtain(door({ played, clock, store, settings: asking, openTerminal: async () => person(['x']).terminal }))
    const openTerminal = async (): Promise<never> => assert.fail('a terminal was opened')
    await obtain(door({ played, clock, store, settings: asking, openTerminal, asker: { pid: 9, started: '' } }))
  })

  test('T-S12 a signal at the prompt gives the terminal and the lock back', async () => {
    const { clock, played } = numbering()
    const store = memoryStore()
    const abort = new AbortController()
    const { terminal, closed } = person([])
    const silent = { ...terminal, ask: () => new Promise<never>(() => abort.abort()) }
    const asked = obtain(
      door({
        played,
        clock,
        store,
        settings: asking,
        openTerminal: async () => silent,
        context: { signal: abort.signal },
      }),
    )
    await assert.rejects(asked, code('credential_interrupted'))
    assert.deepEqual([closed(), store.locks.held, store.entries.size], [1, 0, 0])
    assert.deepEqual(played.calls, [])
  })

  test('T-S12 a signal while Keystone is asked ends the call and gives the lock back', async () => {
    const clock = testClock()
    const store = memoryStore()
    const abort = new AbortController()
    const played = play({ issue: () => new Promise(() => abort.abort()) })
    await assert.rejects(
      obtain(door({ played, clock, store, context: { signal: abort.signal } })),
      code('credential_interrupted'),
    )
    assert.deepEqual(played.calls, ['issue', 'close'])
    assert.deepEqual([store.locks.held, store.entries.size], [0, 0])
  })

  test('a browser needs somebody in front of it: nothing is begun where nobody is', async () => {
    for (const flow of ['device', 'code'] as const) {
      const clock = testClock()
      const played = play({})
      await assert.rejects(
        obtain(door({ played, clock, settings: settings({ plan: oidcPlan(flow) }) })),
        code('credential_input_needed', /archway login/),
      )
      assert.deepEqual(played.calls, [])
    }
  })
})

describe('obtain from an OpenID Connect issuer', () => {
  const { terminal } = person([])

  test('shows the device code on stderr, without what would steer a terminal', async () => {
    const clock = testClock()
    const played = play({
      oidc: {
        async deviceCode({ show }) {
          await show({
            userCode: 'ABCD-\x1b[31mEFGH',
            verificationUri: 'https://issuer.example/device',
            verificationUriComplete: 'https://issuer.example/device?user_code=ABCD\u202e',
            expiresAt: clock.now(),
          })
          return idTokens(clock.now())
        },
      },
    })
    const asked = door({
      played,
      clock,
      settings: settings({ plan: oidcPlan('device') }),
      openTerminal: async () => terminal,
    })
    const credential = await obtain(asked)
    assert.match(credential.token.reveal(), /id-canary$/)
    assert.equal(credential.expiresAt.toISOString(), '2026-05-01T11:00:00.000Z')
    assert.equal(credential.account['user'], 'alice')
    assert.match(asked.said.join('\n'), /https:\/\/issuer\.example\/device .* the code ABCD-\?\[31mEFGH/)
    assert.doesNotMatch(asked.said.join('\n'), /[\x1b\u202e]/)
  })

  test('opens a browser, or prints the address where there is none or none is wanted', async () => {
    for (const [browser, wanted, expected] of [
      [true, true, /browser window/],
      [false, true, /https:\/\/issuer\.example\/auth/],
      [true, false, /https:\/\/issuer\.example\/auth/],
    ] as const) {
      const clock = testClock()
      const played = play({
        browser,
        oidc: {
          async authorizationCode({ show }) {
            await show('https://issuer.example/auth?client_id=terminal')
            return idTokens(clock.now())
          },
        },
      })
      const asked = door({
        played,
        clock,
        settings: settings({ plan: oidcPlan('code') }),
        openTerminal: async () => terminal,
        context: { browser: wanted },
      })
      await obtain(asked)
      assert.match(asked.said.join('\n'), expected)
      assert.equal(played.calls.includes('openBrowser'), wanted)
    }
  })

  test('the refresh token brings the next one without anybody, and the one that came with it is kept', async () => {
    const clock = testClock()
    const store = memoryStore()
    const tokens = { ...idTokens(clock.now()), refreshToken: new Secret('refresh-1') }
    const played = play({
      oidc: {
        deviceCode: async () => tokens,
        async refresh(token) {
          assert.equal(token.reveal(), 'refresh-1')
          return { ...idTokens(clock.now()), refreshToken: new Secret('refresh-2') }
        },
      },
    })
    const plan = settings({ plan: oidcPlan('device') })
    await obtain(door({ played, clock, store, settings: plan, openTerminal: async () => terminal }))
    clock.pass(3590)
    const next = await obtain(door({ played, clock, store, settings: plan }))
    assert.equal(next.refreshToken?.reveal(), 'refresh-2')
    assert.deepEqual(played.calls, ['deviceCode', 'refresh'])
  })

  test('an issuer that gives no new refresh token leaves the old one good', async () => {
    const clock = testClock()
    const store = memoryStore()
    const { refreshToken, ...without } = idTokens(clock.now(), 7200)
    const played = play({ oidc: { deviceCode: async () => idTokens(clock.now()), refresh: async () => without } })
    const plan = settings({ plan: oidcPlan('device') })
    await obtain(door({ played, clock, store, settings: plan, openTerminal: async () => terminal }))
    clock.pass(3590)
    const next = await obtain(door({ played, clock, store, settings: plan }))
    assert.equal(next.refreshToken?.reveal(), refreshToken?.reveal())
  })

  test('a refresh token that is refused leads to a login; an issuer that is away does not', async () => {
    for (const [failure, expected] of [
      ['oidc_refused', ['deviceCode', 'refresh', 'deviceCode']],
      ['oidc_unreachable', ['deviceCode', 'refresh']],
    ] as const) {
      const clock = testClock()
      const store = memoryStore()
      const played = play({
        oidc: {
          deviceCode: async () => idTokens(clock.now()),
          async refresh() {
            throw new ArchwayError(failure, failure)
          },
        },
      })
      const plan = settings({ plan: oidcPlan('device') })
      const ask = () => obtain(door({ played, clock, store, settings: plan, openTerminal: async () => terminal }))
      await ask()
      clock.pass(3590)
      await ask().catch(code(failure))
      assert.deepEqual(played.calls, expected)
    }
  })

  test('an access token has its own expiry, or that of its claims, or cannot be used', async () => {
    const clock = testClock()
    const { accessToken, idToken } = idTokens(clock.now())
    const inTwoHours = new Date(clock.now().getTime() + 7_200_000)
    for (const [tokens, expected] of [
      [{ accessToken, expiresAt: inTwoHours }, inTwoHours.toISOString()],
      [{ accessToken: idToken ?? accessToken }, '2026-05-01T11:00:00.000Z'],
      [{ accessToken }, undefined],
    ] as const) {
      const played = play({ oidc: { deviceCode: async () => tokens } })
      const asked = obtain(
        door({
          played,
          clock,
          settings: settings({ plan: oidcPlan('device', 'access_token') }),
          openTerminal: async () => terminal,
        }),
      )
      if (expected === undefined) await assert.rejects(asked, code('oidc_answer_invalid', /how long/))
      else assert.equal((await asked).expiresAt.toISOString(), expected)
    }
  })

  test('through Keystone the access token of the issuer becomes a token of Keystone, also when it is refreshed', async () => {
    const clock = testClock()
    const store = memoryStore()
    let number = 0
    const played = play({
      federate(accessToken) {
        assert.equal(accessToken.reveal(), 'opaque-access-canary')
        return keystoneToken(`federated-${++number}`, clock.now())
      },
      oidc: { deviceCode: async () => idTokens(clock.now()), refresh: async () => idTokens(clock.now()) },
    })
    const plan = settings({
      plan: {
        provider: 'keystone-federation',
        endpoint: { url: 'https://keystone.example:5000' },
        identityProvider: 'company',
        protocol: 'openid',
        oidc: { issuer: 'https://issuer.example', clientId: 'terminal' },
        oidcFlow: { flow: 'device' },
        scope: { scope: 'default' },
      },
    })
    await obtain(door({ played, clock, store, settings: plan, openTerminal: async () => terminal }))
    clock.pass(3590)
    const next = await obtain(door({ played, clock, store, settings: plan }))
    assert.equal(next.token.reveal(), 'federated-2')
    assert.deepEqual(played.calls, ['deviceCode', 'federate', 'close', 'refresh', 'federate', 'close'])
  })
})

describe('a refresh token that is good for one use', () => {
  test('is replaced before Keystone is asked, which may be away', async () => {
    const clock = testClock()
    const store = memoryStore()
    let down = false
    const used: string[] = []
    const played = play({
      federate() {
        if (down) throw new ArchwayError('keystone_unreachable', 'gone')
        return keystoneToken('federated', clock.now())
      },
      oidc: {
        deviceCode: async () => ({ ...idTokens(clock.now()), refreshToken: new Secret('refresh-1') }),
        async refresh(token) {
          used.push(token.reveal())
          return { ...idTokens(clock.now()), refreshToken: new Secret(`refresh-${used.length + 1}`) }
        },
      },
    })
    const plan = settings({
      plan: {
        provider: 'keystone-federation',
        endpoint: { url: 'https://keystone.example:5000' },
        identityProvider: 'company',
        protocol: 'openid',
        oidc: { issuer: 'https://issuer.example', clientId: 'terminal' },
        oidcFlow: { flow: 'device' },
        scope: { scope: 'default' },
      },
    })
    const openTerminal = async () => person([]).terminal
    await obtain(door({ played, clock, store, settings: plan, openTerminal }))
    clock.pass(3590)
    down = true
    await assert.rejects(obtain(door({ played, clock, store, settings: plan })), code('keystone_unreachable'))
    down = false
    await obtain(door({ played, clock, store, settings: plan }))
    assert.deepEqual(used, ['refresh-1', 'refresh-2'])
  })
})

describe('T-S1 nothing secret', () => {
  test('is in what is traced, warned or said', async () => {
    const clock = testClock()
    const store = memoryStore()
    const played = play({ issue: () => keystoneToken('token-canary', clock.now()) })
    const lines: string[] = []
    for (const options of [{}, {}, { force: true }]) {
      const asked = door({ played, clock, store, ...options })
      await obtain(asked)
      lines.push(...asked.traced, ...asked.said, ...asked.warned)
    }
    assert.ok(lines.length > 3)
    assert.ok(!lines.join('\n').includes('canary'), lines.join('\n'))
  })
})

describe('describeAccount', () => {
  test('names the account as people know it', () => {
    const account = { user: 'alice', domain: 'Default', project: 'demo' }
    assert.equal(describeAccount({ account, subject: {} }), 'alice (domain Default), project demo')
    assert.equal(describeAccount({ account: {}, subject: { user: 'bob' } }), 'bob')
    assert.equal(describeAccount({ account: { user: 'a\u001b[31mb\u202e' }, subject: {} }), 'a?[31mb?')
  })
})
