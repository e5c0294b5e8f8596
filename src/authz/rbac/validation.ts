/**
 * What the API server refuses to store and its RBAC authorizer would evaluate all the same. In a manifest it is most
 * likely a mistake, so it is said; the decision is the authorizer's.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/rbac/#api-objects
 * @module
 */
import type { Problem } from '../../errors.ts'
import { type Binding, RBAC_GROUP, type Role, type Subject } from './objects.ts'
import type { PolicyRule } from './policy-rule.ts'

const OPERATORS: readonly string[] = ['In', 'NotIn', 'Exists', 'DoesNotExist']

/** Doubts about one object; their paths begin at the object. */
export function doubtsAboutRole(role: Role): readonly Problem[] {
  return [
    ...role.rules.flatMap((rule, index) => doubtsAboutRule(rule, role.kind, `rules[${index}]`)),
    ...(role.aggregation === undefined ? [] : doubtsAboutAggregation(role)),
  ]
}

/** Doubts about one object; their paths begin at the object. */
export function doubtsAboutBinding({ kind, roleRef, subjects }: Binding): readonly Problem[] {
  const roleKinds = kind === 'RoleBinding' ? ['Role', 'ClusterRole'] : ['ClusterRole']
  return [
    ...doubt(roleRef.apiGroup !== RBAC_GROUP, 'roleRef.apiGroup', `the API server wants ${RBAC_GROUP}`),
    ...doubt(
      !roleKinds.includes(roleRef.kind),
      'roleRef.kind',
      `a ${kind} can refer to ${roleKinds.join(' or ')} only`,
    ),
    ...doubt(roleRef.name === '', 'roleRef.name', 'is empty'),
    ...subjects.flatMap((subject, index) => doubtsAboutSubject(subject, kind, `subjects[${index}]`)),
  ]
}

function doubtsAboutRule(rule: PolicyRule, kind: Role['kind'], path: string): readonly Problem[] {
  const { verbs, apiGroups, resources, resourceNames, nonResourceURLs } = rule
  const noVerb = doubt(verbs.length === 0, `${path}.verbs`, 'no verb: the rule allows nothing')
  if (nonResourceURLs.length > 0) {
    const both = apiGroups.length + resources.length + resourceNames.length > 0
    return [
      ...noVerb,
      ...doubt(kind === 'Role', `${path}.nonResourceURLs`, 'a Role cannot give URLs: use a ClusterRole'),
      ...doubt(both, path, 'resources and URLs in one rule: the API server wants two rules'),
      ...nonResourceURLs.flatMap((url, index) =>
        doubt(url.slice(0, -1).includes('*'), `${path}.nonResourceURLs[${index}]`, 'only a star at the end is special'),
      ),
    ]
  }
  return [
    ...noVerb,
    ...doubt(
      apiGroups.length === 0,
      `${path}.apiGroups`,
      'no API group: the rule allows nothing; "" is the core group',
    ),
    ...doubt(resources.length === 0, `${path}.resources`, 'no resource: the rule allows nothing'),
  ]
}

function doubtsAboutAggregation({ kind, aggregation = [] }: Role): readonly Problem[] {
  const path = 'aggregationRule'
  return [
    ...doubt(kind === 'Role', path, 'a Role does not aggregate: ignored'),
    ...doubt(aggregation.length === 0, `${path}.clusterRoleSelectors`, 'no selector: the role allows nothing'),
    ...aggregation.flatMap(({ matchExpressions }, selector) =>
      matchExpressions.flatMap(({ operator }, index) =>
        doubt(
          !OPERATORS.includes(operator),
          `${path}.clusterRoleSelectors[${selector}].matchExpressions[${index}].operator`,
          `is none of ${OPERATORS.join(', ')}: selects nothing`,
        ),
      ),
    ),
  ]
}

function doubtsAboutSubject(subject: Subject, binding: Binding['kind'], path: string): readonly Problem[] {
  const { kind, name, namespace, apiGroup } = subject
  const empty = doubt(name === '', `${path}.name`, 'is empty')
  switch (kind) {
    case 'ServiceAccount':
      return [
        ...empty,
        ...doubt(
          namespace === '' && binding === 'ClusterRoleBinding',
          `${path}.namespace`,
          'a service account without a namespace is nobody here',
        ),
      ]
    case 'User':
    case 'Group':
      return [
        ...empty,
        // What kubectl fills in is not a doubt.
        ...doubt(apiGroup !== RBAC_GROUP && apiGroup !== '', `${path}.apiGroup`, `the API server wants ${RBAC_GROUP}`),
        ...doubt(name === '*', `${path}.name`, 'is a star, which is nobody; for everybody name system:authenticated'),
      ]
    default:
      return [{ path: `${path}.kind`, message: 'is neither User, Group nor ServiceAccount: nobody' }]
  }
}

function doubt(when: boolean, path: string, message: string): readonly Problem[] {
  return when ? [{ path, message }] : []
}
