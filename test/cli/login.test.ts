/** archway login, logout and whoami: a token for a person to have, to give back, and to show around. */

import assert from 'node:assert/strict'
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { withoutSecrets } from '../../src/cli/login-session.ts'
import { openStore } from '../../src/credential/cache/open-store.ts'
import { SETTINGS } from '../../src/credential/settings/table.ts'
import { Secret } from '../../src/secret.ts'
import { startOidcIssuer } from '../rigs/oidc-issuer.ts'
import { reply, reset } from '../support/fake-keystone.ts'
import { runInTerminal } from '../support/pty.ts'
import { createAuthority } from '../support/tls.ts'
import { execInfo, PASSWORD, type Person, parseCredential, somebody } from './login-support.ts'

const BIN = fileURLToPath(new URL('../../bin/', import.meta.url))

let alice: Person
beforeEach(async () => {
  alice = await somebody()
})
afterEach(() => alice[Symbol.asyncDispose]())

const kept = () => readdirSync(alice.folder.path('home/.cache/archway')).filter((file) => /\.json$/.test(file))

describe('archway login', () => {
  test('says who one is and until when, and kubectl finds the token', async () => {
    const { status, out, err } = await alice.run('archway', ['login'])
    assert.deepEqual([status, err], [0, ''])
    assert.match(
      out,
      /^logged in as alice \(domain Default\), project demo.*, until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n$/,
    )
    const later = await alice.run('archway', ['credential'], { ...execInfo(), OS_PASSWORD: '' })
    assert.equal(later.status, 0)
    assert.equal(alice.logins(), 1)
  })

  test('always logs in anew', async () => {
    await alice.run('archway', ['login'])
    await alice.run('archway', ['login'])
    assert.equal(alice.logins(), 2)
  })

  test('without anywhere to keep the token it is of no use, and says so', async () => {
    const none = await alice.run('archway', ['login', '--cache', 'none'])
    assert.deepEqual([none.status, alice.logins()], [2, 0])
    writeFileSync(alice.folder.path('file'), '')
    const { status, err } = await alice.run('archway', ['login'], { XDG_CACHE_HOME: alice.folder.path('file') })
    assert.equal(status, 1)
    assert.match(err, /the token is not kept: .*file\/archway/)
  })

  test('T-S12 asks in a terminal for what is missing, without showing it, on stderr', { timeout: 60_000 }, async () => {
    const { OS_PASSWORD: _, ...env } = alice.env
    const { screen, stdout, status } = await runInTerminal(process.execPath, [`${BIN}archway`, 'login'], {
      env,
      answers: [{ on: /Please enter password: /, send: `${PASSWORD}\r` }],
    })
    assert.equal(status, 0, screen)
    assert.match(stdout, /^logged in as alice/)
    assert.ok(!screen.includes('canary'), screen)
  })

  test('asks for the address first, and keeps the token where the same address finds it', {
    timeout: 60_000,
  }, async () => {
    const { OS_AUTH_URL: address = '', ...env } = alice.env
    const { screen, status } = await runInTerminal(process.execPath, [`${BIN}archway`, 'login'], {
      env,
      answers: [{ on: /Please enter Keystone Auth URL: /, send: `${address}\r` }],
    })
    assert.equal(status, 0, screen)
    const kept = await alice.run('archway', ['credential'])
    assert.deepEqual([kept.status, alice.logins()], [0, 1])
    const nobody = await alice.run('archway', ['login'], { OS_AUTH_URL: '' })
    assert.equal(nobody.status, 4)
    assert.match(
      nobody.err,
      /^archway: the address of Keystone is missing: give --keystone-url, OS_AUTH_URL or a cloud\n$/,
    )
  })

  test('a token whose address was typed is for this command alone', { timeout: 60_000 }, async () => {
    const { OS_AUTH_URL: address = '', ...env } = alice.env
    const typed = await runInTerminal(process.execPath, [`${BIN}archway`, 'credential'], {
      env,
      answers: [{ on: /Please enter Keystone Auth URL: /, send: `${address}\r` }],
    })
    assert.equal(typed.status, 0, typed.screen)
    assert.match(typed.screen, /the token is not kept: its address was typed; name it with --keystone-url/)
    const next = await alice.run('archway', ['credential'], { OS_AUTH_URL: '' })
    assert.deepEqual([next.status, next.out], [4, ''])
  })

  test('Ctrl-C at the prompt ends with 130, and leaves nothing behind', { timeout: 60_000 }, async () => {
    const { OS_PASSWORD: _, ...env } = alice.env
    for (const [program, argv] of [
      ['archway', ['credential']],
      ['client-keystone-auth', []],
    ] as const) {
      const { stdout, status, screen } = await runInTerminal(process.execPath, [`${BIN}${program}`, ...argv], {
        env,
        answers: [{ on: /Please enter password: /, send: '\x03' }],
      })
      assert.deepEqual([status, stdout], [130, ''], screen)
      assert.deepEqual(readdirSync(alice.folder.path('home/.cache/archway')), ['key'])
    }
  })

  test('a client that allows no prompts is asked nothing, terminal or not', { timeout: 60_000 }, async () => {
    const { OS_PASSWORD: _, ...env } = alice.env
    const { stdout, status } = await runInTerminal(process.execPath, [`${BIN}archway`, 'credential'], {
      env: { ...env, ...execInfo({ interactive: false }) },
      answers: [],
    })
    assert.deepEqual([status, stdout], [4, ''])
  })
})

