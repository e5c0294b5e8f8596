/**
 * Work that only one of several replicas does: whoever holds a Lease leads. Owns taking, renewing and giving it back;
 * leaves the work to `lead`, whose signal ends at once when the lead is lost, or may have been.
 *
 * What another replica wrote is never compared with our clock: a lease has run out when it has not changed for its
 * length, by our own watch. A holder stops before others may begin, so there are never two.
 *
 * @see https://kubernetes.io/docs/concepts/architecture/leases/
 * @module
 */
import type { CallLog } from '../../context.ts'
import { messageOf } from '../../errors.ts'
import { asObject, type Fields, member, optionalString } from '../fields.ts'
import { realTiming, type Timing } from './backoff.ts'
import type { KubeClient } from './client.ts'
import { KubeApiError } from './error.ts'

/** What {@link leadWhileHeld} needs. */
export interface LeaseOptions {
  readonly client: Pick<KubeClient, 'get' | 'create' | 'replace'>
  readonly namespace: string
  readonly name: string
  /** Who we are; no other replica may have the same. */
  readonly identity: string
  /** The work. Begins with each lead; what it throws ends everything. The lease goes on only when it has settled. */
  readonly lead: (signal: AbortSignal) => Promise<void>
  readonly log: CallLog
  /** Ends everything; the lease is given back. */
  readonly signal: AbortSignal
  /** How long others wait for a holder that is silent, in whole seconds. Default 15 s. */
  readonly durationMs?: number
  /** How long we go on without a renewal; less than `durationMs`. Default 10 s. */
  readonly renewWithinMs?: number
  /** Pause between tries. Default 2 s. */
  readonly retryMs?: number
  readonly timing?: Timing
  /** For what people read; nothing is decided by it. */
  readonly now?: () => Date
}

/** How it stands; for readiness and metrics. */
export interface LeaseStatus {
  readonly leading: boolean
  /** As far as is known; empty: nobody. */
  readonly holder: string
}

export interface LeaseHolding {
  status(): LeaseStatus
  /** Settles when everything has ended and the lease is given back; rejects with what `lead` threw. */
  readonly done: Promise<void>
}

/** What was last read, and when by our own watch it was first seen so. */
interface Observed {
  readonly object: Fields | undefined
  readonly holder: string
  readonly durationMs: number
  readonly mark: string
  readonly since: number
}

const NOBODY: Observed = { object: undefined, holder: '', durationMs: 0, mark: '', since: 0 }

