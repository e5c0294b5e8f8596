/**
 * Who a subject of a binding is, and how a binding is told to people.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-subjects
 * @module
 */
import type { UserInfo } from '../../user.ts'
import type { Binding, Subject } from './objects.ts'

/** A name among users or among groups. */
export interface SubjectKey {
  readonly kind: 'user' | 'group'
  readonly name: string
}

/**
 * What a subject stands for; `undefined` where that is nobody. Names are compared as they are: `apiGroup` and the
 * namespace of a user or group count for nothing, and a star is a character.
 */
export function subjectKey({ kind, namespace, name }: Subject, bindingNamespace: string): SubjectKey | undefined {
  switch (kind) {
    case 'User':
      return { kind: 'user', name }
    case 'Group':
      return { kind: 'group', name }
    case 'ServiceAccount': {
      const home = namespace === '' ? bindingNamespace : namespace
      return home === '' ? undefined : { kind: 'user', name: `system:serviceaccount:${home}:${name}` }
    }
    default:
      return undefined
  }
}

/** Whether a subject of a binding is this user. */
export function applies(subject: Subject, bindingNamespace: string, user: UserInfo): boolean {
  const key = subjectKey(subject, bindingNamespace)
  if (key === undefined) return false
  return key.kind === 'user' ? user.username === key.name : user.groups.includes(key.name)
}

/** As kube-apiserver words it, names before namespaces. */
export function describeBinding({ kind, namespace, name, roleRef }: Binding, subject: Subject): string {
  const binding = kind === 'RoleBinding' ? `${name}/${namespace}` : name
  const home = subject.namespace === '' ? namespace : subject.namespace
  const who = subject.kind === 'ServiceAccount' ? `${subject.name}/${home}` : subject.name
  return `${kind} ${quoted(binding)} of ${roleRef.kind} ${quoted(roleRef.name)} to ${subject.kind} ${quoted(who)}`
}

function quoted(text: string): string {
  return JSON.stringify(text)
}
