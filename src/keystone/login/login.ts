/**
 * Logging in to Keystone, in every way it has: passwords, passcodes, tokens, application credentials, several of them
 * together, and access tokens of identity providers. Owns the order of things; what is sent is `auth-request.ts`, how it
 * travels `wire.ts`, what the answer means `answers.ts`.
 *
 * A login is mostly a process of its own that kubectl waits for, so what takes time to load is loaded while Keystone is
 * already at work.
 *
 * @module
 */
import type { CallLog } from '../../context.ts'
import { ArchwayError } from '../../errors.ts'
import type { Secret } from '../../secret.ts'
import type { RawAnswer } from '../connection.ts'
import { type Attempt, orAborted, withDeadline } from '../deadline.ts'
import type { Target } from '../failure.ts'
import { isSendable } from '../token-shape.ts'
import type { VersionFinder } from '../version.ts'
import { authRequest } from './auth-request.ts'
import type { IssuedToken, KeystoneLogin, LoginEndpoint, LoginMethod, LoginScope } from './login-request.ts'
import { parseLoginUrl } from './login-url.ts'
import { proxyFor } from './proxy.ts'
import { type Tried, triedFederation, triedLogin } from './tried.ts'
import type { Wire, WireRequest } from './wire.ts'

const DEFAULT_TIMEOUT_MS = 30_000

/** That Keystone advertises another address than the one given is nothing to tell at a login. */
const SILENT: CallLog = { debug() {}, info() {}, warn() {}, error() {} }

/**
 * A way into one Keystone. Opens nothing and reads no file before the first call.
 *
 * @throws ArchwayError `config_invalid` for the URL; `credential_settings_invalid` for a proxy variable or the user
 *   agent. Files are read by the first call, which throws `file_invalid`.
 *
 * @example
 * const keystone = createKeystoneLogin({ url: 'https://keystone.example:5000', env: process.env })
 * const user = { name: 'alice', domain: { name: 'Default' } }
 * const { token } = await keystone.issue([{ method: 'password', user, password }], { scope: 'unscoped' })
 */
