/**
 * How a cluster is reached: address, trust, credentials. They change while we run (tokens every hour, certificates
 * now and then), so they are read again; when that fails the last good ones stay.
 *
 * @module
 */
import { createSecureContext } from 'node:tls'
import type { CallLog } from '../../context.ts'
import { ArchwayError, messageOf } from '../../errors.ts'
import type { Secret } from '../../secret.ts'

/** Everything that is needed to talk to one API server. */
export interface ClusterAccess {
  /** `https://…`; for a webhook with its path. */
  readonly server: string
  readonly tls: ClusterTls
  /** Sent as a bearer token. */
  readonly token: Secret | undefined
  /** Where we are, or where to work unless told otherwise. */
  readonly namespace: string
}

/** Whom to trust, and who we are. */
export interface ClusterTls {
  /** PEM; the system's authorities when absent. */
  readonly ca: string | undefined
  /** Client certificate and key, PEM. */
  readonly cert: string | undefined
  readonly key: string | undefined
  /** Name the server's certificate must be for, where that is not the host of the address. */
  readonly serverName: string | undefined
}

/** Access that is kept up to date. */
export interface AccessSource {
  /** The access in force. Throws `file_invalid` only while there never was a good one. */
  current(): Promise<ClusterAccess>
  /** Reads again at the next call: the server did not take what it was given. */
  refresh(): void
}

/** What {@link accessSource} needs. */
export interface AccessSourceOptions {
  /** Reads everything anew. Throws for whatever cannot be used. */
  readonly load: () => Promise<ClusterAccess>
  readonly log: CallLog
  /** How long what was read is used without looking again. Default 10 s. */
  readonly freshMs?: number
  readonly now?: () => number
}

/** Nothing is read before the first call. */
export function accessSource({ load, log, freshMs = 10_000, now = Date.now }: AccessSourceOptions): AccessSource {
  let inForce: ClusterAccess | undefined
  let readAt = Number.NEGATIVE_INFINITY
  let reading: Promise<ClusterAccess> | undefined
  let failure: string | undefined

  async function read(): Promise<ClusterAccess> {
    try {
      const next = await load()
      checkTls(next.tls)
      failure = undefined
      inForce = same(inForce, next) ? inForce : next
      return inForce ?? next
    } catch (thrown) {
      if (inForce === undefined) throw thrown
      const message = messageOf(thrown)
      if (message !== failure) log.error({ error: message }, 'access to the cluster: the last good credentials stay')
      failure = message
      return inForce
    } finally {
      readAt = now()
      reading = undefined
    }
  }

  return {
    async current() {
      if (inForce !== undefined && now() - readAt < freshMs) return inForce
      reading ??= read()
      return reading
    },
    refresh() {
      readAt = Number.NEGATIVE_INFINITY
    },
  }
}

/** Finds unusable PEM now, when there still is a last good one, and not when a connection is made. */
function checkTls({ ca, cert, key }: ClusterTls): void {
  try {
    createSecureContext({
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    })
  } catch (cause) {
    const what = 'CA, client certificate or client key cannot be used, or certificate and key are no pair'
    throw new ArchwayError('file_invalid', `access to the cluster: ${what}`, { cause })
  }
}

/** The same object again as long as nothing changed lets connections be kept. */
function same(one: ClusterAccess | undefined, other: ClusterAccess): boolean {
  return one !== undefined && fingerprint(one) === fingerprint(other)
}

function fingerprint({ server, tls, token, namespace }: ClusterAccess): string {
  return JSON.stringify([server, tls.ca, tls.cert, tls.key, tls.serverName, token?.reveal(), namespace])
}
