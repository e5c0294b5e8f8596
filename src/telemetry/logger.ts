/**
 * The logger: constant messages plus fields, one line each. Owns levels, formats and the last redaction before a
 * line leaves; what is worth a line is each room's own to say.
 *
 * Levels say who acts:
 * - `error`: somebody must act now, people are kept out or an answer was lost.
 * - `warn`: an operator should look; the service goes on.
 * - `info`: the life of the process: start, reload, stop.
 * - `decision`: one line for every review. Nobody acts; it is the record of who was let in.
 * - `debug`: what happened on the way. Safe to turn on: no level shows a token.
 *
 * @module
 */
import pino from 'pino'
import type { CallLog } from '../context.ts'
import { messageOf } from '../errors.ts'

export const LOG_LEVELS = ['error', 'warn', 'info', 'decision', 'debug'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export const LOG_FORMATS = ['auto', 'json', 'human'] as const
export type LogFormat = (typeof LOG_FORMATS)[number]

export interface Logger extends CallLog {
  /** The record of one review. */
  decision(fields: object, message: string): void
  /** A logger whose lines carry these fields too. */
  child(fields: object): Logger
  /** Writes what is buffered. Call it before the process ends. */
  flush(): void
}

export interface LoggerOptions {
  readonly level: LogLevel
  /** `auto`: for people on a terminal, JSON elsewhere. */
  readonly format: LogFormat
  /** Where lines go; file descriptor 2 when absent. */
  readonly write?: (line: string) => void
}

const VALUES = { debug: 20, decision: 25, info: 30, warn: 40, error: 50 }
const STDERR = 2

export async function createLogger(options: LoggerOptions): Promise<Logger> {
  const human = options.format === 'human' || (options.format === 'auto' && process.stderr.isTTY === true)
  const sink = await openSink(options.write, human)
  const root = pino<'decision', true>(
    {
      level: options.level,
      customLevels: VALUES,
      useOnlyCustomLevels: true,
      base: null,
      messageKey: 'message',
      errorKey: 'error',
      timestamp: timestamps(),
      formatters: { level: (label) => ({ level: label }) },
      serializers: {
        error: (thrown: unknown) => describeError(thrown),
        err: (thrown: unknown) => describeError(thrown),
      },
      hooks: { streamWrite: (line) => visible(redact(line)) },
    },
    sink.stream,
  )
  return wrap(root as unknown as PinoLike, sink.flush)
}

/** The time of a line; many lines share a millisecond, and each is formatted once. */
function timestamps(): () => string {
  let last = Number.NaN
  let text = ''
  return () => {
    const now = Date.now()
    if (now !== last) {
      last = now
      text = `,"time":"${new Date(now).toISOString()}"`
    }
    return text
  }
}

/** The part of pino's logger that is used; its own type has every default level in it. */
interface PinoLike {
  debug(fields: object, message: string): void
  decision(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  child(fields: object): PinoLike
}

function wrap(target: PinoLike, flush: () => void): Logger {
  return {
    debug: (fields, message) => target.debug(fields, message),
    decision: (fields, message) => target.decision(fields, message),
    info: (fields, message) => target.info(fields, message),
    warn: (fields, message) => target.warn(fields, message),
    error: (fields, message) => target.error(fields, message),
    child: (fields) => wrap(target.child(fields), flush),
    flush,
  }
}

interface Sink {
  readonly stream: pino.DestinationStream
  readonly flush: () => void
}

async function openSink(write: ((line: string) => void) | undefined, human: boolean): Promise<Sink> {
  if (human) {
    const { default: pretty } = await import('pino-pretty')
    // The function behind the stream: line in, line out, so that nothing waits in a pipe when the process ends.
    const format = (pretty as unknown as { prettyFactory(options: object): (line: string) => string }).prettyFactory({
      colorize: write === undefined && process.stderr.hasColors?.() === true,
      customLevels: VALUES,
      messageKey: 'message',
      errorLikeObjectKeys: [],
      timestampKey: 'time',
      translateTime: 'SYS:HH:MM:ss.l',
      singleLine: true,
    })
    const out = write ?? ((text: string) => void process.stderr.write(text))
    return { stream: { write: (line) => out(visible(format(line))) }, flush: () => {} }
  }
  if (write !== undefined) return { stream: { write }, flush: () => {} }
  // Lines leave in batches: a write per review would cost more than the review. As bytes: for text the stream counts
  // the length of the whole batch again at every line.
  const stream = pino.destination({
    dest: STDERR,
    sync: false,
    minLength: 16_384,
    maxWrite: 65_536,
    // Whoever reads standard error may have stopped: then lines are lost, not the service.
    maxLength: 64 * 1024 * 1024,
    periodicFlush: 250,
    contentMode: 'buffer',
  } as Parameters<typeof pino.destination>[0])
  return { stream: { write: (line) => void stream.write(Buffer.from(line) as never) }, flush: () => stream.flushSync() }
}

/** Causes of causes that are described; a cause may lead back to itself. */
const MAX_CAUSES = 8

/** Errors as fields: names, codes, causes. Stacks only of faults of ours, which have no code. */
function describeError(thrown: unknown, depth = 0): unknown {
  if (!(thrown instanceof Error)) return messageOf(thrown)
  const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : undefined
  const deeper = (inner: unknown): unknown => (depth < MAX_CAUSES ? describeError(inner, depth + 1) : '…')
  return {
    type: thrown.name,
    message: thrown.message,
    ...(code === undefined ? { stack: thrown.stack } : { code }),
    ...(thrown.cause === undefined ? {} : { cause: deeper(thrown.cause) }),
    ...(thrown instanceof AggregateError ? { errors: thrown.errors.map(deeper) } : {}),
  }
}

const FERNET = /gAAAA[\w-]{16,}=*/g
const JWT = /eyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g
/** A scheme with its credentials, and Keystone's headers, be they text, JSON within a text or a list of headers. */
const SCHEME = /\b(bearer|basic)([\s"'\\:=]+)[^\s"'\\,]{8,}/gi
const HEADER = /\b(x-[a-z]+-token)([\s"'\\:=,[]+)[^\s"'\\,\]]{8,}/gi

/** Last line of defence, for text that came from elsewhere: what looks like a token is cut out of the line. */
export function redact(line: string): string {
  let clean = line
  if (clean.includes('gAAAA')) clean = clean.replace(FERNET, '[redacted]')
  if (clean.includes('eyJ')) clean = clean.replace(JWT, '[redacted]')
  if (/bearer|basic/i.test(clean)) clean = clean.replace(SCHEME, '$1$2[redacted]')
  if (/-token/i.test(clean)) clean = clean.replace(HEADER, '$1$2[redacted]')
  return clean
}

const BEYOND_ASCII = /[^\n\x20-\x7e]/
const INVISIBLE = /[\x7f-\x9f\p{Cf}\u2028\u2029]/gu

/** A name that a stranger sent must not move the cursor of a terminal, nor turn the line around. JSON stays the same. */
function visible(line: string): string {
  if (!BEYOND_ASCII.test(line)) return line
  return line.replace(INVISIBLE, (char) =>
    Array.from({ length: char.length }, (_, at) => `\\u${char.charCodeAt(at).toString(16).padStart(4, '0')}`).join(''),
  )
}
