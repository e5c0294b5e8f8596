/** Start and stop of the listener. */
import assert from 'node:assert/strict'
import { createServer as createTcpServer, type Server } from 'node:net'
import { after, afterEach, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { ArchwayError } from '../../src/errors.ts'
import { formatListen, parseListen } from '../../src/server/address.ts'
import { createServer } from '../../src/server/listener.ts'
import {
  canonical,
  createEstate,
  dial,
  type Estate,
  keepLog,
  type Running,
  type StartOptions,
  settled,
  start,
} from './support.ts'

let estate: Estate
let running: Running | undefined

before(async () => {
  estate = await createEstate()
})
after(() => estate.folder.remove())
afterEach(async () => {
  await running?.server.close({ drainMs: 0 })
  running = undefined
})

for (const [side, lane] of [
  ['lane', true],
  ['node:http', false],
] as const)
  describe(side, () => {
    const begin = async (options: StartOptions = {}): Promise<Running> => {
      running = await start(estate, { lane, ...options })
      return running
    }

    test('stopping answers what runs, as the last of its connection, and closes what is idle', async () => {
      const finish: (() => void)[] = []
      const started = begin({
        handler: ({ body }) =>
          body.length === 0
            ? { status: 200, body: 'quick' }
            : new Promise((resolve) => finish.push(() => resolve({ status: 200, body: body.toString() }))),
      })
      const { server, port } = await started
      const idle = await dial(estate, port)
      idle.send(canonical(''))
      await idle.next()
      const busy = await Promise.all(
        Array.from({ length: 20 }, async (_, at) => {
          const client = await dial(estate, port)
          client.send(canonical(`busy ${at}`))
          return client
        }),
      )
      const partial = await dial(estate, port)
      partial.send(canonical('partial').slice(0, -3))
      while (finish.length < busy.length) await new Promise(setImmediate)
      await settled(estate, await started)

      const closed = server.close({ drainMs: 60_000 })
      assert.deepEqual(await idle.rest(), [])
      await assert.rejects(dial(estate, port), { code: 'ECONNREFUSED' })
      partial.send('ial')
      while (finish.length < busy.length + 1) await new Promise(setImmediate)
      for (const end of finish) end()
      for (const [at, client] of [...busy, partial].entries()) {
        const answer = await client.next()
        assert.equal(answer.body, at < busy.length ? `busy ${at}` : 'partial')
        assert.equal(answer.headers.get('connection'), 'close')
        assert.deepEqual(await client.rest(), [])
      }
      await Promise.all([closed, server.close({ drainMs: 60_000 })])
      assert.deepEqual(server.counts(), { connections: 0, requests: 0 })
    })

    test('what is left after drainMs is destroyed, its signal aborted', async () => {
      let signal: AbortSignal | undefined
      const { server, port } = await begin({
        handler: (request) => {
          signal = request.signal
          return new Promise(() => {})
        },
      })
      const stuck = await dial(estate, port)
      stuck.send(canonical('{}'))
      while (signal === undefined) await new Promise(setImmediate)
      const patient = server.close({ drainMs: 600_000 })
      await server.close({ drainMs: 20 }) // less patient
      await patient
      assert.deepEqual(await stuck.rest(), [])
      assert.equal(signal.aborted, true)
    })

    test('under load every request sent before the stop is answered or its connection is closed', async () => {
      const { server, port } = await begin({
        handler: async ({ body }) => {
          await new Promise(setImmediate)
          return { status: 200, body: body.toString() }
        },
      })
      let answered = 0
      const traffic = Array.from({ length: 16 }, async (_, at) => {
        const client = await dial(estate, port)
        for (let round = 0; !client.socket.destroyed; round += 1) {
          client.send(canonical(`${at}/${round}`))
          const answer = await client.next().catch(() => undefined)
          if (answer === undefined) break
          assert.equal(answer.body, `${at}/${round}`)
          answered += 1
        }
        assert.deepEqual(await client.rest(), [])
      })
      while (answered < 200) await new Promise(setImmediate)
      await server.close({ drainMs: 10_000 })
      await Promise.all(traffic)
      assert.deepEqual(server.counts(), { connections: 0, requests: 0 })
    })
  })

describe('listening', () => {
  test('a server that never listened can be stopped', async () => {
    const server = createServer({
      listen: { host: '127.0.0.1', port: 0 },
      tls: estate.files,
      handler: () => ({ status: 200, body: '' }),
      lanePaths: [],
      log: keepLog(),
    })
    server.sweep()
    await server.close({ drainMs: 0 })
  })

  test('a server stopped while it starts does not listen', async () => {
    for (const turns of [0, 1, 2, 4, 8, 16, 32]) {
      const server = createServer({
        listen: { host: '127.0.0.1', port: 0 },
        tls: estate.files,
        handler: () => ({ status: 200, body: '' }),
        lanePaths: [],
        log: keepLog(),
      })
      const started = server.listen().then(
        ({ port }) => port,
        (thrown: unknown) => thrown,
      )
      for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate)
      await server.close({ drainMs: 0 })
      const outcome = await started
      if (typeof outcome === 'number') await assert.rejects(dial(estate, outcome), { code: 'ECONNREFUSED' })
      else assert(outcome instanceof ArchwayError)
    }
  })

  const failing = async (listen: { host: string; port: number }): Promise<ArchwayError> => {
    const server = createServer({
      listen,
      tls: estate.files,
      handler: () => ({ status: 200, body: '' }),
      lanePaths: [],
      log: keepLog(),
    })
    const error = await server.listen().then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    assert(error instanceof ArchwayError)
    assert.equal(error.code, 'config_invalid')
    return error
  }

  test('an address in use is an error with the address and what to do', async () => {
    const other: Server = createTcpServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const address = other.address()
    assert(address !== null && typeof address === 'object')
    const error = await failing({ host: '127.0.0.1', port: address.port })
    assert.equal(
      error.message,
      `cannot listen on 127.0.0.1:${address.port}: another process listens there; stop it or choose another port`,
    )
    await new Promise((resolve) => other.close(resolve))
  })

  test('an address of another machine is an error that says so', async () => {
    const error = await failing({ host: '192.0.2.1', port: 0 })
    assert.match(error.message, /^cannot listen on 192\.0\.2\.1:0: this machine has no such address/)
  })

  test('parseListen reads every notation and refuses the rest', () => {
    for (const [text, host, port] of [
      ['127.0.0.1:8443', '127.0.0.1', 8443],
      ['0.0.0.0:0', '0.0.0.0', 0],
      [':8443', undefined, 8443],
      ['[::1]:8443', '::1', 8443],
      ['[::]:65535', '::', 65_535],
      ['localhost:1', 'localhost', 1],
      ['web-1.example.org:443', 'web-1.example.org', 443],
    ] as const) {
      assert.deepEqual(parseListen(text), { host, port }, text)
      assert.equal(formatListen(parseListen(text)), text)
    }
    for (const text of [
      '',
      ':',
      '8443',
      'localhost',
      'localhost:',
      ':65536',
      ':-1',
      ':+1',
      ': 80',
      ':0x50',
      '::1:8443',
    ])
      assert.throws(() => parseListen(text), { code: 'config_invalid' }, text)
    for (const text of [
      '[]:1',
      '[127.0.0.1]:1',
      '[::1]',
      '[::1]8443',
      '[::g]:1',
      '256.0.0.1:1',
      '1.2.3:1',
      '-a:1',
      'a b:1',
    ])
      assert.throws(() => parseListen(text), { code: 'config_invalid' }, text)
    assert.throws(() => parseListen('https://x:1'), /listen address "https:\/\/x:1" is not one of the form "host:port"/)
  })

  test('T-W15 parseListen reads or refuses whatever it is given', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.webAuthority()), (text) => {
        try {
          const { port } = parseListen(text)
          assert(port >= 0 && port <= 65_535)
        } catch (error) {
          assert(error instanceof ArchwayError)
        }
      }),
    )
  })
})
