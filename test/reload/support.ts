/**
 * Files in memory and a log that remembers: what the tests of followed files stand on.
 *
 * @module
 */
import type { CallLog } from '../../src/context.ts'
import type { FileFacts, FileReads } from '../../src/reload/file-set.ts'

/** Long after every file of {@link memoryFiles} was changed, so that their stamps are trusted. */
export const LATER: Date = new Date('2030-01-01T00:00:00Z')

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly fields: object
  readonly message: string
}

export interface RecordingLog extends CallLog {
  readonly lines: LogLine[]
}

export function recordingLog(): RecordingLog {
  const lines: LogLine[] = []
  const at = (level: LogLine['level']) => (fields: object, message: string) => {
    lines.push({ level, fields, message })
  }
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

export interface MemoryFiles extends FileReads {
  write(path: string, content: string | Buffer, facts?: Partial<FileFacts>): void
  remove(path: string): void
  /** Paths whose content was read, in order. */
  readonly read: string[]
  /** Called before content is given out: the place to change files under the reader. */
  beforeContent: (path: string) => void | Promise<void>
}

export function memoryFiles(initial: Readonly<Record<string, string>> = {}): MemoryFiles {
  const files = new Map<string, { content: Buffer; facts: FileFacts }>()
  let writes = 0
  const found = (path: string) => {
    const file = files.get(path)
    if (file === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
    return file
  }
  const memory: MemoryFiles = {
    read: [],
    beforeContent: () => undefined,
    write(path, text, facts = {}) {
      const content = Buffer.from(text)
      const stamp = `${path}:${writes++}`
      const plain = { stamp, size: content.length, mode: 0o100600, changedAt: 0, isFile: true }
      files.set(path, { content, facts: { ...plain, ...facts } })
    },
    remove: (path) => void files.delete(path),
    facts: async (path) => found(path).facts,
    async content(path, size) {
      memory.read.push(path)
      await memory.beforeContent(path)
      return found(path).content.subarray(0, size + 1)
    },
  }
  for (const [path, content] of Object.entries(initial)) memory.write(path, content)
  return memory
}
