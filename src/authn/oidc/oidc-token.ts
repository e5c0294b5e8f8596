/**
 * Tokens of an OpenID Connect issuer: accepts a JWT by the issuer's signature. Owns the order of the checks; leaves
 * where keys come from to `issuer-keys.ts`, and what claims become to `claim-mapping.ts`.
 *
 * Whose token it is, is decided by its unverified `iss`: another issuer's is skipped, ours is accepted, refused, or
 * cannot be told.
 *
 * @module
 */
import type { KeyObject } from 'node:crypto'
import { compactVerify, errors } from 'jose'
import type { CallContext } from '../../context.ts'
import { ArchwayError } from '../../errors.ts'
import type { AuthnResult, RejectionCode, TokenAuthenticator } from '../authenticator.ts'
import { SKIPPED } from '../authenticator.ts'
import { isSigningAlgorithm, SIGNING_ALGORITHMS, type SigningAlgorithm } from './algorithms.ts'
import type { ClaimMapping } from './claim-mapping.ts'
import { type Claims, numericDate, stringOrList } from './claims.ts'
import type { IssuerKeys } from './issuer-keys.ts'
import { readJwt, type UnverifiedJwt } from './jwt.ts'

/** What {@link oidcToken} needs. */
export interface OidcTokenOptions {
  /** `oidc` when absent; several issuers need names of their own. */
  readonly name?: string
  readonly keys: Pick<IssuerKeys, 'issuer' | 'find'>
  /** Those a token may be for; it is for us when it names one of them. */
  readonly audiences: readonly string[]
  /** Those that are let in; all of {@link SIGNING_ALGORITHMS} when absent. */
  readonly algorithms?: readonly SigningAlgorithm[]
  readonly mapping: ClaimMapping
  /** How far the issuer's clock may be ahead of ours (`nbf`, `iat`), in milliseconds. Default 30 s. `exp` has none. */
  readonly leewayMs?: number
  /** Longest token that is looked at, in characters. Default 16,384. */
  readonly maxTokenLength?: number
  readonly now?: () => Date
}

/** The last date of the calendar, 9999-12-31, in seconds. */
const LAST_SECOND = 253_402_300_799

export function oidcToken(options: OidcTokenOptions): TokenAuthenticator {
  const { name = 'oidc', keys, audiences, mapping, now = () => new Date() } = options
  const { algorithms = SIGNING_ALGORITHMS, leewayMs = 30_000, maxTokenLength = 16_384 } = options
  if (audiences.length === 0) throw new ArchwayError('config_invalid', `${name}: audiences: name at least one`)

  return {
    name,
    async authenticate(token, ctx) {
      const jwt = readJwt(token)
      if (jwt === undefined || jwt.claims.get('iss') !== keys.issuer) return SKIPPED
      if (token.length > maxTokenLength) return rejected('credential_too_large')
      const algorithm = jwt.header.get('alg')
      const unfit = unfitToken(jwt, algorithm)
      if (unfit !== undefined) return rejected(unfit)
      if (!isSigningAlgorithm(algorithm)) return rejected('algorithm_not_allowed')
      const unproven = await unprovenToken(token, jwt, algorithm, ctx)
      return unproven === undefined ? identify(jwt.claims, ctx) : rejected(unproven)
    },
  }

  function rejected(code: RejectionCode): AuthnResult {
    return { kind: 'rejected', code, source: name }
  }

  /** What can be said without a key. Nothing of it has been proven, and a no needs no proof. */
  function unfitToken({ claims, problem }: UnverifiedJwt, algorithm: unknown): RejectionCode | undefined {
    if (problem !== undefined) return 'token_malformed'
    if (!algorithms.some((allowed) => allowed === algorithm)) return 'algorithm_not_allowed'
    const time = timeFault(claims, now().getTime())
    if (time !== undefined) return time
    const named = stringOrList(claims.get('aud')) ?? []
    return named.some((audience) => audiences.includes(audience)) ? undefined : 'audience_mismatch'
  }

  function timeFault(claims: Claims, nowMs: number): RejectionCode | undefined {
    const expiry = numericDate(claims.get('exp'))
    if (expiry === undefined || expiry > LAST_SECOND) return 'token_malformed'
    if (expiry * 1000 <= nowMs) return 'token_expired'
    for (const claim of ['nbf', 'iat']) {
      const value = claims.get(claim)
      if (value === undefined) continue
      const seconds = numericDate(value)
      if (seconds === undefined) return 'token_malformed'
      if (seconds * 1000 > nowMs + leewayMs) return 'token_not_yet_valid'
    }
    return undefined
  }

  async function unprovenToken(
    token: string,
    { header, claims }: UnverifiedJwt,
    algorithm: SigningAlgorithm,
    ctx: CallContext,
  ): Promise<RejectionCode | undefined> {
    const keyId = header.get('kid')
    if (keyId !== undefined && typeof keyId !== 'string') return 'token_malformed'
    const issuedAt = numericDate(claims.get('iat'))
    const candidates = await keys.find(
      { keyId, algorithm },
      issuedAt === undefined ? undefined : issuedAt * 1000,
      ctx.signal,
    )
    if (candidates.length === 0) return 'key_unknown'
    for (const key of candidates) if (await isSignedBy(token, key, algorithm)) return undefined
    return 'signature_invalid'
  }

  function identify(claims: Claims, ctx: CallContext): AuthnResult {
    // The key may have been long in coming: what is handed out is good now.
    const expiry = (numericDate(claims.get('exp')) ?? 0) * 1000
    if (expiry <= now().getTime()) return rejected('token_expired')
    const mapped = mapping(claims)
    if (mapped.kind === 'refused') {
      ctx.log.info({ source: name, code: mapped.code, detail: mapped.detail }, 'token refused: its claims do not fit')
      return rejected(mapped.code)
    }
    return { kind: 'authenticated', source: name, user: mapped.user, expiresAt: new Date(expiry) }
  }
}

async function isSignedBy(token: string, key: KeyObject, algorithm: SigningAlgorithm): Promise<boolean> {
  try {
    await compactVerify(token, key, { algorithms: [algorithm] })
    return true
  } catch (thrown) {
    if (thrown instanceof errors.JOSEError) return false
    throw new ArchwayError('internal', 'a signature could not be checked', { cause: thrown })
  }
}
