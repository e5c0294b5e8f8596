/**
 * Types of a policy. A wrong type is a mistake that keeps the policy from being loaded, never a field that is left
 * out: without its guard a rule is open to everybody.
 *
 * @module
 */
import { z } from 'zod'
import { EXAMPLES } from './example-schema.ts'
import type { Shape } from './fields.ts'

const ANY: Shape = { kind: 'value' }

/** Where names fold, where they are exact, and what a `null` is; beside {@link POLICIES}, which has the types. */
export const POLICIES_SHAPE: Shape = {
  kind: 'list',
  nulls: 'stay',
  of: fields({
    users: { kind: 'map', known: ['roles', 'projects'] },
    resource_permissions: { kind: 'map' },
    nonresource_permissions: { kind: 'map' },
    resource: fields({ verbs: { kind: 'strings' }, resources: { kind: 'strings' }, version: ANY, namespace: ANY }),
    nonresource: fields({ verbs: { kind: 'strings' }, path: ANY }),
    match: { kind: 'list', nulls: 'object', of: fields({ type: ANY, values: { kind: 'strings' } }) },
  }),
}

export const DOCUMENT_SHAPE: Shape = fields({ policies: POLICIES_SHAPE, examples: ANY })

const names = (remedy: string): z.ZodType<string[]> => {
  return z.array(z.string(expected('text', 'Put it in quotes')), expected('a list', remedy))
}
const VERBS = names('Write the verbs as a list: ["get", "list"], or ["*"] for all')
const VALUES = names('Write it as a list, also if it is one: ["member"]')

function permissions(field: string, key: string): z.ZodType<Map<string, string[]>> {
  return z.map(
    z.string(),
    VERBS,
    expected(
      'an object',
      `Write "${field}": {"${key}": ["get", "list"]}: one object with all the keys, not a list of objects`,
    ),
  )
}

const POLICY = z.object(
  {
    users: z.map(z.string(), VALUES, expected('an object', 'Write {"projects": [...], "roles": [...]}')).optional(),
    resource_permissions: permissions('resource_permissions', 'default/pods').optional(),
    nonresource_permissions: permissions('nonresource_permissions', '/healthz').optional(),
    resource: z
      .object(
        {
          verbs: VERBS.optional(),
          resources: names('Write the resources as a list: ["pods", "pods/log"]').optional(),
          version: z.string(expected('text', 'It is the API group: "*", "apps", or "" for the core group')).optional(),
          namespace: z.string(expected('text', 'Write one namespace, or "*" for any')).optional(),
        },
        expected('an object', 'Write {"verbs": [...], "resources": [...], "version": "*", "namespace": "default"}'),
      )
      .optional(),
    nonresource: z
      .object(
        { verbs: VERBS.optional(), path: z.string(expected('text', 'Write one path: "/healthz"')).optional() },
        expected('an object', 'Write {"verbs": ["get"], "path": "/healthz"}'),
      )
      .optional(),
    match: z
      .array(
        z.object(
          {
            type: z.string(expected('text', 'Write "user", "group", "project" or "role"')).optional(),
            values: VALUES.optional(),
          },
          expected('an object', 'Write {"type": "role", "values": ["member"]}'),
        ),
        expected('a list of objects', 'Write [{"type": "role", "values": ["member"]}], brackets included'),
      )
      .optional(),
  },
  expected('an object', 'Each element of the list is one policy: {"users": {...}, "resource_permissions": {...}}'),
)

const POLICIES = z.array(POLICY.nullable(), expected('a list of policies', 'Put [ and ] around the policies'))

/** Both forms: a bare list, or an object that has examples beside it. */
export const DOCUMENT = z.object({ policies: POLICIES.default([]), examples: EXAMPLES.default([]) })

export type RawPolicy = z.infer<typeof POLICY>

function fields(record: Readonly<Record<string, Shape>>): Shape {
  return { kind: 'fields', fields: new Map(Object.entries(record)) }
}

/** The message of a wrong type: what is wanted, what was found, what to write. Never the value itself. */
function expected(what: string, remedy: string): { error: (issue: { input?: unknown }) => string } {
  return { error: ({ input }) => `expected ${what}, found ${kindOf(input)}. ${remedy}` }
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return value.some((item) => typeof item === 'object') ? 'a list of objects' : 'a list'
  if (value === null || value === undefined) return 'nothing'
  return typeof value === 'object' ? 'an object' : (KINDS[typeof value] ?? 'something else')
}

const KINDS: Partial<Record<string, string>> = { string: 'text', number: 'a number', boolean: 'true or false' }
