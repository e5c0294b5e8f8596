/**
 * Reads a recording: one review after the other, however long the file is. Lines that are none (the last one of a
 * process that was killed) are reported and passed over.
 *
 * @module
 */
import { ArchwayError, messageOf } from '../../errors.ts'
import { type Line, linesOf } from './json-lines.ts'
import { parseHeader, parseRecord, type RecordedReview, type RecordingHeader } from './record.ts'

/** A recording that is being read. */
export interface Recording {
  readonly header: RecordingHeader
  readonly reviews: AsyncIterable<RecordedLine>
}

export type RecordedLine =
  | { readonly kind: 'review'; readonly line: number; readonly review: RecordedReview }
  | { readonly kind: 'unreadable'; readonly line: number; readonly why: string }

/** Longer lines are in no recording. */
const LONGEST_LINE = 64 * 1024

/** Reads the header; the rest is read as it is asked for. Throws `file_invalid` where it is no recording. */
export async function readRecording(chunks: AsyncIterable<Uint8Array>, where: string): Promise<Recording> {
  const batches = linesOf(chunks, { maxBytes: LONGEST_LINE })
  const first = await batches.next()
  const [head, ...others] = first.done === true ? [] : first.value
  return { header: headerOf(head, where), reviews: reviewsOf(others, batches) }
}

function headerOf(line: Line | undefined, where: string): RecordingHeader {
  if (line === undefined) throw new ArchwayError('file_invalid', `${where}: is empty`)
  try {
    if (line.kind === 'too-long') throw new Error('the first line is very long')
    return parseHeader(line.bytes)
  } catch (thrown) {
    throw new ArchwayError('file_invalid', `${where}:1: is no recording of reviews: ${messageOf(thrown)}`)
  }
}

async function* reviewsOf(
  first: readonly Line[],
  batches: AsyncIterable<readonly Line[]>,
): AsyncGenerator<RecordedLine> {
  for (const line of first) if (!isEmpty(line)) yield recordedLine(line)
  for await (const lines of batches) for (const line of lines) if (!isEmpty(line)) yield recordedLine(line)
}

function isEmpty(line: Line): boolean {
  return line.kind === 'line' && line.bytes.length === 0
}

function recordedLine(line: Line): RecordedLine {
  if (line.kind === 'too-long') return { kind: 'unreadable', line: line.number, why: 'is too long for a review' }
  try {
    return { kind: 'review', line: line.number, review: parseRecord(line.bytes) }
  } catch (thrown) {
    return { kind: 'unreadable', line: line.number, why: messageOf(thrown) }
  }
}
