/**
 * Events: how something is told to people who look at the cluster with `kubectl describe` and `kubectl get events`.
 *
 * @see https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
 * @module
 */
import type { KubeClient } from './client.ts'

/** What happened, and to what. */
export interface EventOptions {
  readonly type: 'Normal' | 'Warning'
  /** One word a program can look for: `PolicyRejected`. */
  readonly reason: string
  /** A sentence for people. Cut at 1,024 characters, the most the API takes. */
  readonly message: string
  /** What it is about. */
  readonly about: {
    readonly apiVersion: string
    readonly kind: string
    /** Empty for objects of the cluster, whose events are in `default`. */
    readonly namespace: string
    readonly name: string
    readonly uid?: string
  }
  /** Which of our instances says it: the pod's name. */
  readonly instance: string
}

const MOST_MESSAGE = 1024
const COMPONENT = 'archway'

/** Creates one event. Throws `KubeApiError`; nothing should hang on it. */
export async function createEvent(
  client: Pick<KubeClient, 'create'>,
  event: EventOptions,
  options: { readonly signal?: AbortSignal; readonly now?: () => Date } = {},
): Promise<void> {
  const { type, reason, message, about, instance } = event
  const { signal, now = () => new Date() } = options
  const namespace = about.namespace === '' ? 'default' : about.namespace
  // The API wants whole seconds here.
  const time = now()
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
  await client.create(
    `/api/v1/namespaces/${encodeURIComponent(namespace)}/events`,
    {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { generateName: `${COMPONENT}-`, namespace },
      involvedObject: { ...about, ...(about.namespace === '' ? { namespace: undefined } : {}) },
      type,
      reason,
      message: [...message].slice(0, MOST_MESSAGE).join(''),
      source: { component: COMPONENT, host: instance },
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    },
    signal,
  )
}
