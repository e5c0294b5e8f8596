/**
 * The contract of authentication. Owns what a credential's check can come to; leaves how to check to one file per
 * proof beside it.
 *
 * @module
 */
import type { CallContext } from '../context.ts'
import type { UserInfo } from '../user.ts'

/** Why a credential was refused. For logs and metrics; an asker sees it only where the operator wants so. */
export const REJECTION_CODES = [
  'algorithm_not_allowed',
  'audience_mismatch',
  'certificate_expired',
  'certificate_forbidden',
  'certificate_malformed',
  'certificate_not_yet_valid',
  'certificate_revoked',
  'certificate_untrusted',
  'certificate_usage',
  'claim_invalid',
  'claim_rule_failed',
  'credential_ambiguous',
  'credential_empty',
  'credential_too_large',
  'email_not_verified',
  'group_limit_exceeded',
  'group_reserved',
  'groups_forbidden',
  'identity_invalid',
  'key_unknown',
  'login_failed',
  'login_locked',
  'mapping_failed',
  'mapping_refused',
  'method_not_allowed',
  'scope_not_allowed',
  'signature_invalid',
  'token_expired',
  'token_malformed',
  'token_not_yet_valid',
  'token_unknown',
  'unrecognized',
  'user_rule_failed',
  'username_reserved',
] as const

export type RejectionCode = (typeof REJECTION_CODES)[number]

/**
 * What checking a credential came to. Three outcomes, and a throw:
 *
 * - `authenticated`: the credential is good, and whose it is.
 * - `rejected`: it is of the kind this authenticator judges, and it is not good.
 * - `skipped`: it is not of that kind; ask the next.
 * - thrown: could not tell (an outage, a fault). Never remembered, never taken for a no.
 *
 * Results are shared between callers and never changed.
 */
export type AuthnResult =
  | {
      readonly kind: 'authenticated'
      readonly user: UserInfo
      /** Name of the authenticator that knew the credential. */
      readonly source: string
      /** What the credential is good for; absent: the source knows no audiences. */
      readonly audiences?: readonly string[]
      /** The credential is not good after this. */
      readonly expiresAt?: Date
    }
  | {
      readonly kind: 'rejected'
      readonly code: RejectionCode
      readonly source: string
      /** Seconds before which asking again is refused unseen. Only where the asker may know. */
      readonly retryAfter?: number
    }
  | { readonly kind: 'skipped' }

/** Checks one kind of credential. Wrappers (`cached`, `union`, `gated` …) take one and are one. */
export interface Authenticator<Credential> {
  /** Short, unique, stable: it stands in logs, metrics and readiness. */
  readonly name: string
  authenticate(credential: Credential, ctx: CallContext): Promise<AuthnResult>
  /**
   * A short cut: what `authenticate` would come to, where that is known at once. `undefined`: it has to be asked.
   * Most reviews are of tokens that were seen a moment ago, and waiting for what is known costs as much as the rest.
   */
  recall?(credential: Credential, ctx: CallContext): AuthnResult | undefined
}

/** Checks bearer tokens. */
export type TokenAuthenticator = Authenticator<string>
/** Checks user names with passwords. */
export type PasswordAuthenticator = Authenticator<PasswordCredential>

/** A name with its password, and who tries it. */
export interface PasswordCredential {
  readonly username: string
  readonly password: string
  /** Address of the one who tries; absent where there is none (a command). */
  readonly address?: string
}

/** The one value of `skipped`. */
export const SKIPPED: AuthnResult = Object.freeze({ kind: 'skipped' })
