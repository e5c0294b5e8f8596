/**
 * A kube-apiserver and an etcd that have nothing but what `archway pki` made: every connection between them, and to
 * them, is TLS with its certificates.
 *
 * @module
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parse } from 'yaml'
import { run } from '../cli/support.ts'
import { scriptOf } from '../rigs/script.ts'
import { freePorts } from '../support/rigs.ts'

/** Between two looks at a server that is starting, or that reads its files anew. */
const PACE_MS = 200

export interface Answer {
  /** 0 where there was no answer. */
  readonly status: number
  readonly body: string
}

export interface PkiCluster {
  /** The folder of certificates. */
  readonly pki: string
  readonly port: number
  /** `https://127.0.0.1:PORT` */
  readonly url: string
  /** Runs kubectl; a status that is not 0 is a result. */
  kubectl(kubeconfig: string, ...args: readonly string[]): Promise<Answer & { readonly error: string }>
  /** A request on a connection of its own. */
  get(path: string, as: Credentials, headers?: Readonly<Record<string, string>>): Promise<Answer>
  stop(): Promise<void>
}

/** PEM. */
export interface Credentials {
  readonly ca: string
  readonly cert?: string
  readonly key?: string
}

/** Runs `archway pki …`, which has to succeed. */
export async function pki(...args: readonly string[]): Promise<string> {
  const { status, out, err } = await run('archway', ['pki', ...args])
  if (status !== 0) throw new Error(`archway pki ${args.join(' ')}: status ${status}\n${out}${err}`)
  return out
}

/** Makes all the certificates of a control plane, with the kubeconfig of a super-admin: `DIR/super-admin.conf`. */
export async function makeControlPlane(dir: string, port: number, algorithm = 'ecdsa-p256'): Promise<void> {
  const here = ['--dir', dir, '--key-algorithm', algorithm]
  await pki('init', dir, '--key-algorithm', algorithm)
  await pki('issue', 'apiserver', ...here, '--node', 'localhost', '--advertise-address', '127.0.0.1')
  for (const profile of ['apiserver-kubelet-client', 'apiserver-etcd-client', 'front-proxy-client']) {
    await pki('issue', profile, ...here)
  }
  for (const profile of ['etcd-server', 'etcd-peer']) await pki('issue', profile, ...here, '--node', 'localhost')
  const kubeconfig = ['--kubeconfig', join(dir, 'super-admin.conf'), '--server', `https://127.0.0.1:${port}`]
  await pki('issue', 'super-admin', '--i-know', ...here, ...kubeconfig)
}

