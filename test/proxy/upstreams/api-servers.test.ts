/** All of it together over real sockets: stand-ins for API servers that can be made to fail as no real one would. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { afterEach, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { parseUpstreamUrls } from '../../../src/kube/server-url.ts'
import { type ApiServers, apiServers } from '../../../src/proxy/upstreams/api-servers.ts'
import { createAuthority, createFolder, type Issued, type TestAuthority, type TestFolder } from '../../support/tls.ts'
import { GET, type HandClock, handClock, recordingLog, recordingSink } from './support.ts'

let authority: TestAuthority
let frontProxy: TestAuthority
let serving: Issued
let folder: TestFolder
let clock: HandClock
let events: string[]
let standIns: StandIn[]
let upstreams: ApiServers

interface StandIn {
  readonly name: string
  readonly requests: { readonly url: string; readonly user: unknown; readonly client: string }[]
  ready: boolean
  /** Taken so far. */
  connections: number
  /** As SIGKILL does: every connection is cut, and nothing listens. */
  kill(): void
  restart(): Promise<void>
}

async function standIn(): Promise<StandIn> {
  const sockets = new Set<Duplex>()
  let server: Server
  let port = 0
  const requests: StandIn['requests'] = []
  const self: StandIn = {
    name: '',
    requests,
    ready: true,
    connections: 0,
    kill() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
    async restart() {
      server = createServer({ ...serving, requestCert: true, ca: frontProxy.cert }, (request, response) => {
        const client = String((request.socket as TLSSocket).getPeerCertificate().subject?.CN)
        requests.push({ url: request.url ?? '', user: request.headers['x-remote-user'], client })
        if (request.url === '/watch') return void response.write('first')
        response.writeHead(request.url !== '/readyz' || self.ready ? 200 : 500).end('ok')
      })
      server.on('connection', (socket) => {
        self.connections++
        sockets.add(socket)
        socket.on('error', () => {}).on('close', () => sockets.delete(socket))
      })
      server.on('tlsClientError', () => {})
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
      port = (server.address() as AddressInfo).port
    },
  }
  await self.restart()
  return Object.assign(self, { name: `127.0.0.1:${port}` })
}

before(async () => {
  authority = await createAuthority('Kubernetes CA')
  frontProxy = await createAuthority('Front proxy CA')
  serving = await authority.server()
})
beforeEach(async () => {
  events = []
  clock = handClock()
  folder = await createFolder()
  standIns = [await standIn(), await standIn()]
  const client = await frontProxy.client({ commonName: 'front-proxy-client' })
  upstreams = await apiServers({
    urls: parseUpstreamUrls(standIns.map(({ name }) => `https://${name}`)),
    tls: {
      caFile: await folder.write('ca.crt', authority.cert),
      certFile: await folder.write('client.crt', client.cert),
      keyFile: await folder.write('client.key', client.key),
    },
    reloadIntervalMs: 0,
    log: recordingLog(),
    observe: (server, event) => void events.push(`${event} ${server}`),
    clock,
    random: () => 0.5,
  })
  await upstreams.firstRound
})
afterEach(async () => {
  upstreams.close()
  for (const one of standIns) one.kill()
  await folder.remove()
})

/** Everything that was told of one request, once it is over. */
async function get(target = '/api'): Promise<string[]> {
  const sink = recordingSink()
  upstreams.exchange({ ...GET, target, headers: [['Host', 'x']] }, sink)
  await until(() => /^(end|failed)/.test(sink.told.at(-1) ?? ''))
  return sink.told
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await pause(2)
}

const served = (one: StandIn | undefined): number => one?.requests.filter(({ url }) => url === '/api').length ?? 0

function pair(): readonly [StandIn, StandIn] {
  const [one, two] = standIns
  assert(one !== undefined && two !== undefined)
  return [one, two]
}

