/** Heads for the tests of this folder. */

import assert from 'node:assert/strict'
import { createHygiene } from '../../../src/proxy/hygiene/create.ts'
import type { CleanHead, HygieneOptions, HygieneResult, Origin, RawHead } from '../../../src/proxy/hygiene/hygiene.ts'
import type { HeaderLines } from '../../../src/proxy/wire.ts'

export const ORIGIN: Origin = { remoteAddress: '192.0.2.7', scheme: 'https', trace: [] }

export const HOST = ['Host', 'proxy.example:6443'] as const

/** A GET over HTTP/1.1 with a Host, and what the test has of its own. */
export function raw(lines: HeaderLines, other: Partial<RawHead> = {}): RawHead {
  return { protocol: 'HTTP/1.1', method: 'GET', target: '/api/v1/pods', headers: [HOST, ...lines], ...other }
}

export function check(
  lines: HeaderLines,
  other: Partial<RawHead> = {},
  options: Partial<HygieneOptions> = {},
): HygieneResult {
  return createHygiene({ impersonation: 'refuse', ...options }).check(raw(lines, other))
}

export function clean(
  lines: HeaderLines,
  other: Partial<RawHead> = {},
  options: Partial<HygieneOptions> = {},
): CleanHead {
  const result = check(lines, other, options)
  assert.ok(result.kind === 'clean', result.kind === 'refused' ? result.message : '')
  return result.head
}

/** Lines that passed, without the Host that always does. */
export function passed(
  lines: HeaderLines,
  other: Partial<RawHead> = {},
  options: Partial<HygieneOptions> = {},
): HeaderLines {
  return clean(lines, other, options).headers.filter(([name]) => name !== 'Host')
}

export function assertRefused(result: HygieneResult, threat: string, status = 400): void {
  assert.ok(result.kind === 'refused', 'passed')
  assert.deepEqual([result.threat, result.status], [threat, status], result.message)
}