describe('archway login at an issuer', () => {
  test('shows the device code, and brings its ID token; what follows is refreshed without anybody', async () => {
    await using issuer = await startOidcIssuer({ lifetimes: { idToken: 600 } })
    const flags = [
      '--oidc-issuer',
      issuer.issuer,
      '--oidc-client-id',
      'terminal',
      '--oidc-flow',
      'device',
      '--oidc-scope',
      'profile offline_access',
    ]
    const { screen, stdout, status } = await runInTerminal(process.execPath, [`${BIN}archway`, 'login', ...flags], {
      env: { PATH: alice.env['PATH'], HOME: alice.env['HOME'] },
      answers: [
        {
          on: /enter the code (\S+)/,
          send: ([, code = '']) => {
            void issuer.approveDevice(code, 'alice')
            return ''
          },
        },
      ],
    })
    assert.equal(status, 0, screen)
    assert.match(stdout, /^logged in as alice/)
    const oidc = { OS_AUTH_URL: '', OS_USERNAME: '', OS_PASSWORD: '', OS_PROJECT_NAME: '', OS_DOMAIN_NAME: '' }
    const ask = () => alice.run('archway', ['credential', ...flags], { ...oidc, ...execInfo() })
    const first = await ask()
    const before = issuer.requests('token')
    const second = parseCredential((await ask()).out)
    assert.equal(first.status, 0, first.err)
    assert.equal(issuer.requests('token'), before + 1)
    const [, payload = ''] = second.status.token.split('.')
    assert.equal(JSON.parse(Buffer.from(payload, 'base64url').toString()).sub, 'alice')
    const gone = await alice.run('archway', ['logout', ...flags], oidc)
    assert.equal(gone.status, 0, gone.err)
    assert.match(gone.out, /the ID token cannot be revoked; it is good until .*\n.*refresh token revoked\n.*removed/)
    assert.equal(issuer.requests('revocation'), 1)
    assert.deepEqual(kept(), [])
  })
})

