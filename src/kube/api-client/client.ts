/**
 * A thin client of the Kubernetes API: get, list, watch, create, replace, remove. Objects come as they are; whoever asks reads what he
 * needs of them. Owns requests, paging and the stream of a watch; leaves staying up to date to `watch-objects.ts`.
 *
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/
 * @module
 */
import { asObject, type Fields, member, optionalString } from '../fields.ts'
import { KubeApiError } from './error.ts'
import { type Answer, asKubeError, readBody, type Transport } from './transport.ts'
import { type WatchEvent, watchEvents } from './watch-stream.ts'

/** What {@link kubeClient} needs. */
export interface KubeClientOptions {
  readonly transport: Transport
  /** Deadline of one request, in milliseconds. Default 30 s. A watch has it until it begins. */
  readonly timeoutMs?: number
  /** Longest answer, and longest page of a list. Default 64 MiB. */
  readonly maxBodyBytes?: number
  /** Objects in a page of a list. Default 500. */
  readonly pageSize?: number
}

/** Which objects of a list or watch. */
export interface Selection {
  /** Of the list: `/api/v1/pods`, `/api/v1/namespaces/kube-system/configmaps`. */
  readonly path: string
  /** `metadata.name=k8s-auth-policy`. */
  readonly fieldSelector?: string
  readonly labelSelector?: string
}

/** All the objects there were, and when. */
export interface ObjectList {
  readonly items: readonly Fields[]
  /** The state of the cluster the list shows: where a watch goes on. */
  readonly resourceVersion: string
}

/** What to watch, from where, and for how long. */
export interface WatchOptions extends Selection {
  readonly resourceVersion: string
  /** When the server is to end the watch. */
  readonly timeoutSeconds: number
  /** Longest silence. */
  readonly idleMs: number
  readonly signal: AbortSignal
}

/** The client. Everything throws {@link KubeApiError}. */
export interface KubeClient {
  get(path: string, signal?: AbortSignal): Promise<Fields>
  list(selection: Selection, signal?: AbortSignal): Promise<ObjectList>
  /** Settles when the server has accepted the watch. The events end when the server ends them, and throw otherwise. */
  watch(options: WatchOptions): Promise<AsyncIterable<WatchEvent>>
  create(path: string, object: object, signal?: AbortSignal): Promise<Fields>
  /** Puts the object in the place of the one there; 409 where its `resourceVersion` is no longer the one there. */
  replace(path: string, object: object, signal?: AbortSignal): Promise<Fields>
  /** Removes an object; 409 where what is there is not the one that is meant. */
  remove(path: string, preconditions: Preconditions, signal?: AbortSignal): Promise<void>
}

/** Which object is meant to be removed: without them, whichever has the name now. */
export interface Preconditions {
  readonly uid?: string
  readonly resourceVersion?: string
}

const MIB = 1024 * 1024

