/**
 * Whether one API server is ready, by its own word. Owns the question and what an answer means; leaves when it is
 * asked, and what follows, to `health.ts`.
 *
 * Asked in the headers of a made-up user without groups, so that the answer is about what clients will meet: the bare
 * certificate would get a 401 wherever the server has a `--client-ca-file`, ready or not. By default roles every
 * authenticated user may read `/readyz` (`system:public-info-viewer`).
 *
 * @see https://kubernetes.io/docs/reference/using-api/health-checks/
 * @module
 */
import { identityHeaders } from '../../authn/request/identity-headers.ts'
import { messageOf } from '../../errors.ts'
import { type ServerPool, UpstreamFailure } from '../upstream/upstream.ts'
import type { HeaderLines } from '../wire.ts'
import { type Answer, ask } from './ask.ts'
import { explained, isOurFault } from './connect-failure.ts'
import { distrust } from './distrust.ts'

/**
 * - `ready`: it said so
 * - `silent`: it answers, and tells this user nothing (403)
 * - `unready`: it said so, does not answer, or takes no identity from us
 * - `unknown`: the fault is on this side
 */
export type Readiness =
  | { readonly kind: 'ready' }
  | { readonly kind: 'silent' }
  | { readonly kind: 'unready'; readonly reason: string }
  | { readonly kind: 'unknown'; readonly reason: string }

/** Asks once. Never throws; the signal makes it `unready` with its reason. */
export type ReadinessCheck = (signal: AbortSignal) => Promise<Readiness>

/** Who asks. Nobody should give it rights. */
const CHECKER = 'archway-health-check'

export interface ReadinessOptions {
  /** `host:port`. */
  readonly name: string
  readonly pool: ServerPool
  /** Common name of the front-proxy certificate, for the explanation of a 401. */
  readonly commonName: () => string
}

export function readinessCheck({ name, pool, commonName }: ReadinessOptions): ReadinessCheck {
  const identity = identityHeaders({ username: CHECKER, uid: '', groups: [], extra: new Map() })
  const headers: HeaderLines = [['Host', name], ['User-Agent', 'archway'], ['Accept', '*/*'], ...identity]
  const get = (target: string, signal: AbortSignal): Promise<Answer> =>
    ask(pool, { method: 'GET', target, headers, bodyOf: 'errors' }, signal)

  return async (signal) => {
    try {
      const answer = await get('/readyz', signal)
      // Before 1.16 there was one path for everything.
      return judge(answer.status === 404 ? await get('/healthz', signal) : answer, commonName())
    } catch (thrown) {
      if (!(thrown instanceof UpstreamFailure)) return { kind: 'unready', reason: messageOf(thrown) }
      const reason = thrown.kind === 'unreachable' ? thrown.message : explained(thrown.cause ?? thrown)
      return { kind: isOurFault(thrown) ? 'unknown' : 'unready', reason }
    }
  }
}

function judge({ status, body }: Answer, commonName: string): Readiness {
  if (status === 200) return { kind: 'ready' }
  if (status === 403) return { kind: 'silent' }
  if (status === 401) return { kind: 'unready', reason: distrust(commonName) }
  const failing = [...body.matchAll(/^\[-\]([\w/.-]{1,100}) /gm)].slice(0, 8).map(([, check]) => check)
  const detail = failing.length === 0 ? '' : `: ${failing.join(', ')}`
  return { kind: 'unready', reason: `it says that it is not ready (${status})${detail}` }
}
