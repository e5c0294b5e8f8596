/**
 * Objects of the cluster, kept up to date: a list, then a watch from there, and again whenever that breaks. While the
 * API server is away the last known objects stay. Owns staying up to date; leaves what the objects mean to `parse` and
 * `onChange`.
 *
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
 * @module
 */
import type { CallLog } from '../../context.ts'
import { messageOf } from '../../errors.ts'
import type { Fields } from '../fields.ts'
import { backoffMs, realTiming, type Timing } from './backoff.ts'
import type { KubeClient, Selection } from './client.ts'
import { KubeApiError } from './error.ts'
import { type Change, type ObjectStore, objectStore } from './object-store.ts'

/** What {@link watchObjects} needs. */
export interface WatchObjectsOptions<T> extends Selection {
  readonly client: Pick<KubeClient, 'list' | 'watch'>
  /** What is kept of an object. One it throws for is left out, and logged. */
  readonly parse: (object: Fields) => T
  /**
   * After the first list, even when there is nothing, and then after every change. What it throws is logged and
   * changes nothing.
   */
  readonly onChange?: (changes: readonly Change<T>[], objects: ReadonlyMap<string, T>) => void
  /** Whether a server that does not know such objects (404) has none of them. Without it that is a failure. */
  readonly optional?: boolean
  readonly log: CallLog
  /** Ends everything. */
  readonly signal: AbortSignal
  readonly timing?: Timing
  /**
   * How long one watch lasts, about, before the server ends it and it goes on with a new one. Silence is nothing
   * unusual before that; after it, there is nobody at the other end of the connection. Default 120 s.
   */
  readonly watchSeconds?: number
  /** How much longer than that it may take. Default 15 s. */
  readonly graceMs?: number
}

/** For readiness and metrics. */
export interface WatchStatus {
  /** Whether the objects have been known at least once. */
  readonly synced: boolean
  /** Whether a watch stands, so that changes come as they happen. */
  readonly watching: boolean
  /** Lists so far. */
  readonly lists: number
  /** Tries that failed, in all. */
  readonly failures: number
  /** Why there is no watch; gone when there is one again. */
  readonly error?: string
}

/** Objects as they are now, as far as is known. */
export interface WatchedObjects<T> {
  /** By `namespace/name`, or `name` for objects of the cluster; `undefined` before the first list. */
  current(): ReadonlyMap<string, T> | undefined
  /** Grows with every change, so that what was made of the objects can be kept until then. */
  version(): number
  status(): WatchStatus
  /** Settles when the objects are known, or everything has ended. */
  readonly synced: Promise<void>
  /** Settles when everything has ended. Never rejects. */
  readonly done: Promise<void>
}

const BACKOFF = { firstMs: 200, mostMs: 5000 }
const MOST_RETRY_AFTER_MS = 60_000
/** A watch that lasted this long was a good one, whatever became of it. */
const HEALTHY_MS = 5000
/** After this long without an event or bookmark a list makes sure that nothing was missed. */
const QUIET_MS = 600_000

