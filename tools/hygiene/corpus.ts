/** The hygiene corpus as data: hostile requests, and what must hold for each. The file is read whole or not at all. */

import { readFileSync } from 'node:fs'
import { z } from 'zod'

/** A line of the request, or one that stands many times, `{n}` counting. One character a byte. */
const Line = z.union([z.string(), z.strictObject({ line: z.string(), times: z.int().positive() })])

const Case = z.strictObject({
  id: z.string().regex(/^[a-z0-9-]+$/),
  threat: z.string().regex(/^H\d+$/),
  title: z.string(),
  /** Lines, to be joined by CRLF, with placeholders; see {@link Values}. */
  request: z.array(Line),
  /** `refused`: never passed on. `forwarded`: passed on. `either`: as long as the rest holds. */
  outcome: z.enum(['refused', 'forwarded', 'either']),
  /** How many requests the API server may see at most. */
  requests: z.int().default(1),
  /** Texts that no request there may have in its head, in any case. */
  never: z.array(z.string()).default([]),
  /** Names that no line there may have, `_` and `.` taken for `-`. */
  without: z.array(z.string()).default([]),
  /** Texts that the request there must have, all of them, if there is one. */
  whole: z.array(Line).default([]),
  /** The target there, to the byte. */
  target: z.string().optional(),
  /** Texts that the client may not see. */
  neverBack: z.array(z.string()).default([]),
  /** The answer is over when the connection is, not before. */
  untilClose: z.boolean().default(false),
})

export type HygieneCase = z.output<typeof Case>

const Corpus = z.strictObject({ about: z.string(), cases: z.array(Case).min(1) })

const CORPUS = new URL('../../examples/hygiene/corpus.json', import.meta.url)

/** Every case, in the order of the file. Throws where the file is not what it should be. */
export function readCorpus(file: URL | string = CORPUS): readonly HygieneCase[] {
  const { cases } = Corpus.parse(JSON.parse(readFileSync(file, 'utf8')))
  const twice = cases.find(({ id }, at) => cases.findIndex((other) => other.id === id) !== at)
  if (twice !== undefined) throw new Error(`the corpus has two cases "${twice.id}": give one another id`)
  return cases
}

/**
 * What placeholders stand for: `{path}`, `{host}`, `{credential}` (the whole line), `{subprotocol}`. Three more follow
 * from the request: `{length}` of its body, `{chunk-length}` of the one chunk in it, and `{long}`, 100,000 characters.
 */
export interface Values {
  readonly path: string
  readonly host: string
  readonly credential: string
  readonly subprotocol: string
}

const LONG = 'x'.repeat(100_000)
const LAST_CHUNK = '\r\n0\r\n\r\n'

/** The bytes of a case's request. */
export function bytesOf({ request }: HygieneCase, values: Values): Buffer {
  const text = filled(request, values).join('\r\n')
  const body = text.slice(text.indexOf('\r\n\r\n') + 4)
  const chunk = body.length - body.indexOf('\r\n') - 2 - LAST_CHUNK.length
  const whole = text.replaceAll('{length}', `${body.length}`).replace('{chunk-length}', chunk.toString(16))
  return Buffer.from(whole, 'latin1')
}

/** Lines with their placeholders filled and repetitions written out. */
export function filled(lines: HygieneCase['request'], values: Values): string[] {
  return lines
    .flatMap((line) =>
      typeof line === 'string'
        ? [line]
        : Array.from({ length: line.times }, (_, at) => line.line.replaceAll('{n}', `${at}`)),
    )
    .map((line) =>
      line
        .replace(/\{(path|host|credential|subprotocol)\}/g, (_, name: keyof Values) => values[name])
        .replaceAll('{long}', LONG),
    )
}
