/**
 * Static tokens from a file, as kube-apiserver's `--token-auth-file`, followed while we run. Owns keeping and looking
 * up; leaves the text to `token-file-format.ts`, the following to `reload/`, and whether a name may leave Archway to
 * the identity gate.
 *
 * @module
 */
import type { CallLog } from '../context.ts'
import type { FileReads } from '../reload/file-set.ts'
import { type Reloading, type ReloadStatus, reloading } from '../reload/reloading.ts'
import type { UserInfo } from '../user.ts'
import { type AuthnResult, SKIPPED, type TokenAuthenticator } from './authenticator.ts'
import { type KeyedDigest, keyedDigest } from './keyed-digest.ts'
import { parseTokenFile, type TokenFileEntry, type TokenFileWarning } from './token-file-format.ts'

/** How many warnings of one load are logged in full. */
const LOGGED_WARNINGS = 20

/** What {@link tokenFile} needs. */
export interface TokenFileOptions {
  readonly path: string
  readonly log: CallLog
  /** Default `token-file`. */
  readonly name?: string
  /** See {@link reloading}. */
  readonly intervalMs?: number
  /** After the tokens have changed: what remembers results of the old ones forgets them. */
  readonly onChange?: () => void
  readonly now?: () => Date
  readonly reads?: FileReads
}

/** The authenticator and the file behind it. */
export interface TokenFileAuthenticator extends TokenAuthenticator, Pick<Reloading<unknown>, 'check' | 'close'> {
  status(): ReloadStatus
}

/**
 * Accepts the tokens of a file. A token that is not in it is `skipped`, as in kube-apiserver: another source may know
 * it. Throws `file_invalid` when the file cannot be used at start; later mistakes leave the last good tokens in force.
 */
export async function tokenFile(options: TokenFileOptions): Promise<TokenFileAuthenticator> {
  const { path, log, name = 'token-file', onChange, intervalMs, now, reads } = options
  // Made here and never leaving: who reads a memory dump finds no token, who measures time learns about no token.
  const digest = keyedDigest()
  const file = await reloading<Table>({
    name,
    paths: [path],
    secret: true,
    log,
    load: (files) => tableFrom(Buffer.concat([...files.values()]), path, name, digest), // the set is one file
    onChange: (table) => {
      logWarnings(table)
      onChange?.()
    },
    ...(intervalMs === undefined ? {} : { intervalMs }),
    ...(now === undefined ? {} : { now }),
    ...(reads === undefined ? {} : { reads }),
  })
  logWarnings(file.current())

  return {
    name,
    authenticate: async (token) => find(token),
    recall: find,
    check: file.check,
    status: file.status,
    close: file.close,
  }

  function find(token: string): AuthnResult {
    if (!token.isWellFormed()) return SKIPPED // a lone surrogate is hashed as U+FFFD is, and would pass for it
    return file.current().results.get(digest(token)) ?? SKIPPED
  }

  function logWarnings({ warnings }: Table): void {
    if (warnings.length === 0) return
    const shown = warnings.slice(0, LOGGED_WARNINGS)
    log.warn({ file: name, path, count: warnings.length, warnings: shown }, 'token file has doubtful records')
  }
}

interface Table {
  /** By keyed digest of the token; the results are made once and shared. */
  readonly results: ReadonlyMap<string, AuthnResult>
  readonly warnings: readonly TokenFileWarning[]
}

function tableFrom(content: Buffer, path: string, name: string, digest: KeyedDigest): Table {
  const { entries, warnings } = parseTokenFile(content, path)
  const refused: AuthnResult = Object.freeze({ kind: 'rejected', code: 'identity_invalid', source: name })
  const results = new Map<string, AuthnResult>()
  for (const entry of entries) {
    const result = entry.username === '' ? refused : accepted(entry, name)
    results.set(digest(entry.token.reveal()), result)
  }
  return { results, warnings }
}

function accepted({ username, uid, groups }: TokenFileEntry, source: string): AuthnResult {
  const user: UserInfo = Object.freeze({
    username: detached(username),
    uid: detached(uid),
    groups: Object.freeze(groups.map(detached)),
    extra: new Map(),
  })
  return Object.freeze({ kind: 'authenticated', user, source })
}

/** A copy: what is cut from a longer string keeps all of that in memory, here the file with every token. */
function detached(text: string): string {
  return Buffer.from(text).toString()
}
