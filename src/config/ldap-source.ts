/**
 * LDAP directories as sources of identities: what can be set, and what the authenticator is given for it.
 *
 * @module
 */
import { z } from 'zod'
import { type GroupLookup, groupFinder } from '../authn/ldap/groups.ts'
import type { LdapAuthenticatorOptions, UserLookup } from '../authn/ldap/ldap.ts'
import { ArchwayError, messageOf } from '../errors.ts'
import type { SearchAs } from '../ldap/directory.ts'
import { dnTemplate, parseDn } from '../ldap/dn.ts'
import { filterTemplate } from '../ldap/filter.ts'
import { parseLdapUrl } from '../ldap/url.ts'
import type { Secret } from '../secret.ts'
import { checkedText, option } from './option.ts'
import { duration, filePath } from './values.ts'

const text = z.string().min(1)

function dn(): z.ZodString {
  return checkedText((written) => {
    if (parseDn(written) === undefined) throw new TypeError('expected a DN, such as ou=people,dc=example,dc=org')
  })
}

function attribute(): z.ZodString {
  return z.string().regex(/^[A-Za-z][A-Za-z0-9-]*(;[A-Za-z0-9-]+)*$/, 'expected the name of an attribute, such as uid')
}

const user = z.strictObject({
  base: option(dn().optional(), 'People are looked for here and below. Goes with `filter`.', {
    flag: 'ldap-user-base',
    env: 'ARCHWAY_LDAP_USER_BASE',
    value: 'DN',
  }),
  scope: option(z.enum(['one', 'sub']).default('sub'), 'How far below `base`: right there, or at any depth.'),
  filter: option(
    checkedText((written) => filterTemplate(written, { allowed: ['username'], required: 'username' })).optional(),
    'Search filter with `{username}`; exactly one entry must match. `(&(objectClass=person)(uid={username}))`.',
    { flag: 'ldap-user-filter', env: 'ARCHWAY_LDAP_USER_FILTER', value: 'FILTER' },
  ),
  dnTemplate: option(
    checkedText(dnTemplate).optional(),
    'DN with `{username}`, in the place of `base` and `filter`: `uid={username},ou=people,dc=example,dc=org`.',
    { flag: 'ldap-user-dn-template', env: 'ARCHWAY_LDAP_USER_DN_TEMPLATE', value: 'DN' },
  ),
})

const attributes = z.strictObject({
  username: option(
    attribute().default('uid'),
    'Attribute with the user name; one value, of nobody else. The identity has it from there, however it was typed.',
  ),
  uid: option(
    attribute().optional(),
    'Attribute with the uid; one value. `entryUUID`, `objectGUID` (as text). Default: no uid.',
  ),
  extra: z
    .array(
      z.strictObject({
        key: option(
          z.string().regex(/^[^A-Z]+$/, 'keys of `extra` are in lower case'),
          'Key of `extra`: lower case, below a domain of yours.',
        ),
        attribute: option(attribute(), 'Attribute whose values it gets; no key where there are none.'),
      }),
    )
    .default([]),
})

const groups = z.strictObject({
  from: option(
    z.enum(['search', 'memberOf']).default('search'),
    'Groups that name their members (search), or that the entry of the person names (memberOf).',
  ),
  base: option(text, 'Groups are looked for here and below. What is elsewhere gives no group, and is not followed.'),
  scope: option(z.enum(['one', 'sub']).default('sub'), 'For `search`: how far below `base`.'),
  filter: option(
    text.default('(member={dn})'),
    'For `search`: filter with `{dn}` of the person, or `{username}` as the directory has it.',
  ),
  memberOfAttribute: option(
    attribute().default('memberOf'),
    'For `memberOf`: the attribute. Only one that the server keeps itself.',
  ),
  nameAttribute: option(
    attribute().default('cn'),
    'Attribute with the name of a group; one value, else the group is left out. `dn`: the whole DN.',
  ),
  nested: option(
    z.enum(['none', 'inChain', 'walk']).default('none'),
    'Groups of groups: not; Active Directory follows (inChain, for `search`); Archway asks level by level (walk).',
  ),
  depth: option(z.int().min(1).max(100).default(5), 'For `walk`: levels of groups above the direct ones.'),
})

/** One directory. */
export const ldapSource = z
  .strictObject({
    urls: option(
      z.array(z.string()).min(1),
      '`ldaps://host` or, with `startTls`, `ldap://host`; servers of the same content, asked in this order.',
      { flag: 'ldap-url', env: 'ARCHWAY_LDAP_URL', value: 'URL', makes: true },
    ),
    name: option(text.default('ldap'), 'Name of the source in logs and metrics.'),
    caFile: option(
      filePath().optional(),
      'CA bundle for the servers, PEM, in the place of the system roots. Reloaded when it changes.',
      { flag: 'ldap-ca-file', env: 'ARCHWAY_LDAP_CA_FILE', value: 'FILE' },
    ),
    startTls: option(
      z.boolean().default(false),
      'Begins connections to `ldap:` addresses with StartTLS. A server that refuses is not used.',
    ),
    allowPlain: option(
      z.boolean().default(false),
      'Whether passwords may go to `ldap:` addresses unprotected. For trying out.',
    ),
    bindDn: option(text.optional(), 'DN of the account that searches are made as.', {
      flag: 'ldap-bind-dn',
      env: 'ARCHWAY_LDAP_BIND_DN',
      value: 'DN',
    }),
    bindPasswordFile: option(
      filePath().optional(),
      'File with the password of `bindDn`; one line feed at its end does not count. Reloaded when it changes.',
      { flag: 'ldap-bind-password-file', env: 'ARCHWAY_LDAP_BIND_PASSWORD_FILE', value: 'FILE' },
    ),
    anonymous: option(
      z.boolean().default(false),
      'Searches without an account. With neither, people read their own entry; that needs `user.dnTemplate`.',
    ),
    user: user.prefault({}),
    attributes: attributes.prefault({}),
    groups: groups.optional(),
    maxGroups: option(z.int().min(1).max(100_000).default(1000), 'Groups a user may have; with more the login fails.'),
    timeout: option(duration({ min: '100ms', max: '20s' }).prefault('8s'), 'Deadline of a login, fail-over included.'),
    stepTimeout: option(
      duration({ min: '100ms', max: '20s' }).prefault('3s'),
      'Time for a connection to be made, and for each answer; then the next server is asked.',
    ),
    connections: option(
      z.int().min(1).max(1024).default(16),
      'Connections in use at once for searches, and as many for passwords.',
    ),
    queue: option(z.int().min(0).default(1024), 'Calls waiting for a free connection; more are an outage.'),
    idleTimeout: option(duration({ min: '1s' }).prefault('1m'), 'Time a connection may lie idle.'),
  })
  .superRefine((source, ctx) => {
    for (const { path, message } of problemsOf(source)) ctx.addIssue({ code: 'custom', path, message })
  })
  .describe('An LDAP directory or Active Directory: user names with passwords.')

