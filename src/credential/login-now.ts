/**
 * From a complete plan to a token, with whoever gives it. Owns which flow is run and what is kept of its answer;
 * leaves the cache to `obtain.ts`. Providers are loaded when they are needed: most runs need none.
 *
 * @module
 */
import { ArchwayError } from '../errors.ts'
import {
  type IssuedToken,
  type KeystoneLogin,
  type LoginEndpoint,
  LoginIncompleteError,
  type LoginMethod,
} from '../keystone/login/login-request.ts'
import type { DeviceInstructions, OidcClient, OidcClientOptions, OidcTokens } from '../oidc/oidc-client.ts'
import { Secret } from '../secret.ts'
import type { CachedCredential } from './cache/store.ts'
import { plainText } from './plain-text.ts'
import type { LoginPlan, OidcFlow } from './plan.ts'

/** A token, and whose it is. */
export type Issued = Omit<CachedCredential, 'subject'>

/** Whoever gives tokens. */
export interface Providers {
  keystone(endpoint: LoginEndpoint): Promise<KeystoneLogin>
  oidc(options: OidcClientOptions): Promise<OidcClient>
  /** `false`: there is no browser. */
  openBrowser(url: string): Promise<boolean>
}

/** What a login has of the outside. */
export interface LoginContext {
  readonly providers: Providers
  /** Says something to the person, on stderr. */
  readonly say: (text: string) => void
  /** Whether a browser may be opened; otherwise the address is printed. */
  readonly browser: boolean
  readonly signal: AbortSignal
  readonly now: () => Date
  /** Asks for the passcode that Keystone wants besides; `undefined`: nobody can be asked. */
  readonly askPasscode?: () => Promise<Secret | undefined>
}

/** Logs in. Throws what the provider threw, or `credential_interrupted` once the signal has been given. */
export async function loginNow(plan: LoginPlan, context: LoginContext): Promise<Issued> {
  const issuedAt = context.now()
  switch (plan.provider) {
    case 'keystone': {
      const token = await withKeystone(plan.endpoint, context, (keystone) => issueWhole(keystone, plan, context))
      return fromKeystone(token, issuedAt)
    }
    case 'keystone-federation':
      return federate(plan, await runFlow(plan.oidc, plan.oidcFlow, context), context)
    case 'oidc':
      return fromOidc(await runFlow(plan.oidc, plan.oidcFlow, context), plan, issuedAt)
  }
}

/** A rule of the user may want a passcode beside the password, which only Keystone knows before it was asked. */
async function issueWhole(
  keystone: KeystoneLogin,
  { methods, scope }: LoginPlan & { readonly provider: 'keystone' },
  { askPasscode }: Pick<LoginContext, 'askPasscode'>,
): Promise<IssuedToken> {
  try {
    return await keystone.issue(methods, scope)
  } catch (thrown) {
    if (!(thrown instanceof LoginIncompleteError) || !thrown.missing.some(isPasscode)) throw thrown
    const user = methods.find((given) => given.method === 'password')?.user
    const passcode = user === undefined ? undefined : await askPasscode?.()
    if (user === undefined || passcode === undefined) throw thrown
    return keystone.issue([{ method: 'totp', user, passcode }], scope, { receipt: thrown.receipt })
  }
}

function isPasscode(missing: readonly string[]): boolean {
  return missing.length === 1 && missing[0] === 'totp'
}

/**
 * The next token by a refresh token. `undefined`: it is no longer good, or the plan knows no such thing.
 *
 * A refresh token may be good for one use. Where Keystone comes after it and may fail, `keep` is given the next one
 * first.
 */
export async function refreshNow(
  plan: LoginPlan,
  refreshToken: Secret,
  context: LoginContext,
  keep: (refreshToken: Secret) => Promise<void>,
): Promise<Issued | undefined> {
  if (plan.provider === 'keystone' || plan.oidc === undefined) return undefined
  const issuedAt = context.now()
  const client = await context.providers.oidc(plan.oidc)
  let tokens: OidcTokens
  try {
    tokens = await abortable(client.refresh(refreshToken), context.signal)
  } catch (thrown) {
    if (thrown instanceof ArchwayError && thrown.code === 'oidc_refused') return undefined
    throw thrown
  }
  const renewed = { ...tokens, refreshToken: tokens.refreshToken ?? refreshToken }
  if (plan.provider === 'oidc') return fromOidc(renewed, plan, issuedAt)
  await keep(renewed.refreshToken)
  return federate(plan, renewed, context)
}

/** Whether somebody has to go to a browser for it. */
export function needsPerson(plan: LoginPlan): boolean {
  return plan.provider !== 'keystone' && (plan.oidcFlow.flow === 'device' || plan.oidcFlow.flow === 'code')
}

