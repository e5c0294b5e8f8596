/**
 * A directory: one or several LDAP servers that hold the same entries. Owns the way there (protection, connections,
 * fail-over, deadlines) and what an answer means; leaves to others which entry is whom, and knows no Kubernetes words.
 *
 * Searches and the checking of passwords have connections of their own: a bind changes who a connection speaks as, and
 * none that was ever bound as a person is searched on for somebody else.
 *
 * @module
 */
import { createSecureContext } from 'node:tls'
import type { Filter } from 'ldapts'
import { ArchwayError } from '../errors.ts'
import { Secret } from '../secret.ts'
import { bindCause } from './active-directory.ts'
import { type Connection, demandSuccess, openConnection, type Scope } from './connection.ts'
import { within } from './deadline.ts'
import { parseDn } from './dn.ts'
import { type Entry, entryOf } from './entry.ts'
import { malformed, resultFailure, ServerError } from './failure.ts'
import { anything } from './filter.ts'
import { serverHealth } from './health.ts'
import type { LdapResult } from './message.ts'
import { createPool } from './pool.ts'
import { trustOf } from './tls.ts'
import { type PlainRules, parseLdapUrl } from './url.ts'

/** As whom searches are made: an account, nobody, or the person whose password was just found right. */
export type SearchAs =
  | { readonly kind: 'account'; readonly dn: string; readonly password: Secret }
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'person' }

export interface DirectoryOptions extends PlainRules {
  /** `ldaps://host`, in the order they are asked. See {@link parseLdapUrl}. */
  readonly urls: readonly string[]
  /** Authorities, PEM; without it Node's roots and those of the system. */
  readonly ca?: string | Buffer
  readonly searchAs: SearchAs
  /** Milliseconds for a whole call, fail-over included; 8000 when absent. */
  readonly timeoutMs?: number
  /** Milliseconds for making a connection, and for each answer; then the next server is asked. 3000 when absent. */
  readonly stepMs?: number
  /** Connections in use at a time, for searches and for passwords each; 16 when absent. */
  readonly connections?: number
  /** Calls that may wait beyond that; 1024 when absent. */
  readonly queue?: number
  /** Milliseconds after which an idle connection is closed; 60000 when absent. */
  readonly idleMs?: number
  /** Milliseconds of a clock that does not go back; `performance.now`. */
  readonly now?: () => number
}

export interface SearchRequest {
  readonly base: string
  readonly scope: Scope
  readonly filter: Filter
  readonly attributes: readonly string[]
  /** Entries that are wanted at most. */
  readonly limit: number
  /** Entries a page; absent: no paging. */
  readonly pageSize?: number
  /** What a base that is not there comes to: nothing found, or an error (the default). */
  readonly missingBase?: 'empty' | 'error'
}

export interface Found {
  /** At most `limit`. */
  readonly entries: readonly Entry[]
  /** There are more. */
  readonly more: boolean
}

/** Searches on one connection, one after the other. */
export interface Searcher {
  find(request: SearchRequest): Promise<Found>
}

/** Whether a password is right. `cause`: what the server says of why not, for the log. */
export type Verdict = { readonly kind: 'right' } | { readonly kind: 'wrong'; readonly cause: string }

export interface Directory {
  /** `false`: every server is spoken to over TLS. Worth a warning. */
  readonly insecure: boolean
  readonly searchAs: SearchAs['kind']
  /**
   * Runs everything a call has to do, under one deadline.
   *
   * @throws ArchwayError when the directory could not tell: `ldap_unreachable`, `ldap_timeout`, `ldap_busy`,
   *   `ldap_answer_invalid`, `ldap_bind_refused`.
   */
  call<T>(outer: AbortSignal, run: (call: DirectoryCall) => Promise<T>): Promise<T>
  /** Opens or uses a connection and asks for the root entry: is somebody there? Throws as {@link Directory.call}. */
  ping(outer: AbortSignal): Promise<void>
  /**
   * Other authorities, another password of the account: for connections from now on.
   *
   * @throws ArchwayError `file_invalid`, `config_invalid`; then everything stays as it was.
   */
  reload(change: { readonly ca?: string | Buffer; readonly password?: Secret }): void
  /** Lets calls finish, then closes the connections. Later calls throw `stopping`. */
  close(): Promise<void>
}

