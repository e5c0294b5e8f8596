/**
 * Does the set-up of an API server go with ours (T-H7)? Answers are those of kube-apiserver: 1.20.2 as it was asked (the
 * rigs ask it again), later ones as their sources have it.
 */
import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import { UpstreamFailure, type UpstreamRequest } from '../../../src/proxy/upstream/upstream.ts'
import { type Finding, type SelfCheckName, selfCheck } from '../../../src/proxy/upstreams/self-check.ts'
import { type FakePool, fakePool } from './support.ts'

interface Reply {
  readonly status: number
  readonly body?: string
}

const UNAUTHORIZED: Reply = {
  status: 401,
  body: '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}\n',
}
const NOT_FOUND: Reply = { status: 404, body: '404 page not found\n' }

function forbidden(user: string): Reply {
  const message =
    `selfsubjectreviews.authentication.k8s.io is forbidden: User ${JSON.stringify(user)} cannot create resource ` +
    '"selfsubjectreviews" in API group "authentication.k8s.io" at the cluster scope'
  const details = { group: 'authentication.k8s.io', kind: 'selfsubjectreviews' }
  return { status: 403, body: JSON.stringify({ kind: 'Status', status: 'Failure', message, details, code: 403 }) }
}

function reviewed(userInfo: object): Reply {
  const review = { kind: 'SelfSubjectReview', apiVersion: 'authentication.k8s.io/v1', status: { userInfo } }
  return { status: 201, body: JSON.stringify(review) }
}

const BELIEVED = {
  username: 'archway-self-check',
  uid: 'archway-self-check-uid',
  groups: ['archway:self-check', 'system:authenticated'],
  extra: { 'archway-self-check': ['yes'] },
}

let pool: FakePool
beforeEach(() => {
  pool = fakePool()
})

/** `bare` without identity headers, `named` with them; a function may look at the request. */
async function findings(
  bare: Reply,
  named: Reply | ((request: UpstreamRequest) => Reply),
): Promise<readonly Finding[]> {
  pool.answer = (request) => {
    const isNamed = request.headers.some(([name]) => /^x-remote-/i.test(name))
    return isNamed ? (typeof named === 'function' ? named(request) : named) : bare
  }
  return selfCheck({ name: 'one:6443', pool, commonName: () => 'front-proxy-client' }, new AbortController().signal)
}

function about(check: SelfCheckName, found: readonly Finding[]): Finding {
  return found.find((finding) => finding.check === check) ?? assert.fail(`nothing about ${check}`)
}

const levels = (found: readonly Finding[]) => Object.fromEntries(found.map(({ check, level }) => [check, level]))

describe('a server that is set up right', () => {
  test('of 1.20: the certificate alone is refused, and a refusal names the made-up user', async () => {
    const found = await findings(UNAUTHORIZED, forbidden('archway-self-check'))
    const expected = { 'bare-certificate': 'ok', 'identity-headers': 'ok', uid: 'info', groups: 'info', extra: 'info' }
    assert.deepEqual(levels(found), expected)
    assert(found.every(({ server }) => server === 'one:6443'))
  })

  test('of 1.33 and later shows the whole identity', async () => {
    const found = await findings(forbidden('system:anonymous'), reviewed(BELIEVED))
    const expected = { 'bare-certificate': 'ok', 'identity-headers': 'ok', uid: 'ok', groups: 'ok', extra: 'ok' }
    assert.deepEqual(levels(found), expected)
  })

  test('is asked on new connections, the bare question without any identity', async () => {
    await findings(UNAUTHORIZED, reviewed(BELIEVED))
    assert.deepEqual(pool.needs, ['fresh', 'fresh'])
    const [bare, named] = pool.exchanges
    assert.equal(
      bare?.request.headers.some(([name]) => /^(x-remote|authorization|impersonate)/i.test(name)),
      false,
    )
    assert.deepEqual(bare?.written, named?.written)
    assert.equal(named?.request.target, '/apis/authentication.k8s.io/v1/selfsubjectreviews')
  })
})

