/**
 * An OpenID Connect issuer for tests: oidc-provider on 127.0.0.1, inside the process of the test. Owns the issuer, the
 * people and clients it knows, and the person at the browser; what is asked of it is each test's own.
 *
 * ```ts
 * await using issuer = await startOidcIssuer({ tls: await authority.server() }) // plain http without `tls`
 * issuer.issuer                                   // https://127.0.0.1:PORT
 * await issuer.approveDevice(userCode, 'alice')   // the person, at another machine
 * await issuer.logInAtBrowser(url, 'alice')       // … at this one; ends at the loopback address
 * await issuer.issueTokens({ account: 'alice' })  // tokens at once, by the password grant
 * issuer.requests('token')                        // how often an endpoint was asked
 * issuer.rotateKeys()
 * ```
 *
 * Accounts `alice`, `bob` and `carol` have the password `NAME-pw`. Client `terminal` is public and has to use PKCE;
 * `service` has the secret `service-secret`. Both may use every grant and come back to any loopback port.
 *
 * A claim is in the ID token when its scope was asked for: `email` (email, email_verified), `profile` (name,
 * preferred_username), `groups` (groups); any other claim of an account always is. Refresh tokens come with
 * `offline_access` (at the browser also `prompt=consent`), and each is good for one use: a second one ends them all.
 *
 * @module
 */
import { generateKeyPairSync, type JsonWebKey, randomBytes, randomUUID, sign } from 'node:crypto'
import {
  createServer as createHttpServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as requestHttp,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createHttpsServer, request as requestHttps } from 'node:https'
import { type Account, type Adapter, type AdapterPayload, type Configuration, errors, Provider } from 'oidc-provider'
import type { Issued } from '../support/tls.ts'

export interface OidcAccount {
  /** Also the `sub`, unless the claims have another. */
  readonly name: string
  readonly password: string
  readonly claims?: Readonly<Record<string, unknown>>
}

export interface OidcIssuerClient {
  readonly id: string
  /** Absent: a public client. */
  readonly secret?: string
  /** Default: `client_secret_basic` with a secret. */
  readonly authMethod?: 'client_secret_basic' | 'client_secret_post'
  /** Default: `/callback` and `/` on 127.0.0.1 and localhost. Loopback addresses are good with every port. */
  readonly redirectUris?: readonly string[]
}

/** Seconds. */
export interface OidcLifetimes {
  readonly idToken: number
  readonly accessToken: number
  readonly refreshToken: number
  readonly deviceCode: number
}

export interface OidcIssuerOptions {
  /** Certificate for 127.0.0.1; absent: plain http. */
  readonly tls?: Issued
  readonly accounts?: readonly OidcAccount[]
  readonly clients?: readonly OidcIssuerClient[]
  readonly lifetimes?: Partial<OidcLifetimes>
  /**
   * An absolute URI: access tokens are JWTs for it (RFC 9068) and carry the claims of the account. The `audience`
   * parameter of a request does the same for the audience it names. Otherwise access tokens are opaque.
   */
  readonly resource?: string
  /** Default: each refresh token is good for one use. */
  readonly rotateRefreshTokens?: boolean
}

const ENDPOINTS = {
  '/.well-known/openid-configuration': 'discovery',
  '/jwks': 'jwks',
  '/auth': 'authorization',
  '/token': 'token',
  '/token/introspection': 'introspection',
  '/token/revocation': 'revocation',
  '/device/auth': 'device_authorization',
  '/device': 'device_page',
  '/me': 'userinfo',
} as const

export type OidcEndpoint = (typeof ENDPOINTS)[keyof typeof ENDPOINTS]

/** Stands before an endpoint, to make it misbehave. */
export interface Tampering {
  /** Answers in the issuer's place and returns true, or leaves it to the issuer. */
  readonly before?: (request: IncomingMessage, response: ServerResponse) => boolean
  /** Changes the JSON the issuer answers. */
  readonly after?: (body: Record<string, unknown>) => unknown
}

/** What the token endpoint answers, as it came. */
export interface TokenAnswer {
  readonly access_token: string
  readonly id_token?: string
  readonly refresh_token?: string
  readonly expires_in: number
  readonly token_type: string
  readonly scope?: string
}

