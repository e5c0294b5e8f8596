/**
 * Writes the lines of a recording, one write at a time, while decisions go on. What cannot be written is counted, said
 * once, and left.
 *
 * @module
 */
import type { CallLog } from '../../context.ts'
import { messageOf } from '../../errors.ts'
import type { RecordingFile } from './recording-files.ts'

/** What {@link recordingWriter} needs. */
export interface WriterOptions {
  readonly path: string
  readonly first: RecordingFile
  readonly next: () => Promise<RecordingFile>
  readonly log: CallLog
  /** So many reviews will not be in the file; `ended`: nor will any that follow. */
  readonly onLoss: (count: number, ended: boolean) => void
}

export interface RecordingWriter {
  /** `count`: the reviews in the line. */
  write(line: string, count: number): void
  /** What follows goes into the next file. */
  rotate(): void
  failures(): number
  flush(): Promise<void>
  close(): Promise<void>
}

type Waiting = { readonly line: string; readonly count: number } | 'rotate'

/** Text that may wait to be written. */
const MOST_WAITING = 4 * 1024 * 1024

/** One write at a time; what comes meanwhile goes out together with the next. */
export function recordingWriter({ path, first, next, log, onLoss }: WriterOptions): RecordingWriter {
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
