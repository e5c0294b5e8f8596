/** One of two API servers dies under 200 watches and continuous reads, and comes back. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Agent, request } from 'undici'
import type { ApiServer } from '../support/rigs.ts'
import type { LogLine, Program } from './program.ts'
import {
  accessLines,
  type ClusterSite,
  createClusterSite,
  startConfiguredProxy,
  stopProxy,
  until,
} from './proxy-site.ts'
import { startWatcher, type WatchCounts, type Watcher } from './proxy-watches.ts'

const WATCHES = 200
const READERS = 8
const HEADERS = { authorization: 'Bearer watcher-token' }

let site: ClusterSite
let proxy: Program
let dead: ApiServer
const counts: WatchCounts = { ended: 0, broken: 0, refused: 0 }
const watchers: Watcher[] = []
const reads = { good: 0, failed: [] as string[] }
let isReading = true
let readers: Promise<unknown>

before(async () => {
  site = await createClusterSite()
  dead = site.cluster.servers[1] ?? assert.fail()
  proxy = await startConfiguredProxy(site, {
    authenticators: [
      { tokenFile: { path: await site.folder.write('tokens.csv', 'watcher-token,watcher,w1,"watchers"\n') } },
    ],
    proxy: { upstream: { checkInterval: '1s', checkTimeout: '30s' } },
  })
  await site.admin(['create', 'clusterrole', 'watches', '--verb=get,list,watch', '--resource=configmaps'])
  await site.admin(['create', 'clusterrolebinding', 'watches', '--clusterrole=watches', '--group=watchers'])
  await site.admin(['create', 'configmap', 'read', '--from-literal=a=b'])
  await bothReady()
})
after(async () => {
  isReading = false
  for (const watcher of watchers) watcher.stop()
  await readers
  if (proxy !== undefined) await stopProxy(proxy)
  await site?.[Symbol.asyncDispose]()
})

const hostOf = ({ url }: ApiServer): string => new URL(url).host
const isAbout = (server: ApiServer, said: RegExp): ((line: LogLine) => boolean) => {
  return ({ upstream, message }) => upstream === hostOf(server) && said.test(message)
}
const timeOf = (line: LogLine): number => Date.parse(String(line['time']))

/** When a request of the access log had begun. */
const begunAt = (line: LogLine): number => timeOf(line) - Number(line['ms'])

/** The first line that fits, behind those that were `known`. */
async function nextLine(known: number, fits: (line: LogLine) => boolean): Promise<LogLine> {
  const find = (): LogLine | undefined => proxy.lines().slice(known).find(fits)
  await until('a line of the log', () => find() !== undefined)
  return find() ?? assert.fail()
}

async function bothReady(): Promise<void> {
  for (const server of site.cluster.servers) await proxy.line(isAbout(server, /is ready$/))
}

/** A change that every watch must be told of. */
async function everyoneSees(name: string): Promise<void> {
  await site.admin(['create', 'configmap', name])
  await until(`every watch has seen ${name}`, () => watchers.every(({ seen }) => seen.has(name)))
}

/** Reads the same object again and again. */
async function read(dispatcher: Agent): Promise<void> {
  while (isReading) {
    const url = `${proxy.url}/api/v1/namespaces/default/configmaps/read`
    try {
      const { statusCode, body } = await request(url, { dispatcher, headers: HEADERS })
      await body.dump()
      if (statusCode === 200) reads.good++
      else reads.failed.push(String(statusCode))
    } catch (error) {
      reads.failed.push(String(error))
    }
  }
}

test('200 watches and continuous reads are spread over both API servers', async () => {
  const url = `${proxy.url}/api/v1/namespaces/default/configmaps?watch=true`
  const ca = site.authority.cert
  for (let number = 0; number < WATCHES; number++) watchers.push(startWatcher({ url, ca, headers: HEADERS }, counts))
  await until('all watches are open', () => watchers.every(({ isOpen }) => isOpen))
  const dispatcher = new Agent({ connect: { ca }, connections: READERS })
  readers = Promise.all(Array.from({ length: READERS }, () => read(dispatcher))).finally(() => dispatcher.close())
  await everyoneSees('before')
  await until('reads by both', () => new Set(accessLines(proxy).map(({ upstream }) => upstream)).size === 2)
  assert.deepEqual([counts, reads.failed], [{ ended: 0, broken: 0, refused: 0 }, []])
})

test('a killed one is left alone from the first failed check on: its watches begin again, no read is lost', async (t) => {
  const [known, good, seconds] = [proxy.lines().length, reads.good, performance.now()]
  await dead.kill()
  const left = await nextLine(known, isAbout(dead, /is not ready$/))
  t.diagnostic(`left alone ${Math.round(performance.now() - seconds)} ms after the kill: ${left['reason']}`)
  await until('all watches are open', () => watchers.every(({ isOpen }) => isOpen))
  await everyoneSees('meanwhile')
  t.diagnostic(`watches of ${WATCHES}: ${counts.broken} broken, ${counts.ended} ended, all open again`)
  t.diagnostic(
    `begun in vain: ${counts.refused}; reads meanwhile: ${reads.good - good} good, ${reads.failed.length} failed`,
  )
  // Those that stood on the dead server, and no others: requests were spread evenly.
  const lost = counts.broken + counts.ended
  assert.ok(lost > 0 && lost < WATCHES, `${lost} of ${WATCHES} watches ended`)
  // A reader can lose the answer it was in the middle of.
  assert.ok(reads.failed.length <= READERS, reads.failed.join('\n'))

  const after = accessLines(proxy).filter((line) => begunAt(line) > timeOf(left))
  assert.ok(after.length > 0)
  assert.deepEqual(
    after.filter(({ upstream }) => upstream === hostOf(dead)),
    [],
  )
})

test('when it is back it is asked again', async () => {
  const known = proxy.lines().length
  await dead.again()
  const back = await nextLine(known, isAbout(dead, /is ready$/))
  await until('it answers', () =>
    accessLines(proxy).some(
      (line) => line['upstream'] === hostOf(dead) && line['code'] === 200 && begunAt(line) > timeOf(back),
    ),
  )
  await everyoneSees('afterwards')
})

test('with none left it says so, as a Status, and when to come again', async () => {
  isReading = false
  for (const watcher of watchers) watcher.stop()
  await readers
  await Promise.all(site.cluster.servers.map((server) => server.kill()))
  const dispatcher = new Agent({ connect: { ca: site.authority.cert } })
  const ask = async (): Promise<{ status: number; retryAfter: unknown; body: { kind?: string; reason?: string } }> => {
    const url = `${proxy.url}/api/v1/namespaces/default/configmaps/read`
    const { statusCode, headers, body } = await request(url, { dispatcher, headers: HEADERS })
    return { status: statusCode, retryAfter: headers['retry-after'], body: JSON.parse(await body.text()) }
  }
  await until('503', async () => (await ask()).status === 503)
  const { status, retryAfter, body } = await ask()
  assert.deepEqual([status, body.kind, body.reason], [503, 'Status', 'ServiceUnavailable'])
  assert.ok(Number(retryAfter) > 0)
  await until('not ready', async () => (await proxy.admin('/readyz')).status !== 200)
  await Promise.all(site.cluster.servers.map((server) => server.again()))
  await until('200', async () => (await ask()).status === 200)
  await dispatcher.close()
})
