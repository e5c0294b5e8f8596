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
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: describeError, err: describeError },
      hooks: { streamWrite: redact },
    },
    sink.stream,
  )
  return wrap(root as unknown as PinoLike, sink.flush)
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
    const stream = pretty({
      colorize: write === undefined && process.stderr.hasColors?.() === true,
      customLevels: VALUES,
      messageKey: 'message',
      errorKey: 'error',
      errorLikeObjectKeys: [],
      timestampKey: 'time',
      translateTime: 'SYS:HH:MM:ss.l',
      singleLine: true,
      sync: true,
      destination: write === undefined ? STDERR : { write },
    } as import('pino-pretty').PrettyOptions)
    return { stream, flush: () => {} }
  }
  if (write !== undefined) return { stream: { write }, flush: () => {} }
  // Lines leave in batches: a write per review would cost more than the review.
  const stream = pino.destination({ dest: STDERR, sync: false, minLength: 4096, periodicFlush: 250 })
  return { stream, flush: () => stream.flushSync() }
}

/** Errors as fields: names, codes, causes. Stacks only of faults of ours, which have no code. */
function describeError(thrown: unknown): unknown {
  if (!(thrown instanceof Error)) return String(thrown)
  const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : undefined
  return {
    type: thrown.name,
    message: thrown.message,
    ...(code === undefined ? { stack: thrown.stack } : { code }),
    ...(thrown.cause === undefined ? {} : { cause: describeError(thrown.cause) }),
    ...(thrown instanceof AggregateError ? { errors: thrown.errors.map(describeError) } : {}),
  }
}

const FERNET = /gAAAA[\w-]{16,}=*/g
const JWT = /eyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g
const BEARER = /\b(bearer|basic|x-auth-token|x-subject-token)([\s":=]+)[^\s",]{8,}/gi

/** Last line of defence, for text that came from elsewhere: what looks like a token is cut out of the line. */
export function redact(line: string): string {
  let clean = line
  if (clean.includes('gAAAA')) clean = clean.replace(FERNET, '[redacted]')
  if (clean.includes('eyJ')) clean = clean.replace(JWT, '[redacted]')
  if (/bearer|basic |-token/i.test(clean)) clean = clean.replace(BEARER, '$1$2[redacted]')
  return clean
}