export interface DirectoryCall {
  /** Searches as the account, or as nobody. `use` may run more than once. */
  search<T>(use: (searcher: Searcher) => Promise<T>): Promise<T>
  /** Checks a password by binding. An empty name or password throws: servers would say yes to it. */
  verify(dn: string, password: Secret): Promise<Verdict>
  /** The same, and if it is right, searches as that person on the connection, which is then closed. */
  verifyAndSearch<T>(
    dn: string,
    password: Secret,
    use: (searcher: Searcher) => Promise<T>,
  ): Promise<(Verdict & { readonly kind: 'wrong' }) | { readonly kind: 'right'; readonly value: T }>
  /** Does what {@link DirectoryCall.verify} does, for a name that is nobody's. The result means nothing. */
  verifyNobody(dn: string): Promise<void>
}

/** A paged search of more pages than this goes in circles. */
const MAX_PAGES = 10_000

/**
 * A client for one directory. Opens nothing: connections are made by calls, and no server need be up.
 *
 * @throws ArchwayError `config_invalid` for the addresses or the account, `file_invalid` for the authorities.
 */
export function directory(options: DirectoryOptions): Directory {
  const { timeoutMs = 8000, stepMs = 3000, connections = 16, queue = 1024, idleMs = 60_000 } = options
  const { now = () => performance.now() } = options
  const addresses = options.urls.map((url) => parseLdapUrl(url, options))
  if (addresses.length === 0) throw new ArchwayError('config_invalid', 'no LDAP server: name at least one in `urls`')
  let searchAs = checkedAccount(options.searchAs)
  const insecure = addresses.some(({ protection }) => protection === 'none')
  // The roots of the system take a tenth of a second to read; where nobody speaks TLS they are for nothing.
  const speaksTls = addresses.some(({ protection }) => protection !== 'none')
  let trust = speaksTls || options.ca !== undefined ? trustOf(options.ca) : createSecureContext()
  const health = serverHealth(addresses, now)

  const open = (address: (typeof addresses)[number], signal: AbortSignal): Promise<Connection> =>
    openConnection({ address, trust, stepMs }, signal)

  const forPasswords = createPool({ health, connections, queue, idleMs, open })
  const forSearches = createPool({
    health,
    connections,
    queue,
    idleMs,
    async open(address, signal) {
      const connection = await open(address, signal)
      try {
        if (searchAs.kind === 'account') await bindAccount(connection, searchAs, signal)
        return connection
      } catch (error) {
        connection.close()
        throw error
      }
    },
  })

  function callWith(signal: AbortSignal): DirectoryCall {
    return {
      search: (use) => {
        if (searchAs.kind === 'person') throw new Error('this directory is searched as the person only')
        return forSearches.run(signal, (connection) => use(searcher(connection, signal)))
      },
      verify: (dn, password) =>
        forPasswords.run(signal, async (connection) => {
          const result = await connection.bind(dn, password, signal)
          return verdictOn(result, connection)
        }),
      verifyAndSearch: (dn, password, use) =>
        forPasswords.run(signal, async (connection) => {
          const verdict = verdictOn(await connection.bind(dn, password, signal), connection)
          if (verdict.kind === 'wrong') return verdict
          try {
            return { kind: 'right', value: await use(searcher(connection, signal)) }
          } finally {
            connection.close()
          }
        }),
      async verifyNobody(dn) {
        const password = new Secret(crypto.randomUUID())
        await forPasswords.run(signal, (connection) => connection.bind(dn, password, signal))
      },
    }
  }

  function underDeadline<T>(outer: AbortSignal, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const expired = (): Error =>
      new ArchwayError('ldap_timeout', `the directory did not answer within ${timeoutMs} ms; look at why it is slow`, {
        retryAfter: 1,
      })
    return within({ ms: timeoutMs, outer, expired }, run).catch((error: unknown) => {
      if (!outer.aborted || error instanceof ArchwayError) throw error
      const message = "the caller's own deadline passed, or the caller has gone, before the directory answered"
      throw new ArchwayError('ldap_timeout', message, { cause: error, retryAfter: 1 })
    })
  }

  return {
    insecure,
    searchAs: searchAs.kind,
    call: (outer, run) => underDeadline(outer, (signal) => run(callWith(signal))),
    ping: (outer) =>
      underDeadline(outer, async (signal) => {
        // Whatever the answer is: there is one. Not every server shows its root entry to everybody.
        const root = { base: '', scope: 'base', filter: anything(), attributes: ['1.1'], sizeLimit: 1 } as const
        await forSearches.run(signal, (connection) => connection.search(root, signal))
      }),
    reload({ ca, password }) {
      const nextTrust = ca === undefined ? trust : trustOf(ca)
      if (password !== undefined && searchAs.kind === 'account') searchAs = checkedAccount({ ...searchAs, password })
      trust = nextTrust
      forPasswords.renew()
      forSearches.renew()
    },
    async close() {
      await Promise.all([forSearches.close(), forPasswords.close()])
    },
  }
}