/** Where the browser ended. */
export interface BrowserEnd {
  /** The loopback address with its query, as the issuer redirected to it. */
  readonly location: URL
  /** What was answered there; absent when it was not visited. */
  readonly page?: WebAnswer
}

interface WebAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface OidcIssuer extends AsyncDisposable {
  readonly issuer: string
  readonly discoveryUrl: string
  readonly port: number
  /** Requests an endpoint got, or all of them. */
  requests(endpoint?: OidcEndpoint): number
  /** Adds an account, or replaces the one of that name. */
  setAccount(account: OidcAccount): void
  /** For what is issued from now on. */
  setLifetimes(lifetimes: Partial<OidcLifetimes>): void
  /** Signs with a new key from now on. The old one is no longer published, unless it is kept. */
  rotateKeys(options?: { readonly keepOld?: boolean }): void
  /** A JWT signed with the present key (RS256), whatever it says; `header` is laid over `alg`, `kid` and `typ`. */
  signJwt(claims: object, header?: object): string
  /** Tokens for an account, by the password grant. Default: client `terminal`, scope `openid email profile groups`. */
  issueTokens(options: {
    readonly account: string
    readonly client?: string
    readonly scope?: string
    readonly audience?: string
  }): Promise<TokenAnswer>
  /** The person types the code, logs in and confirms. */
  approveDevice(userCode: string, account: string): Promise<void>
  /** The person types the code and refuses. */
  denyDevice(userCode: string): Promise<void>
  /** The person logs in and agrees; the browser then visits the loopback address, unless `visit` is false. */
  logInAtBrowser(url: string, account: string, options?: { readonly visit?: boolean }): Promise<BrowserEnd>
  /** The person refuses; the browser then visits the loopback address. */
  refuseAtBrowser(url: string): Promise<BrowserEnd>
  /** Stands before an endpoint until the function that is returned is called. */
  tamper(endpoint: OidcEndpoint, tampering: Tampering): () => void
  /** Stops listening and cuts what is connected; what was issued is kept. */
  stop(): Promise<void>
  /** Listens again, at the same port. */
  start(): Promise<void>
}

const CLAIMS_OF_SCOPES: Readonly<Record<string, readonly string[]>> = {
  email: ['email', 'email_verified'],
  profile: ['name', 'preferred_username'],
  groups: ['groups'],
}

const ALL_SCOPES = 'openid email profile groups'
const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code'

const ACCOUNTS: readonly OidcAccount[] = [
  person('alice', { email_verified: true, groups: ['k8s-devs'] }),
  person('bob', { email_verified: false, groups: [] }),
  person('carol', { email_verified: true, groups: ['k8s-ops', 'k8s-devs'] }),
]

const CLIENTS: readonly OidcIssuerClient[] = [{ id: 'terminal' }, { id: 'service', secret: 'service-secret' }]

