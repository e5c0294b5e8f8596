/**
 * Shadow: a second authorizer decides beside the one in force, to see what it would change. Nothing it says is
 * applied, and nobody waits for it.
 *
 * @module
 */
import type { CallContext, CallLog } from '../../context.ts'
import { messageOf } from '../../errors.ts'
import type { Attributes, Authorizer, Decision } from '../authorizer.ts'

/**
 * What became of one comparison.
 *
 * - `same`: the same decision, whatever its reason.
 * - `would-allow`, `would-not-allow`: the candidate allows what is not allowed now, or the other way round.
 * - `would-differ`: deny in place of no opinion, or the other way round.
 * - `failed`: the candidate could not decide.
 * - `skipped`: too many comparisons were waiting.
 */
export type ShadowOutcome = 'same' | 'would-allow' | 'would-not-allow' | 'would-differ' | 'failed' | 'skipped'

export interface ShadowOptions {
  /** For metrics. */
  readonly observe: (outcome: ShadowOutcome) => void
  readonly log: CallLog
  /** The first so many differences are logged, each; and as many failures. Default 20. */
  readonly logFirst?: number
  /** After that, one of so many. Default 1000. */
  readonly logEvery?: number
  /** Time a comparison has. Default 10 s. */
  readonly timeoutMs?: number
}

/** Comparisons waiting at once; more are skipped. */
const MOST_WAITING = 1024

/** The authorizer, whose decisions are compared with those of the candidate once they have been given. */
export function shadowed(authorizer: Authorizer, candidate: Authorizer, options: ShadowOptions): Authorizer {
  const { observe, log, logFirst = 20, logEvery = 1000, timeoutMs = 10_000 } = options
  const isLogged = (count: number): boolean => count <= logFirst || count % logEvery === 0
  let waiting = 0
  let differences = 0
  let failures = 0

  function compareLater(attributes: Attributes, inForce: Decision, requestId: string): void {
    if (waiting >= MOST_WAITING) {
      observe('skipped')
      return
    }
    waiting += 1
    // Not before the answer is on its way: even a decision that waits for nothing takes time.
    setImmediate(() => {
      void compare(attributes, inForce, requestId).finally(() => {
        waiting -= 1
      })
    })
  }

  async function compare(attributes: Attributes, inForce: Decision, requestId: string): Promise<void> {
    try {
      const decision = await candidate.authorize(attributes, new ShadowContext(requestId, timeoutMs))
      if (decision.kind === 'no-opinion' && decision.evaluationError !== undefined) {
        failed(attributes, requestId, decision.evaluationError)
        return
      }
      const outcome = outcomeOf(inForce.kind, decision.kind)
      if (outcome !== 'same') differs(attributes, requestId, inForce, decision)
      observe(outcome)
    } catch (thrown) {
      failed(attributes, requestId, messageOf(thrown))
    }
  }

  function differs(attributes: Attributes, requestId: string, inForce: Decision, decision: Decision): void {
    differences += 1
    if (!isLogged(differences)) return
    log.info(
      {
        requestId,
        candidate: candidate.name,
        ...asked(attributes),
        inForce: inForce.kind,
        reason: inForce.reason,
        wouldBe: decision.kind,
        wouldReason: decision.reason,
        differences,
      },
      'shadow: the candidate would decide otherwise',
    )
  }

  function failed(attributes: Attributes, requestId: string, error: string): void {
    failures += 1
    if (isLogged(failures)) {
      const fields = { requestId, candidate: candidate.name, ...asked(attributes), error, failures }
      log.warn(fields, 'shadow: the candidate could not decide')
    }
    observe('failed')
  }

  return {
    name: authorizer.name,
    async authorize(attributes, ctx) {
      const decision = await authorizer.authorize(attributes, ctx)
      compareLater(attributes, decision, ctx.requestId)
      return decision
    },
  }
}

function outcomeOf(inForce: Decision['kind'], candidate: Decision['kind']): ShadowOutcome {
  if (inForce === candidate) return 'same'
  if (candidate === 'allow') return 'would-allow'
  return inForce === 'allow' ? 'would-not-allow' : 'would-differ'
}

/** Who asked for what, for the log. */
function asked(attributes: Attributes): object {
  const { user, verb } = attributes
  if (attributes.kind === 'non-resource') return { user: user.username, verb, path: attributes.path }
  const { group, resource, subresource, namespace, name } = attributes
  return { user: user.username, verb, group, resource, subresource, namespace, name }
}

/** The request is over by now: the candidate has time and a log of its own, and what it logs goes nowhere. */
class ShadowContext implements CallContext {
  readonly requestId: string
  readonly log: CallLog = SILENT
  readonly audiences: readonly string[] = []
  readonly #timeoutMs: number
  #signal: AbortSignal | undefined

  constructor(requestId: string, timeoutMs: number) {
    this.requestId = requestId
    this.#timeoutMs = timeoutMs
  }

  /** Made when somebody asks: most candidates wait for nothing. */
  get signal(): AbortSignal {
    this.#signal ??= AbortSignal.timeout(this.#timeoutMs)
    return this.#signal
  }
}

const SILENT: CallLog = { debug() {}, info() {}, warn() {}, error() {} }
