/**
 * Groups of a person in a directory: found by a search or read from `memberOf`, followed from group to group where that
 * is wanted, always within bounds.
 *
 * @module
 */
import type { CallLog } from '../../context.ts'
import { ArchwayError, messageOf } from '../../errors.ts'
import { decodeText } from '../../ldap/ber.ts'
import type { Scope } from '../../ldap/connection.ts'
import type { Searcher } from '../../ldap/directory.ts'
import { type Dn, dnKey, isUnder, parseDn } from '../../ldap/dn.ts'
import type { Entry } from '../../ldap/entry.ts'
import { anyOf, anything, type FilterTemplate, filterTemplate } from '../../ldap/filter.ts'

interface CommonLookup {
  /** Groups are looked for here and below. A group that is elsewhere gives nothing, and is not followed. */
  readonly base: string
  /** Attribute that names a group; it must have one value. `dn`: the whole DN. `cn` when absent. */
  readonly nameAttribute?: string
  /** With `walk`: how many times to go from groups to the groups they are in; 5 when absent. */
  readonly depth?: number
}

/** Groups whose entries name their members. */
export interface GroupSearch extends CommonLookup {
  readonly kind: 'search'
  readonly scope?: Exclude<Scope, 'base'>
  /** `(member={dn})`, `(memberUid={username})`: `{dn}` of the person, `{username}` as the directory has it. */
  readonly filter: string
  /** `inChain`: Active Directory follows; `walk`: we do; `none` when absent. */
  readonly nested?: 'none' | 'inChain' | 'walk'
}

/** Groups that the entry of the person names. Only where the server keeps that attribute itself. */
export interface MemberOf extends CommonLookup {
  readonly kind: 'memberOf'
  /** `memberOf` when absent. */
  readonly attribute?: string
  readonly nested?: 'none' | 'walk'
}

export type GroupLookup = GroupSearch | MemberOf

/** Who is asked about. */
export interface Member {
  readonly entry: Entry
  /** As the directory has it. */
  readonly username: string
}

export interface GroupFinder {
  /** What has to be read of the person's entry. */
  readonly attributes: readonly string[]
  /** The names, sorted, each once; `undefined`: more groups than `maxGroups`. */
  find(searcher: Searcher, member: Member, log: CallLog): Promise<readonly string[] | undefined>
}

const PAGE = 250
/** DNs asked about with one search. */
const AT_ONCE = 32

/** Checks and prepares a lookup. Throws `config_invalid`. */
export function groupFinder(lookup: GroupLookup, maxGroups: number): GroupFinder {
  const base = parseDn(lookup.base)
  if (base === undefined) throw invalid('base', 'expected a DN, such as ou=groups,dc=example,dc=org')
  return lookup.kind === 'search' ? bySearch(lookup, maxGroups) : byMemberOf(lookup, base, maxGroups)
}

function bySearch(lookup: GroupSearch, maxGroups: number): GroupFinder {
  const { base, scope = 'sub', nested = 'none', nameAttribute = 'cn', depth = 5 } = lookup
  const filter = searchFilter(lookup)
  const levels = nested === 'walk' ? depth + 1 : 1
  return {
    attributes: [],
    async find(searcher, { entry, username }, log) {
      const groups = new Map<string, Entry>()
      let members: readonly string[] = [entry.dn]
      for (let level = 0; level < levels && members.length > 0; level += 1) {
        const next: string[] = []
        for (const some of chunks(members, AT_ONCE)) {
          const found = await searcher.find({
            base,
            scope,
            filter: anyOf(some.map((dn) => filter({ dn, username }))),
            attributes: [nameAttribute === 'dn' ? '1.1' : nameAttribute],
            limit: maxGroups,
            pageSize: PAGE,
          })
          if (found.more) return undefined
          for (const group of found.entries) {
            const key = keyOf(group.dn)
            if (groups.has(key)) continue
            groups.set(key, group)
            next.push(group.dn)
          }
          if (groups.size > maxGroups) return undefined
        }
        members = next
      }
      return namesOf(
        [...groups.values()].map((group) => ({ dn: group.dn, name: nameOf(group, nameAttribute) })),
        log,
      )
    },
  }
}