/** With an empty name or password the bind would be an anonymous one that succeeds. */
function checkedAccount(searchAs: SearchAs): SearchAs {
  if (searchAs.kind !== 'account') return searchAs
  if (parseDn(searchAs.dn) === undefined && !/^[^@\s]+@[^@\s]+$/.test(searchAs.dn)) {
    throw new ArchwayError('config_invalid', 'bindDn: expected a DN, such as cn=archway,ou=services,dc=example,dc=org')
  }
  if (searchAs.password.reveal() === '') throw new ArchwayError('config_invalid', 'the password of bindDn is empty')
  return searchAs
}

async function bindAccount(
  connection: Connection,
  { dn, password }: SearchAs & { readonly kind: 'account' },
  signal: AbortSignal,
): Promise<void> {
  const result = await connection.bind(dn, password, signal)
  if (result.code !== 49) return demandSuccess(result, 'bind as the account for searches', connection.address)
  const cause = bindCause(result.diagnostic)
  throw new ServerError(
    'ldap_bind_refused',
    `${connection.address.url}: it refuses bindDn${cause === undefined ? '' : `: ${cause}`}; check the DN and the password`,
  )
}

/** Results of a bind that say no to this person. All others but success are no answer to the question. */
const REFUSALS: ReadonlyMap<number, string> = new Map([
  [19, 'constraintViolation'],
  [32, 'noSuchObject'],
  [48, 'inappropriateAuthentication'],
  [49, 'invalidCredentials'],
])

function verdictOn({ code, diagnostic }: LdapResult, { address }: Connection): Verdict {
  if (code === 0) return { kind: 'right' }
  const refusal = REFUSALS.get(code)
  if (refusal === undefined) throw resultFailure(code, 'bind', address)
  return { kind: 'wrong', cause: bindCause(diagnostic) ?? refusal }
}

function searcher(connection: Connection, signal: AbortSignal): Searcher {
  const { address } = connection

  async function findAtOnce(request: SearchRequest): Promise<Found> {
    const { limit, missingBase } = request
    const { entries, result } = await connection.search({ ...request, sizeLimit: limit + 1 }, signal)
    if (entries.length > limit) return { entries: entries.slice(0, limit).map(entryOf), more: true }
    if (result.code === 32 && missingBase === 'empty') return NOTHING
    demandSuccess(result, `search under ${JSON.stringify(request.base)}`, address)
    return { entries: entries.map(entryOf), more: false }
  }

  async function findInPages(request: SearchRequest, size: number): Promise<Found> {
    const { base, limit, missingBase } = request
    const found: Entry[] = []
    let cookie: Buffer = Buffer.alloc(0)
    for (let page = 1; page <= MAX_PAGES; page += 1) {
      const answer = await connection.search({ ...request, sizeLimit: 0, page: { size, cookie } }, signal)
      found.push(...answer.entries.map(entryOf))
      if (found.length > limit) {
        if (answer.cookie.length > 0) connection.close() // the server would keep the rest for us
        return { entries: found.slice(0, limit), more: true }
      }
      if (answer.result.code === 32 && missingBase === 'empty') return NOTHING
      demandSuccess(answer.result, `search under ${JSON.stringify(base)}`, address)
      if (answer.cookie.length === 0) return { entries: found, more: false } // a page may be empty and not the last
      cookie = Buffer.from(answer.cookie)
    }
    throw malformed(address, `a search did not end after ${MAX_PAGES} pages`)
  }

  return {
    find: (request) => (request.pageSize === undefined ? findAtOnce(request) : findInPages(request, request.pageSize)),
  }
}

const NOTHING: Found = { entries: [], more: false }
