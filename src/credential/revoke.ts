/**
 * Giving a kept credential back to whoever gave it. Owns what can be revoked of each kind.
 *
 * @module
 */
import { ArchwayError } from '../errors.ts'
import type { CachedCredential } from './cache/store.ts'
import { abortable, type LoginContext } from './login-now.ts'
import type { LoginPlan, Settings, Terminal } from './plan.ts'

/** What came of one part of a credential. */
export type Revocation =
  | { readonly kind: 'revoked'; readonly what: string }
  /** Whoever gave it has no way to take it back. `until` where that is known. */
  | { readonly kind: 'lasting'; readonly what: string; readonly until: string | undefined }
  | { readonly kind: 'failed'; readonly what: string; readonly error: ArchwayError }

/** Revokes each part on its own: one that fails keeps no other. */
export async function revoke(
  credential: CachedCredential,
  plan: LoginPlan,
  context: Pick<LoginContext, 'providers' | 'signal'>,
): Promise<readonly Revocation[]> {
  const until = credential.expiresAtText
  const done: Revocation[] = []
  if (plan.provider === 'oidc') {
    const what = plan.present === 'id_token' ? 'ID token' : 'access token'
    // The issuer knows nothing of its ID tokens once they are out.
    done.push(
      plan.present === 'id_token'
        ? { kind: 'lasting', what, until }
        : await attempt(what, until, () => atIssuer(plan, credential.token, context)),
    )
  } else {
    done.push(await attempt('token', until, () => atKeystone(plan, credential, context)))
  }
  const { refreshToken } = credential
  if (refreshToken !== undefined) {
    done.push(await attempt('refresh token', undefined, () => atIssuer(plan, refreshToken, context)))
  }
  return done
}

/**
 * The plan of a login nobody makes: where its provider is, and what else has to be known to ask it. Nothing secret is
 * asked for, since nothing is proved.
 */
export function planWithoutProofs(settings: Settings): Promise<LoginPlan> {
  const nobody: Terminal = { ask: async () => 'unused', say() {}, close() {} }
  return settings.plan(nobody)
}

/** `false`: there is no way to revoke it. */
async function attempt(what: string, until: string | undefined, run: () => Promise<boolean>): Promise<Revocation> {
  try {
    return (await run()) ? { kind: 'revoked', what } : { kind: 'lasting', what, until }
  } catch (thrown) {
    if (!(thrown instanceof ArchwayError) || thrown.code === 'credential_interrupted') throw thrown
    return { kind: 'failed', what, error: thrown }
  }
}

async function atKeystone(
  plan: LoginPlan & { readonly provider: 'keystone' | 'keystone-federation' },
  { token }: CachedCredential,
  { providers, signal }: Pick<LoginContext, 'providers' | 'signal'>,
): Promise<boolean> {
  const keystone = await providers.keystone(plan.endpoint)
  try {
    await abortable(keystone.revoke(token), signal)
    return true
  } finally {
    await keystone.close()
  }
}

async function atIssuer(
  plan: LoginPlan,
  token: CachedCredential['token'],
  { providers, signal }: Pick<LoginContext, 'providers' | 'signal'>,
): Promise<boolean> {
  if (plan.provider === 'keystone' || plan.oidc === undefined) return false
  const client = await providers.oidc(plan.oidc)
  return abortable(client.revoke(token), signal)
}
