/**
 * Random policies and requests over a handful of names, so that they meet often.
 *
 * @module
 */
import fc from 'fast-check'
import type { Attributes } from '../../../src/authz/authorizer.ts'
import type { RawPolicy } from './reference.ts'
import { IDENTITY } from './support.ts'

const roles = fc.constantFrom('member', 'admin', 'reader', 'ops', '')
const projects = fc.constantFrom('demo', 'p-1', 'other', 'p-2')
const groups = fc.constantFrom('p-1', 'devs', 'system:authenticated')
const users = fc.constantFrom('jane', 'u-1', 'joe', '')
const apiGroups = fc.constantFrom('', 'apps', 'batch')
const verb = fc.constantFrom('get', 'list', 'create', '*', 'GET', '')

const few = <T>(item: fc.Arbitrary<T>, maxLength = 3): fc.Arbitrary<T[]> => fc.array(item, { maxLength })
const orNull = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> =>
  fc.oneof({ weight: 9, arbitrary: value }, fc.constant(null))
const maybe = <T>(value: fc.Arbitrary<T>, weight = 3): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight, arbitrary: value }, { weight: 1, arbitrary: fc.constant(undefined) })

const NAMES = ['default', 'dev', 'kube-system', 'pods', 'secrets', 'log', 'exec', 'status', 'deployments']
const name = fc.constantFrom(...NAMES)
const namespace = fc.constantFrom('default', 'dev', 'kube-system')
const resource = fc.constantFrom('pods', 'secrets', 'deployments', 'services')
const subresource = fc.constantFrom('log', 'exec', 'status', 'token', 'proxy')

const list = fc
  .array(fc.constantFrom(...NAMES, '*', 'dev ', ''), { maxLength: 3 })
  .map((names) => `['${names.join("', '")}']`)
const odd = fc.constantFrom(
  '!*',
  '!',
  '![]',
  '[]',
  "['a'",
  "!['a'",
  '[a,b]',
  '!!pods',
  "! ['pods']",
  '',
  'kube-*',
  '!kube-*',
  '["dev"]',
  '[null]',
  '![null]',
  '[null,"pods"]',
  '![1]',
  '[["dev"]]',
  "['de]v']",
  "['*@x']",
)
const half = (usual: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 5, arbitrary: usual },
    { weight: 3, arbitrary: fc.constant('*') },
    { weight: 2, arbitrary: usual.map((text) => `!${text}`) },
    { weight: 2, arbitrary: list },
    { weight: 2, arbitrary: list.map((text) => `!${text}`) },
    { weight: 1, arbitrary: odd },
    { weight: 1, arbitrary: usual.map((text) => ` ${text.toUpperCase()} `) },
  )
const apiGroup = fc.constantFrom(
  '@apps',
  '@core',
  "@['apps','core']",
  '@*',
  '@',
  '@!apps',
  '@ apps',
  "@['apps",
  '@@apps',
  ' @apps',
)
const qualified = fc
  .tuple(half(resource), fc.oneof({ weight: 4, arbitrary: fc.constant('') }, apiGroup))
  .map((parts) => parts.join(''))
const third = fc.oneof(
  { weight: 4, arbitrary: subresource },
  fc.constantFrom('*', '!exec', '', "['log','exec']", "['*']", ' LOG ', '[]', "!['log']", '!'),
)

/** A key of `resource_permissions`, well formed or not. */
const key: fc.Arbitrary<string> = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(half(namespace), qualified).map((parts) => parts.join('/')) },
  { weight: 3, arbitrary: fc.tuple(half(namespace), qualified, third).map((parts) => parts.join('/')) },
  { weight: 1, arbitrary: fc.constantFrom('pods', 'a/b/c/d', '', '/', '//', "*/['pods','pods/log']", '/*', '*/') },
)

const path = fc.constantFrom('/healthz', '/api', '/api/', '/api/v1', '/apis', '/x/api/v1', '/', '', '/api/*')
const pathRule = fc.constantFrom('/healthz', '/api', '/api/*', '/api*', '*', '**', '/api/**', '', '/*', '/api/v1')

