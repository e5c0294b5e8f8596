/**
 * Labels of what a client asked. Owns what keeps them few: verbs are a closed list, and a resource has its name only once
 * the API server has shown that it exists, so that nobody makes series by asking for what there is not (W7).
 *
 * @module
 */
import type { RequestInfo } from '../../kube/request-info.ts'

/** Verbs of Kubernetes, and methods in lower case of requests that are for no resource. */
const VERBS: ReadonlySet<string> = new Set([
  'get',
  'list',
  'watch',
  'create',
  'update',
  'patch',
  'delete',
  'deletecollection',
  'proxy',
  'head',
  'options',
  'post',
  'put',
])

/** Anything that is not in a closed list. */
const OTHER = 'other'
/** No request for a resource, or no API server was asked. */
export const NONE = 'none'

/** Distinct resources that are told apart; a cluster has some 60 of its own. */
const MAX_RESOURCES = 200

export function verbLabel(info: RequestInfo | undefined, method: string): string {
  const verb = info === undefined ? method.toLowerCase() : info.verb
  return VERBS.has(verb) ? verb : OTHER
}

/** `200`; 0 where no answer was begun. What an API server may send beyond the classes there are is one label. */
export function codeLabel(status: number): string {
  return status === 0 || (status >= 100 && status <= 599) ? String(status) : OTHER
}

/** Learns the names of resources; whatever is not known, or is one too many, is `other`. */
export function resourceLabels(max: number = MAX_RESOURCES): (info: RequestInfo | undefined, status: number) => string {
  // By group, then by resource: a look-up makes no text.
  const known = new Map<string, Map<string, string>>()
  let count = 0

  function learn(group: string, resource: string): string {
    if (count >= max) return OTHER
    count++
    const label = resourceName({ apiGroup: group, resource })
    const ofGroup = known.get(group)
    if (ofGroup === undefined) known.set(group, new Map([[resource, label]]))
    else ofGroup.set(resource, label)
    return label
  }

  return (info, status) => {
    if (info === undefined || !info.isResourceRequest) return NONE
    const { apiGroup, resource } = info
    const label = known.get(apiGroup)?.get(resource)
    if (label !== undefined) return label
    return provesResource(status) ? learn(apiGroup, resource) : OTHER
  }
}

/** `apps/deployments`, of the core group `pods`. */
export function resourceName({ apiGroup, resource }: Pick<RequestInfo, 'apiGroup' | 'resource'>): string {
  return apiGroup === '' ? resource : `${apiGroup}/${resource}`
}

/** The API server did what was asked, an upgrade included; a refusal it has for whatever does not exist as well. */
export function provesResource(status: number): boolean {
  return status === 101 || (status >= 200 && status < 400)
}
