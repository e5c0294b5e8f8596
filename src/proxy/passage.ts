/**
 * One request on its way through the door: decided upon, sent on, answered, and recorded once when it is over. Owns what
 * follows when either side fails, is slow or leaves; leaves the decision to `decide.ts`.
 *
 * A class, because there is one for every watch: it keeps what the end needs and nothing else.
 *
 * @module
 */
import type { Duplex } from 'node:stream'
import type { CallLog } from '../context.ts'
import { statusAnswer } from '../kube/status.ts'
import type { Permit } from './admission/admission.ts'
import { answerFraming, lineOf } from './answer-head.ts'
import { Call } from './call.ts'
import type { ClientExchange, ClientListener } from './client/client.ts'
import { decide, type Facts, type Go, type Judges, type Known, tooLarge } from './decide.ts'
import { canBeResumed } from './durations.ts'
import type { CleanHead, LinesResult } from './hygiene/hygiene.ts'
import type { ProxyObserver, ProxyOutcome, RequestSpan } from './observation.ts'
import { observed } from './observed.ts'
import { faulty, type Refused, refused, unclean, undecided, unserved } from './refused.ts'
import { Stillness } from './stillness.ts'
import { Tunnel } from './tunnel.ts'
import type { UpstreamExchange, UpstreamFailure, UpstreamHead, UpstreamRequest } from './upstream/upstream.ts'
import type { BalancedSink, NoneReady, Upstreams } from './upstreams/upstreams.ts'

/** What all requests share. */
export interface Door extends Judges {
  readonly upstreams: Upstreams
  readonly observer: ProxyObserver
  readonly log: CallLog
  readonly audiences: readonly string[]
  nextRequestId(): string
  /** It is over. */
  ended(passage: Passage): void
}

export class Passage implements ClientListener, BalancedSink {
  readonly #requestId: string
  readonly #door: Door
  readonly #client: ClientExchange
  readonly #span: RequestSpan
  readonly #startedAt: number
  readonly #facts: Facts = { isLong: false }
  /** While it is being decided upon. */
  #call: Call | undefined
  #permit: Permit | undefined
  #upstream: UpstreamExchange | undefined
  #tunnel: Tunnel | undefined
  /** How it ends, where that is settled before it is over. */
  #verdict: Verdict | undefined
  #isOver = false
  #server: string | undefined
  #auditId: string | undefined
  /** Of the answer; 0: the client has been told nothing yet. */
  #status = 0
  #headAt: number | undefined
  #bytesIn = 0
  #bytesOut = 0
  #bodyIsAwaited = false
  #bodyWaits = false
  /** How often the client was ready for more of the answer. */
  #taken = 0
  readonly #bodyStillness = new Stillness()
  readonly #answerStillness = new Stillness()
  #endsInLines = false
  #lastByte = 0
  /** To be ended from then on, where its answer allows. */
  #endAt: number | undefined

  constructor(door: Door, client: ClientExchange) {
    this.#door = door
    this.#client = client
    this.#startedAt = door.now()
    this.#requestId = door.nextRequestId()
    this.#span = door.observer.begin(client.head.headers, client.head.method)
  }

  get isTunnel(): boolean {
    return this.#tunnel !== undefined
  }

  /** Nothing is lost when it is ended in the middle. */
  get canBeResumed(): boolean {
    const { head, info } = this.#facts
    return head !== undefined && canBeResumed(info, head)
  }

  /** Sets out. Never throws. */
  begin(): void {
    this.#call = new Call(this.#requestId, this.#door.log, this.#door.audiences)
    this.#guarded(() => this.#client.take(this))
    if (this.#isSettled) return
    decide(this.#door, this.#client, this.#facts, this.#call).then(
      (decision) => this.#guarded(() => this.#follow(decision)),
      (thrown: unknown) => this.#fail(thrown),
    )
  }

  #follow(decision: Go | Refused | undefined): void {
    this.#call = undefined
    if (decision === undefined) return
    if (decision.kind === 'refused') {
      if (!this.#isSettled) this.#refuse(decision)
      return
    }
    this.#permit = decision.permit
    if (this.#isOver) this.#permit.release()
    if (!this.#isSettled) this.#forward(decision)
  }

  #forward({ head, who }: Go): void {
    const written = this.#written(head, who)
    if (written.kind === 'refused') {
      this.#refuse(unclean(written))
      return
    }
    const { method, target, framing, upgrade, expectContinue } = head
    const request: UpstreamRequest = {
      method,
      target,
      headers: written.lines,
      framing,
      ...(upgrade === undefined ? {} : { upgrade }),
      ...(expectContinue ? { expectContinue } : {}),
    }
    this.#facts.head = { ...head, headers: head.headers.filter(([name]) => name === 'Host') } // the rest is not kept
    this.#upstream = this.#door.upstreams.exchange(request, this, this.#facts.isLong ? 'long' : 'short')
    if (framing.kind === 'none' || upgrade !== undefined) return
    this.#bodyIsAwaited = !expectContinue
    this.#client.readBody()
  }

  #written(head: CleanHead, who: Known): LinesResult {
    const { hygiene } = this.#door
    const origin = {
      remoteAddress: this.#client.remoteAddress,
      scheme: 'https',
      trace: this.#span.headers,
    } as const
    return who.kind === 'user'
      ? hygiene.upstreamHeaders(head, who.user, origin)
      : hygiene.credentialHeaders(head, who.authorization, origin)
  }

  // What the client does

  body(chunk: Buffer): void {
    if (this.#isSettled || this.#upstream === undefined) return
    this.#bytesIn += chunk.length
    if (this.#bytesIn > this.#door.limits.bodyBytes) {
      this.#giveUp(tooLarge(this.#door.limits))
      return
    }
    const upstream = this.#upstream
    this.#guarded(() => {
      if (upstream.write(chunk)) return
      this.#bodyWaits = true
      this.#client.pauseBody()
    })
  }

