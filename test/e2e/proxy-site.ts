/**
 * What stands behind and in front of `archway proxy` in the tests of it: API servers on one etcd with an audit log, the
 * proxy with the front-proxy certificate of that cluster, and people with kubeconfigs that know nothing but the proxy.
 *
 * @module
 */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { type KubeApiserverRig, startKubeApiserver } from '../support/rigs.ts'
import { createSite, type LogLine, type Program, type Site, startProgram } from './program.ts'

/** `user` of a kubeconfig: how somebody proves who they are. */
export type Proof =
  | { readonly username: string; readonly password: string }
  | { readonly token: string }
  | { readonly 'client-certificate': string; readonly 'client-key': string }

export type Ran = Awaited<ReturnType<KubeApiserverRig['kubectl']>>

/** One request as an API server saw it. */
export interface Audited {
  readonly auditID: string
  readonly stage: string
  readonly verb: string
  readonly requestURI: string
  readonly user: { readonly username: string; readonly uid?: string; readonly groups?: readonly string[] }
  readonly responseStatus?: { readonly code: number }
}

/** A site with API servers in it. */
export interface ClusterSite extends Site {
  readonly cluster: KubeApiserverRig
  /** kubectl as the cluster's admin, past the proxy; its output. Fails the test where kubectl fails. */
  admin(args: readonly string[], input?: string): Promise<string>
  /** What all API servers have seen so far, whole answers only. */
  audited(): Promise<readonly Audited[]>
  [Symbol.asyncDispose](): Promise<void>
}

const AUDIT_POLICY = JSON.stringify({
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [{ level: 'Metadata' }],
})

export async function createClusterSite({ servers = 2 } = {}): Promise<ClusterSite> {
  const site = await createSite()
  const auditLog = site.folder.path('audit.log')
  await writeFile(auditLog, '') // what is there already is appended to, by all servers alike
  const cluster = await startKubeApiserver({
    servers,
    flags: [
      `--audit-policy-file=${await site.folder.write('audit-policy.yaml', AUDIT_POLICY)}`,
      `--audit-log-path=${auditLog}`,
    ],
  })
  return {
    ...site,
    cluster,
    async admin(args, input = '') {
      const { status, stdout, stderr } = await cluster.kubectl(args, { input })
      assert.equal(status, 0, `kubectl ${args.join(' ')}: ${stderr}`)
      return stdout
    },
    async audited() {
      const lines = (await readFile(auditLog, 'utf8')).split('\n').filter((line) => line.endsWith('}'))
      return lines.map((line) => JSON.parse(line) as Audited)
    },
    async [Symbol.asyncDispose]() {
      await cluster[Symbol.asyncDispose]()
      await site.folder.remove()
    },
  }
}

/** The flags that every proxy needs; all API servers of the cluster are behind it, unless told otherwise. */
function proxyFlags(
  { cluster, certFile, keyFile }: ClusterSite,
  upstreams = cluster.servers.map(({ url }) => url),
): readonly string[] {
  const { frontProxy, caFile } = cluster
  return [
    ...['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0'],
    ...['--tls-cert-file', certFile, '--tls-private-key-file', keyFile],
    ...upstreams.flatMap((url) => ['--upstream', url]),
    ...['--upstream-ca-file', caFile],
    ...['--upstream-client-cert-file', frontProxy.certFile, '--upstream-client-key-file', frontProxy.keyFile],
  ]
}

/** `archway proxy` with these flags, once it has an API server. */
export async function startProxy(site: ClusterSite, flags: readonly string[]): Promise<Program> {
  const proxy = await startProgram(site, 'archway', ['proxy', ...proxyFlags(site), ...flags])
  await until('an API server is ready', async () => (await proxy.admin('/readyz')).status === 200)
  return proxy
}

/** `archway proxy` with a configuration file: `proxy` is merged into what every proxy needs. */
export async function startConfiguredProxy(
  site: ClusterSite,
  { proxy = {}, ...rest }: { readonly proxy?: object; readonly [section: string]: unknown },
): Promise<Program> {
  const name = `proxy-${Math.random().toString(36).slice(2)}.yaml`
  const file = await site.folder.write(name, JSON.stringify({ ...rest, proxy }))
  return startProxy(site, ['--config', file])
}

/** Ends a proxy, which must have lived so far and ends in good order. */
export async function stopProxy(proxy: Program): Promise<void> {
  assert.equal(await proxy.stop(), 0, `the proxy did not end well:\n${proxy.output().slice(-4000)}`)
}

/** Writes a kubeconfig of somebody who knows the proxy's address and how to prove who they are. */
export function writeKubeconfig(site: ClusterSite, proxy: Program, name: string, user: Proof): Promise<string> {
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'proxy', cluster: { server: proxy.url, 'certificate-authority': site.caFile } }],
    users: [{ name: 'person', user }],
    contexts: [{ name: 'proxy', context: { cluster: 'proxy', user: 'person' } }],
    'current-context': 'proxy',
  }
  return site.folder.write(`${name}.kubeconfig`, JSON.stringify(kubeconfig))
}

/** The lines of the access log. */
export function accessLines(proxy: Program): readonly LogLine[] {
  return proxy.lines().filter(({ message }) => message === 'request')
}

/**
 * Asks again until it is so: what is waited for is an event in another process. The limit is for the day when it never
 * comes, and says nothing of how long it may take.
 */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 90_000
  while (!(await holds())) {
    if (performance.now() > deadline) assert.fail(`it never came: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
