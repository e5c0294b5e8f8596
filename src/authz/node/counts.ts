/**
 * Pairs of names that are counted: one stays as long as it was added more often than removed.
 *
 * @module
 */

/** Pairs, each with how often it was added. */
export interface Counts {
  add(one: string, other: string): void
  remove(one: string, other: string): void
  has(one: string, other: string): boolean
  any(one: string): boolean
  of(one: string): Iterable<string>
}

/** An empty set of pairs. */
export function counts(): Counts {
  const pairs = new Map<string, Map<string, number>>()
  return {
    add(one, other) {
      let others = pairs.get(one)
      if (others === undefined) {
        others = new Map()
        pairs.set(one, others)
      }
      others.set(other, (others.get(other) ?? 0) + 1)
    },
    remove(one, other) {
      const others = pairs.get(one)
      const count = others?.get(other)
      if (others === undefined || count === undefined) return
      if (count > 1) others.set(other, count - 1)
      else others.delete(other)
      if (others.size === 0) pairs.delete(one)
    },
    has: (one, other) => pairs.get(one)?.has(other) === true,
    any: (one) => pairs.has(one),
    of: (one) => pairs.get(one)?.keys() ?? [],
  }
}