/** A client of the server that the transport goes to. */
export function kubeClient(options: KubeClientOptions): KubeClient {
  const { transport, timeoutMs = 30_000, maxBodyBytes = 64 * MIB, pageSize = 500 } = options

  async function call<T>(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    signal: AbortSignal | undefined,
    read: (answer: Fields) => T,
    body?: string,
  ): Promise<T> {
    const what = `${method} ${path}`
    const deadline = AbortSignal.timeout(timeoutMs)
    const within = signal === undefined ? deadline : AbortSignal.any([signal, deadline])
    try {
      const answer = await transport.send({ method, path, signal: within, ...(body === undefined ? {} : { body }) })
      const content = await readBody(answer, answer.status < 300 ? maxBodyBytes : MIB, within)
      if (answer.status >= 300 || answer.status < 200) throw refusal(answer, content)
      return read(parseObject(content))
    } catch (thrown) {
      throw asKubeError(thrown, within).during(what)
    }
  }

  async function pages(selection: Selection, limit: number, signal: AbortSignal | undefined): Promise<ObjectList> {
    const items: Fields[] = []
    for (let next = ''; ; ) {
      const query = { ...selectors(selection), ...(limit > 0 ? { limit: String(limit) } : {}), continue: next }
      const page = await call('GET', withQuery(selection.path, query), signal, readPage)
      for (const item of page.items) items.push(item)
      next = page.next
      if (next === '') return { items, resourceVersion: page.resourceVersion }
    }
  }

  return {
    get: (path, signal) => call('GET', path, signal, (object) => object),
    async list(selection, signal) {
      try {
        return await pages(selection, pageSize, signal)
      } catch (thrown) {
        // The cluster changed so much between two pages that the second is gone: all at once, then.
        if (thrown instanceof KubeApiError && thrown.expired) return pages(selection, 0, signal)
        throw thrown
      }
    },
    async watch({ resourceVersion, timeoutSeconds, idleMs, signal, ...selection }) {
      const query = {
        ...selectors(selection),
        watch: '1',
        allowWatchBookmarks: 'true',
        resourceVersion,
        timeoutSeconds: String(timeoutSeconds),
      }
      const what = `watch ${selection.path}`
      const path = withQuery(selection.path, query)
      const begin = new AbortController()
      const timer = setTimeout(() => begin.abort(new Error('the watch did not begin in time')), timeoutMs)
      const within = AbortSignal.any([signal, begin.signal])
      try {
        const answer = await transport.send({ method: 'GET', path, signal: within, idleMs })
        if (answer.status !== 200) throw refusal(answer, await readBody(answer, MIB, within))
        return watchEvents(answer, what, signal)
      } catch (thrown) {
        throw asKubeError(thrown, within).during(what)
      } finally {
        clearTimeout(timer)
      }
    },
    create: (path, object, signal) => call('POST', path, signal, (created) => created, JSON.stringify(object)),
    replace: (path, object, signal) => call('PUT', path, signal, (replaced) => replaced, JSON.stringify(object)),
    remove: (path, preconditions, signal) =>
      call(
        'DELETE',
        path,
        signal,
        () => undefined,
        JSON.stringify({ apiVersion: 'v1', kind: 'DeleteOptions', preconditions }),
      ),
  }
}

interface Page extends ObjectList {
  /** Where the next page goes on; empty on the last one. */
  readonly next: string
}

function readPage(list: Fields): Page {
  const metadata = asObject(member(list, 'metadata'), 'metadata of the list')
  const items: unknown = member(list, 'items') ?? []
  if (!Array.isArray(items)) throw new KubeApiError('answer', 'is not a list')
  const resourceVersion = optionalString(metadata, 'resourceVersion', 'resourceVersion')
  if (resourceVersion === '') throw new KubeApiError('answer', 'has no resourceVersion, so it is no list')
  return {
    items: items.map((item) => asObject(item, 'an item of the list')),
    next: optionalString(metadata, 'continue', 'continue'),
    resourceVersion,
  }
}

function selectors({ fieldSelector = '', labelSelector = '' }: Selection): Record<string, string> {
  return { fieldSelector, labelSelector }
}

function withQuery(path: string, query: Readonly<Record<string, string>>): string {
  const given = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ''))
  return given.size === 0 ? path : `${path}?${given}`
}

function parseObject(content: Buffer): Fields {
  try {
    return asObject(JSON.parse(content.toString('utf8')), 'the answer')
  } catch (cause) {
    throw new KubeApiError('answer', 'the answer is not a JSON object', { cause })
  }
}

/** What an answer that is no success says. */
function refusal({ status, headers }: Answer, content: Buffer): KubeApiError {
  const seconds = Number(headers['retry-after'])
  const retry = Number.isFinite(seconds) && seconds > 0 ? { retryAfterMs: seconds * 1000 } : {}
  if (status >= 300 && status < 400) return new KubeApiError('answer', `HTTP ${status}: redirects are not followed`)
  try {
    const object = parseObject(content)
    const message = optionalString(object, 'message', 'message')
    const reason = optionalString(object, 'reason', 'reason')
    return new KubeApiError('status', `HTTP ${status} ${message}`.trim(), { status, reason, ...retry })
  } catch {
    return new KubeApiError('status', `HTTP ${status}`, { status, ...retry })
  }
}
