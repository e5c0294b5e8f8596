/**
 * OpenID Connect issuers as sources of identities: one with its rules, or those of an AuthenticationConfiguration file
 * of kube-apiserver.
 *
 * @module
 */
import { z } from 'zod'
import { SIGNING_ALGORITHMS } from '../authn/oidc/algorithms.ts'
import { readClaimRules, type WrittenRules } from '../authn/oidc/claim-rules.ts'
import { flagRules } from '../authn/oidc/flag-rules.ts'
import { parseIssuerUrl } from '../authn/oidc/issuer-url.ts'
import { messageOf } from '../errors.ts'
import { option } from './option.ts'
import { duration, filePath } from './values.ts'

const text = z.string().min(1)

/** What both kinds have: how tokens are judged, and how issuers are asked. */
const common = {
  algorithms: option(
    z
      .array(z.enum(SIGNING_ALGORITHMS))
      .min(1)
      .default([...SIGNING_ALGORITHMS]),
    'Signing algorithms that are let in. `none` and HMAC are in no list.',
  ),
  leeway: option(
    duration({ max: '60s' }).prefault('30s'),
    "How far an issuer's clock may be ahead (`nbf`, `iat`). Nothing is good after its `exp`.",
  ),
  tokenLength: option(z.int().min(64).max(65_536).default(16_384), 'Longest token that is looked at, in characters.'),
  timeout: option(
    duration({ min: '100ms', max: '20s' }).prefault('5s'),
    'Deadline for asking an issuer for its discovery document and keys.',
  ),
  refresh: option(
    duration({ min: '10s', max: '24h' }).prefault('10m'),
    'Keys are asked for again after that long; a key that the issuer has withdrawn is good until then.',
  ),
  cooldown: option(
    duration({ min: '1s', max: '10m' }).prefault('10s'),
    'Least time between two requests to an issuer, whatever tokens come.',
  ),
  staleKeys: option(
    duration({ min: '10s', max: '24h' }).prefault('4h'),
    'How long keys go on working while the issuer cannot be asked; afterwards its tokens cannot be judged.',
  ),
}

const valueSource = {
  claim: option(text.optional(), 'Name of the claim.'),
  expression: option(text.optional(), 'CEL over `claims`, in the place of `claim`.'),
}
const prefix = option(z.string().optional(), 'Put before the value of `claim`; `""` for none.')

const claimMappings = z.strictObject({
  username: z.strictObject({ ...valueSource, prefix }).optional(),
  groups: z.strictObject({ ...valueSource, prefix }).optional(),
  uid: z.strictObject(valueSource).optional(),
  extra: z
    .array(
      z.strictObject({
        key: option(text, 'Key of `extra`: lower case, below a domain of yours.'),
        valueExpression: option(text, 'CEL over `claims` that gives a string or a list of strings.'),
      }),
    )
    .optional(),
})

const claimValidationRules = z
  .array(
    z.strictObject({
      claim: option(text.optional(), 'Name of a claim that has to be there.'),
      requiredValue: option(z.string().optional(), 'The string it has to be.'),
      expression: option(text.optional(), 'CEL over `claims` that has to be true, in the place of `claim`.'),
      message: option(z.string().optional(), 'Stands in the log where the expression is not true.'),
    }),
  )
  .optional()

const userValidationRules = z
  .array(
    z.strictObject({
      expression: option(text, 'CEL over `user` that has to be true.'),
      message: option(z.string().optional(), 'Stands in the log where it is not.'),
    }),
  )
  .optional()