describe('archway login at an issuer, by way of a browser', () => {
  test('prints the address, and takes the token when the browser comes back', async () => {
    await using issuer = await startOidcIssuer()
    const flags = ['--oidc-issuer', issuer.issuer, '--oidc-client-id', 'terminal']
    const { screen, stdout, status } = await runInTerminal(
      process.execPath,
      [`${BIN}archway`, 'login', '--no-browser', ...flags],
      {
        env: { PATH: alice.env['PATH'], HOME: alice.env['HOME'] },
        answers: [
          {
            on: /(http:\/\/127\.0\.0\.1:\d+\/auth\?\S+)\r?\n/,
            send: ([, url = '']) => {
              void issuer.logInAtBrowser(url, 'bob')
              return ''
            },
          },
        ],
      },
    )
    assert.equal(status, 0, screen)
    assert.match(stdout, /^logged in as bob/)
    assert.equal(kept().length, 1)
  })
})

describe('archway logout', () => {
  test('revokes the token where it came from, and removes it', async () => {
    const { out } = await alice.run('archway', ['credential'])
    const { token } = parseCredential(out).status
    const gone = await alice.run('archway', ['logout'], { OS_PASSWORD: '' })
    assert.deepEqual([gone.status, gone.err], [0, ''])
    assert.match(gone.out, /^alice .*: token revoked\nalice .*: removed from this machine\n$/)
    const last = alice.keystone.requests.at(-1)
    assert.deepEqual([last?.method, last?.headers['x-subject-token']], ['DELETE', token])
    assert.deepEqual(kept(), [])
    const again = await alice.run('archway', ['logout'])
    assert.deepEqual([again.status, again.out], [0, 'nothing is kept for this login\n'])
  })

  test('a revocation that fails is told and ends with its status; the token is removed all the same', async () => {
    for (const [script, status] of [
      [reset, 5],
      [reply(500), 5],
    ] as const) {
      await alice.run('archway', ['credential'])
      alice.keystone.always(script)
      const gone = await alice.run('archway', ['logout'])
      alice.keystone.always(undefined)
      assert.equal(gone.status, status)
      assert.match(gone.err, /^archway: alice .*: the token is not revoked: /)
      assert.match(gone.out, /removed from this machine\n$/)
      assert.deepEqual(kept(), [])
    }
  })

  test('--all ends every login that is kept, and forgets refusals', async () => {
    await alice.run('archway', ['credential'])
    await alice.run('archway', ['credential', '--project-id', 'p'])
    await alice.run('archway', ['credential', '--project-id', 'q'], { OS_PASSWORD: 'wrong' })
    assert.equal(kept().length, 3)
    const gone = await alice.run('archway', ['logout', '--all'], { OS_AUTH_URL: '', OS_PASSWORD: '', OS_USERNAME: '' })
    assert.deepEqual([gone.status, gone.err], [0, ''])
    assert.equal(gone.out.match(/token revoked/g)?.length, 2)
    assert.deepEqual(kept(), [])
  })
})

describe('archway logout --all', () => {
  test('ends a login by way of an identity provider at both ends', async () => {
    await using issuer = await startOidcIssuer()
    const { refresh_token: refreshToken = '' } = await issuer.issueTokens({
      account: 'alice',
      scope: 'openid offline_access',
    })
    assert.notEqual(refreshToken, '')
    const store = openStore('file', { env: {}, home: alice.folder.path('home') })
    const subject = {
      provider: 'keystone-federation',
      url: alice.keystone.root,
      identity_provider: 'company',
      protocol: 'openid',
      issuer: issuer.issuer,
      client_id: 'terminal',
    }
    await store.write(store.keyOf(subject), {
      token: new Secret(alice.keystone.issue({ project: 'demo' })),
      refreshToken: new Secret(refreshToken),
      issuedAt: new Date(),
      expiresAt: new Date(Date.now() + 3_600_000),
      expiresAtText: 'later',
      subject,
      account: { user: 'alice' },
    })
    const { status, out, err } = await alice.run('archway', ['logout', '--all'])
    assert.deepEqual([status, err], [0, ''])
    assert.equal(out, 'alice: token revoked\nalice: refresh token revoked\nalice: removed from this machine\n')
    assert.equal(alice.keystone.requests.filter(({ method }) => method === 'DELETE').length, 1)
    assert.equal(issuer.requests('revocation'), 1)
    assert.deepEqual(kept(), [])
  })

  test('an issuer that does not answer keeps nothing here, and is told', async () => {
    const store = openStore('file', { env: {}, home: alice.folder.path('home') })
    const subject = { provider: 'oidc', issuer: 'http://127.0.0.1:1', client_id: 'terminal', present: 'access_token' }
    await store.write(store.keyOf(subject), {
      token: new Secret('access-canary'),
      refreshToken: new Secret('refresh-canary'),
      issuedAt: new Date(),
      expiresAt: new Date(Date.now() + 3_600_000),
      expiresAtText: 'later',
      subject,
      account: { user: 'alice' },
    })
    const { status, out, err } = await alice.run('archway', ['logout', '--all'])
    assert.equal(status, 5)
    assert.match(
      err,
      /^archway: alice: the access token is not revoked: .*\narchway: alice: the refresh token is not revoked: .*\n$/,
    )
    assert.equal(out, 'alice: removed from this machine\n')
    assert.ok(!err.includes('canary'))
    assert.deepEqual(kept(), [])
  })
})

