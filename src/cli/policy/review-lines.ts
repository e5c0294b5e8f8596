/**
 * SubjectAccessReview objects as text: one, or a stream of them, a line each.
 *
 * @module
 */
import { createReadStream, readFileSync } from 'node:fs'
import { type Attributes, type Authorizer, type Decision, toAttributes } from '../../authz/authorizer.ts'
import { type Line, linesOf } from '../../authz/recording/json-lines.ts'
import type { CallContext } from '../../context.ts'
import { ArchwayError, messageOf } from '../../errors.ts'
import { parseReview } from '../../kube/review.ts'
import { type CommandIo, ExitError } from '../io.ts'

/** Longest review: what the server takes, unless it is told otherwise. */
const LONGEST_REVIEW = 1024 * 1024

/**
 * Decides on every review of a stream, and writes a line for each, in order, as soon as a piece of the stream is
 * through. A line that is no review gets one too, with the error; blank lines get none. Resolves to whether all could
 * be decided.
 */
export async function decideLines(
  chunks: AsyncIterable<Uint8Array>,
  authorizer: Authorizer,
  ctx: CallContext,
  io: CommandIo,
): Promise<boolean> {
  let all = true
  for await (const lines of linesOf(chunks, { maxBytes: LONGEST_REVIEW })) {
    let answers = ''
    for (const line of lines) {
      if (isBlank(line)) continue
      const answer = await answerTo(line, authorizer, ctx)
      all &&= answer.error === undefined
      answers += `${JSON.stringify(answer)}\n`
    }
    if (answers !== '') io.out(answers)
  }
  return all
}

interface Answer {
  readonly decision: Decision['kind']
  readonly reason: string
  /** Why nobody could tell. */
  readonly error?: string
}

async function answerTo(line: Line, authorizer: Authorizer, ctx: CallContext): Promise<Answer> {
  try {
    const decision = await authorizer.authorize(attributesOf(bytesOf(line)), ctx)
    const { kind, reason = '' } = decision
    const error = kind === 'no-opinion' ? decision.evaluationError : undefined
    return { decision: kind, reason, ...(error === undefined ? {} : { error }) }
  } catch (thrown) {
    return { decision: 'no-opinion', reason: '', error: `line ${line.number}: ${messageOf(thrown)}` }
  }
}

function bytesOf(line: Line): Buffer {
  if (line.kind === 'line') return line.bytes
  throw new ArchwayError('body_invalid', `is longer than ${LONGEST_REVIEW} bytes`)
}

function isBlank(line: Line): boolean {
  return line.kind === 'line' && (line.bytes.length === 0 || (line.bytes.length < 16 && /^\s*$/.test(`${line.bytes}`)))
}

/** What a review asks. Throws `body_invalid` or `kind_unknown`. */
export function attributesOf(bytes: Buffer): Attributes {
  const review = parseReview(bytes)
  if (review.kind !== 'SubjectAccessReview') {
    throw new ArchwayError('kind_unknown', `a ${review.kind} asks who somebody is: send SubjectAccessReview`)
  }
  return toAttributes(review)
}

/** The one review in a file, or `-` for standard input. Ends the command with status 2 where it is none. */
export function readOneReview(path: string, io: CommandIo): Attributes {
  try {
    return attributesOf(path === '-' ? Buffer.from(io.readInput()) : readFileSync(path))
  } catch (thrown) {
    if (thrown instanceof ExitError) throw thrown
    throw new ExitError(2, `archway: ${path === '-' ? 'standard input' : path}: ${messageOf(thrown)}`)
  }
}

/** A file, or `-` for standard input, in pieces. */
export async function* readChunks(path: string, io: CommandIo): AsyncGenerator<Uint8Array> {
  try {
    if (path !== '-') yield* createReadStream(path) as AsyncIterable<Buffer>
    else if (io.inputChunks !== undefined) yield* io.inputChunks()
    else yield Buffer.from(io.readInput())
  } catch (thrown) {
    if (thrown instanceof ExitError) throw thrown
    throw new ExitError(2, `archway: cannot read ${path === '-' ? 'standard input' : path}: ${messageOf(thrown)}`)
  }
}