export type LdapSource = z.output<typeof ldapSource>

/** What the authenticator is given; `ca` and `password` are the contents of the files. */
export function ldapOptions(
  source: LdapSource,
  { ca, password }: { readonly ca?: string | Buffer; readonly password?: Secret },
): LdapAuthenticatorOptions {
  const { uid, ...named } = source.attributes
  const groups = groupLookup(source)
  return {
    name: source.name,
    directory: {
      urls: source.urls,
      startTls: source.startTls,
      allowPlain: source.allowPlain,
      ...(ca === undefined ? {} : { ca }),
      searchAs: searchAs(source, password),
      timeoutMs: source.timeout,
      stepMs: source.stepTimeout,
      connections: source.connections,
      queue: source.queue,
      idleMs: source.idleTimeout,
    },
    user: userLookup(source.user),
    attributes: { ...named, ...(uid === undefined ? {} : { uid }) },
    ...(groups === undefined ? {} : { groups }),
    maxGroups: source.maxGroups,
  }
}

function searchAs({ bindDn, anonymous }: LdapSource, password: Secret | undefined): SearchAs {
  if (bindDn === undefined) return { kind: anonymous ? 'anonymous' : 'person' }
  if (password === undefined) throw new ArchwayError('config_invalid', 'bindPasswordFile: missing; it goes with bindDn')
  return { kind: 'account', dn: bindDn, password }
}

function userLookup({ base, scope, filter, dnTemplate }: LdapSource['user']): UserLookup {
  if (dnTemplate !== undefined) return { dnTemplate }
  if (base === undefined || filter === undefined) throw new ArchwayError('config_invalid', `user: ${NO_USER}`)
  return { base, scope, filter }
}

const NO_USER =
  'set `base` and `filter` (--ldap-user-base, --ldap-user-filter), or `dnTemplate` (--ldap-user-dn-template)'

function groupLookup({ groups }: Pick<LdapSource, 'groups'>): GroupLookup | undefined {
  if (groups === undefined) return undefined
  const { from, base, scope, filter, memberOfAttribute, nameAttribute, nested, depth } = groups
  if (from === 'search') return { kind: 'search', base, scope, filter, nameAttribute, nested, depth }
  if (nested === 'inChain') throw new ArchwayError('config_invalid', 'groups.nested: inChain goes with `from: search`')
  return { kind: 'memberOf', base, attribute: memberOfAttribute, nameAttribute, nested, depth }
}

type Issue = { readonly path: (string | number)[]; readonly message: string }

function* problemsOf(source: LdapSource): Generator<Issue> {
  const { urls, user, bindDn, bindPasswordFile, anonymous, stepTimeout, timeout } = source
  for (const [index, url] of urls.entries()) {
    yield* complaint(['urls', index], () => parseLdapUrl(url, source))
    if (urls.indexOf(url) < index) yield { path: ['urls', index], message: 'stands twice' }
  }
  if ((bindDn === undefined) !== (bindPasswordFile === undefined)) {
    yield { path: ['bindDn'], message: 'bindDn and bindPasswordFile go together' }
  }
  if (bindDn !== undefined && anonymous) yield { path: ['anonymous'], message: '`bindDn` says as whom: leave one out' }
  const bySearch = user.base !== undefined || user.filter !== undefined
  if (bySearch === (user.dnTemplate !== undefined) || (user.base === undefined) !== (user.filter === undefined)) {
    yield { path: ['user'], message: `${NO_USER}, and not both` }
  } else if (bySearch && bindDn === undefined && !anonymous) {
    yield {
      path: ['bindDn'],
      message: 'missing: who searches for people? Set it, or `anonymous`, or `user.dnTemplate`',
    }
  }
  if (stepTimeout > timeout) yield { path: ['stepTimeout'], message: 'is longer than `timeout`' }
  yield* complaint(['groups'], () => {
    const lookup = groupLookup(source)
    if (lookup !== undefined) groupFinder(lookup, source.maxGroups)
  })
}

/** What a check complains of, at the place it names: `groups.filter: …`. */
function* complaint(path: Issue['path'], check: () => unknown): Generator<Issue> {
  try {
    check()
  } catch (thrown) {
    const message = messageOf(thrown)
    const [, field, rest] = /^groups\.(\w+): (.*)$/s.exec(message) ?? []
    yield field === undefined || rest === undefined ? { path, message } : { path: [...path, field], message: rest }
  }
}
