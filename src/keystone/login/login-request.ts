/**
 * What logging in to Keystone takes and gives. Owns the vocabulary; how each way in is spoken is one file each beside
 * this one.
 *
 * @see https://docs.openstack.org/api-ref/identity/v3/#authentication-and-token-management
 * @module
 */
import { ArchwayError } from '../../errors.ts'
import type { Secret } from '../../secret.ts'

/** A domain, by id or by name. */
export type DomainRef = { readonly id: string } | { readonly name: string }

/** A user: by id, or by name within a domain. */
export type UserRef = { readonly id: string } | { readonly name: string; readonly domain: DomainRef }

/** A project: by id, or by name within a domain. */
export type ProjectRef = { readonly id: string } | { readonly name: string; readonly domain: DomainRef }

/** One proof. Several together are multi-factor authentication. */
export type LoginMethod =
  | { readonly method: 'password'; readonly user: UserRef; readonly password: Secret }
  | { readonly method: 'totp'; readonly user: UserRef; readonly passcode: Secret }
  | { readonly method: 'token'; readonly token: Secret }
  | { readonly method: 'application_credential'; readonly id: string; readonly secret: Secret }
  | {
      readonly method: 'application_credential'
      readonly name: string
      readonly user: UserRef
      readonly secret: Secret
    }

/**
 * What the token is to be good for. `default`: nothing is asked for, and Keystone takes the user's default project (or
 * the application credential's own); `unscoped`: explicitly nothing.
 */
export type LoginScope =
  | { readonly scope: 'default' }
  | { readonly scope: 'unscoped' }
  | { readonly scope: 'system' }
  | { readonly scope: 'project'; readonly project: ProjectRef }
  | { readonly scope: 'domain'; readonly domain: DomainRef }
  | { readonly scope: 'trust'; readonly id: string }

/** How Keystone is reached. */
export interface LoginEndpoint {
  /** Identity URL, with or without `/v3`, as people write it. */
  readonly url: string
  /** PEM. Replaces the system's certificate authorities. */
  readonly caFile?: string
  /** PEM: certificate to show, and its key. Both, or neither. */
  readonly certFile?: string
  readonly keyFile?: string
  /** `false` accepts any certificate. */
  readonly verify?: boolean
  /** For the whole login. Default 30 s. */
  readonly timeoutMs?: number
  readonly userAgent?: string
  /** Proxy variables are read from it: `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`, in lower case too. */
  readonly env?: Readonly<Record<string, string | undefined>>
}

/** A token, and what Keystone says of it. */
export interface IssuedToken {
  readonly token: Secret
  readonly expiresAt: Date
  /** As Keystone wrote it, e.g. `2026-01-02T03:04:05.000000Z`. */
  readonly expiresAtText: string
  readonly methods: readonly string[]
  readonly user: { readonly id: string; readonly name: string; readonly domain: NamedRef }
  readonly project?: NamedRef & { readonly domain: NamedRef }
  readonly domain?: NamedRef
  readonly system: boolean
  readonly roles: readonly string[]
}

export interface NamedRef {
  readonly id: string
  readonly name: string
}

export interface IssueOptions {
  /** Of the {@link LoginIncompleteError} that is being finished; then `methods` are those that were missing. */
  readonly receipt?: Secret
}

/**
 * The proofs are good and not enough: a rule of the user asks for more. Keystone remembers those that were given by a
 * receipt, good for some minutes.
 */
export class LoginIncompleteError extends ArchwayError {
  /** Methods that are missing, one list for each way to go on. Empty where Keystone did not say. */
  readonly missing: readonly (readonly string[])[]
  readonly receipt: Secret

  constructor(message: string, missing: readonly (readonly string[])[], receipt: Secret) {
    super('login_incomplete', message)
    this.name = 'LoginIncompleteError'
    this.missing = missing
    this.receipt = receipt
  }
}

/** Logs in to one Keystone. Every method throws {@link ArchwayError}; a refusal is `login_refused`. */
export interface KeystoneLogin {
  /**
   * A token for the proofs, each method once. An application credential brings its own scope: none is sent with it.
   *
   * Throws {@link LoginIncompleteError} where Keystone wants more proofs than these.
   */
  issue(methods: readonly LoginMethod[], scope: LoginScope, options?: IssueOptions): Promise<IssuedToken>
  /**
   * Exchanges an access token of an identity provider for a token, then scopes it. OS-FEDERATION. By `default` it stays
   * unscoped, as Keystone issues it.
   */
  federate(provider: string, protocol: string, accessToken: Secret, scope: LoginScope): Promise<IssuedToken>
  /** What Keystone says of a token, asked with that token. `undefined`: it is not good (any more). */
  describe(token: Secret): Promise<IssuedToken | undefined>
  /** The token revokes itself. A token that is no longer good is no error. */
  revoke(token: Secret): Promise<void>
  /** Gives up what is under way; later calls throw `stopping`. */
  close(): Promise<void>
}
