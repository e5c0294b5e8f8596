/**
 * Client of the OpenStack Identity API v3: is this token or password good, whose is it, in which groups are they.
 *
 * This room owns the wire to Keystone: URLs, connections, deadlines, and what an answer means. It leaves to others
 * what follows from an identity, and keeps nothing of a token between calls.
 *
 * @module
 */
import { timingSafeEqual } from 'node:crypto'
import { buildConnector } from 'undici'
import type { CallContext } from '../context.ts'
import { ArchwayError, type ErrorCode } from '../errors.ts'
import { guardedLookup, type LookupAll } from './address.ts'
import { judge, undecided, type Verdict } from './answer.ts'
import { type Connection, openConnection, type RawAnswer, type RawRequest } from './connection.ts'
import { type Attempt, orAborted, withDeadline } from './deadline.ts'
import { connectionFailure, type Target } from './failure.ts'
import { type GroupListing, listGroups } from './groups.ts'
import { createPool } from './pool.ts'
import { type KeystoneTls, secureContext } from './tls.ts'
import { type KeystoneToken, readToken } from './token.ts'
import { isSendable } from './token-shape.ts'
import { parseKeystoneUrl } from './url.ts'
import { checkVersion, findVersion } from './version.ts'

/** What a call needs to know of the request it is made for. */
export type KeystoneCall = Pick<CallContext, 'requestId' | 'signal' | 'log'>

/**
 * What a call came to. `refused`, `forbidden` and `limit_exceeded` are answers; `aborted` is the caller's doing; with the rest
 * it could not be told.
 */
export type KeystoneOutcome =
  | 'ok'
  | 'refused'
  | 'forbidden'
  | 'limit_exceeded'
  | 'aborted'
  | Extract<ErrorCode, `keystone_${string}`>
  | 'failed'

/** One call, after it has ended. */
export interface KeystoneObservation {
  readonly call: 'validate' | 'groups' | 'login' | 'version'
  readonly outcome: KeystoneOutcome
  readonly seconds: number
}

/** A domain or project, by id or by name. */
export type KeystoneDomainRef = { readonly id: string } | { readonly name: string }

/** A user's password, and what the token is to be good for. */
export interface PasswordLogin {
  readonly username: string
  readonly domain: KeystoneDomainRef
  readonly password: string
  /** Absent: the user's default project, or nothing. */
  readonly project?: { readonly id: string } | { readonly name: string; readonly domain: KeystoneDomainRef }
}

/** A token that was made, with what Keystone says of it. */
export interface LoggedIn {
  readonly token: string
  readonly details: KeystoneToken
}

export interface KeystoneClientOptions {
  /** `https://host:5000/v3`, or without `/v3`: then Keystone is asked at the first call. See {@link parseKeystoneUrl}. */
  readonly url: string
  readonly tls?: KeystoneTls
  /** Milliseconds for a call, all of it: waiting in line, connecting, answer, body, further pages. 8000 when absent. */
  readonly timeoutMs?: number
  /** Requests to Keystone at a time; 32 when absent. */
  readonly connections?: number
  /** Requests that may wait beyond that; more are `keystone_busy`. 1024 when absent. */
  readonly queue?: number
  /** More groups than this are `limit_exceeded`; 1000 when absent. */
  readonly maxGroups?: number
  /** `archway` when absent. */
  readonly userAgent?: string
  /** Whether a host name may lead to loopback addresses; an address in the URL, and `localhost`, always may. */
  readonly allowLoopback?: boolean
  /** Called once for each call, when it has ended. Must not throw. */
  readonly observe?: (observation: KeystoneObservation) => void
  readonly now?: () => Date
  /** Resolves host names; `dns.lookup`. */
  readonly lookup?: LookupAll
}

export interface IdentityClient {
  /** The configured URL, without a slash at its end. */
  readonly url: string
  /** The URL is plain `http:`, so tokens can be read on the way. Worth a warning. */
  readonly insecure: boolean
  /**
   * Asks Keystone about a token, on the token's own authority. `undefined`: Keystone says it is not good (unknown,
   * revoked, expired, its user or project disabled or gone), or it could not even be sent.
   *
   * `GET /v3/auth/tokens?nocatalog` with X-Auth-Token and X-Subject-Token.
   *
   * @throws ArchwayError when Keystone could not tell: `keystone_unreachable`, `keystone_timeout`, `keystone_busy`,
   *   `keystone_answer_invalid`.
   */
  validateToken(token: string, call: KeystoneCall): Promise<KeystoneToken | undefined>
  /**
   * The groups of a user, asked with the user's own token; see {@link GroupListing} for what it can come to. Keystone
   * lists groups for some tokens that do not validate (application credentials with access rules), so validate first;
   * and for a token scoped to a domain it lists the groups of that domain only.
   *
   * `GET /v3/users/{id}/groups` with X-Auth-Token.
   *
   * @throws ArchwayError as {@link IdentityClient.validateToken}.
   */
  listGroups(token: string, userId: string, call: KeystoneCall): Promise<GroupListing>
  /**
   * Logs in with a password. `undefined`: Keystone refuses (unknown user, wrong password, disabled, no role on the
   * project, another factor wanted); it does not say which.
   *
   * `POST /v3/auth/tokens?nocatalog`.
   *
   * @throws ArchwayError as {@link IdentityClient.validateToken}.
   */
  logIn(login: PasswordLogin, call: KeystoneCall): Promise<LoggedIn | undefined>
  /**
   * Asks for the version document of v3, without credentials: is Keystone there?
   *
   * @throws ArchwayError when it is not, or is not Keystone.
   */
  ping(call: KeystoneCall): Promise<void>
  /**
   * Uses other TLS files from the next connection on; calls under way finish on the old ones.
   *
   * @throws ArchwayError `file_invalid`; then everything stays as it was.
   */
  reloadTls(tls: KeystoneTls): void
  /** Lets calls finish, then closes the connections. Later calls throw `stopping`. */
  close(): Promise<void>
}

