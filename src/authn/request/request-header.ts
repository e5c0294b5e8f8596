/**
 * Request-header authentication: a front proxy has identified somebody, and says who in headers. Its certificate is
 * what makes them believable, so it is checked first. Owns the reading of the headers as kube-apiserver reads them;
 * leaves the certificate to the one it is given.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/authentication/#authenticating-proxy
 * @module
 */
import type { UserInfo } from '../../user.ts'
import { type Authenticator, type AuthnResult, SKIPPED } from '../authenticator.ts'
import { headerText } from '../header-text.ts'
import type { ClientCertificate, RequestCredentials } from './credentials.ts'
import { extraKey } from './identity-headers.ts'

/** Names of headers, in the order in which they are looked at. */
export interface IdentityHeaders {
  readonly username: readonly string[]
  readonly uid: readonly string[]
  readonly group: readonly string[]
  readonly extraPrefix: readonly string[]
}

export interface RequestHeaderOptions {
  readonly name: string
  readonly headers: IdentityHeaders
  /** Judges the certificate of the front proxy: `undefined` when it is one, else why not. */
  readonly frontProxy: (certificate: ClientCertificate) => 'certificate_untrusted' | 'certificate_forbidden' | undefined
}

/** Identities that a front proxy vouches for. Without a certificate, or without a user name: not of this kind. */
export function requestHeader(options: RequestHeaderOptions): Authenticator<RequestCredentials> {
  const { name, frontProxy } = options
  const read = headerReader(options.headers)
  return {
    name,
    async authenticate({ certificate, headers }): Promise<AuthnResult> {
      if (certificate === undefined) return SKIPPED
      const code = frontProxy(certificate)
      if (code !== undefined) return { kind: 'rejected', code, source: name }
      const user = read(headers)
      return user === undefined ? SKIPPED : { kind: 'authenticated', user, source: name }
    },
  }
}

/** Reads an identity off headers; `undefined` where no user name header has a value. */
export function headerReader(names: IdentityHeaders): (headers: RequestCredentials['headers']) => UserInfo | undefined {
  const lower = (list: readonly string[]): string[] => list.map((name) => name.toLowerCase())
  const [username, uid, group, prefixes] = [names.username, names.uid, names.group, names.extraPrefix].map(lower)
  return (headers) => {
    const lines = headers.map(([name, value]): [string, string] => [
      name.toLowerCase(),
      headerText(value.replace(/^[ \t]+|[ \t]+$/g, '')),
    ])
    const name = firstValue(lines, username ?? [])
    if (name === '') return undefined
    return {
      username: name,
      uid: firstValue(lines, uid ?? []),
      groups: (group ?? []).flatMap((wanted) => allValues(lines, wanted)).filter((value) => value !== ''),
      extra: extraOf(lines, prefixes ?? []),
    }
  }
}

type Lines = readonly (readonly [name: string, value: string])[]

function allValues(lines: Lines, wanted: string): string[] {
  return lines.filter(([name]) => name === wanted).map(([, value]) => value)
}

/** The first line of the first header whose first line is not empty. */
function firstValue(lines: Lines, names: readonly string[]): string {
  return names.map((wanted) => allValues(lines, wanted)[0] ?? '').find((value) => value !== '') ?? ''
}

function extraOf(lines: Lines, prefixes: readonly string[]): Map<string, string[]> {
  const extra = new Map<string, string[]>()
  for (const prefix of prefixes) {
    for (const [name, value] of lines) {
      if (!name.startsWith(prefix)) continue
      const key = extraKey(name.slice(prefix.length))
      extra.set(key, [...(extra.get(key) ?? []), value])
    }
  }
  return extra
}
