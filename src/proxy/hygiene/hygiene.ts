/**
 * The contract of header hygiene: from the bytes of a request's head to what may be sent on, or to a refusal. Everything
 * is judged from raw lines; what is in doubt is refused, never repaired. The threats are H1 to H16 of `SECURITY.md`.
 *
 * @module
 */
import type { UserInfo } from '../../user.ts'
import type { UpstreamHead } from '../upstream/upstream.ts'
import type { Framing, HeaderLines, Upgrade } from '../wire.ts'

/** A request's head as it came. HTTP/2's `:authority` stands in `headers` as `Host`; its other pseudo-headers do not. */
export interface RawHead {
  readonly protocol: 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2'
  readonly method: string
  readonly target: string
  readonly headers: HeaderLines
  /** HTTP/2: the stream has ended with its head, so that there is no body. */
  readonly ended?: boolean
}

export interface HygieneOptions {
  /** `refuse`: 400 for every `Impersonate-*` line. `pass`: passed on, for the API server to judge. */
  readonly impersonation: 'refuse' | 'pass'
  /** Names of identity headers beyond the usual ones, lower case; what the API servers are configured to read. */
  readonly identityHeaders?: readonly string[]
  /** Beginnings of such names: where the rest of a name is a key (`x-remote-extra-`). */
  readonly identityPrefixes?: readonly string[]
  readonly limits?: Partial<HeadLimits>
}

/** How large heads may be. Nothing is cut: what is larger is refused, and the limit named. */
export interface HeadLimits {
  /** Lines of a client's head. Default 1,000. */
  readonly lines: number
  /** Bytes of its names and values. Default 65,536. */
  readonly bytes: number
  /** Lines that an identity takes: one for each group and each value of `extra`. Default 1,024. */
  readonly identityLines: number
  /** Bytes of those. Default 131,072. */
  readonly identityBytes: number
}

/** Together well below the 1 MiB of a head that kube-apiserver reads (`MaxHeaderBytes`, `secure_serving.go`). */
export const HEAD_LIMITS: HeadLimits = { lines: 1_000, bytes: 65_536, identityLines: 1_024, identityBytes: 131_072 }

/** A head that may be sent on, once there is somebody to send it for. */
export interface CleanHead {
  readonly method: string
  /** Byte for byte as it came. */
  readonly target: string
  /** The target before its first `?`. */
  readonly path: string
  /** The target behind its first `?`; empty where there is none. */
  readonly query: string
  /** What may pass: no identity, no credential, nothing of the connection, nothing of framing. Host is in it. */
  readonly headers: HeaderLines
  readonly framing: Framing
  readonly upgrade: Upgrade | undefined
  readonly expectContinue: boolean
  /** There are `Impersonate-*` lines among `headers`. */
  readonly impersonates: boolean
  /** Lines that said who asks, in any spelling, and were left out: somebody tries, or a proxy in front does its job. */
  readonly spoofed: number
}

/** A request that goes no further. */
export interface Refusal {
  readonly kind: 'refused'
  /** 400, 405, 417, 431 or 501; of an answer 502. */
  readonly status: number
  /** For the client: names the header or the part, and the remedy. Never a value it sent. */
  readonly message: string
  /** Which lesson it is: `H8`. A label of metrics. */
  readonly threat: string
}

export type HygieneResult = { readonly kind: 'clean'; readonly head: CleanHead } | Refusal

/** Lines that may be written, or why there are none. */
export type LinesResult = { readonly kind: 'lines'; readonly lines: HeaderLines } | Refusal

/** Where a request came from, of the door's own knowledge: never of a header. */
export interface Origin {
  /** Address of the client, as the socket has it. */
  readonly remoteAddress: string
  readonly scheme: 'https' | 'http'
  /** Lines of the trace, in place of the client's lines of these names. */
  readonly trace: HeaderLines
}

/** Everything the door needs; made once by `createHygiene` of `create.ts`. */
export interface Hygiene {
  /** Judges a request's head. */
  check(raw: RawHead): HygieneResult
  /** The lines for the API server, the identity written last. */
  upstreamHeaders(head: CleanHead, user: UserInfo, origin: Origin): LinesResult
  /**
   * The lines for the API server where it identifies the request itself, by this value of `Authorization`; there is no
   * identity of ours in them.
   */
  credentialHeaders(head: CleanHead, authorization: string, origin: Origin): LinesResult
  /** The lines of an answer for the client that asked for `head`. Refused: it leads to another host (H10). */
  clientHeaders(answer: Pick<UpstreamHead, 'status' | 'headers'>, head: CleanHead): LinesResult
}