/** One issuer. */
export const oidcSource = z
  .strictObject({
    issuer: option(text, 'Address of the issuer, exactly as it stands in its tokens (`iss`).', {
      flag: 'oidc-issuer',
      env: 'ARCHWAY_OIDC_ISSUER',
      value: 'URL',
      makes: true,
    }),
    name: option(text.default('oidc'), 'Name of the source in logs and metrics.'),
    audiences: option(
      z.array(text).min(1),
      'Those a token may be for (`aud`); one of them has to be in it. The client id, as a rule.',
      { flag: 'oidc-client-id', env: 'ARCHWAY_OIDC_CLIENT_ID', value: 'ID' },
    ),
    discoveryUrl: option(text.optional(), 'Address of the discovery document, when it is not below the issuer.'),
    caFile: option(
      filePath().optional(),
      'CA bundle for the issuer, PEM, in the place of the system roots. Reloaded when it changes.',
      { flag: 'oidc-ca-file', env: 'ARCHWAY_OIDC_CA_FILE', value: 'FILE' },
    ),
    allowHttpLoopback: option(
      z.boolean().default(false),
      'Whether the issuer may be on a loopback address over plain http. For trying out.',
    ),
    usernameClaim: option(text.optional(), 'Claim with the user name. Default: `sub`.', {
      flag: 'oidc-username-claim',
      env: 'ARCHWAY_OIDC_USERNAME_CLAIM',
      value: 'CLAIM',
    }),
    usernamePrefix: option(
      text.optional(),
      'Put before the user name; `-` for nothing. Default: the issuer and `#`; nothing where the claim is `email`.',
      { flag: 'oidc-username-prefix', env: 'ARCHWAY_OIDC_USERNAME_PREFIX', value: 'PREFIX' },
    ),
    groupsClaim: option(text.optional(), 'Claim with the groups, a string or a list. Default: no groups.', {
      flag: 'oidc-groups-claim',
      env: 'ARCHWAY_OIDC_GROUPS_CLAIM',
      value: 'CLAIM',
    }),
    groupsPrefix: option(z.string().optional(), 'Put before each group.', {
      flag: 'oidc-groups-prefix',
      env: 'ARCHWAY_OIDC_GROUPS_PREFIX',
      value: 'PREFIX',
    }),
    claimMappings: claimMappings.optional(),
    claimValidationRules,
    userValidationRules,
    ...common,
  })
  .superRefine((source, ctx) => {
    for (const { path, message } of problemsOf(source)) ctx.addIssue({ code: 'custom', path, message })
  })
  .describe('An OpenID Connect issuer: JWTs by its signature.')

/** The issuers of a file. */
export const authenticationConfigurationSource = z
  .strictObject({
    path: option(
      filePath(),
      'AuthenticationConfiguration file, as of `--authentication-config` of kube-apiserver. Reloaded.',
      {
        flag: 'authentication-config',
        env: 'ARCHWAY_AUTHENTICATION_CONFIG',
        value: 'FILE',
        makes: true,
      },
    ),
    name: option(text.default('oidc-file'), 'Name of the source in logs and metrics; its issuers are put behind it.'),
    ...common,
  })
  .describe("The OpenID Connect issuers of kube-apiserver's AuthenticationConfiguration.")

export type OidcSource = z.output<typeof oidcSource>
export type AuthenticationConfigurationSource = z.output<typeof authenticationConfigurationSource>

type RuleSettings = WrittenRules &
  Pick<OidcSource, 'issuer' | 'usernameClaim' | 'usernamePrefix' | 'groupsClaim' | 'groupsPrefix'>

/** The rules of a source, whichever way they are written. */
export function oidcRules(source: RuleSettings): WrittenRules {
  const { claimMappings = flagRules(source).claimMappings, claimValidationRules, userValidationRules } = source
  return { claimMappings, claimValidationRules, userValidationRules }
}

type Path = readonly (string | number)[]
type Issue = { readonly path: (string | number)[]; readonly message: string }

function* problemsOf(
  source: RuleSettings & Pick<OidcSource, 'allowHttpLoopback' | 'discoveryUrl' | 'audiences'>,
): Generator<Issue> {
  const { issuer, discoveryUrl, audiences, allowHttpLoopback } = source
  yield* complaint(['issuer'], () => parseIssuerUrl(issuer, { allowHttpLoopback }))
  if (discoveryUrl !== undefined) {
    yield* complaint(['discoveryUrl'], () => parseIssuerUrl(discoveryUrl, { allowHttpLoopback }))
  }
  for (const [index, audience] of audiences.entries()) {
    if (audiences.indexOf(audience) < index) yield { path: ['audiences', index], message: 'stands twice' }
  }
  if (source.claimMappings !== undefined) {
    for (const key of ['usernameClaim', 'usernamePrefix', 'groupsClaim', 'groupsPrefix'] as const) {
      if (source[key] !== undefined) yield { path: [key], message: 'is said by `claimMappings`: leave one of them out' }
    }
  }
  if (source.groupsPrefix !== undefined && source.groupsClaim === undefined) {
    yield { path: ['groupsPrefix'], message: 'has nothing to put it before: set `groupsClaim`' }
  }
  const read = readClaimRules(oidcRules(source))
  if (read.kind === 'rules') return
  for (const { path, message } of read.problems) yield { path: partsOf(path), message }
}

function* complaint(path: Path, check: () => unknown): Generator<Issue> {
  try {
    check()
  } catch (thrown) {
    yield { path: [...path], message: messageOf(thrown) }
  }
}

function partsOf(path: string): (string | number)[] {
  return [...path.matchAll(/[^.[\]]+/g)].map(([part]) => (/^\d+$/.test(part) ? Number(part) : part))
}
