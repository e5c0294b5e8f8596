/**
 * The recorder: reviews into a file that only its owner can read, never longer than was allowed, never in the way of a
 * decision. Owns the file, its length and the counting of repeated reviews; leaves what a line holds to `record.ts`.
 *
 * @module
 */
import { createHmac, randomBytes } from 'node:crypto'
import type { CallLog } from '../../context.ts'
import { ArchwayError, messageOf } from '../../errors.ts'
import { isReservedName } from '../../user.ts'
import type { Attributes, Decision } from '../authorizer.ts'
import { headerText, LINE_OVERHEAD, lineText, reviewText } from './record.ts'
import type { RecordSink } from './recorded.ts'
import { diskFiles, type RecordingFile, type RecordingFiles } from './recording-files.ts'

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
const MOST_WAITING = 4 * 1024 * 1024
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
    if (!hashUsers) return (username) => username
    const key = randomKey()
    return (username) =>
      isReservedName(username)
        ? username
        : `user-${createHmac('sha256', key).update(username).digest('base64url').slice(0, 16)}`
  }
}

// --- writing ---------------------------------------------------------------------------------------------------

interface WriterOptions {
  readonly path: string
  readonly first: RecordingFile
  readonly next: () => Promise<RecordingFile>
  readonly log: CallLog
  /** So many reviews will not be in the file; `ended`: nor will any that follow. */
  readonly onLoss: (count: number, ended: boolean) => void
}

interface Writer {
  /** `count`: the reviews in the line. */
  write(line: string, count: number): void
  /** What follows goes into the next file. */
  rotate(): void
  failures(): number
  flush(): Promise<void>
  close(): Promise<void>
}

type Waiting = { readonly line: string; readonly count: number } | 'rotate'

/** One write at a time; what comes meanwhile goes out together with the next. */
function recordingWriter({ path, first, next, log, onLoss }: WriterOptions): Writer {
  let file: RecordingFile | undefined = first
  let waiting: Waiting[] = []
  let waitingLength = 0
  let working: Promise<void> | undefined
  let failures = 0
  let torn = false
  let slow = false
  let ended = false

  function begin(): void {
    working ??= work().finally(() => {
      working = undefined
    })
  }

  async function work(): Promise<void> {
    // The first line of a burst waits for the others of it.
    await Promise.resolve()
    while (waiting.length > 0) {
      const taken = waiting
      waiting = []
      waitingLength = 0
      for (let from = 0; from < taken.length; ) {
        const rotation = taken.indexOf('rotate', from)
        const end = rotation === -1 ? taken.length : rotation
        await append(taken.slice(from, end).filter((entry) => entry !== 'rotate'))
        if (rotation !== -1) await goOn()
        from = end + 1
      }
    }
  }

  async function append(lines: readonly { readonly line: string; readonly count: number }[]): Promise<void> {
    if (lines.length === 0) return
    const count = lines.reduce((sum, line) => sum + line.count, 0)
    if (file === undefined) {
      onLoss(count, ended)
      return
    }
    try {
      await file.append(`${torn ? '\n' : ''}${lines.map(({ line }) => line).join('')}`)
      torn = false
    } catch (thrown) {
      if (failures === 0) log.error({ path, error: messageOf(thrown) }, 'recording cannot be written; decisions go on')
      failures += 1
      torn = true
      onLoss(count, ended)
    }
  }

  async function goOn(): Promise<void> {
    try {
      await file?.close()
      file = await next()
      torn = false
    } catch (thrown) {
      file = undefined
      failures += 1
      ended = true
      log.error({ path, error: messageOf(thrown) }, 'recording has stopped: its next file cannot be made')
      onLoss(0, ended)
    }
  }

  return {
    write(line, count) {
      if (waitingLength + line.length > MOST_WAITING) {
        if (!slow) log.warn({ path }, 'recording leaves out reviews: they come faster than they can be written')
        slow = true
        onLoss(count, ended)
        return
      }
      waiting.push({ line, count })
      waitingLength += line.length
      begin()
    },
    rotate() {
      waiting.push('rotate')
      begin()
    },
    failures: () => failures,
    async flush() {
      await working
    },
    async close() {
      await working
      const open = file
      file = undefined
      await open?.close().catch(() => {}) // what could not be written has been said
    },
  }
}
