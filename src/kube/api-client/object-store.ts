/**
 * Objects by name, and what changed when new ones came.
 *
 * @module
 */
import { asObject, type Fields, member, optionalString } from '../fields.ts'

/** What happened to one object. */
export type Change<T> =
  | { readonly kind: 'set'; readonly key: string; readonly object: T }
  /** `object` is as it was last known. */
  | { readonly kind: 'deleted'; readonly key: string; readonly object: T }

/** Objects by `namespace/name`, or `name` in the cluster. */
export interface ObjectStore<T> {
  readonly objects: ReadonlyMap<string, T>
  version(): number
  /** Takes these for all there are. */
  replace(items: readonly Fields[]): readonly Change<T>[]
  put(item: Fields): readonly Change<T>[]
  remove(item: Fields): readonly Change<T>[]
}

/**
 * Keeps what `parse` makes of objects. An object it throws for counts as not there, also where an earlier version of
 * it was; `report` hears of it.
 */
export function objectStore<T>(
  parse: (object: Fields) => T,
  report: (key: string, error: unknown) => void,
): ObjectStore<T> {
  const objects = new Map<string, T>()
  /** Version of each object that was seen, of unusable ones too: a list brings the same ones again. */
  const seen = new Map<string, string>()
  let version = 0

  function put(item: Fields): readonly Change<T>[] {
    const { key, stamp } = identify(item)
    if (seen.get(key) === stamp) return []
    seen.set(key, stamp)
    try {
      const object = parse(item)
      objects.set(key, object)
      version++
      return [{ kind: 'set', key, object }]
    } catch (thrown) {
      report(key, thrown)
      return drop(key)
    }
  }

  function drop(key: string): readonly Change<T>[] {
    const object = objects.get(key)
    if (object === undefined) return []
    objects.delete(key)
    version++
    return [{ kind: 'deleted', key, object }]
  }

  function remove(key: string): readonly Change<T>[] {
    seen.delete(key)
    return drop(key)
  }

  return {
    objects,
    version: () => version,
    replace(items) {
      const listed = new Set(items.map((item) => identify(item).key))
      const gone = [...seen.keys()].filter((key) => !listed.has(key))
      return [...gone.flatMap(remove), ...items.flatMap(put)]
    },
    put,
    remove: (item) => remove(identify(item).key),
  }
}

interface Identity {
  /** `namespace/name`, or `name` for objects of the cluster. */
  readonly key: string
  /** Differs between two versions, and between two objects of one name. */
  readonly stamp: string
}

function identify(object: Fields): Identity {
  const metadata = asObject(member(object, 'metadata'), 'metadata')
  const field = (name: string): string => optionalString(metadata, name, `metadata.${name}`)
  const namespace = field('namespace')
  const name = field('name')
  return {
    key: namespace === '' ? name : `${namespace}/${name}`,
    stamp: `${field('uid')}/${field('resourceVersion')}`,
  }
}
