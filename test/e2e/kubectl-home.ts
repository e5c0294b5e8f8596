/**
 * Somebody who uses kubectl: a home folder, the two plugins in PATH, and a kubeconfig that runs one of them. Owns what
 * the person has; the cluster and Keystone are given.
 *
 * @module
 */
import { mkdir, symlink } from 'node:fs/promises'
import { delimiter, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openStore } from '../../src/credential/cache/open-store.ts'
import type { CredentialStore } from '../../src/credential/cache/store.ts'
import type { KubectlProgram } from '../rigs/kubectl.ts'
import type { KubeApiserverRig } from '../support/rigs.ts'
import { createFolder, type TestFolder } from '../support/tls.ts'

const BIN = fileURLToPath(new URL('../../bin/', import.meta.url))

export type Env = Readonly<Record<string, string>>
export type Ran = Awaited<ReturnType<KubeApiserverRig['kubectl']>>

/** The `exec` block of a kubeconfig, and the extension of its cluster. */
export interface PluginEntry {
  readonly command?: 'archway' | 'client-keystone-auth'
  readonly args?: readonly string[]
  readonly version: 'v1' | 'v1beta1'
  readonly env?: Env
  readonly interactiveMode?: 'Never' | 'IfAvailable' | 'Always'
  readonly provideClusterInfo?: boolean
  /** `client.authentication.k8s.io/exec` of the cluster. */
  readonly extension?: object
}

export interface KubectlOptions {
  readonly env?: Env
  readonly input?: string
}

export interface KubectlHome {
  readonly folder: TestFolder
  /** HOME, PATH with the plugins in it, and what {@link createHome} was given. */
  readonly env: Env
  readonly kubeconfig: string
  /** Writes the kubeconfig. */
  use(entry: PluginEntry): Promise<void>
  /** Standard input is no terminal. */
  kubectl(program: KubectlProgram, args: readonly string[], options?: KubectlOptions): Promise<Ran>
  /** What the plugins keep for this home. */
  store(): CredentialStore
  [Symbol.asyncDispose](): Promise<void>
}

export async function createHome(cluster: KubeApiserverRig, env: Env = {}): Promise<KubectlHome> {
  const folder = await createFolder()
  await mkdir(folder.path('bin'))
  for (const name of ['archway', 'client-keystone-auth']) await symlink(`${BIN}${name}`, folder.path(`bin/${name}`))
  const home = folder.path('home')
  await mkdir(`${home}/.kube`, { recursive: true })
  const path = [folder.path('bin'), dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter)
  const whole: Env = { HOME: home, PATH: path, ...env }
  const kubeconfig = `${home}/.kube/config`
  return {
    folder,
    env: whole,
    kubeconfig,
    async use(entry) {
      await folder.write('home/.kube/config', kubeconfigFor(cluster, entry))
    },
    kubectl: (program, args, { env: more = {}, input = '' } = {}) =>
      cluster.kubectl(args, { program: program.path, kubeconfig, env: { ...whole, ...more }, input }),
    store: () => openStore('file', { env: {}, home }),
    [Symbol.asyncDispose]: () => folder.remove(),
  }
}

function kubeconfigFor({ url, caFile }: KubeApiserverRig, entry: PluginEntry): string {
  const { command = 'archway', version, env = {}, extension, interactiveMode, provideClusterInfo } = entry
  const extensions = extension && [{ name: 'client.authentication.k8s.io/exec', extension }]
  const cluster = { server: url, 'certificate-authority': caFile, extensions }
  const exec = {
    apiVersion: `client.authentication.k8s.io/${version}`,
    command,
    args: [...(command === 'archway' ? ['credential'] : []), ...(entry.args ?? [])],
    env: Object.entries(env).map(([name, value]) => ({ name, value })),
    // Required by v1.
    interactiveMode: interactiveMode ?? (version === 'v1' ? 'IfAvailable' : undefined),
    provideClusterInfo,
  }
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'rig', cluster }],
    users: [{ name: 'person', user: { exec } }],
    contexts: [{ name: 'rig', context: { cluster: 'rig', user: 'person' } }],
    'current-context': 'rig',
  })
}
