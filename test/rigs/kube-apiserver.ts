/** A real kube-apiserver (with etcd, and the controllers on request) of a test's own. */

import { execFile } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { freePorts, newFolder, recordRig, runRig } from './script.ts'

export interface KubectlResult {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export interface KubectlOptions {
  /** Another kubectl than that of PATH. */
  readonly program?: string
  /** Another kubeconfig than the admin's. */
  readonly kubeconfig?: string
  readonly env?: NodeJS.ProcessEnv
  readonly input?: string
}

export interface KubeApiserverRig {
  readonly dir: string
  /** `https://127.0.0.1:PORT` */
  readonly url: string
  readonly port: number
  /** The cluster's admin: a client certificate in group system:masters. */
  readonly kubeconfig: string
  /** The cluster CA, which signed the server's certificate and signs what the CSR API approves. */
  readonly caFile: string
  readonly caKeyFile: string
  /** What a proxy shows to be believed in X-Remote-User, X-Remote-Group and X-Remote-Extra-*. */
  readonly frontProxy: { readonly caFile: string; readonly certFile: string; readonly keyFile: string }
  /** Runs kubectl, as admin unless told otherwise; a status that is not 0 is a result, not an error. */
  kubectl(args: readonly string[], options?: KubectlOptions): Promise<KubectlResult>
  /** The log of one of its programs. */
  log(program: 'apiserver' | 'etcd' | 'controllers'): Promise<string>
  /** Stops it; data and address stay. */
  stop(): Promise<void>
  /** Comes back at the same address, with other flags if they are given. */
  start(flags?: readonly string[]): Promise<void>
  /** Stops it and removes its folder. */
  [Symbol.asyncDispose](): Promise<void>
}

export interface KubeApiserverOptions {
  /** Flags of kube-apiserver as they are, e.g. `--authentication-token-webhook-config-file=…`. */
  readonly flags?: readonly string[]
  /** `--authorization-mode` (RBAC). */
  readonly authorizationMode?: string
  /** Also run kube-controller-manager: CSR signing, ClusterRole aggregation, namespaces, service accounts. */
  readonly controllers?: boolean
  readonly dir?: string
  /** The first of three ports in a row (free ones). */
  readonly port?: number
}

/** Ready when this resolves, after 7 to 10 s. */
export async function startKubeApiserver(options: KubeApiserverOptions = {}): Promise<KubeApiserverRig> {
  const dir = options.dir ?? join(newFolder('kube-apiserver'), 'rig')
  const port = options.port ?? (await freePorts(3))
  const kubeconfig = join(dir, 'kubeconfig')

  const rig: KubeApiserverRig = {
    dir,
    url: `https://127.0.0.1:${port}`,
    port,
    kubeconfig,
    caFile: join(dir, 'ca.crt'),
    caKeyFile: join(dir, 'ca.key'),
    frontProxy: {
      caFile: join(dir, 'front-proxy-ca.crt'),
      certFile: join(dir, 'front-proxy-client.crt'),
      keyFile: join(dir, 'front-proxy-client.key'),
    },

    kubectl(args, { program = 'kubectl', kubeconfig: other = kubeconfig, env, input = '' } = {}) {
      return new Promise((resolve) => {
        const settings = { env: { ...process.env, KUBECONFIG: other, ...env }, maxBuffer: 64 * 1024 * 1024 }
        const child = execFile(program, args, settings, (error, stdout, stderr) => {
          const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
          resolve({ status, stdout, stderr: stderr === '' && error !== null ? error.message : stderr })
        })
        child.stdin?.end(input)
      })
    },

    log(program) {
      return readFile(join(dir, `${program}.log`), 'utf8')
    },

    async stop() {
      await runRig('kube-apiserver', ['stop', dir])
    },

    async start(flags = options.flags ?? []) {
      const controllers = options.controllers ? ['--controllers'] : []
      const env = options.authorizationMode === undefined ? {} : { AUTHORIZATION_MODE: options.authorizationMode }
      await runRig('kube-apiserver', ['start', dir, String(port), ...controllers, '--', ...flags], env)
    },

    async [Symbol.asyncDispose]() {
      await rig.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }

  recordRig('kube-apiserver', dir)
  await rig.start()
  return rig
}
