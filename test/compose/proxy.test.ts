/** The proxy put together: sources, authorizers, self-check, readiness, files that change, the end. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Agent, request } from 'undici'
import { type ProxyService, startProxy } from '../../src/compose/proxy.ts'
import { loadConfig } from '../../src/config/load.ts'
import { type StandIn, startStandIn } from '../../src/demo/api-server.ts'
import { createLogger } from '../../src/telemetry/logger.ts'
import { createAuthority, createFolder, type TestAuthority, type TestFolder } from '../support/tls.ts'

const WHOAMI = '/apis/authentication.k8s.io/v1/selfsubjectreviews'

let folder: TestFolder
let authority: TestAuthority
let frontProxy: TestAuthority
let standIn: StandIn
let document: { readonly proxy: object } & Record<string, unknown>
before(async () => {
  folder = await createFolder()
  authority = await createAuthority('server CA')
  frontProxy = await createAuthority('front proxy CA')
  const server = await authority.server()
  const front = await frontProxy.client({ commonName: 'front-proxy-client' })
  standIn = await startStandIn({ certificate: server.cert, key: server.key, frontProxyCa: frontProxy.cert })
  document = {
    admin: { listen: '127.0.0.1:0' },
    authenticators: [{ tokenFile: { path: await folder.write('tokens.csv', 'good,김철수,1,"개발,devs"\n') } }],
    proxy: {
      listen: '127.0.0.1:0',
      tls: { certFile: await folder.write('tls.crt', server.cert), keyFile: await folder.write('tls.key', server.key) },
      upstreams: [standIn.url],
      upstream: {
        caFile: await folder.write('ca.crt', authority.cert),
        clientCertFile: await folder.write('front.crt', front.cert),
        clientKeyFile: await folder.write('front.key', front.key),
      },
    },
  }
})
after(async () => {
  standIn.close()
  await folder.remove()
})

interface Running extends AsyncDisposable {
  readonly service: ProxyService
  readonly lines: string[]
  ask(path: string, headers?: Readonly<Record<string, string>>): Promise<{ status: number; body: string }>
  /** The text of `/readyz?verbose` once it says this. */
  readiness(expected: RegExp): Promise<string>
}

async function start(changes: object = {}): Promise<Running> {
  const lines: string[] = []
  const log = await createLogger({ level: 'debug', format: 'json', write: (line) => void lines.push(line) })
  const text = JSON.stringify({ ...document, ...changes })
  const config = loadConfig({ file: { path: 'archway.yaml', text }, door: 'proxy' })
  const service = await startProxy(config, { log, version: '0.0.0', adminRequired: true })
  const dispatcher = new Agent({ connect: { ca: authority.cert } })
  return {
    service,
    lines,
    async ask(path, headers = {}) {
      const answer = await request(`${service.url}${path}`, { dispatcher, headers })
      return { status: answer.statusCode, body: await answer.body.text() }
    },
    async readiness(expected) {
      for (;;) {
        const answer = await request(`${service.adminUrl}/readyz?verbose`)
        const said = await answer.body.text()
        if (expected.test(said)) return said
      }
    },
    async [Symbol.asyncDispose]() {
      await dispatcher.destroy()
      await service.stop()
      log.flush()
    },
  }
}

/** A proxy configuration with one key changed. */
function proxyWith(change: object): object {
  return { proxy: { ...document.proxy, ...change } }
}

describe('the proxy', () => {
  test('hands on who somebody is, and refuses nobody by any other word than 401', async () => {
    await using running = await start()
    await running.readiness(/readyz check passed/)
    const known = await running.ask(WHOAMI, { authorization: 'Bearer good', 'x-remote-user': 'system:admin' })
    const { userInfo } = JSON.parse(known.body).status
    assert.deepEqual([userInfo.username, userInfo.groups], ['김철수', ['개발', 'devs', 'system:authenticated']])
    const unknown = await running.ask(WHOAMI, { authorization: 'Bearer other' })
    assert.deepEqual([unknown.status, JSON.parse(unknown.body).reason], [401, 'Unauthorized'])
  })

  test('is ready when an API server is, and says what its set-up lacks (T-H7)', async () => {
    await using running = await start()
    const said = await running.readiness(/readyz check passed/)
    assert.match(said, /\[\+\]upstreams ok/)
    assert.match(said, /\[\+\]front-proxy ok/)
    assert.match(said, /\[\+\]upstream-tls ok/)
    const metrics = await (await request(`${running.service.adminUrl}/metrics`)).body.text()
    assert.match(metrics, /^archway_proxy_upstream_ready\{upstream="127\.0\.0\.1:\d+"\} 1$/m)
  })

  test('whose certificate the API servers do not trust is not ready, and says why', async () => {
    const stranger = await (await createAuthority('another CA')).client({ commonName: 'front-proxy-client' })
    const upstream = {
      caFile: folder.path('ca.crt'),
      clientCertFile: await folder.write('stranger.crt', stranger.cert),
      clientKeyFile: await folder.write('stranger.key', stranger.key),
    }
    await using running = await start(proxyWith({ upstream }))
    await running.readiness(/\[-\]upstreams failed: .*(trust|certificate)/)
  })

  test('asks its authorizers only where it is told to', async () => {
    const authorizers = [{ alwaysDeny: {} }]
    const bearer = { authorization: 'Bearer good' }
    {
      await using running = await start({ authorizers })
      await running.readiness(/readyz check passed/)
      assert.equal((await running.ask(WHOAMI, bearer)).status, 200)
    }
    await using running = await start({ authorizers, ...proxyWith({ authorize: true }) })
    await running.readiness(/\[\+\]upstreams ok/)
    const { status, body } = await running.ask('/api/v1/namespaces/default/pods', bearer)
    assert.equal(status, 403)
    assert.match(JSON.parse(body).message, /User "김철수" cannot list resource "pods" in API group ""/)
  })

  test('takes up new certificates when told to look', async () => {
    await using running = await start()
    const renewed = await authority.server({ commonName: 'renewed' })
    await folder.write('tls.crt', renewed.cert)
    await folder.write('tls.key', renewed.key)
    await running.service.reload()
    assert.ok(running.lines.some((line) => line.includes('certificate in use') && line.includes('CN=renewed')))
  })

  test('ends, and may be ended again', async () => {
    const running = await start()
    await running.service.stop()
    await running.service.stop()
    await assert.rejects(running.ask(WHOAMI))
    await running[Symbol.asyncDispose]()
  })
})

describe('a proxy that cannot start says why, and leaves nothing open', () => {
  const broken: readonly (readonly [name: string, change: () => object, message: RegExp])[] = [
    ['a CA file that is not there', () => upstreamWith({ caFile: folder.path('none.crt') }), /none\.crt/],
    ['a key of another certificate', () => upstreamWith({ clientKeyFile: folder.path('tls.key') }), /tls\.key/],
    ['a serving certificate that is none', () => proxyWith({ tls: wrongPair() }), /tokens\.csv/],
    ['an address that is no one of ours', () => proxyWith({ listen: '203.0.113.1:1' }), /203\.0\.113\.1:1/],
  ]
  const upstreamWith = (change: object): object => {
    const { upstream } = document.proxy as { readonly upstream: object }
    return proxyWith({ upstream: { ...upstream, ...change } })
  }
  const wrongPair = (): object => ({ certFile: folder.path('tokens.csv'), keyFile: folder.path('tls.key') })

  for (const [name, change, message] of broken) {
    test(name, async () => {
      await assert.rejects(start(change()), message)
    })
  }
})