/** Starts an issuer at a free port. */
export async function startOidcIssuer(options: OidcIssuerOptions = {}): Promise<OidcIssuer> {
  const { tls, resource, rotateRefreshTokens = true, clients = CLIENTS } = options
  const accounts = new Map((options.accounts ?? ACCOUNTS).map((account) => [account.name, account]))
  let lifetimes: OidcLifetimes = {
    idToken: 3600,
    accessToken: 3600,
    refreshToken: 86_400,
    deviceCode: 600,
    ...options.lifetimes,
  }
  const counts = new Map<string, number>()
  const tamperings = new Map<string, Tampering>()
  const store = createStore()
  const cookieKeys = [randomBytes(32).toString('base64url')]
  let keys = [newKey()]

  const server: Server =
    tls === undefined ? createHttpServer(serve) : createHttpsServer({ cert: tls.cert, key: tls.key }, serve)
  const port = await listen(server, 0)
  const issuer = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`
  let provider = createProvider()
  let answer = provider.callback()

  function serve(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(request.url ?? '/', issuer)
    const endpoint = Object.entries(ENDPOINTS).find(([path]) => path === pathname)?.[1]
    counts.set(endpoint ?? 'other', (counts.get(endpoint ?? 'other') ?? 0) + 1)
    const tampering = endpoint === undefined ? undefined : tamperings.get(endpoint)
    if (tampering?.before?.(request, response) === true) return
    if (tampering?.after !== undefined) rewrite(response, tampering.after)
    if (pathname.startsWith('/interaction/')) {
      interact(provider, accounts, request, response).catch((error: unknown) => {
        response.writeHead(500).end(String(error))
      })
    } else {
      answer(request, response)
    }
  }

  function createProvider(): Provider {
    const made = new Provider(issuer, {
      adapter: store,
      jwks: { keys },
      cookies: { keys: cookieKeys },
      clients: clients.map(clientMetadata),
      claims: claimsOfScopes(accounts),
      scopes: [...ALL_SCOPES.split(' '), 'offline_access'],
      conformIdTokenClaims: false,
      extraParams: ['audience'],
      findAccount: (_ctx, id) => toAccount(accounts.get(id)),
      extraTokenClaims: (_ctx, token) =>
        'accountId' in token && token.accountId !== undefined ? accounts.get(token.accountId)?.claims : undefined,
      rotateRefreshToken: () => rotateRefreshTokens,
      interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
      renderError: (ctx, out) => {
        ctx.type = 'text/plain'
        ctx.body = `${out.error}: ${out.error_description ?? ''}`
      },
      ttl: {
        IdToken: () => lifetimes.idToken,
        AccessToken: () => lifetimes.accessToken,
        RefreshToken: () => lifetimes.refreshToken,
        DeviceCode: () => lifetimes.deviceCode,
        AuthorizationCode: () => 60,
        Grant: () => 86_400,
        Interaction: () => 3600,
        Session: () => 86_400,
      },
      features: {
        devInteractions: { enabled: false },
        dPoP: { enabled: false },
        revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
        introspection: { enabled: true, allowedPolicy: () => true },
        rpInitiatedLogout: { enabled: false },
        deviceFlow: {
          enabled: true,
          userCodeInputSource: (ctx, form, _out, error) => {
            ctx.body = page(form + (error === undefined ? '' : `<p>refused: ${error.name}</p>`))
          },
          userCodeConfirmSource: (ctx, form) => {
            ctx.body = page(form)
          },
          successSource: (ctx) => {
            ctx.body = page('<p>done</p>')
          },
        },
        resourceIndicators: {
          enabled: true,
          defaultResource: (ctx) => audienceOf(ctx.oidc.params?.['audience']) ?? resource,
          useGrantedResource: () => true,
          getResourceServerInfo: (_ctx, indicator) => ({
            scope: ALL_SCOPES,
            audience: indicator,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: 'RS256' } },
          }),
        },
      },
    } satisfies Configuration)
    made.on('server_error', (_ctx, error) => console.error('oidc-issuer:', error))
    registerPasswordGrant(made, { accounts, resource })
    return made
  }

  const browse = (): Browser => createBrowser({ issuer, ca: tls?.cert })

  const rig: OidcIssuer = {
    issuer,
    discoveryUrl: `${issuer}/.well-known/openid-configuration`,
    port,
    requests: (endpoint) =>
      endpoint === undefined
        ? [...counts.values()].reduce((sum, count) => sum + count, 0)
        : (counts.get(endpoint) ?? 0),
    setAccount(account) {
      accounts.set(account.name, account)
    },
    setLifetimes(changed) {
      lifetimes = { ...lifetimes, ...changed }
    },
    rotateKeys({ keepOld = false } = {}) {
      keys = [newKey(), ...(keepOld ? keys : [])]
      provider = createProvider()
      answer = provider.callback()
    },
    signJwt: (claims, header) => signJwt(keys[0] ?? newKey(), claims, header),
    async issueTokens({ account, client = 'terminal', scope = ALL_SCOPES, audience }) {
      const { status, body } = await browse().post(`${issuer}/token`, {
        grant_type: 'password',
        username: account,
        password: accounts.get(account)?.password ?? '',
        scope,
        client_id: client,
        ...(audience === undefined ? {} : { audience }),
      })
      if (status !== 200) throw new Error(`no tokens for ${account}: ${status} ${body}`)
      return JSON.parse(body)
    },
    async approveDevice(userCode, account) {
      const browser = browse()
      const end = await browser.go(`${issuer}/device?user_code=${encodeURIComponent(userCode)}`, personOf(account))
      if (!end.answer.body.includes('<p>done</p>')) throw new Error(`the device was not approved: ${end.answer.body}`)
    },
    async denyDevice(userCode) {
      const end = await browse().go(`${issuer}/device?user_code=${encodeURIComponent(userCode)}`, { refuses: true })
      if (!end.answer.body.includes('AbortedError')) throw new Error(`the device was not refused: ${end.answer.body}`)
    },
    logInAtBrowser: (url, account, { visit = true } = {}) => toLoopback(url, personOf(account), visit),
    refuseAtBrowser: (url) => toLoopback(url, { refuses: true }, true),
    tamper(endpoint, tampering) {
      tamperings.set(endpoint, tampering)
      return () => {
        if (tamperings.get(endpoint) === tampering) tamperings.delete(endpoint)
      }
    },
    stop: () => close(server),
    async start() {
      await listen(server, port)
    },
    [Symbol.asyncDispose]: () => close(server),
  }
  return rig

  function personOf(account: string): Person {
    const known = accounts.get(account)
    if (known === undefined) throw new Error(`no account ${account} at this issuer`)
    return { login: known.name, password: known.password }
  }

  async function toLoopback(url: string, who: Person, visit: boolean): Promise<BrowserEnd> {
    const { answer: last, left } = await browse().go(url, who)
    if (left === undefined) throw new Error(`the browser did not come back: ${last.status} ${last.body}`)
    return visit ? { location: left, page: await fetchPage(left, { method: 'GET' }) } : { location: left }
  }
}

function person(name: string, claims: Readonly<Record<string, unknown>>): OidcAccount {
  const email = `${name}@example.org`
  return { name, password: `${name}-pw`, claims: { email, preferred_username: name, ...claims } }
}

function clientMetadata({ id, secret, authMethod = 'client_secret_basic', redirectUris }: OidcIssuerClient) {
  return {
    client_id: id,
    application_type: 'native' as const,
    grant_types: ['authorization_code', 'refresh_token', DEVICE_CODE, 'password'],
    response_types: ['code' as const],
    redirect_uris: [
      ...(redirectUris ?? ['127.0.0.1', 'localhost'].flatMap((host) => [`http://${host}/callback`, `http://${host}/`])),
    ],
    ...(secret === undefined
      ? { token_endpoint_auth_method: 'none' as const }
      : { client_secret: secret, token_endpoint_auth_method: authMethod }),
  }
}

