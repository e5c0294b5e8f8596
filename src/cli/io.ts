/**
 * What a command has of the process: streams, environment, signals. Handed in, so that tests run commands in process.
 *
 * @module
 */
import { readSync, writeSync } from 'node:fs'

export interface CommandIo {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  /**
   * Writes to stdout and returns when all of it is written; throws where nobody reads it. Where it is absent
   * {@link out} has to do.
   */
  readonly deliver?: (text: string) => void
  /** Whether standard input is a terminal, so that somebody can be asked. Absent: it is not. */
  readonly inputIsTerminal?: () => Promise<boolean>
  /** Interrupts everybody the terminal would: this process, and the client that waits for it. */
  readonly interruptGroup?: () => void
  /** Ends the process at once, for when a signal has broken off what it was waiting for. */
  readonly leave?: (status: number) => void
  /** Standard input, whole, as text. */
  readonly readInput: () => string
  /** Standard input in pieces as they come, however long it is; where it is absent {@link readInput} has to do. */
  readonly inputChunks?: () => AsyncIterable<Uint8Array>
  /** Calls back on each signal until the returned function is called. */
  readonly onSignal: (signals: readonly NodeJS.Signals[], listener: (signal: NodeJS.Signals) => void) => () => void
}

/** Ends a command: the status, and what to say on stderr (nothing when empty). */
export class ExitError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.name = 'ExitError'
    this.status = status
  }
}

export function processIo(): CommandIo {
  return {
    env: process.env,
    out: (text) => void quietly(process.stdout).write(text),
    err: (text) => void quietly(process.stderr).write(text),
    deliver: (text) => writeAll(1, Buffer.from(text)),
    inputIsTerminal: async () => (await import('node:tty')).isatty(0),
    interruptGroup,
    leave: (status) => process.exit(status),
    readInput: () => readAll(0),
    inputChunks: () => process.stdin,
    onSignal(signals, listener) {
      for (const signal of signals) process.on(signal, listener)
      return () => {
        for (const signal of signals) process.off(signal, listener)
      }
    },
  }
}

/** Whoever read may have gone (`… | head`): no fault of ours, and no reason to break off what is being done. */
function quietly(stream: NodeJS.WriteStream): NodeJS.WriteStream {
  if (stream.listenerCount('error', ignorePipe) === 0) stream.on('error', ignorePipe)
  return stream
}

function ignorePipe(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error
}

/** Windows has no such groups. */
function interruptGroup(): void {
  if (process.platform !== 'win32') process.kill(0, 'SIGINT')
}

const MOST_INPUT = 16 * 1024 * 1024

function readAll(descriptor: number): string {
  const chunks: Buffer[] = []
  let size = 0
  for (;;) {
    const chunk = Buffer.alloc(65_536)
    const read = readChunk(descriptor, chunk)
    if (read === 0) return Buffer.concat(chunks).toString('utf8')
    size += read
    if (size > MOST_INPUT) throw new ExitError(2, 'standard input is longer than 16 MiB')
    chunks.push(chunk.subarray(0, read))
  }
}

function readChunk(descriptor: number, chunk: Buffer): number {
  for (;;) {
    try {
      return readSync(descriptor, chunk)
    } catch (thrown) {
      const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
      if (code === 'EOF') return 0
      if (code !== 'EAGAIN') throw thrown
      letItCome() // a terminal or pipe set to non-blocking has nothing yet
    }
  }
}

function writeAll(descriptor: number, bytes: Buffer): void {
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(descriptor, bytes, written)
    } catch (thrown) {
      if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'EAGAIN')) throw thrown
      letItCome() // a pipe set to non-blocking is full
    }
  }
}

function letItCome(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
}
