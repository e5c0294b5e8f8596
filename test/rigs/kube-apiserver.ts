/** A real kube-apiserver (with etcd, and the controllers on request) of a test's own. */

import { execFile } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { freePorts, newFolder, recordRig, runRig } from './script.ts'

/** When a kubectl that hangs is ended, before the test that waits for it is given up. */
const KUBECTL_LIMIT_MS = 90_000

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

/** One of several API servers on the same etcd. */
export interface ApiServer {
  /** `https://127.0.0.1:PORT` */
  readonly url: string
  readonly port: number
  log(): Promise<string>
  /** Ends it at once (SIGKILL), as a crash does. */
  kill(): Promise<void>
  /** Runs it again after {@link ApiServer.kill}, as it was; ready when this resolves. */
  again(): Promise<void>
}

export interface KubeApiserverRig {
  readonly dir: string
  /** `https://127.0.0.1:PORT`; of the first API server. */
  readonly url: string
  readonly port: number
  /** Every API server, the first included. */
  readonly servers: readonly ApiServer[]
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
  /** How many API servers run on the one etcd (1). */
  readonly servers?: number
  readonly dir?: string
  /** The first of three ports in a row, and one more for each further server (free ones). */
  readonly port?: number
}

/** Ready when this resolves, after 7 to 10 s, with all its servers. */
export async function startKubeApiserver(options: KubeApiserverOptions = {}): Promise<KubeApiserverRig> {
  const dir = options.dir ?? join(newFolder('kube-apiserver'), 'rig')
  const { servers = 1 } = options
  const port = options.port ?? (await freePorts(2 + servers))
  const kubeconfig = join(dir, 'kubeconfig')

  const rig: KubeApiserverRig = {
    dir,
    url: `https://127.0.0.1:${port}`,
    port,
    servers: Array.from({ length: servers }, (_, index) => apiServer(dir, port, index + 1)),
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
        const settings = {
          env: { ...process.env, KUBECONFIG: other, ...env },
          maxBuffer: 64 * 1024 * 1024,
          timeout: KUBECTL_LIMIT_MS,
        }
        const child = execFile(program, args, settings, (error, stdout, stderr) => {
          const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
          const why = error?.killed ? `kubectl ${args.join(' ')} was ended, it did not come to its end\n` : ''
          resolve({ status, stdout, stderr: why + (stderr === '' && error !== null ? error.message : stderr) })
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
      const further = [...(options.controllers ? ['--controllers'] : []), '--servers', String(servers)]
      const env = options.authorizationMode === undefined ? {} : { AUTHORIZATION_MODE: options.authorizationMode }
      await runRig('kube-apiserver', ['start', dir, String(port), ...further, '--', ...flags], env)
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

/** The first has the first port; behind it come etcd's two. */
function apiServer(dir: string, first: number, number: number): ApiServer {
  const port = number === 1 ? first : first + number + 1
  return {
    url: `https://127.0.0.1:${port}`,
    port,
    log: () => readFile(join(dir, number === 1 ? 'apiserver.log' : `apiserver-${number}.log`), 'utf8'),
    async kill() {
      await runRig('kube-apiserver', ['kill', dir, String(number)])
    },
    async again() {
      await runRig('kube-apiserver', ['again', dir, String(number)])
    },
  }
}
