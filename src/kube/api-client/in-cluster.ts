/**
 * Access from inside a pod: the service account the kubelet mounts.
 *
 * @see https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/#directly-accessing-the-rest-api
 * @module
 */
import { isIPv6 } from 'node:net'
import { ArchwayError } from '../../errors.ts'
import { Secret } from '../../secret.ts'
import type { ClusterAccess } from './access.ts'
import { type ReadText, readSmallFile } from './small-file.ts'

/** The outside of {@link inClusterAccess}. */
export interface InClusterOptions {
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly read?: ReadText
}

const FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount'

/** Whether this process looks like one in a pod with a service account. */
export function isInCluster(env: InClusterOptions['env'] = process.env): boolean {
  return Boolean(env['KUBERNETES_SERVICE_HOST'] && env['KUBERNETES_SERVICE_PORT'])
}

/** Reads the access of this pod, for {@link accessSource}. The token is replaced by the kubelet well before it ends. */
export async function inClusterAccess(options: InClusterOptions = {}): Promise<ClusterAccess> {
  const { env = process.env, read = readSmallFile } = options
  const host = env['KUBERNETES_SERVICE_HOST']
  const port = env['KUBERNETES_SERVICE_PORT']
  if (!host || !port) {
    throw new ArchwayError(
      'file_invalid',
      'not in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set. Name a kubeconfig',
    )
  }
  const [token, ca, namespace] = await Promise.all([
    read(`${FOLDER}/token`),
    read(`${FOLDER}/ca.crt`),
    read(`${FOLDER}/namespace`).catch(() => ''),
  ])
  if (token.trim() === '') throw new ArchwayError('file_invalid', `${FOLDER}/token: is empty`)
  return {
    server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    tls: { ca, cert: undefined, key: undefined, serverName: undefined },
    token: new Secret(token.trim()),
    namespace: namespace.trim() || 'default',
  }
}
