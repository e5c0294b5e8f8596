/**
 * The groups of a user. Identity API v3, "List groups to which a user belongs".
 *
 * @module
 */
import { z } from 'zod'
import { ArchwayError } from '../errors.ts'
import type { Verdict } from './answer.ts'
import { id, name, readDocument } from './document.ts'
import type { Target } from './failure.ts'

/** A Keystone group. Names are unique within a domain only, and come as Keystone has them. */
export interface KeystoneGroup {
  readonly id: string
  readonly name: string
  readonly domainId?: string
}

/** What asking for somebody's groups came to. */
export type GroupListing =
  /** All of them, in Keystone's order. */
  | { readonly kind: 'listed'; readonly groups: readonly KeystoneGroup[] }
  /** Keystone does not know the token, or no longer: 401, or 404. */
  | { readonly kind: 'refused' }
  /** The token is good, but Keystone's policy (`identity:list_groups_for_user`) forbids the question (403). */
  | { readonly kind: 'forbidden' }
  /** There are more than the limit, or Keystone itself cut the list (`list_limit`). None are returned. */
  | { readonly kind: 'limit_exceeded'; readonly by: 'archway' | 'keystone' }

/** Pages that are asked for, at most. Keystone itself makes one. */
const MAX_PAGES = 50

const groupsDocument = z.object({
  groups: z.array(z.object({ id, name, domain_id: z.string().optional() })),
  links: z.object({ next: z.string().nullish() }).nullish(),
  truncated: z.boolean().optional(),
})

export interface GroupsOptions {
  /** Where the Identity API is: origin and path of v3. Pages anywhere else are not asked for. */
  readonly origin: string
  readonly base: string
  readonly path: string
  readonly maxGroups: number
  readonly target: Target
  /** Asks for one page; a path with its query. */
  readonly get: (path: string) => Promise<Verdict>
}

/**
 * Lists groups page by page.
 *
 * @throws ArchwayError `keystone_answer_invalid` for a next page outside of the Identity API, and for endless pages.
 */
export async function listGroups(options: GroupsOptions): Promise<GroupListing> {
  const { path: first, maxGroups, target } = options
  const groups: KeystoneGroup[] = []
  const asked = new Set<string>()
  let path: string | undefined = first
  while (path !== undefined) {
    if (asked.has(path) || asked.size === MAX_PAGES) {
      throw invalid(target, `the list of groups goes round in circles, or has more than ${MAX_PAGES} pages`)
    }
    asked.add(path)
    const verdict = await options.get(path)
    if (verdict.kind === 'refused') return { kind: verdict.status === 403 ? 'forbidden' : 'refused' }
    const page = readDocument(groupsDocument, verdict.document, target)
    if (page.truncated === true) return { kind: 'limit_exceeded', by: 'keystone' }
    if (groups.length + page.groups.length > maxGroups) return { kind: 'limit_exceeded', by: 'archway' }
    for (const { id, name, domain_id } of page.groups) {
      groups.push({ id, name, ...(domain_id === undefined ? {} : { domainId: domain_id }) })
    }
    path = nextPage(page.links?.next ?? undefined, path, options)
  }
  return { kind: 'listed', groups }
}

/** The path of the next page. The token goes along, so it must be where tokens may go. */
function nextPage(link: string | undefined, from: string, options: GroupsOptions): string | undefined {
  if (link === undefined) return undefined
  const { origin, base, target } = options
  const current = `${origin}${from}`
  const next = URL.canParse(link, current) ? new URL(link, current) : undefined
  const inside =
    next !== undefined &&
    next.origin === origin &&
    next.username === '' &&
    next.password === '' &&
    next.pathname.startsWith(`${base}/`) &&
    !/%2f|%5c/i.test(next.pathname)
  if (!inside) throw invalid(target, 'the link to the next page leads away from the configured Keystone URL')
  return `${next.pathname}${next.search}`
}

function invalid(target: Target, fault: string): ArchwayError {
  return new ArchwayError('keystone_answer_invalid', `${target.name}: ${fault}`, { retryAfter: 1 })
}
