/**
 * The one table of error codes. An {@link ArchwayError} says "this could not be done" or "this could not be told";
 * whatever was decided (a refused token, a denied request) is a value, never an error.
 *
 * A code, once released, keeps its meaning; a retired code is never used again.
 *
 * @module
 */

interface ErrorRow {
  /** HTTP status when the error ends a request; errors that never meet a request have none. */
  readonly status?: number
  /** Whether the message may be shown to whoever asked. The rest is for the log. */
  readonly exposed: boolean
  /** What it means, and what to do about it. This sentence is the documentation. */
  readonly meaning: string
}

/** Every code, its HTTP status and its meaning. `docs/errors.md` is generated from it. */
export const ERROR_CODES = {
  apiserver_answer_invalid: {
    status: 503,
    exposed: false,
    meaning:
      'The API server could not tell whether a token is good, or its answer is none. The log names the cause; Archway must be allowed to create TokenReviews (`system:auth-delegator`).',
  },
  apiserver_unreachable: {
    status: 503,
    exposed: false,
    meaning: 'The API server that tokens are checked with did not answer: address, network, TLS or a restart.',
  },
  authorizers_failed: {
    status: 503,
    exposed: false,
    meaning:
      'No authorizer allowed or denied, and at least one of them could not tell. The log names it and the cause; see to that.',
  },
  body_invalid: {
    status: 400,
    exposed: true,
    meaning: 'The body is not the one JSON object that was expected. Send one TokenReview or SubjectAccessReview.',
  },
  body_too_large: {
    status: 413,
    exposed: true,
    meaning: 'The body is longer than `server.limits.bodyBytes`.',
  },
  certificate_not_issued: {
    exposed: true,
    meaning:
      'A certificate was not issued: the authority may not, has expired or ends too early, or a name is none. The message says which.',
  },
  certificate_request_invalid: {
    exposed: true,
    meaning:
      'What should be a certificate signing request (PKCS #10, PEM) is none, or its signature is not by the key in it.',
  },
  certificate_status_unknown: {
    status: 503,
    exposed: false,
    meaning:
      'Whether a client certificate is revoked cannot be told: `crlFile` has no list of its issuer, or only one that is past its nextUpdate. The message names the issuer.',
  },
  config_invalid: {
    exposed: true,
    meaning: 'The configuration has mistakes; each is listed with its place. `archway config check` lists them too.',
  },
  credential_input_needed: {
    exposed: true,
    meaning:
      'Something has to be asked, and nobody can be: standard input is no terminal, or the client allows no prompts. The message names what is missing and where it can be set.',
  },
  credential_interrupted: {
    exposed: true,
    meaning: 'The person at the keyboard broke off.',
  },
  credential_locked: {
    exposed: true,
    meaning:
      'Another process is logging in for the same account and did not finish in time; it may be waiting for somebody to type. Try again, or go without the cache.',
  },
  credential_settings_invalid: {
    exposed: true,
    meaning:
      'The settings of a login do not fit together, or a file they come from cannot be used; the message names the setting.',
  },
  credential_unusable: {
    exposed: true,
    meaning:
      'The token that came cannot be used: it is empty, has characters no HTTP header takes, or has expired already, which means that the clock of this machine or of the issuer is wrong.',
  },
  file_invalid: {
    exposed: true,
    meaning: 'A file that was named in the configuration cannot be used; the message says which and why.',
  },
  file_unwritable: {
    exposed: true,
    meaning:
      'A file cannot be written: something of that name is there, it or its folder is a link, or belongs to somebody else. What was there is as it was.',
  },
  internal: {
    status: 500,
    exposed: false,
    meaning: 'A fault of Archway itself. The log line with the same request id has the stack; please report it.',
  },
  key_unusable: {
    exposed: true,
    meaning:
      'A private key cannot be used: it is none, encrypted without the right passphrase, too weak, or of another certificate. The message says which.',
  },
  keystone_answer_invalid: {
    status: 503,
    exposed: false,
    meaning: 'Keystone, or something in front of it, answered in a way that is not the Identity v3 API. Check the URL.',
  },
  keystone_busy: {
    status: 503,
    exposed: false,
    meaning:
      'More Keystone requests were waiting than `queue` allows. Raise `connections`, or look at why Keystone is slow.',
  },
  keystone_timeout: {
    status: 503,
    exposed: false,
    meaning: 'Keystone did not answer within `timeout`.',
  },
  keystone_unreachable: {
    status: 503,
    exposed: false,
    meaning: 'No connection to Keystone, it was lost, or Keystone failed (5xx): address, network, TLS or a restart.',
  },
  kind_unknown: {
    status: 400,
    exposed: true,
    meaning: 'apiVersion and kind are not ones this endpoint serves.',
  },
  kubeconfig_locked: {
    exposed: true,
    meaning:
      'Another program holds the lock of the kubeconfig (`FILE.lock`), or died while it did. The message names the lock; remove it if nobody uses it.',
  },
  kubeconfig_uneditable: {
    exposed: true,
    meaning:
      'An entry of the kubeconfig cannot be set without changing something else in the file. Put it in by hand; `archway kubeconfig --print` prints it.',
  },
  kubeconfig_unwritable: {
    exposed: true,
    meaning: 'The kubeconfig cannot be written, or somebody else changed it at the same moment; it is as it was.',
  },
  ldap_answer_invalid: {
    status: 503,
    exposed: false,
    meaning:
      'The directory answered in a way that decides nothing: not LDAP, a referral, a limit of the server, a base that is not there. The message names the server and the setting.',
  },
  ldap_bind_refused: {
    status: 503,
    exposed: false,
    meaning: 'The directory refuses the account that searches are made as. Check `bindDn` and its password.',
  },
  ldap_busy: {
    status: 503,
    exposed: false,
    meaning:
      'More calls to the directory were waiting than `queue` allows. Raise `connections`, or look at why it is slow.',
  },
  ldap_timeout: {
    status: 503,
    exposed: false,
    meaning: 'The directory did not answer within `timeout`.',
  },
  ldap_unreachable: {
    status: 503,
    exposed: false,
    meaning: 'No LDAP server could be used: address, network, TLS, a restart, or the server says it is busy.',
  },
  login_busy: {
    status: 503,
    exposed: true,
    meaning:
      'More logins were waiting to be checked than `queue` of the login protection allows, or others of the same person are being checked. Nothing was decided; try again.',
  },
  login_incomplete: {
    exposed: true,
    meaning:
      'Keystone wants another proof beside the ones that were given (multi-factor). The message names the methods.',
  },
  login_refused: {
    exposed: true,
    meaning:
      'Keystone refuses the credentials, or the scope that was asked for. Keystone does not say which part is wrong.',
  },
  media_type_unsupported: {
    status: 415,
    exposed: true,
    meaning: 'The Content-Type is not JSON in UTF-8.',
  },
  method_not_allowed: {
    status: 405,
    exposed: true,
    meaning: 'Reviews are sent with POST.',
  },
  not_found: {
    status: 404,
    exposed: true,
    meaning: 'No such path. Reviews go to /webhook.',
  },
  oidc_answer_invalid: {
    status: 503,
    exposed: false,
    meaning:
      'The OpenID Connect issuer answered in a way the protocol does not allow, or its token does not hold. Check the issuer address and the client id.',
  },
  oidc_refused: {
    exposed: true,
    meaning: 'The OpenID Connect issuer refused: wrong credentials, access denied, an expired code or refresh token.',
  },
  oidc_timeout: {
    status: 503,
    exposed: false,
    meaning: 'The OpenID Connect issuer did not answer in time, or a login there was not finished in time.',
  },
  oidc_unreachable: {
    status: 503,
    exposed: false,
    meaning: 'No connection to the OpenID Connect issuer: address, network, TLS. Or it failed (5xx).',
  },
  overloaded: {
    status: 503,
    exposed: true,
    meaning: 'More requests were in flight than `server.limits.requests` allows.',
  },
  request_invalid: {
    status: 400,
    exposed: true,
    meaning: 'The bytes received are not an HTTP/1.1 request.',
  },
  request_timeout: {
    status: 408,
    exposed: true,
    meaning: 'The request did not arrive within `server.limits.requestTimeout`.',
  },
  sources_failed: {
    status: 503,
    exposed: false,
    meaning: 'No source accepted the credential and at least one of them could not tell. The causes are in the log.',
  },
  stopping: {
    status: 503,
    exposed: true,
    meaning: 'The server is shutting down; ask another replica.',
  },
  valkey_unreachable: {
    status: 503,
    exposed: false,
    meaning:
      'The Valkey or Redis server that replicas share did not answer, or refused: address, network, TLS, password, a restart.',
  },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof ERROR_CODES

export interface ArchwayErrorOptions {
  readonly cause?: unknown
  /** Seconds after which asking again makes sense; becomes `Retry-After`. */
  readonly retryAfter?: number
}

/** Something could not be done or could not be told. `code` is stable, `message` is for people. */
export class ArchwayError extends Error {
  readonly code: ErrorCode
  readonly retryAfter: number | undefined

  constructor(code: ErrorCode, message: string, options: ArchwayErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'ArchwayError'
    this.code = code
    this.retryAfter = options.retryAfter
  }

  /** HTTP status for a request that ends here. */
  get status(): number {
    const row: ErrorRow = ERROR_CODES[this.code]
    return row.status ?? 500
  }

  /**
   * What the asker may read: the message, or, where that is for the log only, no more than the code. What never ought
   * to meet a request (a mistake in a file, with its path) is for the log as well.
   */
  get publicMessage(): string {
    const row: ErrorRow = ERROR_CODES[this.code]
    return row.exposed && row.status !== undefined ? this.message : `could not decide (${this.code})`
  }
}

/** One mistake in a document somebody wrote: where it stands and what to do. */
export interface Problem {
  /** Dotted path, `authenticators[1].keystone.url`; empty for the document itself. */
  readonly path: string
  readonly message: string
  /** Position in the text where known, counted from 1. */
  readonly line?: number
  readonly column?: number
}

/** A document with mistakes, all of them. */
export class InvalidDocumentError extends ArchwayError {
  /** The document: its path, or what it is. */
  readonly where: string
  readonly problems: readonly Problem[]

  constructor(code: 'config_invalid' | 'file_invalid', where: string, problems: readonly Problem[]) {
    super(code, `${where}: ${problems.map(formatProblem).join('\n')}`)
    this.name = 'InvalidDocumentError'
    this.where = where
    this.problems = problems
  }
}

function formatProblem(problem: Problem): string {
  const place = problem.line === undefined ? '' : `line ${problem.line}: `
  return `${place}${problem.path === '' ? '' : `${problem.path}: `}${problem.message}`
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message
  try {
    return String(thrown)
  } catch {
    return 'something was thrown that cannot be printed'
  }
}
