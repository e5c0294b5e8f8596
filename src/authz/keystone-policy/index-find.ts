/**
 * Walks the tree of `index-build.ts`. Nothing here depends on how many grants there are, but on how many a request
 * can satisfy as far as the tree could tell.
 *
 * @module
 */
import { allHold, holds } from './condition.ts'
import type { Grant } from './grant.ts'
import type { Index, Leaf, Split } from './index-build.ts'
import type { Dimension, Request } from './request.ts'

/** A grant that allows the request. */
export function findGrant(index: Index | undefined, request: Request): Grant | undefined {
  if (index === undefined) return undefined
  if (index.kind === 'split') return findInSplit(index, request)
  return findInLeaf(index, request)
}

function findInLeaf({ grants, steps }: Leaf, request: Request): Grant | undefined {
  let grant = 0
  for (let i = 0; i < steps.length; i++) {
    let step = steps[i]
    if (step === undefined) return grants[grant]
    if (holds(step, request)) continue
    while (step !== undefined) step = steps[++i]
    grant += 1
  }
  return undefined
}

function findInSplit(split: Split, request: Request): Grant | undefined {
  const { dimension } = split
  switch (dimension) {
    case 'role':
    case 'project':
    case 'userGroup':
    case 'user':
    case 'target':
      return findByAny(split, request[dimension], request) ?? findGrant(split.any, request)
    case 'prefix':
      return findByPrefix(split, request) ?? findGrant(split.any, request)
    default:
      return findByName(split, request[dimension], request) ?? findGrant(split.any, request)
  }
}

function findByAny({ children }: Split, values: readonly string[], request: Request): Grant | undefined {
  for (const value of values) {
    const found = findGrant(children.get(value), request)
    if (found !== undefined) return found
  }
  return undefined
}

function findByPrefix({ children, lengths }: Split, request: Request): Grant | undefined {
  for (const length of lengths) {
    const found =
      length <= request.path.length ? findGrant(children.get(request.path.slice(0, length)), request) : undefined
    if (found !== undefined) return found
  }
  return undefined
}

function findByName({ children, excluded, others }: Split, name: string, request: Request): Grant | undefined {
  return findGrant(children.get(name), request) ?? (excluded.has(name) ? undefined : findGrant(others, request))
}

/** Every grant that allows the request, some of them more than once; for those who have time. */
export function* allGrants(index: Index | undefined, request: Request): Generator<Grant> {
  if (index === undefined) return
  if (index.kind === 'leaf') {
    for (const grant of index.grants) if (allHold(grant.conditions, request)) yield grant
    return
  }
  const { children, excluded, others, any, dimension, lengths } = index
  const names = valuesOf(request, dimension, lengths)
  for (const name of names) yield* allGrants(children.get(name), request)
  if (!names.some((name) => excluded.has(name))) yield* allGrants(others, request)
  yield* allGrants(any, request)
}

function valuesOf(request: Request, dimension: Dimension, lengths: readonly number[]): readonly string[] {
  if (dimension === 'prefix') return lengths.map((length) => request.path.slice(0, length))
  const value = request[dimension]
  return typeof value === 'string' ? [value] : value
}
