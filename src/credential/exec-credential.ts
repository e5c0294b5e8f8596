/**
 * The answer a Kubernetes client reads from stdout. Owns its form, byte for byte, and how long a token is said to be
 * good; leaves writing it to the command line.
 *
 * @see https://kubernetes.io/docs/reference/config-api/client-authentication.v1/
 * @module
 */
import { ArchwayError } from '../errors.ts'
import type { Secret } from '../secret.ts'
import type { ExecVersion } from './exec-info.ts'

export interface ExecCredentialOptions {
  readonly apiVersion: ExecVersion
  readonly token: Secret
  /** RFC 3339, with zone. */
  readonly expirationTimestamp: string
}

/** One JSON object with a newline: tabs, and the order of keys, as `client-keystone-auth` always had them. */
export function renderExecCredential({ apiVersion, token, expirationTimestamp }: ExecCredentialOptions): string {
  const document = {
    apiVersion,
    kind: 'ExecCredential',
    status: { token: token.reveal(), expirationTimestamp },
  }
  return `${JSON.stringify(document, null, '\t')}\n`
}

/**
 * Refuses what no request could carry: clients put the token into a header as it is. Throws `credential_unusable`.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6750#section-2.1
 */
export function checkToken(token: Secret): void {
  const value = token.reveal()
  if (value === '') throw new ArchwayError('credential_unusable', 'the token that came is empty')
  if (!/^[\x21-\x7e]+$/.test(value)) {
    throw new ArchwayError('credential_unusable', 'the token that came has characters that no HTTP header takes')
  }
}

/** The part of a token's life that is left unused, in milliseconds: 10 % of it, at most a minute. */
export function marginMs({ issuedAt, expiresAt }: { readonly issuedAt: Date; readonly expiresAt: Date }): number {
  return Math.max(0, Math.min(60_000, (expiresAt.getTime() - issuedAt.getTime()) / 10))
}

/**
 * When the client has to ask again: the expiry less {@link marginMs}, in whole seconds. Clients use a token up to the
 * moment they were told, with no margin of their own.
 */
export function expiryWithMargin(life: { readonly issuedAt: Date; readonly expiresAt: Date }): string {
  const seconds = Math.floor((life.expiresAt.getTime() - marginMs(life)) / 1000)
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')
}

const TIMESTAMP = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z$/

/**
 * The expiry as its issuer wrote it, with up to nine digits after the point and no zeros at the end:
 * `2026-01-02T03:04:05.678901Z`, `2026-01-02T03:04:05Z`. What is written in another way is written anew.
 */
export function expiryAsWritten({
  expiresAtText,
  expiresAt,
}: {
  readonly expiresAtText: string
  readonly expiresAt: Date
}): string {
  const [, time, digits = ''] = TIMESTAMP.exec(expiresAtText) ?? TIMESTAMP.exec(expiresAt.toISOString()) ?? []
  const fraction = digits.slice(0, 9).replace(/0+$/, '')
  return `${time}${fraction === '' ? '' : `.${fraction}`}Z`
}