describe('archway whoami', () => {
  const servers: Server[] = []
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.close()
      server.closeAllConnections()
    }
  })

  /** A webhook at /webhook and an API server beside it, as far as they are asked who somebody is. */
  async function cluster(answers: { readonly webhook: object; readonly apiServer: readonly [number, object] }) {
    const authority = await createAuthority('cluster CA')
    const server = createServer(await authority.server(), (request, response) => {
      const [status, body] = request.url === '/webhook' ? [200, answers.webhook] : answers.apiServer
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    })
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const url = `https://127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}`
    const caFile = await alice.folder.write('ca.crt', authority.cert)
    const kubeconfig = await alice.folder.write(
      'kubeconfig',
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        'current-context': 'test',
        contexts: [{ name: 'test', context: { cluster: 'test', user: 'me' } }],
        clusters: [{ name: 'test', cluster: { server: url, 'certificate-authority': caFile } }],
        users: [{ name: 'me', user: { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: 'archway' } } }],
      }),
    )
    return ['whoami', '--webhook', url, '--webhook-ca-file', caFile, '--kubeconfig', kubeconfig]
  }

  const reviewed = (username: string) => ({
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenReview',
    status: { authenticated: true, user: { username, groups: ['k8s-devs'] } },
  })
  const selfReview = (username: string) =>
    [201, { kind: 'SelfSubjectReview', status: { userInfo: { username, groups: ['k8s-devs'] } } }] as const
  const forbidden = (username: string) =>
    [
      403,
      {
        kind: 'Status',
        message: `selfsubjectreviews.authentication.k8s.io is forbidden: User "${username}" cannot create resource`,
      },
    ] as const

  test('puts side by side what Keystone, the webhook and the API server say', async () => {
    for (const apiServer of [selfReview('alice'), forbidden('alice')]) {
      const { status, out, err } = await alice.run('archway', await cluster({ webhook: reviewed('alice'), apiServer }))
      assert.deepEqual([status, err], [0, ''])
      assert.match(
        out,
        /^keystone +alice \(domain Default\)\n +for project demo \(domain Default\)\n +roles member\n +until /,
      )
      assert.match(out, /\nwebhook +alice\n +groups k8s-devs\nAPI server +alice\n/)
    }
  })

  test('-o json has the same for programs', async () => {
    const argv = await cluster({ webhook: reviewed('alice'), apiServer: selfReview('alice') })
    const { out } = await alice.run('archway', [...argv, '-o', 'json'])
    const { parts, conflict } = JSON.parse(out)
    assert.equal(conflict, null)
    assert.deepEqual(
      parts.map(({ name, answer, user }: Record<string, unknown>) => [name, answer, user]),
      [
        ['keystone', 'known', 'alice (domain Default)'],
        ['webhook', 'known', 'alice'],
        ['API server', 'known', 'alice'],
      ],
    )
  })

  test('two names for one token are told, and end with 1', async () => {
    const argv = await cluster({ webhook: reviewed('alice'), apiServer: selfReview('system:serviceaccount:a:b') })
    const { status, out } = await alice.run('archway', argv)
    assert.equal(status, 1)
    assert.match(out, /the webhook knows alice, the API server system:serviceaccount:a:b/)
  })

  test('whoever refuses the token, or cannot tell, decides the status; the others are asked all the same', async () => {
    const refusing = { kind: 'TokenReview', apiVersion: 'authentication.k8s.io/v1', status: { authenticated: false } }
    for (const [webhook, apiServer, expected, message] of [
      [refusing, selfReview('alice'), 3, /webhook +refused/],
      [reviewed('alice'), [401, { kind: 'Status' }], 3, /API server +refused/],
      [{ kind: 'Nonsense' }, selfReview('alice'), 5, /webhook +could not tell/],
      [reviewed('alice'), [500, {}], 5, /API server +could not tell/],
    ] as const) {
      const { status, out } = await alice.run('archway', await cluster({ webhook, apiServer }))
      assert.equal(status, expected, out)
      assert.match(out, message)
      assert.match(out, /^keystone +alice/)
    }
  })

  test('a kept token that Keystone has revoked is told', async () => {
    const { out } = await alice.run('archway', ['credential'])
    alice.keystone.revoke(parseCredential(out).status.token)
    const ran = await alice.run('archway', ['whoami', '--no-api-server'])
    assert.equal(ran.status, 3)
    assert.match(ran.out, /keystone +refused\n +the token is no longer good: run "archway login"/)
  })

  test('what is not named is not asked, and that is no failure', async () => {
    const { status, out } = await alice.run('archway', ['whoami'])
    assert.equal(status, 0)
    assert.match(out, /webhook +not asked\n +name it with --webhook\nAPI server +not asked\n/)
  })

  test('T-S1 shows neither the token nor what would steer a terminal', async () => {
    const argv = await cluster({ webhook: reviewed('ali\u001b[31mce\u202e'), apiServer: selfReview('alice') })
    const { out } = await alice.run('archway', argv)
    const { status } = parseCredential((await alice.run('archway', ['credential'])).out)
    assert.ok(!out.includes(status.token) && !out.includes('canary'))
    assert.doesNotMatch(out, /[\u001b\u202e]/)
  })
})