describe('T-H7 a front-proxy certificate that is somebody by itself is found', () => {
  for (const [what, reply, who] of [
    ['where a refusal names it', forbidden('front-proxy-client'), /seen as user "front-proxy-client"/],
    ['where a review shows it', reviewed({ username: 'front-proxy-client' }), /seen as user "front-proxy-client"/],
    ['where it may do everything', NOT_FOUND, /seen as somebody who may do everything/],
    ['whatever its name is', forbidden('o"\\é\n'), /seen as user "o"\\é\n"/],
  ] as const) {
    test(what, async () => {
      const { level, message } = about('bare-certificate', await findings(reply, forbidden('archway-self-check')))
      assert.equal(level, 'error')
      assert.match(message, who)
      assert.match(message, /is a user by itself \(CN=front-proxy-client.*give request headers a CA of their own/s)
    })
  }
})

describe('a server that does not take identity headers is found', () => {
  test('where it refuses the certificate', async () => {
    const { level, message } = about('identity-headers', await findings(UNAUTHORIZED, UNAUTHORIZED))
    assert.equal(level, 'error')
    const remedy =
      /--requestheader-client-ca-file must hold its CA, --requestheader-allowed-names .*\(CN=front-proxy-client\)/
    assert.match(message, remedy)
  })

  for (const [seen, reply, message] of [
    ['nobody', forbidden('system:anonymous'), /does not read the identity headers, it sees nobody: set .*-Remote-User/],
    ['the certificate', forbidden('front-proxy-client'), /it sees user "front-proxy-client": set/],
    ['nobody, in a review', reviewed({ username: 'system:anonymous' }), /it sees nobody/],
  ] as const) {
    test(`where it sees ${seen}`, async () => {
      const found = about('identity-headers', await findings(UNAUTHORIZED, reply))
      assert.equal(found.level, 'error')
      assert.match(found.message, message)
    })
  }

  for (const [lost, level, userInfo] of [
    ['uid', 'info', { ...BELIEVED, uid: '' }],
    ['groups', 'warning', { ...BELIEVED, groups: ['system:authenticated'] }],
    ['extra', 'warning', { username: 'archway-self-check' }],
  ] as const) {
    test(`where only its ${lost} is lost`, async () => {
      const found = await findings(UNAUTHORIZED, reviewed(userInfo))
      assert.equal(about('identity-headers', found).level, 'ok')
      assert.equal(about(lost, found).level, level)
      assert.match(about(lost, found).message, /not read; the API server needs --requestheader-/)
    })
  }

  test('and one where everybody may do everything is warned of', async () => {
    const found = about('identity-headers', await findings(UNAUTHORIZED, NOT_FOUND))
    assert.deepEqual([found.level, /AlwaysAllow/.test(found.message)], ['warning', true])
  })

  test('but not one that only has no such review: a path of nobody’s is asked for', async () => {
    const unknownThere = ({ method }: UpstreamRequest) =>
      method === 'POST' ? NOT_FOUND : forbidden('archway-self-check')
    assert.equal(about('identity-headers', await findings(UNAUTHORIZED, unknownThere)).level, 'ok')
  })
})

describe('what says nothing decides nothing', () => {
  for (const [what, reply] of [
    ['an outage', { status: 500, body: 'etcd' }],
    ['too many requests', { status: 429 }],
    ['a refusal of something else', { status: 403, body: '<html>blocked</html>' }],
    ['a refusal in other words', { status: 403, body: JSON.stringify({ message: 'no' }) }],
    ['a review without an identity', { status: 201, body: '{"status":{}}' }],
    ['a review that is no JSON', { status: 201, body: '{' }],
    ['a redirect', { status: 302 }],
    ['a plain 200', { status: 200, body: 'welcome' }],
  ] as const) {
    test(what, async () => {
      const expected = { 'bare-certificate': 'undecided', 'identity-headers': 'undecided' }
      assert.deepEqual(levels(await findings(reply, reply)), expected)
    })
  }

  test('a server that is down', async () => {
    pool.failure = new UpstreamFailure('unreachable', 'one:6443: nothing listens there')
    const found = await findings(UNAUTHORIZED, UNAUTHORIZED)
    const expected = { 'bare-certificate': 'undecided', 'identity-headers': 'undecided' }
    assert.deepEqual(levels(found), expected)
    assert.equal(found[0]?.message, 'one:6443: nothing listens there')
  })
})
