/** The way of a request through the door: who asks, whether they may, what is sent on, what comes back. */
import assert from 'node:assert/strict'
import type { RequestListener } from 'node:http'
import { afterEach, before, describe, test } from 'node:test'
import type { Attributes, Decision } from '../../src/authz/authorizer.ts'
import { ArchwayError } from '../../src/errors.ts'
import { dial, isWhole, jsonOf, request } from './support/client.ts'
import { createEstate, type DoorOptions, type Estate, JANE, type OpenDoor, openDoor } from './support/door.ts'

let estate: Estate
let door: OpenDoor

before(async () => {
  estate = await createEstate()
})
afterEach(() => door.close())

async function open(options: DoorOptions = {}, upstream: RequestListener = echo): Promise<OpenDoor> {
  door = await openDoor(estate, upstream, options)
  return door
}

/** Says what arrived. */
const echo: RequestListener = (received, response) => {
  const chunks: Buffer[] = []
  received.on('data', (chunk: Buffer) => chunks.push(chunk))
  received.on('end', () => {
    const { method, url, rawHeaders } = received
    response.setHeader('Audit-ID', 'a-1')
    response.end(JSON.stringify({ method, url, rawHeaders, body: Buffer.concat(chunks).toString('latin1') }))
  })
}

interface Echoed {
  readonly method: string
  readonly url: string
  readonly rawHeaders: readonly string[]
  readonly body: string
}

async function ask(text: string): Promise<string> {
  const client = await dial(estate, door)
  client.send(text)
  const answer = await client.until(isWhole)
  client.socket.destroy()
  return answer
}

const statusOf = (answer: string): number => Number(answer.slice(9, 12))
const anonymous = (line: string, headers = ''): string => `${line} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`

interface Status {
  readonly kind: string
  readonly message: string
  readonly reason: string
  readonly code: number
  readonly details?: object
}