describe('programs that are started', () => {
  test('T-S1 get an environment without a single secret variable', () => {
    const secrets = SETTINGS.flatMap((row) => (row.secret === true ? (row.env ?? []) : []))
    assert.ok(secrets.includes('OS_PASSWORD') && secrets.includes('ARCHWAY_OIDC_CLIENT_SECRET'))
    const env = Object.fromEntries([...secrets, 'PATH', 'DISPLAY'].map((name) => [name, 'canary']))
    assert.deepEqual(Object.keys(withoutSecrets(env)), ['PATH', 'DISPLAY'])
  })

  test('T-S1 the browser is one of them', { timeout: 60_000 }, async () => {
    await using issuer = await startOidcIssuer()
    const seen = alice.folder.path('seen')
    const browser = await alice.folder.write(
      'browser',
      `#!/bin/sh\nenv > '${seen}.new' && mv '${seen}.new' '${seen}'\nkill -TERM "$PPID"\n`,
    )
    chmodSync(browser, 0o700)
    const flags = ['--oidc-issuer', issuer.issuer, '--oidc-client-id', 'terminal', '--auth-type', 'oidc']
    await runInTerminal(process.execPath, [`${BIN}archway`, 'login', ...flags], {
      env: { ...alice.env, BROWSER: browser, ARCHWAY_OIDC_CLIENT_SECRET: '' },
      answers: [],
    })
    const environment = readFileSync(seen, 'utf8')
    assert.match(environment, /^OS_USERNAME=alice$/m)
    assert.ok(!environment.includes('canary'), environment)
  })
})
