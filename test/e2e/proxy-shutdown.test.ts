/** SIGTERM under watches, a log that is followed and an exec: nothing new, and nothing lost. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { type KubeletStandIn, startKubeletStandIn } from '../support/rigs.ts'
import type { Program } from './program.ts'
import { type RunningKubectl, spawnKubectl } from './proxy-kubectl-process.ts'
import { type ClusterSite, createClusterSite, startConfiguredProxy, until, writeKubeconfig } from './proxy-site.ts'
import { startWatcher, type WatchCounts, type Watcher } from './proxy-watches.ts'

const WATCHES = 20

let site: ClusterSite
let kubelet: KubeletStandIn
let proxy: Program
let exec: RunningKubectl
const counts: WatchCounts = { ended: 0, broken: 0, refused: 0 }
const watchers: Watcher[] = []

before(async () => {
  site = await createClusterSite({ servers: 1 })
  kubelet = await startKubeletStandIn(site.cluster)
  proxy = await startConfiguredProxy(site, {
    authenticators: [{ tokenFile: { path: await site.folder.write('tokens.csv', 'dev-token,dev,d1,"devs"\n') } }],
    proxy: { drain: '40s' },
  })
  const resources = '--resource=pods,pods/exec,configmaps'
  await site.admin(['create', 'clusterrole', 'dev', '--verb=get,list,watch,create', resources])
  await site.admin(['create', 'clusterrolebinding', 'dev', '--clusterrole=dev', '--group=devs'])
})
after(async () => {
  for (const watcher of watchers) watcher.stop()
  await exec?.stop()
  await proxy?.stop()
  await kubelet?.[Symbol.asyncDispose]()
  await site?.[Symbol.asyncDispose]()
})

test('SIGTERM: no new connections, watches end whole, an exec goes on to its end, then the process ends well', async () => {
  const { url } = proxy
  const headers = { authorization: 'Bearer dev-token' }
  const watch = { url: `${url}/api/v1/namespaces/default/configmaps?watch=true`, ca: site.authority.cert, headers }
  for (let number = 0; number < WATCHES; number++) watchers.push(startWatcher(watch, counts))
  exec = spawnKubectl('kubectl', await writeKubeconfig(site, proxy, 'dev', { token: 'dev-token' }), [
    ...['exec', '-i', 'shell', '--', 'cat'],
  ])
  exec.type('before\n')
  await exec.shows(/^before$/m)
  await until('all watches are open', () => watchers.every(({ isOpen }) => isOpen))
  await site.admin(['create', 'configmap', 'seen'])
  await until('every watch has seen it', () => watchers.every(({ seen }) => seen.has('seen')))

  const stopped = proxy.stop()
  await proxy.line(({ message }) => message === 'stopping: running requests may finish')
  await until('no new connections', () => isRefused(url))
  exec.type('while it stops\n')
  await exec.shows(/^while it stops$/m)
  await until('the watches have ended', () => counts.ended === WATCHES)
  assert.equal(counts.broken, 0)
  exec.type('to the end\n')
  exec.endInput()
  assert.equal(await exec.ended, 0)
  assert.equal(exec.stdout(), 'before\nwhile it stops\nto the end\n')
  assert.equal(await stopped, 0)
})

/** Whether nobody listens there. */
async function isRefused(url: string): Promise<boolean> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  try {
    await once(socket, 'connect')
    return false
  } catch {
    return true
  } finally {
    socket.destroy()
  }
}
