/**
 * Tree → plain value, with the names of fields as this program spells them. Owns what Go's decoder does to names and
 * `null`, which decides what a policy means, and what it does silently and we do not: a name that stands twice.
 * Leaves types to `schema.ts`.
 *
 * @module
 */
import type { ObjectTree, Tree } from './json-text.ts'
import type { WarningCode } from './model.ts'

/** What is known of a place before its value is looked at. */
export type Shape =
  /** Text, number …, or anything the schema is to judge. Names are exact and may not repeat. */
  | { readonly kind: 'value' }
  /** A list of strings. A `null` item is the empty string: leaving it out could take a condition away. */
  | { readonly kind: 'strings' }
  /** Exact keys → lists of strings; becomes a Map. */
  | { readonly kind: 'map'; readonly known?: readonly string[] }
  /** A list. `null` items stay, for the reader to pass over, or become an object without fields. */
  | { readonly kind: 'list'; readonly of: Shape; readonly nulls: 'stay' | 'object' }
  /** Names that fold to one are one; unknown ones are left out. */
  | { readonly kind: 'fields'; readonly fields: ReadonlyMap<string, Shape> }

/** What was noticed on the way. Positions are indexes into the text. */
export interface Notes {
  /** Where the value of each path stands. */
  readonly positions: Map<string, number>
  readonly warn: (code: WarningCode, path: string, at: number, message: string) => void
  readonly mistake: (path: string, at: number, message: string) => void
}

/** More in one list is no policy, and would take minutes. */
const MOST_ITEMS = 200_000

/** Makes the value of a tree. A tree of another kind than its shape is made as it is, for the schema to refuse. */
export function toValue(tree: Tree, shape: Shape, path: string, notes: Notes): unknown {
  notes.positions.set(path, tree.at)
  if (tree.kind === 'scalar') return tree.value
  if (tree.kind === 'list' && tree.items.length > MOST_ITEMS) {
    notes.mistake(path, tree.at, `has more than ${MOST_ITEMS} elements. Check that it is the right text`)
    return []
  }
  if (tree.kind === 'list') return tree.items.map((item, i) => itemOf(item, shape, `${path}[${i}]`, notes))
  if (shape.kind === 'map') return toMap(tree, shape.known, path, notes)
  return shape.kind === 'fields' ? toFields(tree, shape.fields, path, notes) : toObject(tree, path, notes)
}

/** Joins a path and a key: `a.b`, `a["b/c"]`. */
export function keyPath(path: string, key: string): string {
  if (!/^[A-Za-z_]\w*$/.test(key)) return `${path}[${JSON.stringify(key)}]`
  return path === '' ? key : `${path}.${key}`
}

function itemOf(item: Tree, shape: Shape, path: string, notes: Notes): unknown {
  const isNull = item.kind === 'scalar' && item.value === null
  if (shape.kind === 'strings' && isNull) {
    notes.warn('null-element', path, item.at, 'null counts as an empty name here. Take it away')
    return ''
  }
  if (shape.kind !== 'list') return toValue(item, VALUE, path, notes)
  if (!isNull) return toValue(item, shape.of, path, notes)
  notes.warn(
    'null-element',
    path,
    item.at,
    `null ${shape.nulls === 'stay' ? 'is ignored' : 'matches nobody'}. Take it away`,
  )
  return shape.nulls === 'stay' ? null : {}
}

const VALUE: Shape = { kind: 'value' }

/** A null-prototype object, so that no key can be anything but a key. */
function toObject(tree: ObjectTree, path: string, notes: Notes): Record<string, unknown> {
  const object: Record<string, unknown> = Object.create(null)
  for (const { key, at, value } of tree.members) {
    const place = keyPath(path, key)
    if (Object.hasOwn(object, key)) notes.mistake(place, at, 'stands twice. Keep one')
    object[key] = toValue(value, VALUE, place, notes)
  }
  return object
}

function toMap(tree: ObjectTree, known: readonly string[] | undefined, path: string, notes: Notes): unknown {
  const map = new Map<string, unknown>()
  for (const { key, at, value } of tree.members) {
    const place = keyPath(path, key)
    if (map.has(key)) notes.mistake(place, at, 'stands twice. Put all of its list into one of them')
    const made = value.kind === 'scalar' && value.value === null ? [] : toValue(value, STRINGS, place, notes)
    map.set(key, made)
    if (known !== undefined && !known.includes(key)) {
      notes.warn('users-key-unknown', place, at, `is not looked at: only ${known.join(' and ')} are, in lower case`)
    }
  }
  return map
}

const STRINGS: Shape = { kind: 'strings' }

function toFields(tree: ObjectTree, fields: ReadonlyMap<string, Shape>, path: string, notes: Notes): unknown {
  const found = new Map<string, Tree>()
  for (const { key, at, value } of tree.members) {
    const name = foldField(key)
    const place = keyPath(path, name)
    if (!fields.has(name)) {
      notes.warn(
        'field-unknown',
        keyPath(path, key),
        at,
        `is not a field of this and is ignored.${similar(name, fields)}`,
      )
      continue
    }
    if (key !== name)
      notes.warn('field-case', place, at, `is written ${JSON.stringify(key)}, and counts. Write ${name}`)
    if (value.kind === 'scalar' && value.value === null) continue // absent, wherever else it stands
    const before = found.get(name)
    found.set(name, before === undefined ? value : united(before, value, place, at, notes))
  }
  const object: Record<string, unknown> = {}
  for (const [name, value] of found) {
    object[name] = toValue(value, fields.get(name) ?? VALUE, keyPath(path, name), notes)
  }
  return object
}

/** Two objects under one name are one; what stands in both of them is found a level down. */
function united(before: Tree, value: Tree, place: string, at: number, notes: Notes): Tree {
  if (before.kind !== 'object' || value.kind !== 'object') {
    notes.mistake(place, at, 'stands twice, upper and lower case being one. Keep one')
    return before
  }
  notes.warn('field-repeated', place, at, 'stands twice; both count, as one. Write it once')
  return { ...before, members: [...before.members, ...value.members] }
}

/** As Go's decoder folds: the long s and the Kelvin sign are their ASCII letters, and nothing else outside ASCII is. */
function foldField(name: string): string {
  return name.toLowerCase().replaceAll('\u017F', 's')
}

function similar(name: string, fields: ReadonlyMap<string, Shape>): string {
  const bare = (text: string): string => text.replaceAll(/[^a-z]|s\b/g, '')
  const near = [...fields.keys()].find((field) => bare(field) === bare(name))
  return near === undefined ? '' : ` Is ${near} meant?`
}
