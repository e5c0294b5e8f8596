/**
 * The proxy as its users run it, with two API servers behind it, files that change under it, and a log that is kept.
 *
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync, readFileSync } from 'node:fs'
import { setTimeout as passed } from 'node:timers/promises'
import { createAuthority, type Issued, type TestFolder } from '../../test/support/tls.ts'
import { here } from '../contest.ts'
import { type ApiServer, startApiServer } from './api-server.ts'
import { type Place, tokenOf, userOf } from './client.ts'
import { type Reading, readingOf, textOf } from './readings.ts'

/** Connections to API servers that nobody uses go soon, so that there are always new ones. */
const UPSTREAM_IDLE = '10s'
/** Certificates that the proxy may remember: soon as many as there will ever be. */
const REMEMBERED = 100
const START_MS = 60_000

export interface SoakedProxy {
  readonly place: Place
  readonly apiServers: readonly ApiServer[]
  read(): Promise<Reading>
  /** Its certificates and its users change on disk, and it takes them up. */
  renew(): Promise<void>
  /** Lines of its log so far. */
  log(): readonly LogLine[]
  /** Asks it to end; the status it ends with. */
  stop(): Promise<number | null>
  /** Leaves nothing behind. */
  kill(): void
}

export interface LogLine {
  readonly level?: string
  readonly message?: string
  readonly [field: string]: unknown
}

/** `users` of them are known by their tokens. */
export async function startProxy(folder: TestFolder, users: number): Promise<SoakedProxy> {
  const authority = await createAuthority('soak CA')
  const [serving, front] = [await authority.server(), await authority.client({ commonName: 'front-proxy-client' })]
  const tls = { cert: serving.cert, key: serving.key, ca: authority.cert }
  const apiServers = await Promise.all([startApiServer(tls), startApiServer(tls)])
  const followed = new Map([
    ['tls.crt', serving.cert],
    ['front.crt', front.cert],
    ['tokens.csv', Array.from({ length: users }, (_, n) => `${tokenOf(n)},${userOf(n)},${n},"devs"\n`).join('')],
  ])
  for (const [name, content] of followed) await folder.write(name, content)
  const config = await configOf(folder, { ca: authority.cert, serving, front, apiServers })
  const log = folder.path('proxy.log')
  const child = start(await folder.write('archway.yaml', JSON.stringify(config)), log)
  const kill = (): void => {
    child.kill('SIGKILL')
    for (const apiServer of apiServers) apiServer.close()
  }
  const { url, adminUrl } = await ready(child, log).catch((error: unknown) => {
    kill()
    throw error
  })
  let renewals = 0
  return {
    place: {
      port: Number(url.port),
      ca: authority.cert,
      certificate: (name) => authority.client({ commonName: name }),
    },
    apiServers,
    read: () => readingOf(adminUrl, child.pid ?? 0),
    async renew() {
      for (const [name, content] of followed) await folder.write(name, `${content}${'\n'.repeat(++renewals % 7)}`)
      child.kill('SIGHUP')
    },
    log: () => linesOf(log),
    async stop() {
      child.kill('SIGTERM')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      return child.exitCode
    },
    kill,
  }
}

interface Site {
  readonly ca: string
  readonly serving: Issued
  readonly front: Issued
  readonly apiServers: readonly ApiServer[]
}

async function configOf(folder: TestFolder, { ca, serving, front, apiServers }: Site): Promise<object> {
  const caFile = await folder.write('ca.crt', ca)
  return {
    admin: { listen: '127.0.0.1:0' },
    logging: { format: 'json' },
    authenticators: [
      { tokenFile: { path: folder.path('tokens.csv') } },
      { x509: { authorities: [{ caFile }], entries: REMEMBERED } },
    ],
    proxy: {
      listen: '127.0.0.1:0',
      tls: { certFile: folder.path('tls.crt'), keyFile: await folder.write('tls.key', serving.key) },
      upstreams: apiServers.map(({ url }) => url),
      upstream: {
        caFile,
        clientCertFile: folder.path('front.crt'),
        clientKeyFile: await folder.write('front.key', front.key),
        selfCheck: 'off',
        idleTimeout: UPSTREAM_IDLE,
        // A machine that has other things to do is not what is looked at.
        connectTimeout: '1m',
        checkTimeout: '1m',
      },
    },
  }
}

function start(config: string, log: string): ChildProcess {
  const output = openSync(log, 'w')
  const command = [here('../bin/archway'), 'proxy', '--config', config]
  return spawn(process.execPath, command, { stdio: ['ignore', output, output] })
}

/** Resolves when it is ready to forward. */
async function ready(child: ChildProcess, log: string): Promise<{ readonly url: URL; readonly adminUrl: string }> {
  const deadline = performance.now() + START_MS
  for (;;) {
    const line = linesOf(log).find(({ message }) => message === 'ready')
    const adminUrl = String(line?.['admin'])
    const isReady = line !== undefined && (await textOf(`${adminUrl}/readyz`).catch(() => undefined)) !== undefined
    if (isReady) return { url: new URL(String(line['url'])), adminUrl }
    if (child.exitCode !== null || performance.now() > deadline) {
      throw new Error(`the proxy did not start: ${readFileSync(log, 'utf8')}`)
    }
    await passed(200)
  }
}

function linesOf(log: string): readonly LogLine[] {
  return readFileSync(log, 'utf8')
    .split('\n')
    .slice(0, -1)
    .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as LogLine] : []))
}
