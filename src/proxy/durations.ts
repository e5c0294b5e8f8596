/**
 * Which requests last: those that go on for as long as somebody looks or types, and are over when they are over.
 *
 * @module
 */
import type { RequestInfo } from '../kube/request-info.ts'
import type { CleanHead } from './hygiene/hygiene.ts'

/** As kube-apiserver's `--long-running` defaults, `BasicLongRunningRequestCheck`. */
const VERBS: ReadonlySet<string> = new Set(['watch', 'proxy'])
const SUBRESOURCES: ReadonlySet<string> = new Set(['attach', 'exec', 'log', 'portforward', 'proxy'])

export function durationOf(info: RequestInfo | undefined, { upgrade }: CleanHead): 'short' | 'long' {
  if (upgrade !== undefined) return 'long'
  return info !== undefined && (VERBS.has(info.verb) || SUBRESOURCES.has(info.subresource)) ? 'long' : 'short'
}

const FOLLOW = /(?:^|&)follow=(?:1|t|T|true|TRUE|True)(?:&|$)/

/** It can be ended between two of its lines, and whoever reads it begins again where it left off. */
export function canBeResumed(info: RequestInfo | undefined, { query }: CleanHead): boolean {
  return info?.verb === 'watch' || (info?.subresource === 'log' && FOLLOW.test(query))
}
