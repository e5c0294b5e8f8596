import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import type { DeviceInstructions } from '../../src/oidc/oidc-client.ts'
import { Secret } from '../../src/secret.ts'
import { startOidcIssuer } from '../rigs/oidc-issuer.ts'
import { clientOf, rejects, steppingClock } from './support.ts'

const issuer = await startOidcIssuer()
after(() => issuer[Symbol.asyncDispose]())

/** Shows nothing, and tells the user code to whoever waits for it. */
function screen() {
  const { promise, resolve } = Promise.withResolvers<DeviceInstructions>()
  return { show: resolve, instructions: promise }
}

describe('device code flow', () => {
  it('shows the instructions and gets tokens once the person has agreed', async () => {
    const { show, instructions } = screen()
    const clock = steppingClock(async () => issuer.approveDevice((await instructions).userCode, 'alice'))
    const tokens = await clientOf(issuer, { refreshable: true }, clock).deviceCode({ show })
    const shown = await instructions
    assert.equal(shown.verificationUri, `${issuer.issuer}/device`)
    assert.equal(shown.verificationUriComplete, `${issuer.issuer}/device?user_code=${shown.userCode}`)
    assert.match(shown.userCode, /^[A-Z]{4}-[A-Z]{4}$/)
    assert.ok(shown.expiresAt > new Date(Date.now() + 500_000))
    assert.equal(tokens.claims?.['sub'], 'alice')
    assert.deepEqual(tokens.claims?.['groups'], ['k8s-devs'])
    assert.equal(tokens.idToken?.reveal().split('.').length, 3)
    assert.ok(tokens.refreshToken !== undefined && tokens.expiresAt !== undefined)
    assert.equal(String(tokens.accessToken), '[redacted]')
  })

  it('asks at the interval of the issuer, and 5 s less often after each slow_down', async () => {
    const { show, instructions } = screen()
    const answers = ['slow_down', 'authorization_pending', 'slow_down']
    const stopInterval = issuer.tamper('device_authorization', { after: (body) => ({ ...body, interval: 2 }) })
    const stopAnswers = issuer.tamper('token', {
      before: (_request, response) => {
        const error = answers.shift()
        if (error !== undefined)
          response.writeHead(400, { 'content-type': 'application/json' }).end(`{"error":"${error}"}`)
        return error !== undefined
      },
    })
    const clock = steppingClock(async (sleeps) => {
      if (sleeps === 4) await issuer.approveDevice((await instructions).userCode, 'bob')
    })
    const tokens = await clientOf(issuer, {}, clock).deviceCode({ show })
    stopInterval()
    stopAnswers()
    assert.deepEqual(clock.slept, [2000, 7000, 7000, 12_000])
    assert.equal(tokens.claims?.['email_verified'], false)
  })

  it('asks every 5 s where the issuer names no interval, and never without one', async () => {
    const { show, instructions } = screen()
    const stop = issuer.tamper('device_authorization', { after: (body) => ({ ...body, interval: 0.001 }) })
    const hasty = steppingClock(async () => issuer.approveDevice((await instructions).userCode, 'alice'))
    await clientOf(issuer, {}, hasty).deviceCode({ show })
    stop()
    assert.deepEqual(hasty.slept, [1000])

    const second = screen()
    const plain = steppingClock(async () => issuer.approveDevice((await second.instructions).userCode, 'alice'))
    await clientOf(issuer, {}, plain).deviceCode({ show: second.show })
    assert.deepEqual(plain.slept, [5000])
  })

  it('ends when the person refuses', async () => {
    const { show, instructions } = screen()
    const clock = steppingClock(async () => issuer.denyDevice((await instructions).userCode))
    await rejects(
      clientOf(issuer, {}, clock).deviceCode({ show }),
      'oidc_refused',
      /access_denied.*the login was refused/,
    )
  })

  it('ends when the device code has expired, by its own clock', async () => {
    const before = issuer.requests('token')
    const clock = steppingClock()
    await rejects(clientOf(issuer, {}, clock).deviceCode({ show: () => {} }), 'oidc_timeout', /device code expired/)
    assert.equal(
      clock.slept.reduce((sum, ms) => sum + ms, 0),
      600_000,
    )
    assert.equal(issuer.requests('token') - before, 119)
  })

  it('ends when the issuer says that the device code has expired', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const stop = issuer.tamper('device_authorization', { after: (body) => ({ ...body, expires_in: 6000 }) })
    const clock = steppingClock(() => t.mock.timers.setTime(Date.now() + 700_000))
    await rejects(clientOf(issuer, {}, clock).deviceCode({ show: () => {} }), 'oidc_timeout', /expired_token/)
    stop()
  })

  it('lives through a short outage of the issuer, asking less often', async () => {
    const { show, instructions } = screen()
    const clock = steppingClock(async (sleeps) => {
      if (sleeps === 1) await issuer.stop()
      if (sleeps === 3) {
        await issuer.start()
        await issuer.approveDevice((await instructions).userCode, 'carol')
      }
    })
    const tokens = await clientOf(issuer, {}, clock).deviceCode({ show })
    assert.equal(tokens.claims?.['sub'], 'carol')
    assert.deepEqual(clock.slept, [5000, 10_000, 20_000])
  })

  it('counts failures in a row only', async () => {
    const { show, instructions } = screen()
    let asked = 0
    const stop = issuer.tamper('token', {
      before: (_request, response) => {
        asked++
        if (asked !== 5 && asked < 10) response.writeHead(503).end()
        return asked !== 5 && asked < 10
      },
    })
    const clock = steppingClock(async (sleeps) => {
      if (sleeps === 6) await issuer.approveDevice((await instructions).userCode, 'bob')
    })
    const tokens = await clientOf(issuer, {}, clock).deviceCode({ show })
    stop()
    assert.equal(tokens.claims?.['sub'], 'bob')
    assert.equal(asked, 10)
  })

  it('gives up an issuer that stays away: unreachable, not refused', async () => {
    const clock = steppingClock(async (sleeps) => {
      if (sleeps === 1) await issuer.stop()
    })
    await rejects(clientOf(issuer, {}, clock).deviceCode({ show: () => {} }), 'oidc_unreachable', /ECONNREFUSED/)
    await issuer.start()
    assert.deepEqual(clock.slept, [5000, 10_000, 20_000, 40_000, 60_000])
  })

  it('ends at once when it is broken off, between two questions', async () => {
    const controller = new AbortController()
    const login = clientOf(issuer).deviceCode({ show: () => controller.abort(), signal: controller.signal })
    await rejects(login, 'credential_interrupted', /broken off/)
  })

  it('ends at once when it is broken off while the issuer is silent', async () => {
    const controller = new AbortController()
    const stop = issuer.tamper('token', {
      before: () => {
        controller.abort()
        return true
      },
    })
    const login = clientOf(issuer, {}, steppingClock()).deviceCode({ show: () => {}, signal: controller.signal })
    await rejects(login, 'credential_interrupted', /broken off/)
    stop()
  })

  it('asks nothing when it was broken off before it began', async () => {
    const before = issuer.requests()
    const login = clientOf(issuer).deviceCode({ show: () => {}, signal: AbortSignal.abort() })
    await rejects(login, 'credential_interrupted', /broken off/)
    assert.equal(issuer.requests(), before)
  })

  it('ends with the error of what shows the instructions', async () => {
    const broken = new Error('no screen')
    await assert.rejects(
      clientOf(issuer).deviceCode({ show: () => Promise.reject(broken) }),
      (error) => error === broken,
    )
  })

  it('does not wait for what shows the instructions', async () => {
    const { show, instructions } = screen()
    const clock = steppingClock(async () => issuer.approveDevice((await instructions).userCode, 'alice'))
    const tokens = await clientOf(issuer, {}, clock).deviceCode({
      show: (shown) => {
        show(shown)
        return new Promise(() => {})
      },
    })
    assert.equal(tokens.claims?.['sub'], 'alice')
  })

  it('shows nothing that a terminal or a browser could take for something else', async () => {
    const hostile: readonly [Record<string, unknown>, RegExp][] = [
      [{ user_code: 'AB\u001b[2J' }, /user_code/],
      [{ user_code: 'AB\u202eCD' }, /user_code/],
      [{ user_code: 'A'.repeat(101) }, /user_code/],
      [{ verification_uri: 'javascript:alert(1)' }, /verification_uri is no https address/],
      [{ verification_uri: 'http://issuer.example/device' }, /verification_uri is no https address/],
      [{ verification_uri: '--version' }, /verification_uri is no https address/],
      [{ verification_uri_complete: 'file:///etc/passwd' }, /verification_uri_complete is no https address/],
    ]
    for (const [change, message] of hostile) {
      const stop = issuer.tamper('device_authorization', { after: (body) => ({ ...body, ...change }) })
      const show = () => assert.fail('shown')
      await rejects(clientOf(issuer).deviceCode({ show }), 'oidc_answer_invalid', message)
      stop()
    }
  })

  it('names another way where the issuer has no device code flow', async () => {
    const stop = issuer.tamper('discovery', { after: ({ device_authorization_endpoint: _, ...body }) => body })
    await rejects(
      clientOf(issuer).deviceCode({ show: () => {} }),
      'oidc_answer_invalid',
      /no device code flow.*browser/,
    )
    stop()
  })

  it('works with the secret of a confidential client, and not with a wrong one', async () => {
    const { show, instructions } = screen()
    const clock = steppingClock(async () => issuer.approveDevice((await instructions).userCode, 'alice'))
    const right = { clientId: 'service', clientSecret: new Secret('service-secret') }
    const tokens = await clientOf(issuer, right, clock).deviceCode({ show })
    assert.equal(tokens.claims?.['aud'], 'service')
    const wrong = { clientId: 'service', clientSecret: new Secret('wrong-secret') }
    const error = await rejects(
      clientOf(issuer, wrong).deviceCode({ show: () => {} }),
      'oidc_refused',
      /invalid_client/,
    )
    assert.doesNotMatch(error.message, /wrong-secret/)
  })
})
