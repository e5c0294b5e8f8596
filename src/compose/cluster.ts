/**
 * Access to the Kubernetes API, by the kubeconfig of the configuration or that of the pod.
 *
 * @module
 */
import type { Config } from '../config/schema.ts'
import { accessSource } from '../kube/api-client/access.ts'
import { type KubeClient, kubeClient } from '../kube/api-client/client.ts'
import { inClusterAccess } from '../kube/api-client/in-cluster.ts'
import { kubeconfigAccess } from '../kube/api-client/kubeconfig.ts'
import { transport } from '../kube/api-client/transport.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Closer } from './part.ts'

export interface ClusterOptions {
  readonly config: Config
  readonly log: Logger
  readonly version: string
}

/** A client; nothing is read or asked before its first call. */
export function connectToCluster({ config, log, version }: ClusterOptions, closers: Closer[]): KubeClient {
  const { kubeconfig } = config.kubernetes
  const load = kubeconfig === undefined ? () => inClusterAccess() : () => kubeconfigAccess({ path: kubeconfig })
  const wire = transport({ access: accessSource({ load, log }), userAgent: `archway/${version}` })
  closers.push(() => wire.close())
  return kubeClient({ transport: wire })
}
