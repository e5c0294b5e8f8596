/**
 * A reporter for node's test runner that reports to tools/test.ts: one JSON line an event, with errors already put
 * into words (their classes do not survive the way). It passes on the events that node sends at once, not those it
 * holds back to keep files in order.
 */

import { relative, resolve } from 'node:path'
import type { TestEvent } from 'node:test/reporters'
import { inspect } from 'node:util'

export interface TestLine {
  readonly type: 'queued' | 'begun' | 'ended' | 'output' | 'total'
  /** The file that was run; a test in it may be defined elsewhere. */
  readonly file: string
  readonly definedIn: string
  /** About the file as such, not a test in it. */
  readonly wholeFile: boolean
  readonly name: string
  readonly nesting: number
  readonly line: number
  readonly kind: 'test' | 'suite'
  readonly ms: number
  /** Also "todo": a test that is not to be counted on. */
  readonly skipped: boolean
  /** Why it failed: node's failureType, and the error in words. */
  readonly failure?: { readonly type: string; readonly text: string }
  readonly text?: string
  /** How many tests passed by node's own count, at the very end. */
  readonly passed?: number
}

const TYPES: Readonly<Record<string, TestLine['type']>> = {
  'test:enqueue': 'queued',
  'test:dequeue': 'begun',
  'test:complete': 'ended',
  'test:stdout': 'output',
  'test:stderr': 'output',
  'test:summary': 'total',
}

// biome-ignore lint/style/noDefaultExport: node takes a reporter from the default export
export default async function* events(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of source) {
    const type = TYPES[event.type]
    if (type !== undefined) yield `${JSON.stringify(toLine(type, event.data as EventData))}\n`
  }
}

/** The members that node's events have in one place or another. */
interface EventData {
  readonly file?: string
  readonly entryFile?: string
  readonly counts?: { readonly passed: number }
  readonly name?: string
  readonly nesting?: number
  readonly line?: number
  readonly column?: number
  readonly skip?: string | boolean
  readonly todo?: string | boolean
  readonly message?: string
  readonly details?: {
    readonly type?: string
    readonly duration_ms?: number
    readonly error?: Error & { readonly failureType?: string }
  }
}

function toLine(type: TestLine['type'], data: EventData): TestLine {
  const definedIn = relative(process.cwd(), resolve(data.file ?? ''))
  const file = data.entryFile === undefined ? definedIn : relative(process.cwd(), resolve(data.entryFile))
  const error = data.details?.error
  return {
    type,
    file,
    definedIn,
    wholeFile: data.nesting === 0 && data.line === 1 && data.column === 1 && data.name === file,
    name: data.name ?? '',
    nesting: data.nesting ?? 0,
    line: data.line ?? 0,
    kind: data.details?.type === 'suite' ? 'suite' : 'test',
    ms: data.details?.duration_ms ?? 0,
    skipped: isSet(data.skip) || isSet(data.todo),
    ...(error && { failure: { type: error.failureType ?? '', text: inWords(error.cause ?? error) } }),
    ...(data.message !== undefined && { text: data.message }),
    ...(data.counts !== undefined && { passed: data.counts.passed }),
  }
}

/** `skip: true`, or a reason that may be empty. */
function isSet(option: string | boolean | undefined): boolean {
  return option !== undefined && option !== false
}

function inWords(error: unknown): string {
  if (!(error instanceof Error)) return typeof error === 'string' ? error : inspect(error)
  const stack = (error.stack ?? `${error.name}: ${error.message}`)
    .split('\n')
    .filter((line) => !/^\s+at .*\(?node:internal/.test(line))
    .join('\n')
    .replaceAll(`file://${process.cwd()}/`, '')
  return error.cause === undefined ? stack : `${stack}\ncaused by ${inWords(error.cause)}`
}