/** Begins at once, and goes on until the signal aborts. */
export function watchObjects<T>(options: WatchObjectsOptions<T>): WatchedObjects<T> {
  const { client, path, log, signal, parse, timing = realTiming } = options
  const { watchSeconds = 120, graceMs = 15_000 } = options
  const { fieldSelector = '', labelSelector = '' } = options
  const selection: Selection = { path, fieldSelector, labelSelector }
  const store: ObjectStore<T> = objectStore(parse, (name, error) => {
    log.warn({ path, object: name, error: messageOf(error) }, 'an object of the cluster cannot be used, it is left out')
  })
  const first = Promise.withResolvers<void>()
  let resourceVersion: string | undefined
  /** When there was a list or an event last. */
  let heardAt = 0
  let synced = false
  let watching = false
  let lists = 0
  let failures = 0
  /** Failures, and 410s among them, since a watch was last seen to work. */
  let inARow = 0
  let expiredBefore = false
  let failure: string | undefined

  /** One list, unless a watch can go on, and one watch. Throws for whatever ends it but the server's own end. */
  async function follow(): Promise<void> {
    resourceVersion ??= await list()
    const startedAt = timing.now()
    const timeoutSeconds = Math.ceil(watchSeconds * (0.75 + timing.random() / 2))
    const idleMs = timeoutSeconds * 1000 + graceMs
    let events = 0
    try {
      const stream = await client.watch({ ...selection, resourceVersion, timeoutSeconds, idleMs, signal })
      begun()
      for await (const event of stream) {
        events++
        heardAt = timing.now()
        works()
        resourceVersion = event.resourceVersion
        if (event.type === 'BOOKMARK') continue
        announce(event.type === 'DELETED' ? store.remove(event.object) : store.put(event.object))
      }
    } finally {
      watching = false
      if (timing.now() - startedAt > HEALTHY_MS) works()
      // A cluster restored from a backup is behind us, and would never say another word.
      if (timing.now() - heardAt > QUIET_MS) resourceVersion = undefined
    }
    // An end right after the beginning is nothing a server means: without a pause this would spin.
    if (events === 0 && timing.now() - startedAt < 1000)
      throw new KubeApiError('unreachable', `watch ${path}: ended at once`)
  }

  async function list(): Promise<string> {
    try {
      const found = await client.list(selection, signal)
      known(found.items)
      return found.resourceVersion
    } catch (thrown) {
      if (options.optional === true && thrown instanceof KubeApiError && thrown.status === 404) known([])
      throw thrown
    }
  }

  function known(items: readonly Fields[]): void {
    lists++
    heardAt = timing.now()
    const changes = store.replace(items)
    announce(changes, !synced)
    first.resolve()
  }

  function announce(changes: readonly Change<T>[], always = false): void {
    synced = true
    if (changes.length === 0 && !always) return
    try {
      options.onChange?.(changes, store.objects)
    } catch (thrown) {
      log.error({ path, error: messageOf(thrown) }, 'what follows a change in the cluster failed')
    }
  }

  function begun(): void {
    watching = true
    if (failure !== undefined) log.info({ path }, 'the Kubernetes API is watched again')
    failure = undefined
  }

  function works(): void {
    inARow = 0
    expiredBefore = false
  }

  /** Makes what is to be done next of a failure; gives the pause before it. */
  function failed(thrown: unknown): number {
    failures++
    inARow++
    const message = messageOf(thrown)
    const error = thrown instanceof KubeApiError ? thrown : undefined
    // Where the server was away, or busy, the watch can go on where it was.
    const goOn = error !== undefined && error.failure !== 'answer' && !error.expired && error.status !== 400
    if (!goOn) resourceVersion = undefined
    if (error?.expired === true) log.info({ path }, 'the watch fell too far behind, listing anew')
    else if (message !== failure)
      log.warn({ path, error: message }, 'the Kubernetes API cannot be watched, what was known stays')
    failure = message
    // Whoever says 410 is there: however long the server was away, the list need not wait, unless that did not help.
    if (error?.expired === true && !expiredBefore) {
      expiredBefore = true
      inARow = 1
      return 0
    }
    const asked = Math.min(error?.retryAfterMs ?? 0, MOST_RETRY_AFTER_MS)
    return Math.max(asked, backoffMs(inARow, BACKOFF, timing.random))
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      try {
        await follow()
      } catch (thrown) {
        if (!signal.aborted) await timing.sleep(failed(thrown), signal)
      }
    }
    first.resolve()
  }

  return {
    current: () => (synced ? store.objects : undefined),
    version: () => store.version(),
    status: () => ({ synced, watching, lists, failures, ...(failure === undefined ? {} : { error: failure }) }),
    synced: first.promise,
    done: run(),
  }
}