export function createKeystoneLogin(endpoint: LoginEndpoint): KeystoneLogin {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, userAgent = 'archway' } = endpoint
  const url = parseLoginUrl(endpoint.url)
  const proxy = proxyFor(url, endpoint.env ?? {})
  const trust: Target['trust'] = endpoint.caFile === undefined ? 'login-system' : 'login-file'
  if (!/^[\x21-\x7e]+( [\x21-\x7e]+)*$/.test(userAgent)) {
    throw invalid('the User-Agent for Keystone must be words of visible ASCII')
  }
  const closing = new AbortController()
  let opening: Promise<Wire> | undefined
  let versions: VersionFinder | undefined

  async function openWire(): Promise<Wire> {
    const [wire, { readTrust }] = await Promise.all([import('./wire.ts'), import('./trust.ts')])
    return wire.openWire({ url, trust: await readTrust(endpoint), proxy })
  }

  async function send(request: WireRequest, attempt: Attempt): Promise<RawAnswer> {
    opening ??= openWire()
    const wire = await orAborted(opening, attempt.signal)
    const headers = { accept: 'application/json', 'user-agent': userAgent, ...request.headers }
    return wire.send({ ...request, headers }, targetOf(request), attempt)
  }

  function targetOf({ method, path }: Pick<WireRequest, 'method' | 'path'>): Target {
    const way = proxy === undefined ? '' : ` (through ${proxy.origin}, ${proxy.variable})`
    return { name: `${method} ${url.origin}${path.replace(/\?.*$/, '')}${way}`, tls: !url.insecure, trust }
  }

  /** Under one deadline, however many requests it takes. */
  function limited<T>(target: Target, run: (attempt: Attempt) => Promise<T>): Promise<T> {
    return withDeadline({ ms: timeoutMs, target: target.name, signal: closing.signal }, run)
  }

  /** Path of the v3 API: as given, or as Keystone says. */
  async function basePath(attempt: Attempt): Promise<string> {
    if (url.versioned) return url.path
    attempt.enter('version')
    const { findVersion } = await import('../version.ts')
    const target = targetOf({ method: 'GET', path: `${url.path}/` })
    versions ??= findVersion({
      url,
      target,
      now: () => new Date(),
      // Shared between calls, so on a deadline of its own.
      get: (path) => limited(target, (own) => send({ method: 'GET', path, headers: {} }, own)),
    })
    return orAborted(versions.find(SILENT), attempt.signal)
  }

  /** Runs one call that knows where the v3 API is. */
  function call<T>(method: WireRequest['method'], path: string, run: (base: string, attempt: Attempt) => Promise<T>) {
    return limited(targetOf({ method, path: `${url.path}${url.versioned ? '' : '/v3'}${path}` }), async (attempt) => {
      attempt.signal.throwIfAborted()
      return run(await basePath(attempt), attempt)
    })
  }

  /** Sends, and meanwhile loads what reads the answer. */
  async function exchange(request: WireRequest, attempt: Attempt) {
    const [raw, answers] = await Promise.all([send(request, attempt), import('./answers.ts')])
    return { raw, answers, target: targetOf(request) }
  }

  async function authenticate(login: PreparedLogin, base: string, attempt: Attempt): Promise<IssuedToken> {
    const { headers, body } = login
    const request = { method: 'POST', path: `${base}/auth/tokens?nocatalog`, headers, body } as const
    const { raw, answers, target } = await exchange(request, attempt)
    return answers.readIssued(raw, { ...login, target })
  }

  return {
    async issue(methods, scope, { receipt } = {}) {
      const login = prepare(methods, scope, receipt)
      return call('POST', '/auth/tokens', (base, attempt) => authenticate(login, base, attempt))
    },

    async federate(provider, protocol, accessToken, scope) {
      const path = `/OS-FEDERATION/identity_providers/${segment(provider, 'identity provider')}/protocols/${segment(protocol, 'protocol')}/auth`
      const headers = { authorization: `Bearer ${sendable(accessToken, 'access token')}` }
      return call('POST', path, async (base, attempt) => {
        const request = { method: 'POST', path: `${base}${path}`, headers } as const
        const { raw, answers, target } = await exchange(request, attempt)
        const tried = triedFederation(provider, protocol)
        const unscoped = answers.readFederated(raw, { target, tried, methods: [protocol] })
        if (scope.scope === 'default' || scope.scope === 'unscoped') return unscoped
        return authenticate(prepare([{ method: 'token', token: unscoped.token }], scope), base, attempt)
      })
    },

    async describe(token) {
      if (!isSendable(token.reveal())) return undefined
      return call('GET', '/auth/tokens', async (base, attempt) => {
        const request = { method: 'GET', path: `${base}/auth/tokens?nocatalog`, headers: aboutItself(token) } as const
        const { raw, answers, target } = await exchange(request, attempt)
        return answers.readDescribed(raw, token, target)
      })
    },

    async revoke(token) {
      if (!isSendable(token.reveal())) return
      await call('DELETE', '/auth/tokens', async (base, attempt) => {
        const request = { method: 'DELETE', path: `${base}/auth/tokens`, headers: aboutItself(token) } as const
        const { raw, answers, target } = await exchange(request, attempt)
        answers.readRevoked(raw, target)
      })
    },

    async close() {
      closing.abort(new ArchwayError('stopping', 'the login was closed'))
    },
  }
}

/** A login, ready to be sent. */
interface PreparedLogin {
  readonly methods: readonly string[]
  readonly tried: Tried
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

function prepare(methods: readonly LoginMethod[], scope: LoginScope, receipt?: Secret): PreparedLogin {
  return {
    methods: methods.map(({ method }) => method),
    tried: triedLogin(methods, scope),
    headers: {
      'content-type': 'application/json',
      ...(receipt && { 'openstack-auth-receipt': sendable(receipt, 'receipt') }),
    },
    body: authRequest(methods, scope),
  }
}

function aboutItself(token: Secret): Record<string, string> {
  return { 'x-auth-token': token.reveal(), 'x-subject-token': token.reveal() }
}

/** A secret that can stand in a header; of Keystone's own and of OAuth (RFC 6750, section 2.1) all can. */
function sendable(secret: Secret, what: string): string {
  const value = secret.reveal()
  if (/^[\x21-\x7e]+$/.test(value)) return value
  throw invalid(`the ${what} is empty, or has blanks or other characters that no ${what} has`)
}

/** A name as one segment of a path. */
function segment(name: string, what: string): string {
  if (name.isWellFormed() && !['', '.', '..'].includes(name)) return encodeURIComponent(name)
  throw invalid(`the ${what} cannot be used as part of an address; is its name right?`)
}

function invalid(message: string): ArchwayError {
  return new ArchwayError('credential_settings_invalid', message)
}
