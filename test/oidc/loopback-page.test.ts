import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { type LoopbackPage, openLoopbackPage } from '../../src/oidc/loopback-page.ts'
import { Secret } from '../../src/secret.ts'

const STATE = 'the-state-of-this-login'

function open(path = '/callback'): Promise<LoopbackPage> {
  return openLoopbackPage({ host: '127.0.0.1', ports: [0], path, state: new Secret(STATE) })
}

/** Sends bytes, and gives back all that comes until the page hangs up. */
async function send(page: LoopbackPage, bytes: string): Promise<{ status: number; head: string; body: string }> {
  const socket = connect(Number(new URL(page.redirectUri).port), '127.0.0.1')
  socket.on('error', () => {}) // the page need not read what it refuses
  socket.write(bytes)
  const chunks: Buffer[] = []
  try {
    for await (const chunk of socket) chunks.push(Buffer.from(chunk))
  } catch {
    // what came before counts
  }
  const [head = '', body = ''] = Buffer.concat(chunks).toString().split('\r\n\r\n')
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1] ?? 0), head, body }
}

interface RequestParts {
  readonly method?: string
  readonly target?: string
  readonly headers?: readonly string[]
}

function request(page: LoopbackPage, parts: RequestParts = {}): string {
  const { host } = new URL(page.redirectUri)
  const { method = 'GET', target = `/callback?code=c&state=${STATE}`, headers = [`Host: ${host}`] } = parts
  return `${method} ${target} HTTP/1.1\r\n${headers.map((line) => `${line}\r\n`).join('')}\r\n`
}

/** Whether the wait has ended; a tick is given to what is on its way. */
async function isOver(page: LoopbackPage): Promise<boolean> {
  const ticked = new Promise<false>((resolve) => setImmediate(resolve, false))
  return (await Promise.race([page.answer, ticked])) !== false
}

describe('loopback page', () => {
  let page: LoopbackPage
  before(async () => {
    page = await open()
  })
  after(() => page.close())

  const GOOD = `/callback?code=c&state=${STATE}`
  const refused: readonly (readonly [string, number, RequestParts])[] = [
    ['POST', 405, { method: 'POST' }],
    ['HEAD', 405, { method: 'HEAD' }],
    ['OPTIONS', 405, { method: 'OPTIONS' }],
    ['another path', 404, { target: `/?code=c&state=${STATE}` }],
    ['a longer path', 404, { target: `/callback/?code=c&state=${STATE}` }],
    ['the path written otherwise', 404, { target: `/%63allback?code=c&state=${STATE}` }],
    ['a detour', 404, { target: `/x/../callback?code=c&state=${STATE}` }],
    ['an absolute address', 404, { target: `http://127.0.0.1/callback?code=c&state=${STATE}` }],
    ['the icon browsers ask for', 404, { target: '/favicon.ico' }],
    ['another host (DNS rebinding)', 421, { headers: ['Host: evil.example'] }],
    ['another name of this machine', 421, { headers: ['Host: localhost'] }],
    ['the host without its port', 421, { headers: ['Host: 127.0.0.1'] }],
    ['two codes', 400, { target: `${GOOD}&code=d` }],
    ['two states', 400, { target: `${GOOD}&state=${STATE}` }],
    ['a code and an error, twice', 400, { target: `${GOOD}&error=a&error=b` }],
    ['the state alone', 400, { target: `/callback?state=${STATE}` }],
    ['nothing at all', 403, { target: '/callback' }],
    ['a wrong state', 403, { target: '/callback?code=c&state=wrong' }],
    ['a state that begins right', 403, { target: `/callback?code=c&state=${STATE.slice(0, -1)}` }],
    ['an error without state', 403, { target: '/callback?error=access_denied' }],
    ['a long address', 414, { target: `${GOOD}&x=${'x'.repeat(9000)}` }],
  ]
  for (const [what, status, parts] of refused) {
    it(`T-S12 refuses ${what} (${status}), with a page, and waits on`, async () => {
      const answer = await send(page, request(page, parts))
      assert.equal(answer.status, status)
      assert.match(answer.head, /cache-control: no-store/i)
      assert.match(answer.head, /referrer-policy: no-referrer/i)
      assert.match(answer.head, /content-security-policy: default-src 'none'/i)
      if (parts.method !== 'HEAD') assert.match(answer.body, /This address is for one login/)
      assert.equal(await isOver(page), false)
    })
  }

  it('T-S12 refuses what is no HTTP (400) and a huge address (431), with a page, and waits on', async () => {
    for (const [bytes, status] of [
      ['\u0016\u0003\u0001\u0002\u0000garbage\r\n\r\n', 400],
      [request(page, { headers: [] }), 400],
      [request(page, { target: `${GOOD}&x=${'x'.repeat(200_000)}` }), 431],
    ] as const) {
      const answer = await send(page, bytes)
      assert.equal(answer.status, status, bytes.slice(0, 40))
      assert.equal(await isOver(page), false)
    }
  })

  it('T-S12 refuses two Host lines', async () => {
    const { host } = new URL(page.redirectUri)
    const answer = await send(page, request(page, { headers: [`Host: ${host}`, 'Host: evil.example'] }))
    assert.ok([400, 421].includes(answer.status))
    assert.equal(await isOver(page), false)
  })

  it('T-S12 repeats nothing that it is sent', async () => {
    await fc.assert(
      fc.asyncProperty(fc.webQueryParameters(), async (query) => {
        const answer = await send(page, request(page, { target: `/callback?canary-${query}` }))
        assert.ok(answer.status >= 400 && answer.status < 500)
        assert.ok(!answer.body.includes('canary-') && !answer.head.includes('canary-'))
        assert.equal(await isOver(page), false)
      }),
      { numRuns: 50 },
    )
  })

  it('T-S12 takes exactly one answer; a second one is told that it is too late', async () => {
    const own = await open()
    // Both at once: the page is still there when the second one comes.
    const [one, two] = await Promise.all([send(own, request(own)), send(own, request(own, { target: `${GOOD}2` }))])
    assert.deepEqual([one.status, two.status].sort(), [200, 403])
    const late = await send(own, request(own))
    assert.equal(late.status, 410)
    assert.equal(await isOver(own), true)
    const answer = await own.answer
    assert.equal(answer.href, `${own.redirectUri}?code=c&state=${STATE}`)
    await own.close()
    await assert.rejects(fetch(own.redirectUri))
  })

  it('listens on 127.0.0.1 and nowhere else', async () => {
    const { port } = new URL(page.redirectUri)
    const others = Object.values(networkInterfaces())
      .flatMap((addresses = []) => addresses)
      .filter(({ family, address }) => family === 'IPv4' && address !== '127.0.0.1')
      .map(({ address }) => address)
    for (const host of [...others, '127.0.0.2', '::1']) {
      await assert.rejects(
        new Promise((resolve, reject) => {
          const socket = connect(Number(port), host)
          socket.once('connect', () => {
            socket.destroy()
            resolve(host)
          })
          socket.once('error', reject)
        }),
        host,
      )
    }
  })

  it('is closed at once, whoever is still connected', async () => {
    const own = await open()
    const idle = connect(Number(new URL(own.redirectUri).port), '127.0.0.1')
    idle.on('error', () => {})
    await new Promise((resolve) => idle.once('connect', resolve))
    const gone = new Promise((resolve) => idle.once('close', resolve))
    await own.close()
    await gone
  })
})