/** Begins at once to try, and goes on until the signal aborts. */
export function leadWhileHeld(options: LeaseOptions): LeaseHolding {
  const { client, namespace, name, identity, log, signal, timing = realTiming, now = () => new Date() } = options
  const { durationMs = 15_000, renewWithinMs = 10_000, retryMs = 2_000 } = options
  const path = `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/leases`
  let observed = NOBODY
  let leading = false

  function observe(object: Fields): void {
    const spec = asObject(member(object, 'spec') ?? {}, 'spec')
    const metadata = asObject(member(object, 'metadata'), 'metadata')
    const holder = optionalString(spec, 'holderIdentity', 'spec.holderIdentity')
    const seconds = member(spec, 'leaseDurationSeconds')
    const mark = `${optionalString(metadata, 'uid', 'uid')} ${optionalString(metadata, 'resourceVersion', 'resourceVersion')}`
    const since = mark === observed.mark ? observed.since : timing.now()
    observed = { object, holder, durationMs: typeof seconds === 'number' ? seconds * 1000 : durationMs, mark, since }
  }

  function isFree(): boolean {
    const { holder, since } = observed
    return holder === '' || holder === identity || timing.now() - since >= observed.durationMs
  }

  /** Takes or renews it. True: ours, as of when this was begun. Throws where it cannot be told. */
  async function hold(within: AbortSignal): Promise<boolean> {
    try {
      observe(await client.get(`${path}/${encodeURIComponent(name)}`, within))
    } catch (thrown) {
      if (!isStatus(thrown, 404)) throw thrown
      observed = NOBODY
    }
    if (!isFree()) return false
    try {
      observe(await write(specOf(identity), within))
      return true
    } catch (thrown) {
      if (isStatus(thrown, 409)) return false // another was faster
      throw thrown
    }
  }

  function write(spec: Fields, within?: AbortSignal): Promise<Fields> {
    const { object } = observed
    if (object === undefined) {
      const metadata = { name, namespace }
      return client.create(path, { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec }, within)
    }
    return client.replace(`${path}/${encodeURIComponent(name)}`, { ...object, spec }, within)
  }

  function specOf(holderIdentity: string): Fields {
    const before = asObject(member(observed.object ?? {}, 'spec') ?? {}, 'spec')
    const time = now().toISOString().replace('Z', '000Z') // microseconds
    const same = observed.holder === holderIdentity
    const transitions = member(before, 'leaseTransitions')
    return {
      ...before,
      holderIdentity,
      leaseDurationSeconds: Math.max(1, Math.round(durationMs / 1000)),
      acquireTime: same ? (member(before, 'acquireTime') ?? time) : time,
      renewTime: time,
      leaseTransitions: (typeof transitions === 'number' ? transitions : 0) + (same || observed.holder === '' ? 0 : 1),
    }
  }

  /** Tries until it is ours, or everything has ended. */
  async function acquire(): Promise<number | undefined> {
    let failure = ''
    while (!signal.aborted) {
      const begun = timing.now()
      try {
        const deadline = AbortSignal.any([signal, AbortSignal.timeout(renewWithinMs)])
        if (await hold(deadline)) return begun
        failure = ''
      } catch (thrown) {
        if (signal.aborted) return undefined
        if (messageOf(thrown) !== failure) {
          log.warn({ lease: `${namespace}/${name}`, error: messageOf(thrown) }, 'the lease cannot be read or written')
        }
        failure = messageOf(thrown)
      }
      await timing.sleep(retryMs * (1 + timing.random() / 5), signal)
    }
    return undefined
  }

  /** Renews until the lead is lost; says how it was lost. */
  async function renew(begun: number, within: AbortSignal): Promise<string> {
    let renewed = begun
    while (!within.aborted) {
      const left = (): number => renewed + renewWithinMs - timing.now()
      await timing.sleep(Math.min(retryMs, Math.max(0, left())), within)
      if (within.aborted) break
      const at = timing.now()
      if (left() <= 0) return 'it could not be renewed in time'
      try {
        const held = await inTime(hold, left(), within)
        if (!held) return `${observed.holder || 'another'} holds it`
        renewed = at
      } catch (thrown) {
        if (within.aborted) break
        log.warn({ lease: `${namespace}/${name}`, error: messageOf(thrown) }, 'the lease was not renewed, trying again')
      }
    }
    return ''
  }

  async function inTime(
    work: (within: AbortSignal) => Promise<boolean>,
    ms: number,
    within: AbortSignal,
  ): Promise<boolean> {
    const late = new AbortController()
    const waiting = new AbortController()
    void timing.sleep(ms, AbortSignal.any([waiting.signal, within])).then(() => late.abort())
    try {
      return await work(AbortSignal.any([within, late.signal]))
    } finally {
      waiting.abort()
    }
  }

  async function run(): Promise<void> {
    for (;;) {
      const begun = await acquire()
      if (begun === undefined) return
      const over = new AbortController()
      const within = AbortSignal.any([signal, over.signal])
      leading = true
      log.info({ lease: `${namespace}/${name}`, identity }, 'this replica leads')
      const work = options.lead(within).finally(() => over.abort())
      const renewal = renew(begun, within).then((lost) => {
        leading = false
        if (lost !== '') log.warn({ lease: `${namespace}/${name}`, cause: lost }, 'this replica leads no more')
        over.abort()
      })
      try {
        await work
      } finally {
        await renewal
        if (signal.aborted || observed.holder === identity) await giveBack()
      }
      if (signal.aborted) return
    }
  }

  /** So that another need not wait. A failure means that it has to. */
  async function giveBack(): Promise<void> {
    if (observed.holder !== identity) return
    try {
      observe(await write({ ...specOf(identity), holderIdentity: '' }, AbortSignal.timeout(renewWithinMs)))
    } catch (thrown) {
      log.warn({ lease: `${namespace}/${name}`, error: messageOf(thrown) }, 'the lease was not given back')
    }
  }

  return { status: () => ({ leading, holder: observed.holder }), done: run() }
}

function isStatus(thrown: unknown, status: number): boolean {
  return thrown instanceof KubeApiError && thrown.status === status
}