  bodyEnd(): void {
    this.#bodyIsAwaited = false
    if (!this.#isSettled) this.#guarded(() => this.#upstream?.end())
  }

  bodyBroken(): void {
    this.#giveUp(BROKEN)
  }

  early(): void {
    if (this.#status === 0) this.#giveUp(EARLY)
  }

  taken(): void {
    this.#taken += 1
    this.#upstream?.resume()
  }

  sent(): void {
    this.#finish(this.#verdict ?? FORWARDED)
  }

  gone(): void {
    this.#letGo()
    this.#finish(this.#verdict ?? CANCELED)
  }

  // What the API server does

  continued(): void {
    this.#bodyIsAwaited = true
    this.#guarded(() => this.#client.sendContinue())
  }

  head(answer: UpstreamHead, server: string): void {
    const { head } = this.#facts
    if (this.#isSettled || head === undefined) return
    this.#server = server
    this.#auditId = lineOf(answer.headers, 'audit-id')
    this.#guarded(() => {
      const written = this.#door.hygiene.clientHeaders(answer, head)
      if (written.kind === 'refused') {
        this.#giveUp({ ...unclean(written), outcome: 'failed' })
        return
      }
      this.#endsInLines = LINES.test(lineOf(answer.headers, 'content-type') ?? '')
      this.#mark(answer.status)
      this.#client.sendHead(answer.status, written.lines, answerFraming(head.method, answer))
    })
  }

  data(chunk: Buffer): boolean {
    if (this.#isSettled) return true
    this.#bytesOut += chunk.length
    this.#lastByte = chunk[chunk.length - 1] ?? 0
    const more = this.#client.write(chunk)
    if (this.#endAt !== undefined) this.#endIfDue(this.#door.now())
    return more
  }

  end(): void {
    this.#upstream = undefined
    if (!this.#isSettled) this.#guarded(() => this.#client.end())
  }

  drained(): void {
    if (!this.#bodyWaits) return
    this.#bodyWaits = false
    this.#client.readBody()
  }

  upgraded(answer: UpstreamHead, socket: Duplex, early: Buffer, server: string): void {
    const { head } = this.#facts
    this.#upstream = undefined
    if (this.#isSettled || head?.upgrade === undefined) {
      socket.destroy()
      return
    }
    this.#server = server
    this.#auditId = lineOf(answer.headers, 'audit-id')
    const { upgrade } = head
    this.#guarded(() => {
      const written = this.#door.hygiene.clientHeaders(answer, head)
      const lines = written.kind === 'lines' ? written.lines : []
      const client = this.#client.switchProtocols(upgrade, lines)
      this.#mark(101)
      this.#tunnel = new Tunnel(client, socket, early, () => this.#finish(this.#verdict ?? UPGRADED))
    })
    if (this.#tunnel === undefined) socket.destroy()
  }

  failed(failure: UpstreamFailure | NoneReady, server: string | undefined): void {
    this.#upstream = undefined
    this.#server = server ?? this.#server
    if (failure.kind !== 'none-ready') {
      const fields = { requestId: this.#requestId, upstream: server, error: failure }
      this.#door.log.warn(fields, 'an API server failed a request')
    }
    this.#giveUp(unserved(failure, this.#requestId))
  }

  // Time

  /** Holds it against the limits; called now and then. */
  sweep(now: number): void {
    if (this.#isOver || this.#tunnel !== undefined) return
    const { decisionTimeoutMs } = this.#door.limits
    const since = this.#call?.decidesSince
    if (since !== undefined && now - since > decisionTimeoutMs) this.#refuse(undecided(undefined, DECISION_LATE))
    else if (this.#isBodyStalled(now)) this.#giveUp(STALLED)
    else if (this.#isAnswerStalled(now)) this.#cut({ outcome: 'canceled', cause: 'answer-timeout' })
    else this.#endIfDue(now)
  }

  /** To be over from `at` on, where the answer can be ended so that nothing is lost. */
  endFrom(at: number): void {
    this.#endAt ??= at
  }

  /** Ends it now, whatever it is. */
  cut(): void {
    this.#cut({ outcome: this.#tunnel === undefined ? 'failed' : 'upgraded', cause: 'drained' })
  }

  /** Not of a request that lasts: there the client may have nothing to say for hours. */
  #isBodyStalled(now: number): boolean {
    const isAwaited = this.#bodyIsAwaited && !this.#bodyWaits && this.#status === 0 && !this.#facts.isLong
    if (isAwaited) return this.#bodyStillness.lasts(now, this.#bytesIn, this.#door.limits.bodyStallMs)
    this.#bodyStillness.end()
    return false
  }

  #isAnswerStalled(now: number): boolean {
    if (this.#client.isStalled) return this.#answerStillness.lasts(now, this.#taken, this.#door.limits.answerStallMs)
    this.#answerStillness.end()
    return false
  }

  /** Between two lines, so that whoever reads them sees a whole one last. */
  #endIfDue(now: number): void {
    if (this.#endAt === undefined || now < this.#endAt || this.#isSettled || this.#status === 0) return
    if (this.#endsInLines && this.#bytesOut > 0 && this.#lastByte !== NEWLINE) return
    this.#verdict = { outcome: 'forwarded', cause: 'drained' }
    this.#letGo()
    this.#guarded(() => this.#client.end())
  }

  // How it ends

  /** The client has been told what there is to tell, or there is nobody to tell. */
  get #isSettled(): boolean {
    return this.#isOver || this.#verdict !== undefined
  }

  #mark(status: number): void {
    this.#status = status
    this.#headAt = this.#door.now()
  }

  #refuse({ outcome, cause, answer }: Refused): void {
    this.#verdict = { outcome, cause }
    this.#call?.end()
    this.#mark(answer.status)
    const headers = [...(answer.headers ?? []), ['X-Request-Id', this.#requestId] as const]
    this.#guarded(() => this.#client.answer({ ...answer, headers }))
  }

  /** The API server is let go; the client is told why or, where an answer has begun, cut off. */
  #giveUp(reason: Refused): void {
    if (this.#isSettled) return
    this.#letGo()
    if (this.#status === 0) this.#refuse(reason)
    else this.#cut(reason)
  }

  #cut({ outcome, cause }: Verdict): void {
    if (this.#isOver) return
    this.#verdict ??= { outcome, cause }
    this.#letGo()
    if (this.#tunnel === undefined) this.#client.cut()
    else this.#tunnel.cut()
  }

  #letGo(): void {
    this.#call?.end()
    this.#upstream?.abort()
    this.#upstream = undefined
  }

  /** A fault of ours ends this request and nothing else. */
  #guarded(step: () => void): void {
    try {
      step()
    } catch (thrown) {
      this.#fail(thrown)
    }
  }

  #fail(thrown: unknown): void {
    this.#door.log.error({ requestId: this.#requestId, error: thrown }, 'a request failed, a fault of ours')
    if (this.#isSettled || this.#status !== 0) this.#cut({ outcome: 'failed', cause: 'internal' })
    else this.#giveUp(faulty(this.#requestId))
  }

  #finish({ outcome, cause }: Verdict): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#permit?.release()
    this.#door.ended(this)
    try {
      this.#record(outcome, cause)
    } catch (error) {
      this.#door.log.error({ requestId: this.#requestId, error }, 'a request could not be recorded')
    }
  }

  #record(outcome: ProxyOutcome, cause: string | undefined): void {
    const record = observed(this.#client.head, this.#facts, {
      requestId: this.#requestId,
      outcome,
      cause,
      status: this.#status,
      upstream: this.#server,
      auditId: this.#auditId,
      traceId: this.#span.traceId,
      remoteAddress: this.#client.remoteAddress,
      bytesIn: this.#tunnel?.bytesIn ?? this.#bytesIn,
      bytesOut: this.#tunnel?.bytesOut ?? this.#bytesOut,
      seconds: (this.#door.now() - this.#startedAt) / 1000,
      secondsToHead: this.#headAt === undefined ? undefined : (this.#headAt - this.#startedAt) / 1000,
    })
    this.#span.end(record)
    this.#door.observer.finished(record)
  }
}

interface Verdict {
  readonly outcome: ProxyOutcome
  readonly cause: string | undefined
}
const FORWARDED: Verdict = { outcome: 'forwarded', cause: undefined }
const CANCELED: Verdict = { outcome: 'canceled', cause: undefined }
const UPGRADED: Verdict = { outcome: 'upgraded', cause: undefined }

const BROKEN = refused('refused', 'H8', statusAnswer(400, 'the body breaks the rules of its framing'))
const EARLY = refused('refused', 'H9', statusAnswer(400, 'bytes were sent before the upgrade was answered'))
const STALLED = refused('refused', 'body-timeout', statusAnswer(408, 'the body did not arrive in time'))
const DECISION_LATE = 'it could not be told in time whether you may do this'

const NEWLINE = 0x0a
/** Watches in JSON, and logs: each piece of theirs ends with a newline. */
const LINES = /^(?:application\/json|text\/plain)/