/** Starts both on the certificates of a folder; ready when this resolves. */
export async function startCluster(dir: string, port: number): Promise<PkiCluster> {
  const programs = execFileSync(scriptOf('kube-apiserver'), ['path'], { encoding: 'utf8' }).trim()
  const file = (name: string): string => join(dir, name)
  const log = (name: string): number => openSync(join(dir, '..', `${name}.log`), 'a')
  const [client, peer] = [`https://127.0.0.1:${port + 1}`, `https://127.0.0.1:${port + 2}`]
  const children: ChildProcess[] = []
  const start = (name: string, args: readonly string[]): void => {
    const output = log(name)
    children.push(spawn(join(programs, name), args, { stdio: ['ignore', output, output] }))
  }
  start('etcd', [
    ...['--data-dir', join(dir, '..', 'data'), '--unsafe-no-fsync'],
    ...['--listen-client-urls', client, '--advertise-client-urls', client],
    ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `default=${peer}`],
    ...['--cert-file', file('etcd/server.crt'), '--key-file', file('etcd/server.key')],
    ...['--trusted-ca-file', file('etcd/ca.crt'), '--client-cert-auth'],
    ...['--peer-cert-file', file('etcd/peer.crt'), '--peer-key-file', file('etcd/peer.key')],
    ...['--peer-trusted-ca-file', file('etcd/ca.crt'), '--peer-client-cert-auth'],
  ])
  start('kube-apiserver', [
    ...[`--etcd-servers=${client}`, `--etcd-cafile=${file('etcd/ca.crt')}`],
    ...[`--etcd-certfile=${file('apiserver-etcd-client.crt')}`, `--etcd-keyfile=${file('apiserver-etcd-client.key')}`],
    ...['--bind-address=127.0.0.1', '--advertise-address=127.0.0.1', `--secure-port=${port}`],
    ...[`--tls-cert-file=${file('apiserver.crt')}`, `--tls-private-key-file=${file('apiserver.key')}`],
    `--client-ca-file=${file('ca.crt')}`,
    `--kubelet-client-certificate=${file('apiserver-kubelet-client.crt')}`,
    `--kubelet-client-key=${file('apiserver-kubelet-client.key')}`,
    `--requestheader-client-ca-file=${file('front-proxy-ca.crt')}`,
    '--requestheader-allowed-names=front-proxy-client',
    '--requestheader-username-headers=X-Remote-User',
    '--requestheader-group-headers=X-Remote-Group',
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
    `--proxy-client-cert-file=${file('front-proxy-client.crt')}`,
    `--proxy-client-key-file=${file('front-proxy-client.key')}`,
    ...[`--service-account-key-file=${file('sa.pub')}`, `--service-account-signing-key-file=${file('sa.key')}`],
    '--service-account-issuer=https://kubernetes.default.svc',
    ...['--service-cluster-ip-range=10.96.0.0/24', '--authorization-mode=RBAC'],
    '--disable-admission-plugins=ServiceAccount',
  ])

  const cluster: PkiCluster = {
    pki: dir,
    port,
    url: `https://127.0.0.1:${port}`,
    kubectl: (kubeconfig, ...args) =>
      new Promise((resolve) => {
        const env = { ...process.env, KUBECONFIG: kubeconfig }
        execFile('kubectl', args, { env }, (error, stdout, stderr) => {
          const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
          resolve({ status, body: stdout, error: stderr })
        })
      }),
    get: (path, as, headers = {}) => get(`https://127.0.0.1:${port}${path}`, as, headers),
    async stop() {
      for (const child of children.toReversed()) {
        if (child.exitCode !== null || child.signalCode !== null) continue
        const ended = once(child, 'exit')
        child.kill('SIGTERM')
        await ended
      }
    },
  }
  try {
    const admin = join(dir, 'super-admin.conf')
    await until(async () => {
      const gone = children.find(({ exitCode }) => exitCode !== null)
      if (gone !== undefined) throw new Error(`${gone.spawnfile} ended: ${await tail(join(dir, '..'))}`)
      return (await cluster.get('/readyz', await credentialsOf(admin))).body === 'ok'
    })
  } catch (thrown) {
    await cluster.stop()
    throw thrown
  }
  return cluster
}

async function tail(folder: string): Promise<string> {
  const logs = await Promise.all(
    ['kube-apiserver', 'etcd'].map((name) => readFile(join(folder, `${name}.log`), 'utf8').catch(() => '')),
  )
  return logs.map((text) => text.split('\n').slice(-15).join('\n')).join('\n---\n')
}

/** What a kubeconfig of one user holds, read now. */
export async function credentialsOf(kubeconfig: string): Promise<Credentials> {
  const { clusters, users } = parse(await readFile(kubeconfig, 'utf8'))
  const text = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8')
  return {
    ca: text(clusters[0].cluster['certificate-authority-data']),
    cert: text(users[0].user['client-certificate-data']),
    key: text(users[0].user['client-key-data']),
  }
}

/** Resolves when the condition holds; the test's own limit ends the waiting. */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await pause(PACE_MS)
}

function get(url: string, credentials: Credentials, headers: Readonly<Record<string, string>>): Promise<Answer> {
  return new Promise((resolve) => {
    const sent = request(url, { ...credentials, headers, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      response.on('error', (error) => resolve({ status: 0, body: error.message }))
    })
    sent.on('error', (error) => resolve({ status: 0, body: error.message }))
    sent.end()
  })
}

/** Three ports in a row: kube-apiserver, etcd for clients, etcd for peers. */
export function clusterPorts(): Promise<number> {
  return freePorts(3)
}
