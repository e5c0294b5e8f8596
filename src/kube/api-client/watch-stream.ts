/**
 * The stream of a watch: one JSON object a line, for as long as it lasts. Owns lines and what an event is.
 *
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
 * @module
 */
import { asObject, type Fields, member, optionalString } from '../fields.ts'
import { KubeApiError } from './error.ts'
import { type Answer, asKubeError } from './transport.ts'

/** Something that happened to an object. */
export interface WatchEvent {
  /** A bookmark has nothing but a newer `resourceVersion`. */
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'
  readonly object: Fields
  readonly resourceVersion: string
}

const TYPES = ['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK'] as const
/** etcd takes objects of 1.5 MB; their JSON may be somewhat longer. */
const MAX_LINE_BYTES = 8 * 1024 * 1024
const NEWLINE = 0x0a

/**
 * Reads events until the server ends the stream. A line that was cut is dropped: it comes again when the watch goes on.
 * Throws for a connection that is lost or silent, for an `ERROR` event (`expired` where the state is too old) and for
 * anything that is no event.
 */
export async function* watchEvents(answer: Answer, what: string, signal: AbortSignal): AsyncGenerator<WatchEvent> {
  let parts: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of answer.body) {
      let rest = Buffer.from(chunk)
      for (let end = rest.indexOf(NEWLINE); end !== -1; end = rest.indexOf(NEWLINE)) {
        const line = Buffer.concat([...parts, rest.subarray(0, end)])
        rest = rest.subarray(end + 1)
        parts = []
        size = 0
        if (line.length > 0) yield parseEvent(line)
      }
      if (rest.length > 0) parts.push(rest)
      size += rest.length
      if (size > MAX_LINE_BYTES) throw new KubeApiError('answer', `an event is longer than ${MAX_LINE_BYTES} bytes`)
    }
  } catch (thrown) {
    throw asKubeError(thrown, signal).during(what)
  } finally {
    answer.body.destroy()
  }
}

function parseEvent(line: Buffer): WatchEvent {
  let event: Fields
  let object: Fields
  try {
    event = asObject(JSON.parse(line.toString('utf8')), 'the event')
    object = asObject(member(event, 'object'), 'object')
  } catch (cause) {
    throw new KubeApiError('answer', 'a line is no event', { cause })
  }
  const type = TYPES.find((known) => known === event['type'])
  if (type === undefined) throw unexpected(event, object)
  const metadata = asObject(member(object, 'metadata') ?? {}, 'metadata')
  const resourceVersion = optionalString(metadata, 'resourceVersion', 'resourceVersion')
  if (resourceVersion === '') throw new KubeApiError('answer', 'an event has no resourceVersion')
  return { type, object, resourceVersion }
}

/** `ERROR` carries a Status. */
function unexpected(event: Fields, object: Fields): KubeApiError {
  if (event['type'] !== 'ERROR') return new KubeApiError('answer', 'an event is of no known type')
  const code = member(object, 'code')
  const status = typeof code === 'number' ? code : 500
  const message = optionalString(object, 'message', 'message')
  const reason = optionalString(object, 'reason', 'reason')
  return new KubeApiError('answer', `the server ends the watch: ${status} ${message}`.trim(), { status, reason })
}