function searchFilter({ filter, nested }: GroupSearch): FilterTemplate<'dn' | 'username'> {
  const allowed = ['dn', 'username'] as const
  try {
    if (nested === 'inChain') return filterTemplate(filter, { allowed, required: 'dn', inChain: 'dn' })
    const required = nested === 'walk' || filter.includes('{dn}') ? 'dn' : 'username'
    return filterTemplate(filter, { allowed, required })
  } catch (error) {
    throw invalid('filter', messageOf(error))
  }
}

interface Reference {
  readonly text: string
  readonly dn: Dn
}

function byMemberOf(lookup: MemberOf, base: Dn, maxGroups: number): GroupFinder {
  const { attribute = 'memberOf', nested = 'none', nameAttribute = 'cn', depth = 5 } = lookup

  /** Groups an entry is in; `undefined`: the server gave only a part of them. */
  function groupsOf(entry: Entry): readonly Reference[] | undefined {
    if (entry.isPartial(attribute)) return undefined
    return entry.values(attribute).flatMap((value) => {
      const text = decodeText(value)
      const dn = text === undefined ? undefined : parseDn(text)
      return text === undefined || dn === undefined || !isUnder(dn, base) ? [] : [{ text, dn }]
    })
  }

  async function walk(searcher: Searcher, direct: readonly Reference[], log: CallLog) {
    const seen = new Set<string>()
    const named: Named[] = []
    let references = direct
    for (let level = 0; level <= depth && references.length > 0; level += 1) {
      const next: Reference[] = []
      for (const { text, dn } of references) {
        const key = dnKey(dn)
        if (seen.has(key)) continue
        seen.add(key)
        if (seen.size > maxGroups) return undefined
        const { entries } = await searcher.find({
          base: text,
          scope: 'base',
          filter: anything(),
          attributes: nameAttribute === 'dn' ? [attribute] : [nameAttribute, attribute],
          limit: 1,
          missingBase: 'empty', // named by an entry that has not heard of its end
        })
        for (const group of entries) {
          named.push({ dn: text, name: nameOf(group, nameAttribute) })
          const above = groupsOf(group)
          if (above === undefined) return undefined
          next.push(...above)
        }
      }
      references = next
    }
    return namesOf(named, log)
  }

  return {
    attributes: [attribute],
    async find(searcher, { entry }, log) {
      const direct = groupsOf(entry)
      if (direct === undefined || new Set(direct.map(({ dn }) => dnKey(dn))).size > maxGroups) return undefined
      if (nested === 'walk') return walk(searcher, direct, log)
      return namesOf(
        direct.map(({ text, dn }) => ({ dn: text, name: nameAttribute === 'dn' ? text : ownName(dn, nameAttribute) })),
        log,
      )
    },
  }
}

interface Named {
  readonly dn: string
  readonly name: string | undefined
}

/** Of several values none is the name: a set has no first one. */
function nameOf(group: Entry, attribute: string): string | undefined {
  if (attribute === 'dn') return group.dn
  const [value, ...others] = group.values(attribute)
  return value === undefined || others.length > 0 ? undefined : decodeText(value)
}

function ownName([own = []]: Dn, attribute: string): string | undefined {
  return own.find(({ type }) => type === attribute.toLowerCase())?.value
}

function namesOf(groups: readonly Named[], log: CallLog): readonly string[] {
  const unnamed = groups.filter(({ name }) => name === undefined)
  if (unnamed.length > 0) {
    const fields = { count: unnamed.length, dns: unnamed.slice(0, 5).map(({ dn }) => dn) }
    log.warn(fields, 'groups left out: `nameAttribute` has not exactly one value in them')
  }
  return [...new Set(groups.flatMap(({ name }) => (name === undefined ? [] : [name])))].sort()
}

function keyOf(text: string): string {
  const dn = parseDn(text)
  return dn === undefined ? text.toLowerCase() : dnKey(dn)
}

function* chunks<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size)
}

function invalid(field: string, fault: string): ArchwayError {
  return new ArchwayError('config_invalid', `groups.${field}: ${fault}`)
}