describe('a request', () => {
  test('reaches the API server as it came, with the identity in place of the credential', async () => {
    await open()
    const answer = await ask(request('GET /api/v1/pods?limit=5', { headers: 'Accept: application/json\r\n' }))
    assert.equal(statusOf(answer), 200)
    const seen = jsonOf(answer) as Echoed
    assert.equal(seen.method, 'GET')
    assert.equal(seen.url, '/api/v1/pods?limit=5')
    const text = seen.rawHeaders.join('\n')
    assert.match(text, /X-Remote-User\njane\n/)
    assert.match(text, /X-Remote-Group\ndevs\nX-Remote-Group\nsystem:authenticated/)
    assert.match(text, /X-Remote-Uid\n7(?:\n|$)/)
    assert.doesNotMatch(text, /authorization/i)
  })

  test('is observed once, with all that is known of it', async () => {
    const { observed, observations } = await open()
    await ask(request('GET /api/v1/namespaces/default/pods?limit=5'))
    const seen = await observed()
    assert.equal(seen.outcome, 'forwarded')
    assert.equal(seen.status, 200)
    assert.equal(seen.path, '/api/v1/namespaces/default/pods')
    assert.equal(seen.info?.verb, 'list')
    assert.equal(seen.user, 'jane')
    assert.equal(seen.source, 'test')
    assert.equal(seen.upstream, 'api')
    assert.equal(seen.auditId, 'a-1')
    assert.equal(seen.remoteAddress, '127.0.0.1')
    assert.ok(seen.bytesOut > 100)
    assert.equal(observations.length, 1)
  })

  test('HEAD has the length of the answer and none of it', async () => {
    await open({}, (_, response) => response.writeHead(200, { 'Content-Length': '1234' }).end())
    const client = await dial(estate, door)
    client.send(request('HEAD /api/v1/pods'))
    const answer = await client.until('\r\n\r\n')
    assert.match(answer, /^HTTP\/1\.1 200 /)
    assert.match(answer, /\r\nContent-Length: 1234\r\n/)
    assert.match(answer, /\r\n\r\n$/)
    client.forget()
    client.send(request('HEAD /api/v1/pods')) // and the connection goes on
    assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 200 /)
    client.socket.destroy()
  })

  test('a body arrives as it was sent, by length or by chunks', async () => {
    await open()
    const whole = jsonOf(
      await ask(request('POST /api/v1/namespaces', { headers: 'Content-Length: 5\r\n', body: 'hello' })),
    ) as Echoed
    assert.equal(whole.body, 'hello')
    assert.ok(whole.rawHeaders.includes('Content-Length'))
    const chunked = request('PUT /api/v1/namespaces/a', {
      headers: 'Transfer-Encoding: chunked\r\n',
      body: '3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n',
    })
    const pieces = jsonOf(await ask(chunked)) as Echoed
    assert.equal(pieces.body, 'hello')
    assert.ok(pieces.rawHeaders.includes('Transfer-Encoding'))
  })

  test('T-H3 trailers end here', async () => {
    await open({}, (received, response) => {
      received.resume()
      received.on('end', () => response.end(JSON.stringify({ trailers: received.rawTrailers })))
    })
    const answer = await ask(
      request('POST /api/v1/namespaces', {
        headers: 'Transfer-Encoding: chunked\r\nTrailer: X-Remote-User\r\n',
        body: '2\r\nhi\r\n0\r\nX-Remote-User: admin\r\n\r\n',
      }),
    )
    assert.deepEqual(jsonOf(answer), { trailers: [] })
  })

  test('T-H14 names outside ASCII are UTF-8 on the wire', async () => {
    const user = { ...JANE, username: '김민수', groups: ['개발'] }
    const authenticate = async () => ({ kind: 'authenticated', user, source: 'test' }) as const
    await open({ authenticator: { name: 'test', authenticate } })
    const { rawHeaders } = jsonOf(await ask(request('GET /api'))) as Echoed
    const value = rawHeaders[rawHeaders.indexOf('X-Remote-User') + 1] ?? ''
    assert.equal(Buffer.from(value, 'latin1').toString(), '김민수')
  })

  test('T-H16 thousands of headers are refused, not cut', async () => {
    const { observed } = await open()
    const many = Array.from({ length: 2500 }, (_, at) => `X-N-${at}: 1\r\n`).join('')
    const answer = await ask(request('GET /api', { headers: many }))
    assert.equal(statusOf(answer), 431)
    assert.equal((await observed()).cause, 'H16')
  })

  test('T-H16 an identity with 2,000 groups is refused with the limit, not cut', async () => {
    const user = { ...JANE, groups: Array.from({ length: 2000 }, (_, at) => `g${at}`) }
    const authenticate = async () => ({ kind: 'authenticated', user, source: 'test' }) as const
    const { observed } = await open({ authenticator: { name: 'test', authenticate } })
    const answer = await ask(request('GET /api'))
    assert.equal(statusOf(answer), 431)
    assert.match((jsonOf(answer) as Status).message, /1024/)
    assert.equal((await observed()).cause, 'H16')
  })

  test('what hygiene refuses is told as a Status, and counted by its threat', async () => {
    const { observed } = await open()
    const answer = await ask(request('GET /api', { headers: 'Impersonate-User: admin\r\n' }))
    assert.equal(statusOf(answer), 400)
    assert.equal((jsonOf(answer) as Status).kind, 'Status')
    const seen = await observed()
    assert.equal(seen.outcome, 'refused')
    assert.equal(seen.cause, 'H6')
    assert.equal(seen.user, undefined)
  })

  test('CONNECT is refused', async () => {
    const { observed } = await open()
    const client = await dial(estate, door)
    client.send('CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n')
    assert.match(await client.ended, /^HTTP\/1\.1 405 /)
    assert.equal((await observed()).status, 405)
  })
})

