/**
 * A validated token: what Keystone says about it, parsed. Identity API v3, "Validate and show information for token".
 *
 * @module
 */
import { z } from 'zod'
import { domain, id, name, readDocument } from './document.ts'
import type { Target } from './failure.ts'

/** A Keystone domain. */
export interface KeystoneDomain {
  readonly id: string
  readonly name: string
}

/** A Keystone user. Names are unique within a domain only. */
export interface KeystoneUser {
  readonly id: string
  readonly name: string
  readonly domain: KeystoneDomain
}

/** A Keystone project. Names are unique within a domain only. */
export interface KeystoneProject {
  readonly id: string
  readonly name: string
  readonly domain: KeystoneDomain
  /** It acts as a domain. */
  readonly isDomain: boolean
}

/** What a token is good for. */
export type KeystoneScope =
  | ({ readonly kind: 'project' } & KeystoneProject)
  | ({ readonly kind: 'domain' } & KeystoneDomain)
  | { readonly kind: 'system' }
  | { readonly kind: 'unscoped' }
  /** None of these, or more than one, or bound to something that is not checked here. Refuse it. */
  | { readonly kind: 'unknown'; readonly reason: string }

/** The application credential a token was made with. */
export interface KeystoneApplicationCredential {
  readonly id: string
  readonly name: string
  /** It may not manage application credentials and trusts. */
  readonly restricted: boolean
}

/** The trust a token was made with: the trustor's roles in the trustee's hands. */
export interface KeystoneTrust {
  readonly id: string
  /** The user of the token is the trustor, though the trustee holds it. */
  readonly impersonation: boolean
  readonly trustorUserId: string
  readonly trusteeUserId: string
}

/** A token that Keystone knows. It may be past `expiresAt` by this machine's clock. */
export interface KeystoneToken {
  readonly user: KeystoneUser
  readonly scope: KeystoneScope
  /** Names, in Keystone's order, which varies between answers. Empty for an unscoped token. */
  readonly roles: readonly string[]
  /** How the user proved to be the user: `password`, `token`, `application_credential` … */
  readonly methods: readonly string[]
  /** Its own audit id, then that of the first token of its chain if it was made from another. */
  readonly auditIds: readonly string[]
  readonly expiresAt: Date
  readonly issuedAt: Date
  readonly applicationCredential?: KeystoneApplicationCredential
  readonly trust?: KeystoneTrust
  /** The user came from an identity provider, by federation. */
  readonly federated: boolean
}

/** Always with its zone: a local time would be read in this machine's zone. */
const instant = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)$/)
  .transform((text) => new Date(text))
  .refine((date) => !Number.isNaN(date.getTime()))

const tokenDocument = z.object({
  token: z.object({
    user: z.object({ id, name, domain, 'OS-FEDERATION': z.unknown().optional() }),
    methods: z.array(z.string()),
    audit_ids: z.array(z.string()),
    expires_at: instant,
    issued_at: instant,
    roles: z.array(z.object({ name })).optional(),
    project: z.object({ id, name, domain }).optional(),
    is_domain: z.boolean().optional(),
    domain: domain.optional(),
    system: z.object({ all: z.boolean().optional() }).optional(),
    application_credential: z
      .object({ id, name, restricted: z.boolean(), access_rules: z.unknown().optional() })
      .optional(),
    'OS-TRUST:trust': z
      .object({
        id,
        impersonation: z.boolean(),
        trustor_user: z.object({ id }),
        trustee_user: z.object({ id }),
      })
      .optional(),
    // Both tie a token to something its bearer must show besides.
    oauth2_credential: z.unknown().optional(),
    bind: z.unknown().optional(),
  }),
})

type TokenFields = z.output<typeof tokenDocument>['token']

/**
 * Reads the answer to a validation.
 *
 * @throws ArchwayError `keystone_answer_invalid` naming the field that is wrong.
 */
export function readToken(document: unknown, target: Target): KeystoneToken {
  const { token } = readDocument(tokenDocument, document, target)
  const { user, application_credential: credential, 'OS-TRUST:trust': trust } = token
  return {
    user: { id: user.id, name: user.name, domain: user.domain },
    scope: readScope(token),
    roles: (token.roles ?? []).map((role) => role.name),
    methods: token.methods,
    auditIds: token.audit_ids,
    expiresAt: token.expires_at,
    issuedAt: token.issued_at,
    ...(credential && {
      applicationCredential: { id: credential.id, name: credential.name, restricted: credential.restricted },
    }),
    ...(trust && {
      trust: {
        id: trust.id,
        impersonation: trust.impersonation,
        trustorUserId: trust.trustor_user.id,
        trusteeUserId: trust.trustee_user.id,
      },
    }),
    federated: user['OS-FEDERATION'] !== undefined,
  }
}

function readScope(token: TokenFields): KeystoneScope {
  const { project, domain: scopeDomain, system } = token
  const unknown = (reason: string): KeystoneScope => ({ kind: 'unknown', reason })
  if (token.bind !== undefined || token.oauth2_credential !== undefined) {
    return unknown('the token is bound to a certificate or the like, which is not checked here')
  }
  // Keystone gives such a token only to services that promise to keep its rules; this one does not.
  if (token.application_credential?.access_rules !== undefined) {
    return unknown('the application credential has access rules, which are not kept here')
  }
  if ([project, scopeDomain, system].filter((scope) => scope !== undefined).length > 1) {
    return unknown('the token has more than one scope')
  }
  if (project !== undefined) return { kind: 'project', ...project, isDomain: token.is_domain === true }
  if (scopeDomain !== undefined) return { kind: 'domain', ...scopeDomain }
  if (system !== undefined) return system.all === true ? { kind: 'system' } : unknown('part of the system only')
  if (token.roles !== undefined && token.roles.length > 0) return unknown('the token has roles and no scope')
  return { kind: 'unscoped' }
}