/**
 * A client for one Keystone. Opens nothing: connections are made by calls, and Keystone need not be up.
 *
 * @throws ArchwayError `config_invalid` for the URL, `file_invalid` for TLS.
 *
 * @example
 * const identity = keystoneClient({ url: 'https://keystone.example:5000/v3' })
 * const token = await identity.validateToken(bearer, { signal, requestId, log })
 */
export function keystoneClient(options: KeystoneClientOptions): IdentityClient {
  const url = parseKeystoneUrl(options.url)
  const { timeoutMs = 8000, connections = 32, queue = 1024, maxGroups = 1000, userAgent = 'archway' } = options
  const { now = () => new Date() } = options
  if (!/^[\x21-\x7e]+( [\x21-\x7e]+)*$/.test(userAgent)) {
    throw new ArchwayError('config_invalid', 'the User-Agent for Keystone must be words of visible ASCII')
  }
  const lookup = guardedLookup(options)
  let trust: Target['trust'] = 'system'

  const pool = createPool({ connections, queue, open: opener(options.tls ?? {}) })

  /** Makes connections that share one TLS context and its sessions. */
  function opener(tls: KeystoneTls): () => Connection {
    const context = url.insecure ? undefined : secureContext(tls)()
    trust = tls.ca === undefined ? 'system' : (tls.caMode ?? 'replace')
    const connector = buildConnector({
      timeout: timeoutMs,
      allowH2: false,
      lookup,
      // Said outright, so that NODE_TLS_REJECT_UNAUTHORIZED in the environment changes nothing.
      ...(context && { secureContext: context, rejectUnauthorized: true }),
      ...(tls.serverName !== undefined && { servername: tls.serverName }),
    })
    return () => openConnection(url.origin, connector)
  }

  function targetAt(path: string, method = 'GET'): Target {
    return { name: `${method} ${url.origin}${path.replace(/\?.*$/, '')}`, tls: !url.insecure, trust }
  }

  async function send(request: RawRequest, attempt: Attempt): Promise<RawAnswer> {
    const headers = { accept: 'application/json', 'user-agent': userAgent, ...request.headers }
    attempt.enter('queue')
    try {
      return await pool.run(attempt.signal, (connection) => connection.send({ ...request, headers }, attempt))
    } catch (error) {
      if (error instanceof ArchwayError || !(error instanceof Error)) throw error
      throw connectionFailure(error, targetAt(request.path, request.body && 'POST'), attempt.phase)
    }
  }

  function get(path: string, headers: Readonly<Record<string, string>>, attempt: Attempt): Promise<RawAnswer> {
    return send({ path, headers }, attempt)
  }

  const versions = findVersion({
    url,
    target: targetAt(`${url.path}/`),
    now,
    // Shared between callers, so on a deadline of its own and no caller's signal.
    get: (path) =>
      observed('version', undefined, () =>
        withDeadline({ ms: timeoutMs, target: targetAt(path).name }, (attempt) => get(path, {}, attempt)).then(
          (raw) => [raw, 'ok'],
        ),
      ),
  })

  /** Runs a call that knows where the v3 API is, under the deadline. */
  async function withBase<T>(
    path: string,
    call: KeystoneCall,
    run: (base: string, attempt: Attempt) => Promise<T>,
  ): Promise<T> {
    const target = targetAt(`${url.path}${url.versioned ? '' : '/v3'}${path}`).name
    return withDeadline({ ms: timeoutMs, target, signal: call.signal }, async (attempt) => {
      attempt.signal.throwIfAborted()
      attempt.enter('version')
      const base = await orAborted(versions.find(call.log), attempt.signal)
      const result = await run(base, attempt)
      versions.confirm(base)
      return result
    })
  }

  async function observed<T>(
    call: KeystoneObservation['call'],
    signal: AbortSignal | undefined,
    run: () => Promise<readonly [T, KeystoneOutcome]>,
  ): Promise<T> {
    const begun = performance.now()
    let outcome: KeystoneOutcome = 'failed'
    try {
      const [result, reached] = await run()
      outcome = reached
      return result
    } catch (error) {
      outcome = signal?.aborted === true ? 'aborted' : outcomeOf(error)
      throw error
    } finally {
      options.observe?.({ call, outcome, seconds: (performance.now() - begun) / 1000 })
    }
  }

  return {
    url: `${url.origin}${url.path}`,
    insecure: url.insecure,

    validateToken: (token, call) =>
      observed('validate', call.signal, async () => {
        if (!isSendable(token)) return [undefined, 'refused']
        const found = await withBase('/auth/tokens', call, async (base, attempt) => {
          const path = `${base}/auth/tokens?nocatalog`
          const target = targetAt(path)
          const raw = await get(path, { 'x-auth-token': token, 'x-subject-token': token }, attempt)
          checkSubject(raw, token, target)
          const verdict = judge(raw, target, now)
          return verdict.kind === 'refused'
            ? verdict
            : { kind: 'token' as const, token: readToken(verdict.document, target) }
        })
        if (found.kind === 'token') return [found.token, 'ok']
        if (found.status === 403) warnForbidden(call)
        return [undefined, 'refused']
      }),

    listGroups: (token, userId, call) =>
      observed('groups', call.signal, async () => {
        if (!isSendable(token)) return [{ kind: 'refused' }, 'refused']
        const user = `/users/${encodeURIComponent(userId.toWellFormed())}/groups`
        const listing = await withBase(user, call, (base, attempt) => {
          const path = `${base}${user}`
          const target = targetAt(path)
          const ask = async (page: string): Promise<Verdict> =>
            judge(await get(page, { 'x-auth-token': token }, attempt), target, now)
          return listGroups({ origin: url.origin, base, path, maxGroups, target, get: ask })
        })
        return [listing, listing.kind === 'listed' ? 'ok' : listing.kind]
      }),

    logIn: (login, call) =>
      observed('login', call.signal, async () => {
        const found = await withBase('/auth/tokens', call, async (base, attempt) => {
          const path = `${base}/auth/tokens?nocatalog`
          const target = targetAt(path, 'POST')
          const headers = { 'content-type': 'application/json' }
          const raw = await send({ path, headers, body: loginDocument(login) }, attempt)
          const verdict = judge(raw, target, now)
          if (verdict.kind === 'refused') {
            if (verdict.status === 401) return undefined
            throw undecided(raw, target, now)
          }
          return { token: issuedToken(raw, target), details: readToken(verdict.document, target) }
        })
        return [found, found === undefined ? 'refused' : 'ok']
      }),

    ping: (call) =>
      observed('version', call.signal, async () => {
        await withBase('/', call, async (base, attempt) => {
          const path = `${base}/`
          checkVersion(await get(path, {}, attempt), targetAt(path), now)
        })
        return [undefined, 'ok']
      }),

    reloadTls: (tls) => pool.replace(opener(tls)),
    close: () => pool.close(),
  }
}