/** Which claims come with which scope; those of no scope come with `openid`. */
function claimsOfScopes(accounts: ReadonlyMap<string, OidcAccount>): Record<string, string[]> {
  const scoped = new Set(Object.values(CLAIMS_OF_SCOPES).flat())
  const named = [...accounts.values()].flatMap(({ claims = {} }) => Object.keys(claims))
  return {
    ...Object.fromEntries(Object.entries(CLAIMS_OF_SCOPES).map(([scope, names]) => [scope, [...names]])),
    openid: [...new Set(['sub', ...named.filter((name) => !scoped.has(name))])],
  }
}

function toAccount(account: OidcAccount | undefined): Account | undefined {
  return account && { accountId: account.name, claims: () => ({ sub: account.name, ...account.claims }) }
}

function audienceOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

interface PasswordParameters {
  readonly username?: string
  readonly password?: string
  readonly audience?: string
}

/** RFC 6749, section 4.3: gone from OAuth 2.1, and what Keystone's federation by password needs. */
function registerPasswordGrant(
  provider: Provider,
  options: { readonly accounts: ReadonlyMap<string, OidcAccount>; readonly resource: string | undefined },
): void {
  const handle = async (ctx: Parameters<Parameters<typeof provider.registerGrantType<PasswordParameters>>[1]>[0]) => {
    const { client, params } = ctx.oidc
    const known = options.accounts.get(params.username ?? '')
    if (known === undefined || known.password !== params.password) {
      throw new errors.InvalidGrant('wrong user name or password')
    }
    const scope = params.scope ?? 'openid'
    const account = toAccount(known)
    ctx.oidc.entity('Account', account)
    const grant = new provider.Grant({ accountId: known.name, clientId: client.clientId })
    grant.addOIDCScope(scope)
    const resource = audienceOf(params.audience) ?? options.resource
    if (resource !== undefined) grant.addResourceScope(resource, scope)
    const issued = { accountId: known.name, client, grantId: await grant.save(), gty: 'password', scope }
    const accessToken = new provider.AccessToken(issued)
    if (resource !== undefined) {
      accessToken.resourceServer = new provider.ResourceServer(resource, {
        scope,
        audience: resource,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      })
    }
    const access = await accessToken.save()
    const scopes = scope.split(' ')
    ctx.body = {
      access_token: access,
      expires_in: accessToken.expiration,
      token_type: 'Bearer',
      scope,
      ...(scopes.includes('offline_access') ? { refresh_token: await new provider.RefreshToken(issued).save() } : {}),
      ...(scopes.includes('openid') ? { id_token: await idToken() } : {}),
    }

    async function idToken(): Promise<string> {
      const token = new provider.IdToken({ ...(await account?.claims('id_token', scope, {}, [])) }, { ctx })
      return await Object.assign(token, { scope }).issue({ use: 'idtoken' })
    }
  }
  provider.registerGrantType<PasswordParameters>('password', handle, ['username', 'password', 'scope', 'audience'])
}

