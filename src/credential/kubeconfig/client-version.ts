/**
 * Which version of the credential plugin protocol to write into a kubeconfig.
 *
 * @module
 */
import { execFile } from 'node:child_process'
import type { ExecApiVersion } from '../../kube/kubeconfig-file/entries.ts'

const V1 = 'client.authentication.k8s.io/v1'
const V1BETA1 = 'client.authentication.k8s.io/v1beta1'

const TIMEOUT_MS = 10_000

/**
 * v1 where the kubectl of this machine knows it (1.22 and newer). v1beta1, which clients from 1.11 to the newest take,
 * wherever that cannot be told.
 */
export async function versionForKubectl(env: Readonly<Record<string, string | undefined>>): Promise<ExecApiVersion> {
  const text = await new Promise<string>((resolve) => {
    const args = ['version', '--client', '-o', 'json']
    execFile('kubectl', args, { env, timeout: TIMEOUT_MS }, (_, stdout) => resolve(stdout))
  })
  const [, major, minor] = /"gitVersion":\s*"v(\d+)\.(\d+)\./.exec(text) ?? []
  return Number(major) > 1 || (Number(major) === 1 && Number(minor) >= 22) ? V1 : V1BETA1
}

export function execApiVersion(version: 'v1' | 'v1beta1'): ExecApiVersion {
  return version === 'v1' ? V1 : V1BETA1
}
