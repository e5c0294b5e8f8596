/**
 * Revocation: how long a token that Keystone has revoked may go on working. Owns the sum and the sentence; the parts
 * are configured elsewhere.
 *
 * @module
 */

/**
 * kube-apiserver keeps successes of all its token authenticators for 10 s, on top of its webhook cache
 * (`pkg/kubeapiserver/authenticator/config.go`: `tokencache.New(…, 10*time.Second, 0, …)`).
 */
export const APISERVER_TOKEN_CACHE_MS = 10_000

export interface RevocationParts {
  /** What Archway remembers: the greatest `cache.ttl` in force, in milliseconds. */
  readonly archwayMs: number
  /** `--authentication-token-webhook-cache-ttl` of kube-apiserver, in milliseconds. */
  readonly apiserverWebhookMs: number
  /** Whether JWTs are judged by their signature: nobody is asked whether one was taken back. */
  readonly judgesJwts?: boolean
}

export interface RevocationBudget {
  /** Milliseconds by part; they add up, since each cache may be filled just before the one below it expires. */
  readonly parts: { readonly archway: number; readonly apiserverWebhook: number; readonly apiserverTokens: number }
  /** The longest time, in milliseconds, from Keystone's revocation to the last request that gets in. */
  readonly totalMs: number
  readonly judgesJwts: boolean
}

/** Adds up the caches between Keystone and a request. Keystone's own caching, if it is configured, comes on top. */
export function revocationBudget(given: RevocationParts): RevocationBudget {
  const { archwayMs, apiserverWebhookMs, judgesJwts = false } = given
  const parts = {
    archway: archwayMs,
    apiserverWebhook: apiserverWebhookMs,
    apiserverTokens: APISERVER_TOKEN_CACHE_MS,
  }
  return { parts, totalMs: archwayMs + apiserverWebhookMs + APISERVER_TOKEN_CACHE_MS, judgesJwts }
}

/** The sentence that is printed at start and stands in the documentation. */
export function describeRevocation({ parts, totalMs, judgesJwts }: RevocationBudget): string {
  const seconds = (ms: number): string => `${ms / 1000} s`
  return (
    `a revoked token stops working after at most ${seconds(totalMs)}: ` +
    `${seconds(parts.archway)} (cache.ttl) + ${seconds(parts.apiserverWebhook)} (kube-apiserver's webhook cache) + ` +
    `${seconds(parts.apiserverTokens)} (kube-apiserver's token cache), plus whatever Keystone itself caches` +
    (judgesJwts ? '; a JWT of an OIDC issuer cannot be taken back: it works until it expires' : '')
  )
}
