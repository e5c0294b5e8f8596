/** Whether a case held: what the API server received, and what the client got, against what the corpus says. */

import { filled, type HygieneCase, type Values } from './corpus.ts'
import { foldedName, linesOf } from './lenient-parser.ts'
import type { Exchange } from './raw-client.ts'

/** Stands in everything the corpus makes up; nowhere may any of it arrive as somebody's identity. */
const SPOOF = 'hygiene-spoof'

/** Why it did not hold; undefined where it did. `heads` are those that the API server received. */
export function failureOf(
  one: HygieneCase,
  values: Values,
  user: string,
  heads: readonly string[],
  { text, status, timedOut }: Exchange,
): string | undefined {
  const [back = ''] = text.split(/\r?\n\r?\n/)
  return (
    (timedOut && status === undefined ? 'no answer in time' : undefined) ??
    heads.map((head) => identityFailure(head, user)).find((failure) => failure !== undefined) ??
    heads.map((head) => contentFailure(one, values, head)).find((failure) => failure !== undefined) ??
    countFailure(one, heads.length, status) ??
    one.neverBack
      .filter((never) => back.toLowerCase().includes(never.toLowerCase()))
      .map((never) => `the client got "${never}"`)[0]
  )
}

/** Whatever arrives is of the one user, once, and of nobody else. */
function identityFailure(head: string, user: string): string | undefined {
  const names = linesOf(head).filter(({ name }) => foldedName(name) === 'x-remote-user')
  const wanted = Buffer.from(user).toString('latin1')
  const [only] = names
  if (only === undefined) return 'a request arrived without an identity'
  if (names.length > 1) return `a request arrived with ${names.length} user names`
  if (only.name.toLowerCase() !== 'x-remote-user' || only.value !== wanted) return 'a request arrived as somebody else'
  return undefined
}

function contentFailure(one: HygieneCase, values: Values, head: string): string | undefined {
  const lower = head.toLowerCase()
  const never = [SPOOF, ...one.never].find((text) => lower.includes(text.toLowerCase()))
  if (never !== undefined) return `a request arrived with ${JSON.stringify(never)}`
  const line = linesOf(head).find(({ name }) => one.without.includes(foldedName(name)))
  if (line !== undefined) return `a request arrived with ${line.name.trim()}`
  const absent = filled(one.whole, values).find((text) => !head.includes(text))
  if (absent !== undefined) return 'a request arrived cut'
  if (one.target === undefined) return undefined
  const [target] = filled([one.target], values)
  return head.split(' ')[1] === target ? undefined : 'a request arrived for another target'
}

function countFailure(one: HygieneCase, count: number, status: number | undefined): string | undefined {
  if (count > one.requests) return `${count} requests arrived`
  if (one.outcome === 'refused' && count > 0) return 'it was passed on'
  if (one.outcome === 'forwarded' && count === 0) return `it was not passed on (status ${status ?? 'none'})`
  if (count === 0 && status !== undefined && status < 400) return `nothing arrived, and the answer was ${status}`
  return undefined
}
