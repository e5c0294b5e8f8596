/**
 * What a Keystone policy says, typed: the result of parsing and the input of everything else in this folder.
 *
 * @module
 */
import type { Problem } from '../../errors.ts'

/** A policy text that was read: no wrong types, no ambiguity left. */
export interface PolicyDocument {
  /** Names the text in reasons and messages: `policy.json`, `kube-system/k8s-auth-policy`. */
  readonly where: string
  readonly policies: readonly Policy[]
  /** What the author expects of it; see `examples.ts`. */
  readonly examples: readonly Example[]
  readonly warnings: readonly PolicyWarning[]
}

/** One element of the list. Which fields are there decides what it means: there is no version marker. */
export interface Policy {
  /** Place in the list, from 0. `null` elements count, so that a person finds it. */
  readonly index: number
  /** `[3]`, or `policies[3]` in the form with examples. */
  readonly path: string
  /** Line of the text, from 1. */
  readonly line: number
  /** Guards both halves and both versions. Absent: no restriction. */
  readonly users?: UsersTest
  /** Version 2: `namespace/resource` → verbs. Where it is there, even empty, `resource` is not asked. */
  readonly resourcePermissions?: VerbsByKey
  /** Version 2: path → verbs. Where it is there, even empty, `nonresource` is not asked. */
  readonly nonresourcePermissions?: VerbsByKey
  /** Version 1. */
  readonly resource?: ResourceRule
  /** Version 1. */
  readonly nonresource?: PathRule
  /** Entries are ANDed; absent and empty are no restriction. */
  readonly match: readonly MatchEntry[]
}

export type VerbsByKey = ReadonlyMap<string, readonly string[]>

/** All of `roles` and one of `projects`: without a project it is nobody. */
export interface UsersTest {
  readonly roles: readonly string[]
  /** Names or ids. */
  readonly projects: readonly string[]
}

export interface ResourceRule {
  readonly verbs: readonly string[]
  readonly resources: readonly string[]
  /** The API group, in spite of its name. A rule without one allows nothing. */
  readonly version?: string
  /** A rule without one allows nothing; the empty string is "only requests without namespace". */
  readonly namespace?: string
}

export interface PathRule {
  readonly verbs: readonly string[]
  readonly path?: string
}

export interface MatchEntry {
  /** `user`, `group`, `project` or `role`; any other fails the rule. */
  readonly type: string
  /** ORed. */
  readonly values: readonly string[]
}

/** A decision the author of a policy expects. Lists are tried in every combination. */
export interface Example {
  readonly path: string
  readonly line: number
  readonly name?: string
  readonly user: ExampleUser
  readonly verbs: readonly string[]
  readonly target:
    | {
        readonly kind: 'resource'
        /** `pods`, `pods/log`. */
        readonly resources: readonly string[]
        readonly apiGroup: string
        /** The empty string: no namespace, which is objects of the cluster and lists over all namespaces. */
        readonly namespaces: readonly string[]
        readonly objectName: string
      }
    | { readonly kind: 'non-resource'; readonly paths: readonly string[] }
  readonly expect: 'allow' | 'no-opinion'
}

export interface ExampleUser {
  readonly name: string
  readonly uid: string
  readonly groups: readonly string[]
  /** `undefined`: the request carries no extra at all, as that of a service account on older clusters. */
  readonly extra: ReadonlyMap<string, readonly string[]> | undefined
}

/** Something that is accepted and most likely not meant. */
export interface PolicyWarning extends Problem {
  readonly code: WarningCode
}

export type WarningCode =
  | 'field-case'
  | 'field-repeated'
  | 'field-unknown'
  | 'null-element'
  | 'trailing-text'
  | 'users-key-unknown'
