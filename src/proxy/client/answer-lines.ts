/**
 * An answer of our own as header lines and bytes.
 *
 * @module
 */
import type { HttpAnswer } from '../../http.ts'
import type { HeaderLines } from '../wire.ts'

/** What kube-apiserver sends with its own: nobody is to keep it, nor to take it for something else. */
const FIXED: HeaderLines = [
  ['Cache-Control', 'no-cache, private'],
  ['X-Content-Type-Options', 'nosniff'],
]

export function answerLines({ contentType = 'application/json', headers = [] }: HttpAnswer): HeaderLines {
  return [['Content-Type', contentType], ...FIXED, ...headers]
}