/** Login and consent, as plain forms. Consent gives all that was asked for. */
async function interact(
  provider: Provider,
  accounts: ReadonlyMap<string, OidcAccount>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const interaction = await provider.interactionDetails(request, response)
  const { prompt, params, session, grantId } = interaction
  if (request.method !== 'POST') {
    const fields = prompt.name === 'login' ? '<input name="login"/><input name="password"/>' : ''
    const html = page(`<form method="post" action="${request.url}">${fields}</form>`)
    response.writeHead(200, { 'content-type': 'text/html' }).end(html)
    return
  }
  const form = new URLSearchParams(await bodyOf(request))
  if (form.has('abort')) {
    const refusal = { error: 'access_denied', error_description: 'the person refused' }
    return provider.interactionFinished(request, response, refusal, { mergeWithLastSubmission: false })
  }
  if (prompt.name === 'login') {
    const account = accounts.get(form.get('login') ?? '')
    if (account === undefined || account.password !== form.get('password')) {
      response.writeHead(401).end('wrong user name or password')
      return
    }
    const login = { accountId: account.name }
    return provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false })
  }
  const clientId = String(params['client_id'])
  const grant =
    (grantId === undefined ? undefined : await provider.Grant.find(grantId)) ??
    new provider.Grant({ clientId, ...(session === undefined ? {} : { accountId: session.accountId }) })
  const { missingOIDCScope, missingResourceScopes } = prompt.details
  if (Array.isArray(missingOIDCScope)) grant.addOIDCScope(missingOIDCScope.join(' '))
  for (const [indicator, scopes] of Object.entries(missingResourceScopes ?? {})) {
    if (Array.isArray(scopes)) grant.addResourceScope(indicator, scopes.join(' '))
  }
  const consent = { grantId: await grant.save() }
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true })
}

function page(content: string): string {
  return `<!DOCTYPE html><html><body>${content}</body></html>`
}

/** All that is issued, in memory; each issuer has its own. */
function createStore(): (model: string) => Adapter {
  const stored = new Map<string, AdapterPayload>()
  return (model) => {
    const find = (test: (payload: AdapterPayload) => boolean): AdapterPayload | undefined => {
      const found = [...stored].find(([key, payload]) => key.startsWith(`${model} `) && test(payload))
      return found && structuredClone(found[1])
    }
    return {
      async upsert(id, payload) {
        stored.set(`${model} ${id}`, structuredClone(payload))
      },
      find: async (id) => structuredClone(stored.get(`${model} ${id}`)),
      findByUid: async (uid) => find((payload) => payload.uid === uid),
      findByUserCode: async (userCode) => find((payload) => payload.userCode === userCode),
      async consume(id) {
        const payload = stored.get(`${model} ${id}`)
        if (payload !== undefined) payload.consumed = Math.floor(Date.now() / 1000)
      },
      async destroy(id) {
        stored.delete(`${model} ${id}`)
      },
      async revokeByGrantId(grantId) {
        for (const [key, payload] of stored) if (payload.grantId === grantId) stored.delete(key)
      },
    }
  }
}

type SigningKey = JsonWebKey & {
  readonly kty: string
  readonly kid: string
  readonly alg: string
  readonly use: string
}

function newKey(): SigningKey {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { ...privateKey.export({ format: 'jwk' }), kty: 'RSA', kid: randomUUID(), alg: 'RS256', use: 'sig' }
}

