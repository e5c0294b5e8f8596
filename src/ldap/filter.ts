/**
 * Search filters with places for values. The text is parsed once; a value is put into the parsed filter, where it is a
 * value and can be nothing else, whatever characters it has (RFC 4515 has nothing left to escape).
 *
 * @module
 */
import {
  AndFilter,
  ApproximateFilter,
  EqualityFilter,
  ExtensibleFilter,
  type Filter,
  FilterParser,
  GreaterThanEqualsFilter,
  LessThanEqualsFilter,
  NotFilter,
  OrFilter,
  PresenceFilter,
  SubstringFilter,
} from 'ldapts'
import { messageOf } from '../errors.ts'

/** Makes the filter for these values. */
export type FilterTemplate<Name extends string> = (values: Readonly<Record<Name, string>>) => Filter

/** Active Directory's rule that follows membership from group to group (LDAP_MATCHING_RULE_IN_CHAIN). */
const IN_CHAIN = '1.2.840.113556.1.4.1941'

export interface FilterTemplateOptions<Name extends string> {
  /** Placeholders that may stand in the text, as `{name}`. */
  readonly allowed: readonly Name[]
  /** One that has to. */
  readonly required: Name
  /** Asks the server to follow `attribute={name}` from group to group, for this placeholder. */
  readonly inChain?: Name
}

/** Compiles a filter such as `(&(objectClass=person)(uid={username}))`. Throws a `TypeError` that says what is wrong. */
export function filterTemplate<Name extends string>(
  text: string,
  { allowed, required, inChain }: FilterTemplateOptions<Name>,
): FilterTemplate<Name> {
  const parsed = parse(text)
  const found = new Set<string>()
  visit(parsed, (value) => {
    for (const [, name = ''] of value.matchAll(/\{([^{}]*)\}/g)) found.add(name)
    if (/[{}]/.test(value.replace(/\{[^{}]*\}/g, ''))) throw new TypeError('a brace without its other half')
  })
  const unknown = [...found].find((name) => !allowed.some((other) => other === name))
  const names = allowed.map((name) => `{${name}}`).join(', ')
  if (unknown !== undefined) throw new TypeError(`unknown placeholder {${unknown}}: known is ${names}`)
  if (!found.has(required)) throw new TypeError(`the filter needs {${required}}`)
  const filter = inChain === undefined ? parsed : chained(parsed, `{${inChain}}`)

  return (values) => {
    const filled = new Map<string, string>(allowed.map((name) => [name, values[name]]))
    return substitute(filter, (value) => value.replace(/\{([^{}]*)\}/g, (_, name: string) => filled.get(name) ?? ''))
  }
}

/** One of several filters. */
export function anyOf(filters: readonly Filter[]): Filter {
  const [only, ...others] = filters
  return only !== undefined && others.length === 0 ? only : new OrFilter({ filters: [...filters] })
}

/** Every entry. */
export function anything(): Filter {
  return new PresenceFilter({ attribute: 'objectClass' })
}

function parse(text: string): Filter {
  // ldapts reads \c3\a9 as two characters, and would send four bytes; \20 and the like it reads well.
  if (/\\[89a-f]/i.test(text)) throw new TypeError('write the character itself, not its bytes in hexadecimal')
  if (!text.startsWith('(') || !text.endsWith(')'))
    throw new TypeError('a filter stands in parentheses: (uid={username})')
  if (!isBalanced(text)) throw new TypeError('the parentheses do not match') // ldapts does not mind
  try {
    return FilterParser.parseString(text)
  } catch (error) {
    throw new TypeError(`not a search filter (RFC 4515): ${messageOf(error)}`)
  }
}

/** Whether parentheses match, the first with the last. In values they are written as `\28` and `\29`. */
function isBalanced(text: string): boolean {
  let depth = 0
  for (const [at, char] of text.split('').entries()) {
    if (char === '(') depth += 1
    if (char === ')') depth -= 1
    if (depth <= 0 && at < text.length - 1) return false
  }
  return depth === 0
}

/** Puts `fill(value)` in the place of every value. */
function substitute(filter: Filter, fill: (value: string) => string): Filter {
  if (filter instanceof AndFilter)
    return new AndFilter({ filters: filter.filters.map((part) => substitute(part, fill)) })
  if (filter instanceof OrFilter) return new OrFilter({ filters: filter.filters.map((part) => substitute(part, fill)) })
  if (filter instanceof NotFilter) return new NotFilter({ filter: substitute(filter.filter, fill) })
  if (filter instanceof PresenceFilter) return filter
  if (filter instanceof SubstringFilter) {
    const { attribute, initial, any, final } = filter
    return new SubstringFilter({ attribute, initial: fill(initial), any: any.map(fill), final: fill(final) })
  }
  if (filter instanceof ExtensibleFilter) {
    const { matchType, rule, dnAttributes, value } = filter
    return new ExtensibleFilter({ matchType, rule, dnAttributes, value: fill(value) })
  }
  if (filter instanceof EqualityFilter) {
    return new EqualityFilter({ attribute: filter.attribute, value: fill(String(filter.value)) })
  }
  if (filter instanceof GreaterThanEqualsFilter) {
    return new GreaterThanEqualsFilter({ attribute: filter.attribute, value: fill(filter.value) })
  }
  if (filter instanceof LessThanEqualsFilter) {
    return new LessThanEqualsFilter({ attribute: filter.attribute, value: fill(filter.value) })
  }
  if (filter instanceof ApproximateFilter) {
    return new ApproximateFilter({ attribute: filter.attribute, value: fill(filter.value) })
  }
  throw new TypeError('a kind of filter that is not known here')
}

function visit(filter: Filter, look: (value: string) => void): void {
  substitute(filter, (value) => {
    look(value)
    return value
  })
}

/** `(member={dn})` → `(member:1.2.840.113556.1.4.1941:={dn})`, wherever it stands. */
function chained(filter: Filter, placeholder: string): Filter {
  let changed = false
  const walk = (part: Filter): Filter => {
    if (part instanceof AndFilter) return new AndFilter({ filters: part.filters.map(walk) })
    if (part instanceof OrFilter) return new OrFilter({ filters: part.filters.map(walk) })
    if (!(part instanceof EqualityFilter) || part.value !== placeholder) return part
    changed = true
    return new ExtensibleFilter({ matchType: part.attribute, rule: IN_CHAIN, value: placeholder })
  }
  const result = walk(filter)
  if (!changed) throw new TypeError(`to be followed from group to group the filter needs (member=${placeholder})`)
  return result
}
