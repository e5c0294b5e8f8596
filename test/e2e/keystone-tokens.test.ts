import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type KeystoneRig, keystoneRig, startKeystone } from '../support/rigs.ts'
import { createSite, type Program, type ReviewAnswer, runProgram, type Site, serve, startProgram } from './program.ts'

const KEY = 'alpha.kubernetes.io/identity'

describe('archway serve in front of a real Keystone', () => {
  let keystone: KeystoneRig
  let site: Site
  let archway: Program
  const tokens: string[] = []

  before(async () => {
    keystone = await keystoneRig()
    site = await createSite()
    archway = await serve(site, { authenticators: [{ keystone: { url: keystone.url } }] })
  })
  after(async () => {
    await archway?.stop()
    await site?.folder.remove()
  })

  async function token(user: string, password: string, project = '', domain = 'Default'): Promise<string> {
    const issued = await keystone.token(user, password, project, domain)
    tokens.push(issued)
    return issued
  }

  test('a project-scoped token gives name, uid, groups with the project id last, and the five extra keys', async () => {
    const answer = await archway.review(await token('alice', 'alice-pw', 'demo'))
    const { demo = '' } = keystone.ids.projects
    assert.equal(answer.httpStatus, 200)
    assert.equal(answer.authenticated, true)
    assert.equal(answer.user.username, 'alice')
    assert.equal(answer.user.uid, keystone.ids.users['alice'])
    assert.deepEqual(answer.user.groups, ['k8s-devs', demo])
    const { [`${KEY}/roles`]: roles, ...rest } = answer.user.extra ?? {}
    assert.deepEqual([...(roles ?? [])].sort(), ['load-balancer_member', 'member', 'reader'])
    assert.deepEqual(rest, {
      [`${KEY}/project/id`]: [demo],
      [`${KEY}/project/name`]: ['demo'],
      [`${KEY}/user/domain/id`]: ['default'],
      [`${KEY}/user/domain/name`]: ['Default'],
    })
  })

  test('v1beta1 is answered in v1beta1', async () => {
    const answer = await archway.review(await token('bob', 'bob-pw', 'demo'), { version: 'v1beta1' })
    assert.equal(answer.apiVersion, 'authentication.k8s.io/v1beta1')
    assert.equal(answer.user.username, 'bob')
  })

  test('a token made with an application credential is its owner, on its project', async () => {
    const { id, secret } = keystone.applicationCredential
    const login = await keystone.api('POST', '/auth/tokens', {
      auth: { identity: { methods: ['application_credential'], application_credential: { id, secret } } },
    })
    const issued = String(login.headers['x-subject-token'])
    tokens.push(issued)
    const answer = await archway.review(issued)
    assert.equal(answer.user.username, 'alice')
    assert.deepEqual(answer.user.extra?.[`${KEY}/project/name`], ['demo'])
  })

  test('T-W9 unscoped, domain-scoped and system-scoped tokens are refused, with the reason in the log', async () => {
    const admin = { name: 'admin', password: 'admin', domain: { id: 'default' } }
    const scoped = async (scope: object): Promise<string> => {
      const identity = { methods: ['password'], password: { user: admin } }
      const login = await keystone.api('POST', '/auth/tokens', { auth: { identity, scope } })
      return String(login.headers['x-subject-token'])
    }
    const cases = {
      unscoped: await keystone.token('alice', 'alice-pw'),
      domain: await scoped({ domain: { id: 'default' } }),
      system: await scoped({ system: { all: true } }),
    }
    for (const [scope, issued] of Object.entries(cases)) {
      tokens.push(issued)
      const answer = await archway.review(issued)
      assert.equal(answer.httpStatus, 200, scope)
      assert.equal(answer.text.includes('"authenticated":false'), true, scope)
      assert.equal(answer.text.includes('error'), false, scope)
      const line = await archway.line((found) => found['code'] === 'scope_not_allowed' && found['scope'] === scope)
      assert.equal(line['level'], 'info')
    }
  })

  test('scopes that are configured are let in, without project keys and with roles of their own', async () => {
    await using open = await serve(site, {
      authenticators: [{ keystone: { url: keystone.url, scopes: ['unscoped', 'system'] } }],
    })
    const unscoped = await open.review(await token('dave', 'dave-pw'))
    assert.equal(unscoped.user.username, 'dave')
    assert.deepEqual(unscoped.user.groups, ['k8s-devs'])
    assert.deepEqual(Object.keys(unscoped.user.extra ?? {}), [`${KEY}/user/domain/id`, `${KEY}/user/domain/name`])
    const project = await open.review(await token('alice', 'alice-pw', 'demo'))
    assert.equal(project.authenticated, false)
  })

  test('a revoked token is refused', async () => {
    await using strict = await serve(site, {
      authenticators: [{ keystone: { url: keystone.url } }],
      cache: { ttl: '0s', negativeTtl: '0s' },
    })
    const issued = await token('carol', 'carol-pw', 'ops')
    assert.equal((await strict.review(issued)).user.username, 'carol')
    await keystone.revoke(issued)
    const answer = await strict.review(issued)
    assert.equal(answer.httpStatus, 200)
    assert.equal(answer.authenticated, false)
  })

  test('T-W3 garbage is a refusal without an error, and reaches Keystone once', async () => {
    const garbage = `gAAAAAB${'x'.repeat(150)}`
    const before = await keystone.countRequests(/auth\/tokens.* 401$/)
    for (let i = 0; i < 20; i++) {
      const answer = await archway.review(garbage)
      assert.equal(answer.httpStatus, 200)
      assert.equal(answer.text.trim().endsWith('"status":{"authenticated":false}}'), true, answer.text)
    }
    assert.equal((await keystone.countRequests(/auth\/tokens.* 401$/)) - before, 1)
  })

  test('T-W4 a service account token, a bootstrap token and an empty one never reach Keystone', async () => {
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const jwt = `${part({ alg: 'RS256' })}.${part({ iss: 'https://kubernetes.default.svc', sub: 'system:serviceaccount:a:b' })}.c2ln`
    const before = await keystone.countRequests(/./)
    for (const foreign of [jwt, '07401b.f395accd246ae52d', '', 'tökén']) {
      const answer = await archway.review(foreign)
      assert.equal(answer.httpStatus, 200)
      assert.equal(answer.authenticated, false)
    }
    assert.equal(await keystone.countRequests(/./), before)
  })

  test('an unversioned URL, with and without a slash, finds the v3 API', async () => {
    for (const url of [
      keystone.url.replace(/\/v3$/, ''),
      `${keystone.url.replace(/\/v3$/, '')}/`,
      `${keystone.url}/`,
    ]) {
      await using other = await serve(site, { authenticators: [{ keystone: { url } }] })
      assert.equal((await other.review(await token('alice', 'alice-pw', 'demo'))).user.username, 'alice', url)
    }
  })

  test('`%n@%d` keeps the two bobs apart', async () => {
    await using qualified = await serve(site, {
      authenticators: [{ keystone: { url: keystone.url, usernameFormat: '%n@%d' } }],
    })
    const one = await qualified.review(await token('bob', 'bob-pw', 'demo'))
    const other = await qualified.review(await token('bob', 'heat-bob-pw', 'demo', 'heat'))
    assert.deepEqual([one.user.username, other.user.username], ['bob@Default', 'bob@heat'])
  })

  test('the token file and Keystone stand in one chain', async () => {
    const path = await site.folder.write('tokens.csv', 'static-token,robot,r1,"ci,robots"\n')
    await using both = await serve(site, {
      authenticators: [{ tokenFile: { path } }, { keystone: { url: keystone.url } }],
    })
    assert.equal((await both.review('static-token')).user.username, 'robot')
    assert.equal((await both.review(await token('alice', 'alice-pw', 'demo'))).user.username, 'alice')
    await site.folder.write('tokens.csv', 'other-token,robot2,r2\n')
    process.kill(both.pid, 'SIGHUP')
    await both.line(({ message, file }) => message === 'files reloaded' && file === 'token-file')
    assert.equal((await both.review('other-token')).user.username, 'robot2')
    assert.equal((await both.review('static-token')).authenticated, false)
  })

  test('readiness names Keystone, metrics count the calls', async () => {
    const ready = await archway.admin('/readyz?verbose')
    assert.equal(ready.status, 200)
    assert.match(ready.body, /\[\+\]keystone ok: https?:/)
    assert.equal((await archway.admin('/livez')).status, 200)
    const { body } = await archway.admin('/metrics')
    assert.match(body, /^archway_keystone_calls_total\{source="keystone",call="validate",outcome="ok"\} [1-9]/m)
    assert.match(body, /^archway_reviews_total\{kind="TokenReview",outcome="authenticated"\} [1-9]/m)
  })

  test('T-S2 SIGUSR1 does not open the debugger', async () => {
    process.kill(archway.pid, 'SIGUSR1')
    await archway.line(({ signal }) => signal === 'SIGUSR1')
    assert.equal((await archway.review('gAAAAAB-after-the-signal')).httpStatus, 200)
    assert.equal(/Debugger listening/.test(archway.output()), false)
  })

  test('the drop-in takes the flags and variables of its predecessor, as its image gives them', async () => {
    const env = { OS_AUTH_URL: keystone.url, TLS_CERT_FILE: site.certFile }
    const args = ['./bin/k8s-keystone-auth', '--tls_private_key_file', site.keyFile, '--listen=127.0.0.1:0', '-v=4']
    await using dropIn = await startProgram(site, 'k8s-keystone-auth', args, env)
    const answer = await dropIn.review(await token('alice', 'alice-pw', 'demo'), { version: 'v1beta1' })
    assert.equal(answer.user.username, 'alice')
    assert.equal(await dropIn.stop(), 0)
  })

  test('`archway review token` prints the verdict and tells it by its status', async () => {
    const server = ['--server', archway.url, '--ca-file', site.caFile]
    const good = await runProgram('archway', ['review', 'token', await token('alice', 'alice-pw', 'demo'), ...server])
    assert.deepEqual([good.status, good.stdout.split('\n')[1]], [0, '  user    alice'])
    const bad = await runProgram('archway', ['review', 'token', 'gAAAAABnone', ...server, '-o', 'json'])
    assert.equal(bad.status, 1)
    assert.equal(JSON.parse(bad.stdout).verdict, 'rejected')
  })

  test('T-S1 no token stands in anything the program wrote, at the level debug', () => {
    const output = archway.output()
    assert.ok(tokens.length > 5)
    for (const issued of tokens) assert.equal(output.includes(issued), false)
    assert.equal(/gAAAAAB/.test(output), false)
    assert.match(output, /"level":"decision"/)
  })
})

