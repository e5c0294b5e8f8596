/**
 * A condition that does not hold, in words.
 *
 * @module
 */
import type { Condition } from './condition.ts'
import { MATCH_DIMENSIONS } from './conditions-of-users.ts'
import type { SubresourceMode } from './key.ts'
import type { Policy } from './model.ts'
import type { Request } from './request.ts'

/** What a line asks for and what the request has instead. */
export function whyNot(condition: Condition, request: Request, policy: Policy, mode: SubresourceMode): string {
  const { names, kind, place, dimension } = condition
  switch (dimension) {
    case 'role':
    case 'project':
    case 'userGroup':
    case 'user':
      if (names.size === 0) return `${whyNobody(place, policy)}, which is nobody`
      return `${place} asks for ${listed(names)}; the ${PLURALS[dimension]} of the user: ${listed(request[dimension])}`
    case 'target':
      return `it is for ${listed(names)}, and the request for ${listed(request.target)}`
    case 'namespace':
      if (request.namespace === '') return 'the request has no namespace, which only a * that stands alone covers'
      break
    case 'subresource':
      return subresourceNot(condition, request, mode)
    case 'prefix':
      return `it is for paths that begin with ${listed(names)}, and the request for ${request.path}`
    case 'group':
      return `it is for the API group ${listed([...names].map(groupName))}, and the request for ${groupName(request.group)}`
  }
  if (names.size === 0) return `it names no ${dimension}, which covers nothing`
  const asked = request[dimension] === '' ? 'none' : request[dimension]
  return kind === 'in'
    ? `it is for the ${dimension} ${listed(names)}, and the request for ${asked}`
    : `it leaves out the ${dimension} ${asked}`
}

const PLURALS = { role: 'roles', project: 'projects', userGroup: 'groups', user: 'name and id' } as const

/** Why nobody satisfies a condition on users. */
export function whyNobody(place: string, { match }: Policy): string {
  if (place === 'users.projects') return 'users.projects is empty'
  const type = match[Number(/^match\[(\d+)\]$/.exec(place)?.[1])]?.type ?? ''
  if (MATCH_DIMENSIONS.has(type)) return `${place} has no values`
  return `${place} has the type ${JSON.stringify(type)}, which is not user, group, project or role`
}

function subresourceNot({ kind, names }: Condition, { resource, subresource }: Request, mode: SubresourceMode): string {
  if (subresource === '') return `it is for subresources of ${resource}, and the request for ${resource}`
  const own = `namespace/${resource}/${subresource}`
  return kind === 'in' && !names.has('')
    ? `it is for the subresource ${listed(names)}, and the request for ${subresource}`
    : `without a subresource in its key it does not cover ${subresource} (${mode}). Add ${own}`
}

function groupName(group: string): string {
  return group === '' ? 'core' : group
}

const SHOWN = 6

function listed(names: Iterable<string>): string {
  const all = [...names].map((name) => (name === '' ? '""' : name))
  if (all.length === 0) return 'none'
  const rest = all.length > SHOWN ? ` and ${all.length - SHOWN} more` : ''
  return `${all.slice(0, SHOWN).join(', ')}${rest}`
}
