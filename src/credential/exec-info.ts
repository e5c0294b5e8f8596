/**
 * What a Kubernetes client says when it asks for a credential: the variable `KUBERNETES_EXEC_INFO`. Owns its parsing;
 * fields it does not know are passed over, as each version of the clients adds some.
 *
 * @see https://kubernetes.io/docs/reference/config-api/client-authentication.v1/
 * @module
 */
import { ArchwayError } from '../errors.ts'
import { structureProblem } from '../json.ts'

const GROUP = 'client.authentication.k8s.io'

/** The versions that are understood; each is answered in itself. */
export const EXEC_VERSIONS = [`${GROUP}/v1`, `${GROUP}/v1beta1`, `${GROUP}/v1alpha1`] as const

export type ExecVersion = (typeof EXEC_VERSIONS)[number]

/** Who asks, and how. */
export interface ExecInfo {
  /** Version to answer in: `client.authentication.k8s.io/v1`. */
  readonly apiVersion: ExecVersion
  /** Whether a Kubernetes client asks. `false`: a person, a script, or a client older than 1.20 with v1beta1. */
  readonly asked: boolean
  /** Whether the client lets questions be asked; `undefined`: it does not say (1.20 and 1.21). */
  readonly interactive: boolean | undefined
  /** The cluster the credential is for; only with `provideClusterInfo`. */
  readonly cluster: ExecCluster | undefined
  /** The API server has refused the credential that was given last. Only v1alpha1 says so. */
  readonly refused: boolean
}

export interface ExecCluster {
  /** Address of the API server; '' where the client left it out. */
  readonly server: string
  /** The extension `client.authentication.k8s.io/exec` of the kubeconfig's cluster, a JSON object, if it has one. */
  readonly config: object | undefined
}

/** Reads the variable. Throws `credential_settings_invalid`, never quoting what it holds. */
export function readExecInfo(env: Readonly<Record<string, string | undefined>>): ExecInfo {
  const text = env['KUBERNETES_EXEC_INFO'] ?? ''
  if (text === '') {
    // v1 always comes with the variable, so a client that leaves it out speaks v1beta1.
    return { apiVersion: `${GROUP}/v1beta1`, asked: false, interactive: undefined, cluster: undefined, refused: false }
  }
  const document = fieldsOf(parse(text), '')
  const apiVersion = versionIn(document)
  const kind = document.get('kind') ?? 'ExecCredential'
  if (kind !== 'ExecCredential') throw invalid('kind is not ExecCredential')
  const spec = fieldsOf(document.get('spec') ?? {}, 'spec')
  return {
    apiVersion,
    asked: true,
    interactive: interactiveIn(spec, apiVersion),
    cluster: clusterIn(spec.get('cluster')),
    refused: refusedIn(spec.get('response')),
  }
}

function parse(text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw invalid('is not JSON')
  }
  const problem = structureProblem(text, { maxDepth: 64, maxKeys: 1000 })
  if (problem !== undefined) throw invalid(problem)
  return value
}

function versionIn(document: ReadonlyMap<string, unknown>): ExecVersion {
  const given = document.get('apiVersion')
  const known = EXEC_VERSIONS.find((version) => version === given)
  if (known !== undefined) return known
  throw invalid(
    `apiVersion is not one of ${EXEC_VERSIONS.join(', ')}: set users[].user.exec.apiVersion of the kubeconfig to one of them`,
  )
}

function interactiveIn(spec: ReadonlyMap<string, unknown>, version: ExecVersion): boolean | undefined {
  const value = spec.get('interactive')
  if (value === undefined || value === null) return version.endsWith('v1alpha1') ? false : undefined
  if (typeof value !== 'boolean') throw invalid('spec.interactive is not true or false')
  return value
}

function clusterIn(value: unknown): ExecCluster | undefined {
  if (value === undefined || value === null) return undefined
  const cluster = fieldsOf(value, 'spec.cluster')
  const server = cluster.get('server') ?? ''
  if (typeof server !== 'string') throw invalid('spec.cluster.server is not a string')
  const config = cluster.get('config') ?? undefined
  return { server, config: config === undefined ? undefined : asObject(config, 'spec.cluster.config') }
}

function refusedIn(value: unknown): boolean {
  if (value === undefined || value === null) return false
  return fieldsOf(value, 'spec.response').get('code') === 401
}

function fieldsOf(value: unknown, where: string): ReadonlyMap<string, unknown> {
  return new Map(Object.entries(asObject(value, where)))
}

function asObject(value: unknown, where: string): object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw invalid(`${where === '' ? '' : `${where} `}is not a JSON object`)
}

function invalid(what: string): ArchwayError {
  return new ArchwayError('credential_settings_invalid', `KUBERNETES_EXEC_INFO: ${what}`)
}
