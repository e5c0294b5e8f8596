import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startFakeKeystone } from '../support/fake-keystone.ts'
import { run, testIo } from './support.ts'

/** Starts the demonstration, waits until it is up, ends it as Ctrl-C does. */
async function demonstrate(env: Readonly<Record<string, string>> = {}): Promise<{ status: number; out: string }> {
  const io = testIo(env)
  const ended = run('archway', ['demo', '--listen', '127.0.0.1:0'], io)
  await io.said('Ctrl-C ends it.')
  io.signal('SIGINT')
  const { status, out } = await ended
  return { status, out }
}

describe('archway demo', () => {
  test('shows a review that is authenticated, one that is refused, and the lines to repeat them', async () => {
    const { status, out } = await demonstrate()
    assert.equal(status, 0)
    assert.match(out, /\nauthenticated \(HTTP 200, [\s\S]+\n {2}user {4}alice\n/)
    assert.match(out, /\nrefused \(HTTP 200, /)
    assert.equal(
      [...out.matchAll(/^curl --cacert \S+ -H 'Content-Type: application\/json' -d '\{.*\}' https:/gm)].length,
      2,
    )
  })

  test('with OS_AUTH_URL it asks that Keystone, and does not print the token', async () => {
    const keystone = await startFakeKeystone({
      users: { carol: { password: 'pw', project: 'ops', roles: ['member'], groups: ['k8s-ops'] } },
    })
    const env = { OS_AUTH_URL: keystone.url, OS_USERNAME: 'carol', OS_PASSWORD: 'pw', OS_PROJECT_NAME: 'ops' }
    const { status, out } = await demonstrate(env)
    await keystone.close()
    assert.equal(status, 0)
    assert.match(out, / user {4}carol\n/)
    assert.match(out, /"token":"'"\$OS_TOKEN"'"/)
    assert.equal(/gAAAAAB(?!no-such-token)/.test(out), false)
  })

  test('without credentials it says which variables are missing, and stays up', async () => {
    const keystone = await startFakeKeystone()
    const { status, out } = await demonstrate({ OS_AUTH_URL: keystone.url })
    await keystone.close()
    assert.equal(status, 0)
    assert.match(out, /set OS_TOKEN, or OS_USERNAME/)
  })
})