describe('who asks', () => {
  test('nobody is told how to log in, by a Status that kubectl prints', async () => {
    const { observed } = await open()
    const answer = await ask(anonymous('GET /api/v1/pods'))
    assert.equal(statusOf(answer), 401)
    assert.match(answer, /\r\nWWW-Authenticate: Bearer\r\nWWW-Authenticate: Basic realm="kubernetes"\r\n/)
    const { kind, reason, message, code } = jsonOf(answer) as Status
    assert.deepEqual([kind, reason, message, code], ['Status', 'Unauthorized', 'Unauthorized', 401])
    assert.equal((await observed()).outcome, 'unauthenticated')
  })

  test('a bad token is told no more than no token, and the cause is for the record', async () => {
    const { observed } = await open()
    const answer = await ask(anonymous('GET /api', 'Authorization: Bearer nobody\r\n'))
    assert.equal((jsonOf(answer) as Status).message, 'Unauthorized')
    assert.equal((await observed()).cause, 'token_unknown')
  })

  test('a locked login is told when to come back, where it may know', async () => {
    await open()
    const answer = await ask(anonymous('GET /api', 'Authorization: Bearer locked\r\n'))
    assert.equal(statusOf(answer), 401)
    assert.match(answer, /\r\nRetry-After: 30\r\n/)
    assert.deepEqual((jsonOf(answer) as Status).details, { retryAfterSeconds: 30 })
  })

  test('"could not tell" is neither yes nor no', async () => {
    const { observed, log } = await open()
    const answer = await ask(anonymous('GET /api', 'Authorization: Bearer outage\r\n'))
    assert.equal(statusOf(answer), 503)
    assert.match(answer, /\r\nRetry-After: 1\r\n/)
    assert.doesNotMatch(answer, /Keystone is away/)
    assert.equal((await observed()).outcome, 'undecided')
    assert.equal(log.lines.length, 1)
  })

  test('whoever takes too long to tell is not waited for', async () => {
    const begun = Promise.withResolvers<AbortSignal>()
    const { pass, observed } = await open({
      authenticator: {
        name: 'slow',
        authenticate: (_, { signal }) => {
          begun.resolve(signal)
          return new Promise(() => {})
        },
      },
    })
    const client = await dial(estate, door)
    client.send(request('GET /api'))
    const signal = await begun.promise
    pass(20_001)
    assert.match(await client.until(isWhole), /^HTTP\/1\.1 503 /)
    assert.equal(signal.aborted, true)
    assert.equal((await observed()).outcome, 'undecided')
    client.socket.destroy()
  })

  test('a client that leaves while it is decided about ends the deciding', async () => {
    const begun = Promise.withResolvers<AbortSignal>()
    const { observed } = await open({
      authenticator: {
        name: 'slow',
        authenticate: (_, { signal }) => {
          begun.resolve(signal)
          return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
        },
      },
    })
    const client = await dial(estate, door)
    client.send(request('GET /api'))
    const signal = await begun.promise
    client.socket.destroy()
    const seen = await observed()
    assert.deepEqual([seen.outcome, seen.status], ['canceled', 0])
    assert.equal(signal.aborted, true)
    assert.deepEqual(door.log.lines, [])
  })

  test('what is known is not waited for', async () => {
    await open({
      authenticator: {
        name: 'test',
        recall: () => ({ kind: 'authenticated', user: JANE, source: 'memory' }),
        authenticate: () => Promise.reject(new Error('asked')),
      },
    })
    assert.equal(statusOf(await ask(anonymous('GET /api'))), 200)
    assert.equal((await door.observed()).source, 'memory')
  })
})