function signJwt(key: SigningKey, claims: object, header: object = {}): string {
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url')
  const signed = `${encode({ alg: 'RS256', typ: 'JWT', kid: key.kid, ...header })}.${encode(claims)}`
  return `${signed}.${sign('sha256', Buffer.from(signed), { key, format: 'jwk' }).toString('base64url')}`
}

/** The person: what is typed into forms. */
type Person = { readonly login: string; readonly password: string } | { readonly refuses: true }

interface Browser {
  /** Follows redirects and sends forms until there is neither, or until it is sent away from the issuer (`left`). */
  go(url: string, who: Person): Promise<{ readonly answer: WebAnswer; readonly left?: URL }>
  post(url: string, form: Readonly<Record<string, string>>): Promise<WebAnswer>
}

const MOST_STEPS = 30

function createBrowser({ issuer, ca }: { readonly issuer: string; readonly ca: string | undefined }): Browser {
  const cookies = new Map<string, string>()

  async function visit(url: string, form?: URLSearchParams): Promise<WebAnswer> {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await fetchPage(new URL(url), {
      method: form === undefined ? 'GET' : 'POST',
      headers: {
        accept: 'text/html, application/json;q=0.5',
        ...(cookie === '' ? {} : { cookie }),
        ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      },
      ...(form === undefined ? {} : { body: form.toString() }),
      ...(ca === undefined ? {} : { ca }),
    })
    for (const line of answer.headers['set-cookie'] ?? []) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (value === '') cookies.delete(name)
      else cookies.set(name, value)
    }
    return answer
  }

  return {
    post: (url, form) => visit(url, new URLSearchParams(form)),
    async go(url, who) {
      let answer = await visit(url)
      for (let step = 0; step < MOST_STEPS; step++) {
        const { location } = answer.headers
        if (location !== undefined) {
          const target = new URL(location, issuer)
          if (target.origin !== issuer) return { answer, left: target }
          answer = await visit(target.href)
          continue
        }
        const form = readForm(answer.body)
        if (form === undefined || answer.body.includes('<p>refused')) return { answer }
        if (form.fields.has('login') && 'login' in who) {
          form.fields.set('login', who.login)
          form.fields.set('password', who.password)
        }
        if ('refuses' in who && (form.action.includes('/interaction/') || form.fields.has('confirm'))) {
          form.fields.set('abort', 'yes')
        }
        answer = await visit(new URL(form.action, issuer).href, form.fields)
      }
      throw new Error(`more than ${MOST_STEPS} pages`)
    },
  }
}

function readForm(html: string): { readonly action: string; readonly fields: URLSearchParams } | undefined {
  const [, attributes, content = ''] = /<form([^>]*)>([\s\S]*?)<\/form>/.exec(html) ?? []
  if (attributes === undefined) return undefined
  const attribute = (text: string, name: string): string => new RegExp(`\\b${name}="([^"]*)"`).exec(text)?.[1] ?? ''
  const inputs = [...content.matchAll(/<input([^>]*)>/g)].map(([, text = '']) => text)
  return {
    action: attribute(attributes, 'action').replaceAll('&amp;', '&'),
    fields: new URLSearchParams(
      Object.fromEntries(inputs.map((text) => [attribute(text, 'name'), attribute(text, 'value')])),
    ),
  }
}

interface FetchOptions {
  readonly method: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** The server's own certificate, which is all that is trusted. */
  readonly ca?: string
}

function fetchPage(url: URL, { method, headers = {}, body, ca }: FetchOptions): Promise<WebAnswer> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? requestHttps : requestHttp
    const trust = ca === undefined ? {} : { ca, allowPartialTrustChain: true }
    const sent = send(url, { method, headers, agent: false, ...trust }, (response) => {
      bodyOf(response).then(
        (text) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
        reject,
      )
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

async function bodyOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString('utf8')
}

function rewrite(response: ServerResponse, change: (body: Record<string, unknown>) => unknown): void {
  const end = response.end.bind(response)
  const changed = (chunk?: unknown): ServerResponse => {
    const body = JSON.stringify(change(JSON.parse(String(chunk))))
    response.setHeader('content-length', Buffer.byteLength(body))
    return end(body)
  }
  Object.assign(response, { end: changed })
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : port)
    })
  })
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    if (!server.listening) return resolve()
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
