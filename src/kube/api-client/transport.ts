/**
 * HTTPS to one server: connections, credentials, deadlines, bounded answers. Knows nothing of Kubernetes but how it
 * words an error. Never follows a redirect: credentials go to the address that was configured and nowhere else.
 *
 * @module
 */
import { Agent, type Dispatcher, errors, request } from 'undici'
import { ArchwayError, messageOf } from '../../errors.ts'
import type { AccessSource, ClusterAccess } from './access.ts'
import { KubeApiError } from './error.ts'

/** What {@link transport} needs. */
export interface TransportOptions {
  readonly access: AccessSource
  readonly userAgent?: string
  /** Time to make a connection. Default 10 s. */
  readonly connectTimeoutMs?: number
}

/** One request. */
export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** With its query: `/api/v1/pods?limit=500`. Empty: the address itself. */
  readonly path: string
  /** JSON. */
  readonly body?: string
  /** The deadline of the whole call, or of whatever wants to read the answer. */
  readonly signal: AbortSignal
  /** Longest silence in the middle of an answer. Default: until the deadline. */
  readonly idleMs?: number
}

/** The beginning of an answer, and the rest of it to come. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** Consume or destroy it. */
  readonly body: Dispatcher.ResponseData['body']
}

/** The way to one server. */
export interface Transport {
  /** Throws `unreachable` or `timeout`; any status is an answer. */
  send(call: Call): Promise<Answer>
  /** Ends every call and connection. */
  close(): Promise<void>
}

/** Connects when there is something to send. */
export function transport(options: TransportOptions): Transport {
  const { access, userAgent = 'archway', connectTimeoutMs = 10_000 } = options
  let open: { readonly agent: Agent; readonly key: string } | undefined
  const agents = new Set<Agent>()

  /** Connections are kept as long as what they were made with is in force; streams on older ones run out. */
  function agentFor({ tls }: ClusterAccess): Agent {
    const key = JSON.stringify([tls.ca, tls.cert, tls.key, tls.serverName])
    if (open?.key !== key) {
      const old = open?.agent
      if (old !== undefined) void old.close().finally(() => agents.delete(old))
      open = { agent: makeAgent(tls, connectTimeoutMs), key }
      agents.add(open.agent)
    }
    return open.agent
  }

  return {
    async send({ method, path, body, signal, idleMs = 0 }) {
      const using = await access.current()
      try {
        const {
          statusCode,
          headers,
          body: stream,
        } = await request(addressOf(using.server, path), {
          dispatcher: agentFor(using),
          method,
          signal,
          headersTimeout: 0, // the signal is the deadline
          bodyTimeout: idleMs,
          headers: {
            accept: 'application/json',
            'user-agent': userAgent,
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
            ...(using.token === undefined ? {} : { authorization: `Bearer ${using.token.reveal()}` }),
          },
          ...(body === undefined ? {} : { body }),
        })
        if (statusCode === 401) access.refresh()
        return { status: statusCode, headers, body: stream }
      } catch (thrown) {
        throw asKubeError(thrown, signal)
      }
    },
    async close() {
      open = undefined
      await Promise.all([...agents].map((agent) => agent.destroy()))
      agents.clear()
    },
  }
}

function addressOf(server: string, path: string): string {
  return path === '' ? server : `${server.replace(/\/+$/, '')}${path}`
}

function makeAgent({ ca, cert, key, serverName }: ClusterAccess['tls'], connectTimeoutMs: number): Agent {
  return new Agent({
    allowH2: false,
    connect: {
      timeout: connectTimeoutMs,
      keepAlive: true,
      rejectUnauthorized: true,
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(serverName === undefined ? {} : { servername: serverName }),
    },
  })
}

/** The whole body, if it is no longer than `most`. */
export async function readBody({ body }: Answer, most: number, signal: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of body) {
      const part = Buffer.from(chunk)
      size += part.length
      if (size > most) throw new KubeApiError('answer', `the answer is longer than ${most} bytes`)
      chunks.push(part)
    }
  } catch (thrown) {
    throw asKubeError(thrown, signal)
  }
  return Buffer.concat(chunks)
}

/** What a failed call was: ours to give up (`timeout`), or the other side's doing. */
export function asKubeError(thrown: unknown, signal: AbortSignal): KubeApiError {
  if (thrown instanceof KubeApiError) return thrown
  if (thrown instanceof ArchwayError && thrown.code === 'body_invalid') {
    return new KubeApiError('answer', thrown.message, { cause: thrown })
  }
  const late =
    signal.aborted || thrown instanceof errors.BodyTimeoutError || thrown instanceof errors.ConnectTimeoutError
  return new KubeApiError(late ? 'timeout' : 'unreachable', causeOf(thrown), { cause: thrown })
}

function causeOf(thrown: unknown): string {
  const message = messageOf(thrown)
  if (message === '' && thrown instanceof AggregateError) return thrown.errors.map(messageOf).join('; ')
  return thrown instanceof Error && thrown.cause instanceof Error ? `${message}: ${thrown.cause.message}` : message
}
