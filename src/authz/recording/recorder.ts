/**
 * The recorder: reviews into a file that only its owner can read, never longer than was allowed, never in the way of a
 * decision. Owns the file, its length and the counting of repeated reviews; leaves what a line holds to `record.ts`.
 *
 * @module
 */
import { createHmac, randomBytes } from 'node:crypto'
import type { CallLog } from '../../context.ts'
import { ArchwayError } from '../../errors.ts'
import { isReservedName } from '../../user.ts'
import type { Attributes, Decision } from '../authorizer.ts'
import { headerText, LINE_OVERHEAD, lineText, reviewText } from './record.ts'
import type { RecordSink } from './recorded.ts'
import { diskFiles, type RecordingFile, type RecordingFiles } from './recording-files.ts'
import { recordingWriter } from './recording-writer.ts'

/** What {@link openRecorder} needs. */
export interface RecorderOptions {
  readonly path: string
  /** Longest file, in bytes. */
  readonly maxBytes: number
  /**
   * Files in all. With one, the recording stops when it is full; with more, `path` becomes `path.1` and so on, and the
   * oldest goes. Default 1.
   */
  readonly maxFiles?: number
  /**
   * Writes stand-ins in place of user names, made with a key that each file has of its own and that is kept nowhere.
   * Names of Kubernetes itself (`system:…`) stay. Default false.
   */
  readonly hashUsers?: boolean
  readonly log: CallLog
  readonly now: () => Date
  readonly randomKey?: () => Buffer
  readonly files?: RecordingFiles
}

/** For metrics and readiness. */
export interface RecorderStatus {
  /** Reviews that were taken, repeated ones included. */
  readonly reviews: number
  /** Of these, how many had been seen before and were counted only. */
  readonly repeated: number
  /** Reviews that were not taken: the file is full, the disk is slow or fails, the review is very long. */
  readonly dropped: number
  /** Writes that failed. */
  readonly failures: number
  readonly state: 'recording' | 'full' | 'failed' | 'closed'
}

export interface Recorder extends RecordSink {
  status(): RecorderStatus
  /** Resolves when what was recorded so far is written, or has failed. */
  flush(): Promise<void>
  /** Writes the counts and ends the file. May be called again. */
  close(): Promise<void>
}

/** Below, a header and a few reviews with many groups would not fit. */
export const MIN_RECORDING_BYTES: number = 64 * 1024

/** A user with some hundred groups; a longer review is dropped. */
const LONGEST_REVIEW = 16 * 1024
/** Reviews that are known again. */
const MOST_KNOWN = 4096
const MOST_KNOWN_BYTES = 4 * 1024 * 1024

/** A review that has been written, and how many more of it there were since. */
interface Known {
  readonly bytes: number
  more: number
}

/**
 * Creates the file and records into it. Throws `file_invalid` where it cannot be created: it must not exist yet, as a
 * file that others can read or a link could be waiting in its place. With several files one that exists moves on.
 */
