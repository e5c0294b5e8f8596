/**
 * Impersonation: whom a request asks to be taken for, and what has to be allowed before it may. Owns the reading of the
 * `Impersonate-*` headers; the questions are put to an authorizer by whoever has one, in the name of who really asks.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
 * @module
 */
import type { UserInfo } from '../../user.ts'
import { headerText } from '../header-text.ts'
import { type RequestCredentials, valuesOf } from './credentials.ts'
import { extraKey } from './identity-headers.ts'

/** One question, verb `impersonate`; every one has to be allowed. */
export interface ImpersonationCheck {
  /** API group; empty for the core group. */
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly subresource: string
  readonly namespace: string
  readonly name: string
}

export type Impersonation =
  | { readonly kind: 'none' }
  /** Groups, extra or a uid without a user: kube-apiserver answers 500, from 1.35 on 400. */
  | { readonly kind: 'malformed' }
  /** Has nothing of who asks, not even the groups. */
  | { readonly kind: 'wanted'; readonly user: UserInfo; readonly checks: readonly ImpersonationCheck[] }

const EXTRA = 'impersonate-extra-'
const AUTHENTICATION = { group: 'authentication.k8s.io', version: 'v1' } as const
const CORE = { group: '', version: '' } as const

/** Reads the headers as kube-apiserver reads them; of several `Impersonate-User` lines the first counts. */
export function readImpersonation(headers: RequestCredentials['headers']): Impersonation {
  const username = texts(headers, 'impersonate-user')[0] ?? ''
  const uid = texts(headers, 'impersonate-uid')[0] ?? ''
  const asked = texts(headers, 'impersonate-group')
  const extra = extraOf(headers)
  if (username === '')
    return asked.length > 0 || extra.size > 0 || uid !== '' ? { kind: 'malformed' } : { kind: 'none' }
  const account = serviceAccountOf(username)
  const checks = [
    account === undefined
      ? check({ ...CORE, resource: 'users', name: username })
      : check({ ...CORE, resource: 'serviceaccounts', ...account }),
    ...asked.map((name) => check({ ...CORE, resource: 'groups', name })),
    ...[...extra].flatMap(([subresource, values]) =>
      values.map((name) => check({ ...AUTHENTICATION, resource: 'userextras', subresource, name })),
    ),
    ...(uid === '' ? [] : [check({ ...AUTHENTICATION, resource: 'uids', name: uid })]),
  ]
  const groups =
    asked.length > 0 || account === undefined
      ? asked
      : ['system:serviceaccounts', `system:serviceaccounts:${account.namespace}`]
  return { kind: 'wanted', user: { username, uid, groups: withUsualGroup(username, groups), extra }, checks }
}

function check(
  asked: Pick<ImpersonationCheck, 'group' | 'version' | 'resource' | 'name'> & Partial<ImpersonationCheck>,
) {
  return { subresource: '', namespace: '', ...asked }
}

function texts(headers: RequestCredentials['headers'], name: string): string[] {
  return valuesOf(headers, name).map(headerText)
}

function extraOf(headers: RequestCredentials['headers']): Map<string, readonly string[]> {
  const extra = new Map<string, readonly string[]>()
  for (const [name, value] of headers) {
    const lower = name.toLowerCase()
    if (!lower.startsWith(EXTRA)) continue
    const key = extraKey(lower.slice(EXTRA.length))
    extra.set(key, [...(extra.get(key) ?? []), headerText(value)])
  }
  return extra
}

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
const ACCOUNT = new RegExp(String.raw`^system:serviceaccount:(${LABEL}):(${LABEL}(?:\.${LABEL})*)$`)

/** A name that only looks like one of a service account is a user's. */
function serviceAccountOf(username: string): { readonly namespace: string; readonly name: string } | undefined {
  const [, namespace, name] = ACCOUNT.exec(username) ?? []
  return namespace === undefined || name === undefined || name.length > 253 ? undefined : { namespace, name }
}

function withUsualGroup(username: string, groups: readonly string[]): readonly string[] {
  const anonymous = username === 'system:anonymous'
  const there = groups.includes('system:unauthenticated') || (!anonymous && groups.includes('system:authenticated'))
  return there ? groups : [...groups, anonymous ? 'system:unauthenticated' : 'system:authenticated']
}
