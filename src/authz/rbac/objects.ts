/**
 * The four objects of `rbac.authorization.k8s.io`, typed: from what the API server sends, or from what somebody wrote.
 * Owns their fields; leaves text, folders and watching to `manifests.ts`, `manifest-folder.ts` and `watched.ts`, and
 * what the API server would refuse besides wrong types to `validation.ts`.
 *
 * @see https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/
 * @module
 */
import { z } from 'zod'
import type { Problem } from '../../errors.ts'
import { type PolicyRule, policyRule } from './policy-rule.ts'

/** The API group. */
export const RBAC_GROUP = 'rbac.authorization.k8s.io'
/** v1alpha1, gone since 1.23, gave subjects another meaning and is not read. */
export const RBAC_VERSIONS: readonly string[] = [`${RBAC_GROUP}/v1`, `${RBAC_GROUP}/v1beta1`]

/** A `Role` or `ClusterRole`. */
export interface Role {
  readonly kind: 'Role' | 'ClusterRole'
  /** Empty for a ClusterRole. */
  readonly namespace: string
  readonly name: string
  readonly labels: ReadonlyMap<string, string>
  readonly rules: readonly PolicyRule[]
  /** Selectors of an `aggregationRule`; `undefined` where the role has none, and its rules are its own. */
  readonly aggregation: readonly LabelSelector[] | undefined
}

/** `LabelSelector` of `meta/v1`. */
export interface LabelSelector {
  readonly matchLabels: ReadonlyMap<string, string>
  readonly matchExpressions: readonly {
    readonly key: string
    readonly operator: string
    readonly values: readonly string[]
  }[]
}

/** A `RoleBinding` or `ClusterRoleBinding`. */
export interface Binding {
  readonly kind: 'RoleBinding' | 'ClusterRoleBinding'
  /** Empty for a ClusterRoleBinding. */
  readonly namespace: string
  readonly name: string
  readonly roleRef: { readonly apiGroup: string; readonly kind: string; readonly name: string }
  readonly subjects: readonly Subject[]
}

/** Somebody a binding names. */
export interface Subject {
  /** `User`, `Group` or `ServiceAccount`; any other kind is nobody. */
  readonly kind: string
  readonly apiGroup: string
  readonly namespace: string
  readonly name: string
}

/** Every object there is, in order. When anything changes a new one is made; an old one never changes. */
export interface RbacObjects {
  readonly roles: readonly Role[]
  readonly bindings: readonly Binding[]
}

/** The kinds {@link parseRole} and {@link parseBinding} read. */
export const ROLE_KINDS = ['Role', 'ClusterRole'] as const
export const BINDING_KINDS = ['RoleBinding', 'ClusterRoleBinding'] as const

/** An object, or every reason why it is none. */
export type Parsed<T> =
  | { readonly kind: 'parsed'; readonly object: T }
  | { readonly kind: 'problems'; readonly problems: readonly Problem[] }

/**
 * What to do about fields nobody knows: refuse them where a person wrote the object (a rule with `resourceName` in
 * place of `resourceNames` would otherwise allow every name), ignore them in what the API server sends, which may be
 * newer than we are.
 */
export type UnknownFields = 'refuse' | 'ignore'

/** Reads a role; its rules are as they stand there. */
export function parseRole(kind: Role['kind'], value: unknown, unknownFields: UnknownFields): Parsed<Role> {
  const found = (unknownFields === 'refuse' ? STRICT : LENIENT).role.safeParse(value)
  if (!found.success) return { kind: 'problems', problems: found.error.issues.flatMap(toProblems) }
  const { metadata, rules, aggregationRule } = found.data
  return placed(kind === 'Role', metadata.namespace, (namespace) => ({
    kind,
    namespace,
    name: metadata.name,
    labels: toMap(metadata.labels),
    rules: (rules ?? []).map(policyRule),
    aggregation: aggregationRule ? (aggregationRule.clusterRoleSelectors ?? []).map(toSelector) : undefined,
  }))
}

/** Reads a binding; whether its role is there is not looked at. */
export function parseBinding(kind: Binding['kind'], value: unknown, unknownFields: UnknownFields): Parsed<Binding> {
  const found = (unknownFields === 'refuse' ? STRICT : LENIENT).binding.safeParse(value)
  if (!found.success) return { kind: 'problems', problems: found.error.issues.flatMap(toProblems) }
  const { metadata, roleRef, subjects } = found.data
  return placed(kind === 'RoleBinding', metadata.namespace, (namespace) => ({
    kind,
    namespace,
    name: metadata.name,
    roleRef,
    subjects: subjects ?? [],
  }))
}

/** An object of a namespace must say which; one of the cluster is in none, whatever it says. */
function placed<T>(namespaced: boolean, namespace: string, make: (namespace: string) => T): Parsed<T> {
  if (!namespaced) return { kind: 'parsed', object: make('') }
  if (namespace !== '') return { kind: 'parsed', object: make(namespace) }
  return { kind: 'problems', problems: [{ path: 'metadata.namespace', message: 'is missing' }] }
}

// --- the door --------------------------------------------------------------------------------------------------

const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '')
const texts = z
  .array(z.string())
  .nullish()
  .transform((value) => value ?? [])
const labels = z.record(z.string(), z.string()).nullish()

const STRICT = schemas(z.strictObject)
const LENIENT = schemas(z.object)

function schemas(object: typeof z.strictObject | typeof z.object) {
  const rule = object({
    verbs: texts,
    apiGroups: texts,
    resources: texts,
    resourceNames: texts,
    nonResourceURLs: texts,
  })
  const requirement = object({ key: z.string(), operator: z.string(), values: texts })
  const selector = object({ matchLabels: labels, matchExpressions: z.array(requirement).nullish() })
  const subject = object({ kind: z.string(), apiGroup: text, namespace: text, name: z.string() })
  const common = {
    apiVersion: text,
    kind: text,
    // Never strict: what tools write here is nobody's business.
    metadata: z.object({ name: z.string().min(1), namespace: text, labels }),
  }
  return {
    role: object({
      ...common,
      rules: z.array(rule).nullish(),
      aggregationRule: object({ clusterRoleSelectors: z.array(selector).nullish() }).nullish(),
    }),
    binding: object({
      ...common,
      roleRef: object({ apiGroup: text, kind: z.string(), name: z.string() }),
      subjects: z.array(subject).nullish(),
    }),
  }
}

type SelectorData = NonNullable<NonNullable<z.infer<typeof LENIENT.role>['aggregationRule']>['clusterRoleSelectors']>

function toSelector({ matchLabels, matchExpressions }: SelectorData[number]): LabelSelector {
  return { matchLabels: toMap(matchLabels), matchExpressions: matchExpressions ?? [] }
}

function toMap(record: Readonly<Record<string, string>> | null | undefined): ReadonlyMap<string, string> {
  return new Map(Object.entries(record ?? {}))
}

function toProblems(issue: z.core.$ZodIssue): readonly Problem[] {
  const path = z.core.toDotPath(issue.path)
  if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message.replace(/^Invalid input: /, '') }]
  return issue.keys.map((key) => ({
    path: path === '' ? key : `${path}.${key}`,
    message: 'is no field of this object',
  }))
}