const match = few(
  fc.record({
    type: maybe(fc.constantFrom('user', 'group', 'project', 'role', 'Role'), 9),
    values: maybe(orNull(few(fc.oneof(roles, projects, groups, users, fc.constant('*')))), 9),
  }),
  2,
)

const usersTest = fc.record({ roles: orNull(few(roles, 2)), projects: orNull(few(projects)) }, { requiredKeys: [] })

const policy: fc.Arbitrary<RawPolicy> = fc.record(
  {
    users: orNull(usersTest),
    resource_permissions: orNull(fc.dictionary(key, orNull(few(verb)), { maxKeys: 4 })),
    nonresource_permissions: orNull(fc.dictionary(pathRule, orNull(few(verb)), { maxKeys: 3 })),
    resource: orNull(
      fc.record(
        {
          verbs: orNull(few(verb)),
          resources: orNull(
            few(fc.constantFrom('pods', 'pods/log', 'pods/*', '*', '*/log', 'secrets', 'deployments', 'pods/exec')),
          ),
          version: orNull(fc.constantFrom('*', '', 'apps', 'v1')),
          namespace: orNull(fc.constantFrom('*', '', 'default', 'dev', '!default')),
        },
        { requiredKeys: [] },
      ),
    ),
    nonresource: orNull(fc.record({ verbs: orNull(few(verb)), path: orNull(pathRule) }, { requiredKeys: [] })),
    match: orNull(match),
  },
  { requiredKeys: [] },
)

/** Version 1 paths, and little else. */
const pathPolicy: fc.Arbitrary<RawPolicy> = fc.record({
  nonresource: fc.record({
    verbs: few(verb),
    path: fc.oneof(
      pathRule,
      path.map((text) => `${text}*`),
    ),
  }),
  match: fc.constantFrom(undefined, [{ type: 'role', values: ['member', 'ops'] }]),
})

/** Long enough for the index to split by path. */
export const pathPolicies: fc.Arbitrary<RawPolicy[]> = fc.array(pathPolicy, { maxLength: 20, size: 'max' })

/** Long enough for the index to split. */
export const policies: fc.Arbitrary<(RawPolicy | null)[]> = fc.array(orNull(policy), { maxLength: 40, size: 'max' })

const extra = fc
  .record(
    {
      'project/id': few(projects, 2),
      'project/name': few(projects, 2),
      roles: few(roles),
      'user/domain/id': few(fc.constant('default'), 1),
      other: few(fc.constant('x'), 1),
    },
    { requiredKeys: [] },
  )
  .map((fields) => new Map(Object.entries(fields).map(([field, values]) => [`${IDENTITY}/${field}`, values])))

const who = fc
  .record({ username: users, uid: users, groups: few(groups), extra, present: fc.integer({ min: 0, max: 9 }) })
  .map(({ present, ...rest }) => ({
    extraPresent: present > 0,
    user: { ...rest, extra: present > 0 ? rest.extra : new Map<string, string[]>() },
  }))

const named = <T extends string>(usual: fc.Arbitrary<T>): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 8, arbitrary: usual },
    { weight: 1, arbitrary: name },
    { weight: 1, arbitrary: odd },
    fc.constant(''),
  )

const resourceRequest = fc
  .record({
    verb,
    group: apiGroups,
    version: fc.constant('v1'),
    resource: named(resource),
    subresource: fc.oneof(fc.constant(''), subresource),
    namespace: named(namespace),
    name: fc.constant(''),
  })
  .chain((rest) => who.map((identity): Attributes => ({ ...identity, kind: 'resource', ...rest })))

export const pathRequest: fc.Arbitrary<Attributes> = fc
  .tuple(who, verb, path)
  .map(([identity, asked, where]): Attributes => ({ ...identity, kind: 'non-resource', verb: asked, path: where }))

export const request: fc.Arbitrary<Attributes> = fc.oneof({ weight: 4, arbitrary: resourceRequest }, pathRequest)