/**
 * Keystone repeats the token it speaks of. Another one there means that something in between, a cache that does not
 * look at X-Auth-Token, gave somebody else's answer.
 */
function checkSubject(raw: RawAnswer, token: string, target: Target): void {
  const subject = raw.headers['x-subject-token']
  if (subject === undefined) return
  const [theirs, ours] = [Buffer.from(String(subject)), Buffer.from(token)] // two such headers are not one token
  if (theirs.length === ours.length && timingSafeEqual(theirs, ours)) return
  const message = `${target.name}: the answer is about another token; does a cache stand in front of Keystone?`
  throw new ArchwayError('keystone_answer_invalid', message, { retryAfter: 1 })
}

/** Identity API v3, "Password authentication with scoped authorization". */
function loginDocument({ username, domain, password, project }: PasswordLogin): string {
  return JSON.stringify({
    auth: {
      identity: { methods: ['password'], password: { user: { name: username, domain, password } } },
      ...(project === undefined ? {} : { scope: { project } }),
    },
  })
}

function issuedToken({ headers }: RawAnswer, target: Target): string {
  const token = headers['x-subject-token']
  if (typeof token === 'string' && isSendable(token)) return token
  const message = `${target.name}: the answer has no usable X-Subject-Token; is it the Identity API?`
  throw new ArchwayError('keystone_answer_invalid', message, { retryAfter: 1 })
}

/** By its default policy Keystone forbids this to tokens of a trust with impersonation, and to no others. */
function warnForbidden(call: KeystoneCall): void {
  const message =
    'keystone forbids a token to validate itself: it is of a trust with impersonation, or identity:validate_token is ' +
    'restricted in the policy of keystone'
  call.log.warn({ requestId: call.requestId }, message)
}

function outcomeOf(error: unknown): KeystoneOutcome {
  if (!(error instanceof ArchwayError)) return 'failed'
  switch (error.code) {
    case 'keystone_answer_invalid':
    case 'keystone_busy':
    case 'keystone_timeout':
    case 'keystone_unreachable':
      return error.code
    default:
      return 'failed'
  }
}
