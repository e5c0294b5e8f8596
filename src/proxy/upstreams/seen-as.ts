/**
 * From an API server's answer to whom it took the asker for. A server is a stranger here like any other: what it sends
 * is parsed, and what cannot be understood decides nothing.
 *
 * @module
 */
import { z } from 'zod'
import type { UserInfo } from '../../user.ts'
import type { Answer } from './ask.ts'

/**
 * - `refused`: 401, it takes nobody with these credentials
 * - `anonymous`: nobody in particular
 * - `user`: with all of the identity where the answer is a review
 * - `almighty`: it said that there is no such thing, which only those are told who may see everything
 * - `undecided`: an outage, or an answer that says nothing
 */
export type SeenAs =
  | { readonly kind: 'refused' }
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'user'; readonly username: string; readonly review?: UserInfo }
  | { readonly kind: 'almighty' }
  | { readonly kind: 'undecided'; readonly reason: string }

const ANONYMOUS = 'system:anonymous'

const review = z.object({
  status: z.object({
    userInfo: z.object({
      username: z.string(),
      uid: z.string().default(''),
      groups: z.array(z.string()).default([]),
      extra: z.record(z.string(), z.array(z.string())).default({}),
    }),
  }),
})

const refusal = z.object({ message: z.string() })

export function seenIn({ status, body }: Answer): SeenAs {
  switch (status) {
    case 201:
      return inReview(body)
    case 401:
      return { kind: 'refused' }
    case 403:
      return inRefusal(body)
    case 404:
      return { kind: 'almighty' }
    default:
      return { kind: 'undecided', reason: `it answered ${status}, which says nothing about who it saw` }
  }
}

function inReview(body: string): SeenAs {
  const { data } = review.safeParse(parsed(body))
  if (data === undefined) return { kind: 'undecided', reason: 'its SelfSubjectReview cannot be read' }
  const { username, uid, groups, extra } = data.status.userInfo
  if (username === ANONYMOUS) return { kind: 'anonymous' }
  return { kind: 'user', username, review: { username, uid, groups, extra: new Map(Object.entries(extra)) } }
}

/** `… is forbidden: User "jane" cannot create …`; the name is quoted as Go does, which for plain names is as JSON does. */
function inRefusal(body: string): SeenAs {
  const { data } = refusal.safeParse(parsed(body))
  const quoted = /\bUser ("(?:[^"\\]|\\.)*") cannot /.exec(data?.message ?? '')?.[1]
  const username = quoted === undefined ? undefined : parsed(quoted)
  if (typeof username !== 'string') return { kind: 'undecided', reason: 'its refusal (403) does not say who it saw' }
  return username === ANONYMOUS ? { kind: 'anonymous' } : { kind: 'user', username }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