describe('service-account tokens that are passed on', () => {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const token = (iss: string): string => `${part({ alg: 'RS256' })}.${part({ iss, sub: 'x' })}.c2ln`
  const options = { passTokensOf: ['https://kubernetes.default.svc'] }

  test('reach the API server untouched, without any identity of ours', async () => {
    await open(options)
    const shown = token('https://kubernetes.default.svc')
    const answer = await ask(anonymous('GET /api', `Authorization: Bearer ${shown}\r\nX-Remote-User: admin\r\n`))
    const { rawHeaders } = jsonOf(answer) as Echoed
    assert.equal(rawHeaders[rawHeaders.indexOf('Authorization') + 1], `Bearer ${shown}`)
    assert.doesNotMatch(rawHeaders.join('\n'), /x-remote/i)
    const seen = await door.observed()
    assert.equal(seen.user, undefined)
    assert.equal(seen.outcome, 'forwarded')
    assert.equal(seen.spoofed, 1)
  })

  test('T-H12 are read from the subprotocol of a WebSocket too, and sent as a header', async () => {
    const arrived = Promise.withResolvers<readonly string[]>()
    await open(options, (received, response) => {
      arrived.resolve(received.rawHeaders)
      response.end('{}')
    })
    const shown = token('https://kubernetes.default.svc')
    const offered = `base64url.bearer.authorization.k8s.io.${Buffer.from(shown).toString('base64url')}`
    const upgrade = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: v5.channel.k8s.io, ${offered}\r\n`
    const client = await dial(estate, door)
    client.send(anonymous('GET /api/v1/namespaces/a/pods/b/exec', upgrade))
    const rawHeaders = await arrived.promise
    assert.equal(rawHeaders[rawHeaders.indexOf('Authorization') + 1], `Bearer ${shown}`)
    assert.equal(rawHeaders[rawHeaders.indexOf('Sec-WebSocket-Protocol') + 1], 'v5.channel.k8s.io')
    client.socket.destroy()
  })

  test('of other issuers are ours to judge', async () => {
    await open(options)
    assert.equal(statusOf(await ask(anonymous('GET /api', `Authorization: Bearer ${token('https://evil')}\r\n`))), 401)
  })

  test('are ours to judge where the client shows a certificate as well', async () => {
    await open({ ...options, certificateOf: () => ({ leaf: new Uint8Array(), intermediates: [] }) })
    const shown = token('https://kubernetes.default.svc')
    assert.equal(statusOf(await ask(anonymous('GET /api', `Authorization: Bearer ${shown}\r\n`))), 401)
  })
})

describe('whether they may', () => {
  const authorizer = (decide: (attributes: Attributes) => Decision | Promise<Decision>, asked: Attributes[] = []) => ({
    name: 'test',
    authorize: async (attributes: Attributes) => {
      asked.push(attributes)
      return decide(attributes)
    },
  })
  const no = (reason?: string): Decision => ({ kind: 'no-opinion', ...(reason === undefined ? {} : { reason }) })
  const yes: Decision = { kind: 'allow', reason: '' }

  test('who is allowed gets through, and is asked about what the request says', async () => {
    const asked: Attributes[] = []
    await open({ authorizer: authorizer(() => yes, asked) })
    assert.equal(statusOf(await ask(request('DELETE /apis/apps/v1/namespaces/a/deployments/web/scale'))), 200)
    assert.deepEqual(asked, [
      {
        kind: 'resource',
        user: JANE,
        extraPresent: false,
        verb: 'delete',
        group: 'apps',
        version: 'v1',
        resource: 'deployments',
        subresource: 'scale',
        namespace: 'a',
        name: 'web',
      },
    ])
  })

  for (const [line, message, details] of [
    [
      'GET /api/v1/namespaces/default/pods',
      'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default": no rule',
      { kind: 'pods' },
    ],
    [
      'GET /apis/apps/v1/deployments/web',
      'deployments.apps "web" is forbidden: User "jane" cannot get resource "deployments" in API group "apps" at the cluster scope: no rule',
      { name: 'web', group: 'apps', kind: 'deployments' },
    ],
    [
      'POST /api/v1/namespaces/a/pods/b/eviction',
      'pods "b" is forbidden: User "jane" cannot create resource "pods/eviction" in API group "" in the namespace "a": no rule',
      { name: 'b', kind: 'pods' },
    ],
    ['GET /healthz/etcd', 'forbidden: User "jane" cannot get path "/healthz/etcd": no rule', {}],
  ] as const)
    test(`${line} is forbidden in the API server's words`, async () => {
      await open({ authorizer: authorizer(() => no('no rule')) })
      const answer = await ask(request(line))
      assert.equal(statusOf(answer), 403)
      const status = jsonOf(answer) as Status
      assert.equal(status.message, message)
      assert.equal(status.reason, 'Forbidden')
      assert.deepEqual(status.details, details)
      assert.equal((await door.observed()).outcome, 'forbidden')
    })

  test('a reason is left out where there is none', async () => {
    await open({ authorizer: authorizer(() => no()) })
    const { message } = jsonOf(await ask(request('GET /foo'))) as Status
    assert.equal(message, 'forbidden: User "jane" cannot get path "/foo"')
  })

  test('a no that came with an error is 500, as with kube-apiserver', async () => {
    await open({
      authorizer: authorizer(() => ({ kind: 'no-opinion', evaluationError: 'backend at 10.0.0.1 is away' })),
    })
    const answer = await ask(request('GET /foo'))
    assert.equal(statusOf(answer), 500)
    assert.doesNotMatch(answer, /10\.0\.0\.1/)
    assert.equal((await door.observed()).outcome, 'undecided')
  })

  test('an authorizer that cannot tell is neither yes nor no', async () => {
    const lost = new ArchwayError('authorizers_failed', 'the inside', { retryAfter: 9 })
    await open({ authorizer: authorizer(() => Promise.reject(lost)) })
    const answer = await ask(request('GET /foo'))
    assert.equal(statusOf(answer), 503)
    assert.match(answer, /\r\nRetry-After: 9\r\n/)
    assert.doesNotMatch(answer, /the inside/)
  })

  test('a path that names nothing is not asked about', async () => {
    await open({ authorizer: authorizer(() => yes) })
    assert.equal(statusOf(await ask(request('GET /api/v1/watch'))), 400)
  })

  test('impersonation that is passed on needs every part of it allowed, to the one who really asks', async () => {
    const asked: Attributes[] = []
    const impersonation = 'Impersonate-User: bob\r\nImpersonate-Group: ops\r\n'
    await open({ hygiene: { impersonation: 'pass' }, authorizer: authorizer(() => yes, asked) })
    assert.equal(statusOf(await ask(request('GET /foo', { headers: impersonation }))), 200)
    assert.deepEqual(
      asked.map(({ user, verb, ...rest }) => [user.username, verb, 'resource' in rest ? rest.resource : '']),
      [
        ['jane', 'impersonate', 'users'],
        ['jane', 'impersonate', 'groups'],
        ['bob', 'get', ''],
      ],
    )
  })

  test('impersonation is forbidden when one part of it is', async () => {
    const decide = ({ verb, ...rest }: Attributes) =>
      verb === 'impersonate' && 'resource' in rest && rest.resource === 'groups' ? no() : yes
    const impersonation = 'Impersonate-User: bob\r\nImpersonate-Group: ops\r\n'
    await open({ hygiene: { impersonation: 'pass' }, authorizer: authorizer(decide) })
    const answer = await ask(request('GET /foo', { headers: impersonation }))
    assert.equal(statusOf(answer), 403)
    assert.equal(
      (jsonOf(answer) as Status).message,
      'groups "ops" is forbidden: User "jane" cannot impersonate resource "groups" in API group "" at the cluster scope',
    )
  })
})