export async function openRecorder(options: RecorderOptions): Promise<Recorder> {
  const { path, maxBytes, maxFiles = 1, hashUsers = false, log, now } = options
  const { randomKey = () => randomBytes(32), files = diskFiles() } = options
  if (!(maxBytes >= MIN_RECORDING_BYTES)) {
    throw new ArchwayError('config_invalid', `${path}: a recording needs at least ${MIN_RECORDING_BYTES} bytes`)
  }

  const known = new Map<string, Known>()
  let knownBytes = 0
  let state: RecorderStatus['state'] = 'recording'
  let reviews = 0
  let repeated = 0
  let dropped = 0
  let nameOf = naming()
  const header = (): string => headerText({ startedAt: now().toISOString(), users: hashUsers ? 'hashed' : 'plain' })
  /** Of the file, what waits to be written included. */
  let length = 0
  /** What the counts of repeated reviews would take. */
  let reserved = 0

  if (maxFiles > 1 && (await files.exists(path))) await moveOn()
  const writer = recordingWriter({ first: await files.create(path), next, log, path, onLoss: lost })
  put(header(), 0)

  return {
    record,
    status: () => ({ reviews, repeated, dropped, failures: writer.failures(), state }),
    flush: () => writer.flush(),
    async close() {
      if (state === 'recording') {
        writeCounts()
        state = 'closed'
      }
      await writer.close()
    },
  }

  function record(attributes: Attributes, decision: Decision): void {
    if (state !== 'recording') {
      dropped += 1
      return
    }
    const review = reviewText(attributes, decision, nameOf)
    const bytes = Buffer.byteLength(review) + LINE_OVERHEAD
    if (bytes > LONGEST_REVIEW) {
      dropped += 1
      return
    }
    const seen = known.get(review)
    const needed = seen !== undefined && seen.more > 0 ? 0 : bytes
    if (length + reserved + needed > maxBytes) {
      endFile(attributes, decision)
      return
    }
    reviews += 1
    if (seen === undefined) {
      remember(review, bytes)
      put(lineText(review, now()), 1)
    } else {
      repeated += 1
      seen.more += 1
      reserved += needed
    }
  }

  function remember(review: string, bytes: number): void {
    known.set(review, { bytes, more: 0 })
    knownBytes += bytes
    for (const [oldest, entry] of known) {
      if (known.size <= MOST_KNOWN && knownBytes <= MOST_KNOWN_BYTES) break
      known.delete(oldest)
      knownBytes -= entry.bytes
      writeCount(oldest, entry)
    }
  }

  function writeCount(review: string, { bytes, more }: Known): void {
    if (more === 0) return
    reserved -= bytes
    put(lineText(review, now(), more), more)
  }

  function writeCounts(): void {
    for (const [review, entry] of known) writeCount(review, entry)
    known.clear()
    knownBytes = 0
  }

  function put(line: string, count: number): void {
    length += Buffer.byteLength(line)
    writer.write(line, count)
  }

  /** The file is full: the next one begins with the review that did not fit, or there is none. */
  function endFile(attributes: Attributes, decision: Decision): void {
    writeCounts()
    if (maxFiles === 1) {
      state = 'full'
      dropped += 1
      log.warn({ path, maxBytes, reviews }, 'recording is full and has stopped')
      return
    }
    writer.rotate()
    length = 0
    nameOf = naming()
    put(header(), 0)
    record(attributes, decision)
  }

  async function next(): Promise<RecordingFile> {
    await moveOn()
    return files.create(path)
  }

  /** `path` → `path.1` → …; the last of them is written over, and so goes. */
  async function moveOn(): Promise<void> {
    for (let number = maxFiles - 1; number >= 1; number--) {
      const from = number === 1 ? path : `${path}.${number - 1}`
      if (await files.exists(from)) await files.rename(from, `${path}.${number}`)
    }
  }

  function lost(count: number, ended: boolean): void {
    dropped += count
    reviews -= count
    if (ended && state === 'recording') state = 'failed'
  }

  function naming(): (username: string) => string {
    return hashUsers ? standIns(randomKey()) : (username) => username
  }
}

/** Stand-ins for names, remembered: making one costs more than the rest of a record. */
function standIns(key: Buffer): (username: string) => string {
  const made = new Map<string, string>()
  return (username) => {
    const known = made.get(username)
    if (known !== undefined) return known
    const name = isReservedName(username) ? username : standIn(key, username)
    if (username.length > LONGEST_REMEMBERED) return name
    if (made.size === MOST_KNOWN) made.clear()
    made.set(username, name)
    return name
  }
}

/** Characters of a name that is remembered. */
const LONGEST_REMEMBERED = 256

function standIn(key: Buffer, username: string): string {
  return `user-${createHmac('sha256', key).update(username).digest('base64url').slice(0, 16)}`
}
