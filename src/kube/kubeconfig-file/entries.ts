/**
 * What Archway writes into a kubeconfig: a cluster, a user that is a program to run or a client certificate, a context.
 * Nothing here can hold a secret but `client-key-data`.
 *
 * @see https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
 * @module
 */

/** How the API server is reached. */
export interface ClusterSettings {
  readonly server: string
  /** Base64 of PEM. Absent: clients trust the authorities of their system. */
  readonly 'certificate-authority-data'?: string
  /** Name that the server's certificate must be for, where that is not the host of `server`. */
  readonly 'tls-server-name'?: string
}

export type ExecApiVersion = 'client.authentication.k8s.io/v1' | 'client.authentication.k8s.io/v1beta1'

/** The program that gets credentials. */
export interface ExecSettings {
  readonly apiVersion: ExecApiVersion
  /** A bare name, looked for in PATH, or an absolute path. */
  readonly command: string
  readonly args: readonly string[] | null
  readonly env: readonly { readonly name: string; readonly value: string }[] | null
  /** What kubectl says where `command` is a bare name and not in PATH. */
  readonly installHint?: string
  readonly interactiveMode: 'IfAvailable'
  readonly provideClusterInfo: boolean
}

/** A client certificate and its key: in the kubeconfig itself, or files beside it. */
export type CertificateSettings =
  /** Base64 of PEM; the key is secret. */
  | { readonly 'client-certificate-data': string; readonly 'client-key-data': string }
  | { readonly 'client-certificate': string; readonly 'client-key': string }

/** A cluster together with a user. */
export interface ContextSettings {
  readonly cluster: string
  readonly namespace?: string
  readonly user: string
}

/** One entry of one of the three lists. */
export type Entry =
  | { readonly kind: 'cluster'; readonly name: string; readonly settings: ClusterSettings }
  | {
      readonly kind: 'user'
      readonly name: string
      readonly settings: { readonly exec: ExecSettings } | CertificateSettings
    }
  | { readonly kind: 'context'; readonly name: string; readonly settings: ContextSettings }

export type EntryKind = Entry['kind']

/** The list of a kubeconfig in which entries of a kind stand. */
export const LIST_OF = { cluster: 'clusters', user: 'users', context: 'contexts' } as const satisfies Record<
  EntryKind,
  string
>

export const ENTRY_KINDS = ['cluster', 'context', 'user'] as const satisfies readonly EntryKind[]

/** The item that goes into the list, its keys in the order in which kubectl writes them. */
export function itemOf({ kind, name, settings }: Entry): Readonly<Record<string, unknown>> {
  const inOrder = ordered(settings)
  return kind === 'user' ? { name, user: inOrder } : { [kind]: inOrder, name }
}

/** By key, all the way down; what is `undefined` is left out. */
export function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(([, item]) => item !== undefined)
  entries.sort(([one], [other]) => (one < other ? -1 : 1))
  return Object.fromEntries(entries.map(([key, item]) => [key, ordered(item)]))
}

/** A kubeconfig as an object, complete in itself, its keys in the order in which kubectl writes them. */
export function wholeKubeconfig(entries: readonly Entry[], currentContext: string): Readonly<Record<string, unknown>> {
  const items = (kind: EntryKind) => entries.filter((entry) => entry.kind === kind).map(itemOf)
  return {
    apiVersion: 'v1',
    clusters: items('cluster'),
    contexts: items('context'),
    'current-context': currentContext,
    kind: 'Config',
    users: items('user'),
  }
}