describe('archway serve while Keystone changes', () => {
  let keystone: KeystoneRig
  let site: Site

  before(async () => {
    keystone = await startKeystone({ tls: true })
    site = await createSite()
  })
  after(async () => {
    await keystone?.[Symbol.asyncDispose]()
    await site?.folder.remove()
  })

  function uncached(more: object = {}): Promise<Program> {
    const source = { url: keystone.url, caFile: keystone.caFile, ...more }
    return serve(site, { authenticators: [{ keystone: source }], cache: { ttl: '0s', negativeTtl: '0s' } })
  }

  test('a disabled user is refused', async () => {
    await using archway = await uncached()
    const issued = await keystone.token('carol', 'carol-pw', 'ops')
    assert.equal((await archway.review(issued)).authenticated, true)
    await keystone.api('PATCH', `/users/${keystone.ids.users['carol']}`, { user: { enabled: false } })
    const answer = await archway.review(issued)
    assert.deepEqual([answer.httpStatus, answer.authenticated], [200, false])
  })

  test('T-W6 a user called system:… is refused, a group called system:masters is left out', async () => {
    await using archway = await uncached()
    const { demo } = keystone.ids.projects
    const { member } = keystone.ids.roles
    const make = async (kind: string, body: object): Promise<string> =>
      (await keystone.api('POST', `/${kind}s`, { [kind]: { domain_id: 'default', ...body } })).body[kind].id
    const group = await make('group', { name: 'system:masters' })
    const folded = await make('group', { name: 'ｓystem:masters' })
    for (const name of ['system:kube-scheduler', 'eve']) {
      const user = await make('user', { name, password: 'pw' })
      await keystone.api('PUT', `/projects/${demo}/users/${user}/roles/${member}`)
      for (const each of [group, folded]) await keystone.api('PUT', `/groups/${each}/users/${user}`)
    }
    const eve = await archway.review(await keystone.token('eve', 'pw', 'demo'))
    assert.deepEqual([eve.user.username, eve.user.groups], ['eve', [demo]])
    const scheduler = await archway.review(await keystone.token('system:kube-scheduler', 'pw', 'demo'))
    assert.deepEqual([scheduler.httpStatus, scheduler.authenticated], [200, false])
    await archway.line(({ code }) => code === 'username_reserved')
  })

  test('T-D03 200 reviews of 20 users at once: every answer belongs to its token', async () => {
    await using archway = await uncached({ connections: 8, timeout: '20s' })
    const { demo } = keystone.ids.projects
    const { member } = keystone.ids.roles
    const issued: { name: string; token: string }[] = []
    for (let i = 0; i < 20; i++) {
      const name = `user-${i}`
      const made = await keystone.api('POST', '/users', { user: { name, password: 'pw', domain_id: 'default' } })
      await keystone.api('PUT', `/projects/${demo}/users/${made.body.user.id}/roles/${member}`)
      issued.push({ name, token: await keystone.token(name, 'pw', 'demo') })
    }
    const garbage = Array.from({ length: 20 }, (_, i) => ({ name: undefined, token: `gAAAAAB-junk-${i}` }))
    const asked = Array.from({ length: 10 }, () => issued).flat()
    const answers = await Promise.all([...asked, ...garbage].map(({ token }) => answered(archway, token)))
    assert.deepEqual(
      answers.map(({ user }) => user.username),
      [...asked, ...garbage].map(({ name }) => name),
    )
  })

  test('T-W3 Keystone goes away and comes back under load: no wrong refusal, no wrong acceptance', async () => {
    await using archway = await uncached({ timeout: '2s' })
    const good = await keystone.token('alice', 'alice-pw', 'demo')
    const bad = 'gAAAAAB-never-issued'
    await using load = reviewing(archway, { good, bad })
    await archway.review(good)
    await keystone.stop()
    const down = await archway.review(good)
    assert.equal(down.httpStatus, 503)
    assert.equal(down.headers['retry-after'], '1')
    assert.equal((await archway.admin('/readyz')).status, 503)
    assert.equal((await archway.admin('/livez')).status, 200)
    await keystone.start()
    const back = await answered(archway, good)
    assert.deepEqual([back.httpStatus, back.user.username], [200, 'alice'])
    while ((await archway.admin('/readyz')).status !== 200);
    const seen = await load.end()
    assert.deepEqual(seen['good'], ['200 true', '503 undefined'])
    assert.deepEqual(seen['bad'], ['200 false', '503 undefined'])
  })

  test('what was remembered goes on working while Keystone is away, and nothing else', async () => {
    await using archway = await serve(site, {
      authenticators: [{ keystone: { url: keystone.url, caFile: keystone.caFile } }],
      cache: { ttl: '5m' },
    })
    const known = await keystone.token('alice', 'alice-pw', 'demo')
    const unknown = await keystone.token('bob', 'bob-pw', 'demo')
    assert.equal((await archway.review(known)).authenticated, true)
    await keystone.stop()
    assert.equal((await archway.review(known)).user.username, 'alice')
    assert.equal((await archway.review(unknown)).httpStatus, 503)
    await keystone.start()
    assert.equal((await answered(archway, unknown)).user.username, 'bob')
  })

  test('T-H11 a certificate of another CA is an outage that says so, never a refusal', async () => {
    await using archway = await serve(site, {
      authenticators: [{ keystone: { url: keystone.url, caFile: site.caFile } }],
    })
    const answer = await archway.review(await keystone.token('alice', 'alice-pw', 'demo'))
    assert.equal(answer.httpStatus, 503)
    const line = await archway.line(({ message }) => message === 'review could not be decided')
    assert.match(JSON.stringify(line), /certificate/i)
  })

  test('an expired token is refused, and never remembered past its expiry', async () => {
    await using short = await startKeystone({ tokenSeconds: 4 })
    await using archway = await serve(site, {
      authenticators: [{ keystone: { url: short.url } }],
      cache: { ttl: '10m' },
    })
    const issued = await short.token('alice', 'alice-pw', 'demo')
    assert.equal((await archway.review(issued)).authenticated, true)
    // Keystone's own word for it: nothing is waited for but the expiry itself.
    while ((await short.api('GET', '/auth/projects', undefined, issued)).status === 200);
    assert.deepEqual(
      [(await archway.review(issued)).httpStatus, (await archway.review(issued)).authenticated],
      [200, false],
    )
  })
})

/** The first answer that is not "could not tell": a Keystone that is busy, or just back, may take longer than we wait. */
async function answered(archway: Program, token: string): Promise<ReviewAnswer> {
  for (;;) {
    const answer = await archway.review(token)
    if (answer.httpStatus !== 503) return answer
  }
}

/** Reviews the tokens over and over, each on its own, until told to end; collects what the answers were. */
function reviewing(archway: Program, tokens: Readonly<Record<string, string>>) {
  let running = true
  const kinds = Object.entries(tokens).map(async ([name, token]): Promise<[string, readonly string[]]> => {
    const seen = new Set<string>()
    while (running) {
      const answer = await archway.review(token)
      seen.add(`${answer.httpStatus} ${answer.authenticated}`)
    }
    return [name, [...seen].sort()]
  })
  const ended = Promise.all(kinds)
  ended.catch(() => undefined) // told by end(), or by the failure that came first
  return {
    async end(): Promise<Readonly<Record<string, readonly string[]>>> {
      running = false
      return Object.fromEntries(await ended)
    },
    async [Symbol.asyncDispose]() {
      running = false
      await Promise.allSettled(kinds)
    },
  }
}
