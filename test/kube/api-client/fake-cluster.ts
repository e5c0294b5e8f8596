/**
 * A cluster in memory behind the client's own interface: lists, and watches that hear of what is put and removed.
 *
 * @module
 */
import type { KubeClient } from '../../../src/kube/api-client/client.ts'
import { KubeApiError } from '../../../src/kube/api-client/error.ts'
import type { WatchEvent } from '../../../src/kube/api-client/watch-stream.ts'
import type { Fields } from '../../../src/kube/fields.ts'

export interface FakeCluster {
  readonly client: Pick<KubeClient, 'list' | 'watch'>
  put(
    path: string,
    object: {
      readonly metadata: { readonly namespace?: string; readonly name: string }
      readonly [field: string]: unknown
    },
  ): void
  remove(path: string, name: string, namespace?: string): void
  /** Paths that are answered with 404. */
  readonly missing: Set<string>
  /** Paths whose list does not come, until it is released. */
  hold(path: string): () => void
}

export function fakeCluster(): FakeCluster {
  const paths = new Map<string, Map<string, Fields>>()
  const listeners = new Map<string, Set<(event: WatchEvent) => void>>()
  const held = new Map<string, Promise<void>>()
  const missing = new Set<string>()
  let version = 1

  const objectsOf = (path: string): Map<string, Fields> => {
    const objects = paths.get(path) ?? new Map()
    paths.set(path, objects)
    return objects
  }
  const tell = (path: string, type: WatchEvent['type'], object: Fields): void => {
    for (const listener of listeners.get(path) ?? []) listener({ type, object, resourceVersion: String(version) })
  }

  return {
    missing,
    hold(path) {
      const { promise, resolve } = Promise.withResolvers<void>()
      held.set(path, promise)
      return resolve
    },
    put(path, { metadata, ...rest }) {
      version++
      const object = { ...rest, metadata: { uid: metadata.name, ...metadata, resourceVersion: String(version) } }
      objectsOf(path).set(`${metadata.namespace ?? ''}/${metadata.name}`, object)
      tell(path, 'MODIFIED', object)
    },
    remove(path, name, namespace = '') {
      version++
      const key = `${namespace}/${name}`
      const object = objectsOf(path).get(key)
      objectsOf(path).delete(key)
      if (object !== undefined) tell(path, 'DELETED', object)
    },
    client: {
      async list({ path }) {
        await held.get(path)
        if (missing.has(path)) throw new KubeApiError('status', 'HTTP 404', { status: 404 })
        return { items: [...objectsOf(path).values()], resourceVersion: String(version) }
      },
      async watch({ path, signal }) {
        const queue: WatchEvent[] = []
        let wake = (): void => {}
        const listener = (event: WatchEvent): void => {
          queue.push(event)
          wake()
        }
        listeners.set(path, (listeners.get(path) ?? new Set()).add(listener))
        signal.addEventListener('abort', () => wake())
        return (async function* () {
          while (!signal.aborted) {
            const event = queue.shift()
            if (event !== undefined) yield event
            else await new Promise<void>((resolve) => (wake = resolve))
          }
        })()
      },
    },
  }
}
