/**
 * How examples are written: what the author of a policy expects of it, beside the policy itself.
 *
 * ```yaml
 * examples:
 *   - name: members look, and do not touch      # optional
 *     user: { name: jane, project: demo, projectId: 4f0c…, roles: [member] }
 *     verb: [get, list]                         # a word or a list; lists are tried in every combination
 *     resource: [pods, pods/log]                # `resource/subresource`; with `apiGroup: apps` where it matters
 *     namespace: default                        # left out: no namespace, as for nodes or a list over all namespaces
 *     expect: allow                             # or no-opinion; `deny` is taken for it, since policies never deny
 *   - user: system:serviceaccount:dev:builder   # a name alone: no Keystone identity, no extra
 *     verb: get
 *     path: /healthz                            # instead of `resource`
 *     expect: no-opinion
 * ```
 *
 * A user has `name`, `uid`, `groups`, `roles`, `project`, `projectId`, `domain`, `domainId`, `extra`. The project's id
 * is one of the groups as well, as Archway hands it out. Unlike in policies an unknown name is a mistake here: a
 * misspelt condition would make an example that proves nothing.
 *
 * @module
 */
import { z } from 'zod'
import { PROJECT_ID, PROJECT_NAME, ROLES, USER_DOMAIN_ID, USER_DOMAIN_NAME } from './identity.ts'
import type { Example, ExampleUser } from './model.ts'

const TEXT = z.string({ error: 'expected text. Put it in quotes' })
const TEXTS = z.array(TEXT, { error: 'expected a list of text' })

/** A word, or a list of at least one. */
const ONE_OR_MORE = z.preprocess(
  (value) => (typeof value === 'string' ? [value] : value),
  z.array(TEXT, { error: 'expected text, or a list of text' }).min(1, { error: 'expected at least one' }),
)

const A_USER = 'a user: a name, or an object with name, uid, groups, roles, project, projectId, domain, domainId, extra'

const USER_OBJECT = z.strictObject(
  {
    name: TEXT.default(''),
    uid: TEXT.default(''),
    groups: TEXTS.default([]),
    roles: TEXTS.optional(),
    project: TEXT.optional(),
    projectId: TEXT.optional(),
    domain: TEXT.optional(),
    domainId: TEXT.optional(),
    extra: z.record(z.string(), TEXTS).optional(),
  },
  strictly(A_USER),
)

type RawUser = z.infer<typeof USER_OBJECT>

const USER = z.preprocess((value) => (typeof value === 'string' ? { name: value } : value), USER_OBJECT)

const EXAMPLE = z
  .strictObject(
    {
      name: TEXT.optional(),
      user: USER,
      verb: ONE_OR_MORE,
      resource: ONE_OR_MORE.optional(),
      apiGroup: TEXT.optional(),
      namespace: ONE_OR_MORE.optional(),
      objectName: TEXT.optional(),
      path: ONE_OR_MORE.optional(),
      expect: z
        .enum(['allow', 'no-opinion', 'deny'], { error: 'expected allow or no-opinion' })
        .transform((word) => (word === 'allow' ? word : 'no-opinion')),
    },
    strictly('an example with user, verb, resource or path, expect; and name, apiGroup, namespace, objectName'),
  )
  .refine(({ resource, path }) => (resource === undefined) !== (path === undefined), {
    error: 'needs either resource or path',
  })
  .refine(({ path, apiGroup, namespace, objectName }) => path === undefined || !(apiGroup ?? namespace ?? objectName), {
    error: 'apiGroup, namespace and objectName go with resource, not with path',
  })

export const EXAMPLES = z.array(EXAMPLE, { error: 'expected a list of examples' })

/** What was read, as the rest of the program wants it. */
export function toExample(raw: z.infer<typeof EXAMPLE>, place: Pick<Example, 'path' | 'line'>): Example {
  return {
    ...place,
    ...(raw.name !== undefined && { name: raw.name }),
    user: toUser(raw.user),
    verbs: raw.verb,
    target:
      raw.resource === undefined
        ? { kind: 'non-resource', paths: raw.path ?? [] }
        : {
            kind: 'resource',
            resources: raw.resource,
            apiGroup: raw.apiGroup ?? '',
            namespaces: raw.namespace ?? [''],
            objectName: raw.objectName ?? '',
          },
    expect: raw.expect,
  }
}

/** Somebody with none of Keystone's facts, and no extra written, has no extra at all. */
function toUser(raw: RawUser): ExampleUser {
  const { name, uid, groups, projectId } = raw
  const facts: readonly (readonly [string, string | readonly string[] | undefined])[] = [
    [PROJECT_ID, projectId],
    [PROJECT_NAME, raw.project],
    [ROLES, raw.roles],
    [USER_DOMAIN_ID, raw.domainId],
    [USER_DOMAIN_NAME, raw.domain],
  ]
  const extra = new Map<string, readonly string[]>(Object.entries(raw.extra ?? {}))
  for (const [key, fact] of facts) if (fact !== undefined) extra.set(key, typeof fact === 'string' ? [fact] : fact)
  return {
    name,
    uid,
    groups: projectId === undefined || groups.includes(projectId) ? groups : [...groups, projectId],
    extra: extra.size === 0 && raw.extra === undefined ? undefined : extra,
  }
}

/** The message for whatever is not such an object, misspelt names included. */
function strictly(what: string): { error: (issue: { code?: string; keys?: readonly string[] }) => string } {
  return {
    error: ({ code, keys = [] }) =>
      code === 'unrecognized_keys'
        ? `has ${keys.map((key) => JSON.stringify(key)).join(', ')}; expected ${what}`
        : `expected ${what}`,
  }
}