/** The same promise, or `credential_interrupted` as soon as the signal is given. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let listener: (() => void) | undefined
  const interrupted = new Promise<never>((_, reject) => {
    listener = () => reject(new ArchwayError('credential_interrupted', 'interrupted'))
    if (signal.aborted) listener()
    else signal.addEventListener('abort', listener)
  })
  try {
    return await Promise.race([promise, interrupted])
  } finally {
    if (listener !== undefined) signal.removeEventListener('abort', listener)
    promise.catch(() => undefined) // after an interruption nobody waits for it
  }
}

async function withKeystone<T>(
  endpoint: LoginEndpoint,
  context: Pick<LoginContext, 'providers' | 'signal'>,
  use: (keystone: KeystoneLogin) => Promise<T>,
): Promise<T> {
  const keystone = await context.providers.keystone(endpoint)
  try {
    return await abortable(use(keystone), context.signal)
  } finally {
    await keystone.close()
  }
}

async function federate(
  plan: LoginPlan & { readonly provider: 'keystone-federation' },
  tokens: OidcTokens,
  context: LoginContext,
): Promise<Issued> {
  const issuedAt = context.now()
  const token = await withKeystone(plan.endpoint, context, (keystone) =>
    keystone.federate(plan.identityProvider, plan.protocol, tokens.accessToken, plan.scope),
  )
  return { ...fromKeystone(token, issuedAt), ...refreshable(tokens) }
}

async function runFlow(
  options: OidcClientOptions | undefined,
  flow: OidcFlow,
  context: LoginContext,
): Promise<OidcTokens> {
  if (flow.flow === 'access-token') return { accessToken: flow.accessToken }
  if (options === undefined) {
    throw new ArchwayError(
      'credential_settings_invalid',
      'the OpenID Connect issuer of the identity provider is not set',
    )
  }
  const { signal, say } = context
  const client = await context.providers.oidc(options)
  switch (flow.flow) {
    case 'password':
      return abortable(client.password(flow.username, flow.password), signal)
    case 'device':
      return abortable(client.deviceCode({ show: (instructions) => say(describeDevice(instructions)), signal }), signal)
    case 'code': {
      const { flow: _, ...listening } = flow
      return abortable(
        client.authorizationCode({ show: (url) => showAddress(url, context), ...listening, signal }),
        signal,
      )
    }
  }
}

function describeDevice({ userCode, verificationUri, verificationUriComplete }: DeviceInstructions): string {
  const complete = verificationUriComplete === undefined ? '' : `\nor open ${plainText(verificationUriComplete)}`
  return `To log in, open ${plainText(verificationUri)} on any device and enter the code ${plainText(userCode)}${complete}`
}

async function showAddress(url: string, { browser, providers, say }: LoginContext): Promise<void> {
  if (browser && (await providers.openBrowser(url))) {
    say('Log in in the browser window that has been opened.')
    return
  }
  say(`To log in, open this address in a browser on this machine:\n${plainText(url)}`)
}

function fromKeystone(issued: IssuedToken, issuedAt: Date): Issued {
  const { token, expiresAt, expiresAtText, user, project, domain, system } = issued
  return {
    token,
    issuedAt,
    expiresAt,
    expiresAtText,
    account: {
      user: user.name,
      domain: user.domain.name,
      ...(project === undefined ? {} : { project: project.name, 'project domain': project.domain.name }),
      ...(domain === undefined ? {} : { 'scope domain': domain.name }),
      ...(system ? { scope: 'system' } : {}),
    },
  }
}

function fromOidc(tokens: OidcTokens, plan: LoginPlan & { readonly provider: 'oidc' }, issuedAt: Date): Issued {
  const isId = plan.present === 'id_token'
  const token = isId ? tokens.idToken : tokens.accessToken
  if (token === undefined) {
    throw new ArchwayError('oidc_answer_invalid', 'the issuer gave no ID token: ask for the scope openid')
  }
  const expiresAt = (isId ? undefined : tokens.expiresAt) ?? expiryIn(token)
  if (expiresAt === undefined) {
    throw new ArchwayError(
      'oidc_answer_invalid',
      'the issuer does not say how long its token is good (expires_in, exp)',
    )
  }
  const { claims } = tokens
  const user = [claims?.['preferred_username'], claims?.['email'], claims?.['sub']].find(
    (name) => typeof name === 'string',
  )
  return {
    token,
    issuedAt,
    expiresAt,
    expiresAtText: expiresAt.toISOString(),
    ...refreshable(tokens),
    account: { ...(typeof user === 'string' ? { user } : {}), issuer: plan.oidc.issuer },
  }
}

function refreshable({ refreshToken }: OidcTokens): Pick<Issued, 'refreshToken'> {
  return refreshToken === undefined ? {} : { refreshToken }
}

/** `exp` of a JWT. Nothing is decided by it but when to ask again, so it is read unchecked. */
function expiryIn(token: Secret): Date | undefined {
  const [, payload = ''] = token.reveal().split('.')
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    const exp = typeof claims === 'object' && claims !== null && 'exp' in claims ? claims.exp : undefined
    if (typeof exp !== 'number') return undefined
    const expiresAt = new Date(exp * 1000)
    return Number.isNaN(expiresAt.getTime()) ? undefined : expiresAt
  } catch {
    return undefined
  }
}

/** The proofs that are sent as they are, and would be refused again; `undefined` where a person acts in a browser. */
export function fixedProofs(plan: LoginPlan): readonly Secret[] | undefined {
  if (plan.provider !== 'keystone') {
    const flow = plan.oidcFlow
    if (flow.flow === 'password') return [new Secret(flow.username), flow.password]
    return flow.flow === 'access-token' ? [flow.accessToken] : undefined
  }
  return plan.methods.map(proofOf)
}

function proofOf(method: LoginMethod): Secret {
  switch (method.method) {
    case 'password':
      return method.password
    case 'totp':
      return method.passcode
    case 'token':
      return method.token
    case 'application_credential':
      return method.secret
  }
}