describe('room for it', () => {
  test('more than a user may have is 429, with a time to come back, and the permits of others stay theirs', async () => {
    const limits: unknown[] = []
    await open({
      admission: {
        admit: (user, duration) => {
          limits.push([user, duration])
          return { kind: 'refused', limit: 'user-streams', message: 'too many watches', retryAfter: 5 }
        },
        counts: () => ({ requests: 0, streams: 0, waiting: 0, users: 0 }),
      },
    })
    const answer = await ask(request('GET /api/v1/pods?watch=1'))
    assert.equal(statusOf(answer), 429)
    assert.match(answer, /\r\nRetry-After: 5\r\n/)
    assert.equal((jsonOf(answer) as Status).reason, 'TooManyRequests')
    assert.deepEqual(limits, [['jane', 'long']])
    assert.equal((await door.observed()).outcome, 'limited')
  })

  test('is given back however a request ends', async () => {
    const { admission, observed } = await open({}, (received, response) => {
      if (received.url === '/lost') response.socket?.destroy()
      else response.end('{}')
    })
    await ask(request('GET /fine'))
    await ask(request('GET /lost'))
    await observed(2)
    assert.deepEqual(admission.counts(), { requests: 0, streams: 0, waiting: 0, users: 0 })
  })
})

describe('the API server', () => {
  test('none that is ready is 503 with a time to come back', async () => {
    await open({ ready: false })
    const answer = await ask(request('GET /api'))
    assert.equal(statusOf(answer), 503)
    assert.match(answer, /\r\nRetry-After: 3\r\n/)
    assert.equal((await door.observed()).outcome, 'unavailable')
  })

  test('one that hangs up without an answer is 502', async () => {
    await open({}, (_, response) => void response.socket?.destroy())
    const answer = await ask(request('POST /api/v1/namespaces', { headers: 'Content-Length: 0\r\n' }))
    assert.equal(statusOf(answer), 502)
    assert.equal((jsonOf(answer) as Status).kind, 'Status')
    const seen = await door.observed()
    assert.deepEqual([seen.outcome, seen.cause], ['failed', 'lost'])
  })

  test('T-H10 a redirect to another host is not passed on, one on this host is', async () => {
    await open({}, ({ url }, response) => {
      response.writeHead(302, { Location: url === '/away' ? 'https://evil.example/' : '/here' }).end()
    })
    assert.equal(statusOf(await ask(request('GET /away'))), 502)
    assert.equal((await door.observed()).cause, 'H10')
    const client = await dial(estate, door)
    client.send(request('GET /stays'))
    assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 302 [\s\S]*\r\nLocation: \/here\r\n/)
    client.socket.destroy()
  })

  test('a compressed answer passes untouched', async () => {
    const bytes = Buffer.from([0x1f, 0x8b, 0, 255, 13, 10])
    await open({}, (_, response) =>
      response.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Length': 6 }).end(bytes),
    )
    const answer = await ask(request('GET /api', { headers: 'Accept-Encoding: gzip\r\n' }))
    assert.match(answer, /\r\nContent-Encoding: gzip\r\n/)
    assert.equal(answer.slice(-6), bytes.toString('latin1'))
  })

  test('a fault of ours ends one request, and is told without its inside', async () => {
    const { log } = await open({
      certificateOf: () => {
        throw new TypeError('the inside')
      },
    })
    const answer = await ask(request('GET /api'))
    assert.equal(statusOf(answer), 500)
    assert.doesNotMatch(answer, /the inside/)
    assert.match(answer, /\r\nX-Request-Id: r1\r\n/)
    assert.equal(log.lines[0]?.level, 'error')
    assert.equal((await door.observed()).cause, 'internal')
  })

  test('an observer that fails does not take the request with it', async () => {
    const { log } = await open({
      observer: {
        begin: () => ({ traceId: undefined, headers: [], end() {} }),
        finished: () => {
          throw new Error('disk full')
        },
      },
    })
    assert.equal(statusOf(await ask(request('GET /api'))), 200)
    const client = await dial(estate, door)
    client.send(request('GET /api'))
    await client.until(isWhole)
    client.socket.destroy()
    assert.match(log.lines[0]?.message ?? '', /could not be recorded/)
  })

  test('one that fails at the beginning costs a request its connection, and nobody else theirs', async () => {
    let begun = 0
    const { log } = await open({
      observer: {
        begin: () => {
          begun += 1
          if (begun === 1) throw new Error('no span')
          return { traceId: undefined, headers: [], end() {} }
        },
        finished() {},
      },
    })
    const client = await dial(estate, door)
    client.send(request('GET /api'))
    assert.equal(await client.closed, '')
    assert.match(log.lines[0]?.message ?? '', /could not be begun/)
    assert.equal(statusOf(await ask(request('GET /api'))), 200)
  })
})