describe('API servers', () => {
  test('are ready when each was checked, and take requests in turn', async () => {
    assert.deepEqual(
      upstreams.states().map(({ ready }) => ready),
      [true, true],
    )
    for (let round = 0; round < 6; round++) assert.equal((await get()).at(-1), 'end')
    assert.deepEqual(standIns.map(served), [3, 3])
    const clients = new Set(standIns.flatMap(({ requests }) => requests.map(({ client }) => client)))
    assert.deepEqual(clients, new Set(['front-proxy-client']))
  })

  test('of which one is killed answer all the same, and no request goes there again before it is back', async () => {
    const [one, two] = pair()
    for (let round = 0; round < 4; round++) await get()
    one.kill()
    const answers = await Promise.all(Array.from({ length: 20 }, () => get()))
    assert(answers.every((told) => told[0] === `head 200 ${two.name}` && told.at(-1) === 'end'))
    assert.equal(upstreams.states()[0]?.ready, false)
    assert.match(upstreams.states()[0]?.reason ?? '', /nothing listens there/)
    assert.equal(events.filter((event) => event === `ejected ${one.name}`).length, 1)
    await one.restart()
    for (let round = 0; round < 4; round++) await get()
    assert.equal(served(one), 2, 'back, but not checked yet')
    await clock.pass(1000)
    await until(() => upstreams.states()[0]?.ready === true)
    assert(events.includes(`readmitted ${one.name}`))
    for (let round = 0; round < 4; round++) await get()
    assert.equal(served(one), 4)
  })

  test('that are all gone make a 503 with a time, and come back by themselves', async () => {
    for (const one of standIns) one.kill()
    assert.deepEqual(await get(), ['failed none-ready -'])
    for (const one of standIns) await one.restart()
    await clock.pass(1000)
    await until(() => upstreams.states().every(({ ready }) => ready))
    assert.equal((await get()).at(-1), 'end')
  })

  test('of which one says that it is not ready is left in peace, its watches too', async () => {
    const [one, two] = pair()
    const sinks = [recordingSink(), recordingSink()]
    for (const sink of sinks) upstreams.exchange({ ...GET, target: '/watch', headers: [['Host', 'x']] }, sink, 'long')
    await until(() => sinks.every(({ told }) => told.includes('data first')))
    one.ready = false
    await clock.pass(5000)
    await until(() => upstreams.states()[0]?.ready === false)
    assert.match(upstreams.states()[0]?.reason ?? '', /says that it is not ready \(500\)/)
    for (let round = 0; round < 3; round++) assert.equal((await get())[0], `head 200 ${two.name}`)
    assert(
      sinks.every(({ told }) => told.at(-1) === 'data first'),
      'the watches go on',
    )
  })
})

describe('a check', () => {
  test('comes on a connection of its own, and keeps none: one that is kept may be dead', async () => {
    const [one] = pair()
    for (let round = 0; round < 4; round++) await get()
    const [{ idle } = { idle: 0 }] = upstreams.states()
    assert.equal(idle, 1)
    const connections = one.connections
    const checks = one.requests.length
    await clock.pass(5000)
    await until(() => one.requests.length > checks && upstreams.states().every(({ busy }) => busy === 0))
    assert.equal(one.connections, connections + 1)
    assert.equal(upstreams.states()[0]?.idle, 1)
  })
})

describe('a new front-proxy certificate', () => {
  test('T-S11 is shown to every server from the next request on', async () => {
    for (let round = 0; round < 4; round++) await get()
    const next = await frontProxy.client({ commonName: 'front-proxy-client-2' })
    await folder.write('client.crt', next.cert)
    await folder.write('client.key', next.key)
    assert.equal(await upstreams.credentials.check(), 'reloaded')
    const before = standIns.map(({ requests }) => requests.length)
    for (let round = 0; round < 4; round++) assert.equal((await get()).at(-1), 'end')
    const clients = standIns.flatMap(({ requests }, at) => requests.slice(before[at]).map(({ client }) => client))
    assert.deepEqual(new Set(clients), new Set(['front-proxy-client-2']))
  })
})
