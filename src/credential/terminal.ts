/**
 * The person at the keyboard: prompts on stderr, one line each, hidden ones without echo. Owns the terminal's mode while
 * a question stands, and gives it back however that ends; leaves what is asked to its callers.
 *
 * A visible line is edited by the terminal itself. A hidden one is read key by key, and edited here.
 *
 * @module
 */

import { StringDecoder } from 'node:string_decoder'
import { isatty, type ReadStream } from 'node:tty'
import { ArchwayError } from '../errors.ts'
import type { Question, Terminal } from './plan.ts'

export interface TerminalOptions {
  /** What the client allows (`spec.interactive`); `undefined`: it does not say. */
  readonly interactive?: boolean | undefined
  /** Default: stderr. */
  readonly write?: (text: string) => void
  /**
   * Called when Ctrl-C was typed at a hidden question, after the terminal was given back. Without echo it is a key like
   * any other: the client that waits for us hears of it only if somebody sends it the signal.
   */
  readonly interrupted?: (() => void) | undefined
}

/**
 * The terminal on standard input; `undefined` where there is none, or the client allows no prompts. Nothing is opened
 * before the first question.
 */
export function openTerminal(options: TerminalOptions = {}): Terminal | undefined {
  const { interactive, write = (text) => void process.stderr.write(text), interrupted = () => {} } = options
  if (interactive === false || !isatty(STANDARD_INPUT)) return undefined
  let keyboard: Keyboard | undefined
  return {
    ask(question) {
      keyboard ??= openKeyboard(process.stdin, write, interrupted)
      return keyboard.ask(question)
    },
    say: (text) => write(text.endsWith('\n') ? text : `${text}\n`),
    close() {
      keyboard?.close()
      keyboard = undefined
    },
  }
}

const STANDARD_INPUT = 0

interface Keyboard {
  ask(question: Question): Promise<string>
  close(): void
}

/** Ways the terminal is lost while a question stands. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const

function openKeyboard(stream: ReadStream, write: (text: string) => void, interrupted: () => void): Keyboard {
  const decoder = new StringDecoder('utf8')
  const line = lineEditor()
  /** Typed or pasted ahead of the next question. */
  let ahead = ''
  let ended = stream.readableEnded || stream.destroyed
  let settle: ((end: LineEnd) => void) | undefined
  let giveBack = (): void => {}

  const take = (): void => {
    if (settle === undefined) return
    const { used, end } = line.feed(ahead)
    ahead = ahead.slice(used)
    if (end !== undefined) settle(end)
    else if (ended) settle({ kind: 'closed' })
  }
  const finish = (): void => {
    ended = true
    take()
  }
  const type = (bytes: Buffer): void => {
    ahead += decoder.write(bytes)
    take()
  }
  stream.on('data', type).on('end', finish).on('error', finish)

  const nextLine = async ({ prompt, hidden }: Question): Promise<LineEnd> => {
    const { promise, resolve } = Promise.withResolvers<LineEnd>()
    giveBack = hold(stream, hidden, () => resolve({ kind: 'interrupted', by: 'signal' }))
    try {
      write(prompt)
      line.clear()
      settle = resolve
      stream.resume()
      take()
      return await promise
    } finally {
      settle = undefined
      stream.pause()
      giveBack()
    }
  }
  return {
    async ask(question) {
      const end = ended ? CLOSED : await nextLine(question)
      if (question.hidden || end.kind !== 'line') write('\n')
      switch (end.kind) {
        case 'line':
          return end.text
        case 'interrupted':
          if (end.by === 'key') interrupted()
          throw new ArchwayError('credential_interrupted', 'interrupted at the prompt')
        case 'closed':
          throw new ArchwayError('credential_input_needed', 'the input ended before the question was answered')
        case 'too-long':
          throw new ArchwayError('credential_input_needed', `the answer is longer than ${MAX_LENGTH} characters`)
      }
    },
    close() {
      finish()
      giveBack()
      stream.off('data', type).off('end', finish).off('error', finish).pause()
    },
  }
}

/**
 * Holds the terminal while a question stands: without echo for hidden ones. The function it gives back ends that; so do
 * the exit of the process and every signal that would end it. Any of them interrupts the question; one that nobody else
 * listens to then ends the process, but for Ctrl-C, which whoever asked has to answer for.
 */
function hold(stream: ReadStream, hidden: boolean, interrupt: () => void): () => void {
  if (hidden) stream.setRawMode(true)
  const restore = (): void => {
    if (hidden && !stream.destroyed) stream.setRawMode(false)
  }
  const listeners = SIGNALS.map((signal) => {
    const listener = (): void => {
      restore()
      interrupt()
      if (signal !== 'SIGINT' && process.listenerCount(signal) === 1) {
        process.off(signal, listener)
        process.kill(process.pid, signal)
      }
    }
    process.on(signal, listener)
    return { signal, listener }
  })
  process.on('exit', restore)
  return () => {
    restore()
    process.off('exit', restore)
    for (const { signal, listener } of listeners) process.off(signal, listener)
  }
}

// --- one line ----------------------------------------------------------------------------------------------------

/** How a question ended. */
type LineEnd =
  | { readonly kind: 'line'; readonly text: string }
  | { readonly kind: 'interrupted'; readonly by: 'key' | 'signal' }
  | { readonly kind: 'closed' }
  | { readonly kind: 'too-long' }

const CLOSED: LineEnd = { kind: 'closed' }

/** Characters of an answer; a Keystone token has some hundred, a JSON Web Token some thousand. */
const MAX_LENGTH = 65_536

interface LineEditor {
  /** Begins a new line. */
  clear(): void
  /** Takes keys up to the end of the line, and says how many characters of `keys` that were. */
  feed(keys: string): { readonly used: number; readonly end: LineEnd | undefined }
}

/**
 * Edits a line as a terminal does: backspace, Ctrl-U, Ctrl-W, Ctrl-C, Ctrl-D. Escape sequences (arrow keys, the marks
 * around what is pasted) and other control characters are no part of an answer.
 */
function lineEditor(): LineEditor {
  let line: string[] = []
  let pending: 'none' | 'begun' | 'sequence' | 'letter' = 'none'
  /** Enter may come as CR LF, and the LF in the next chunk. */
  let afterReturn = false

  /** The end of the line, if the key is one. */
  const press = (key: string): LineEnd | undefined => {
    const code = key.codePointAt(0) ?? 0
    const secondHalf = key === '\n' && afterReturn
    afterReturn = key === '\r'
    if (secondHalf) return undefined
    if (code >= 0x20 && key !== '\x7f' && pending !== 'none') {
      if (pending === 'begun' && (key === '[' || key === 'O')) pending = key === '[' ? 'sequence' : 'letter'
      else if (pending === 'begun') add(key)
      else if (pending === 'letter' || (code >= 0x40 && code <= 0x7e)) pending = 'none'
      return undefined
    }
    pending = key === ESCAPE ? 'begun' : 'none'
    switch (key) {
      case '\r':
      case '\n':
        return { kind: 'line', text: line.join('') }
      case '\x03': // Ctrl-C
      case '\x1c': // Ctrl-\
        return { kind: 'interrupted', by: 'key' }
      case '\x04': // Ctrl-D
        return line.length === 0 ? CLOSED : undefined
      case '\b':
      case '\x7f':
        line.pop()
        return undefined
      case '\x15': // Ctrl-U
        line = []
        return undefined
      case '\x17': // Ctrl-W
        line = Array.from(line.join('').replace(/\S*\s*$/u, ''))
        return undefined
    }
    const isControl = (code < 0x20 && key !== '\t') || (code >= 0x7f && code < 0xa0)
    if (!isControl) add(key)
    return line.length > MAX_LENGTH ? { kind: 'too-long' } : undefined
  }
  const add = (key: string): void => {
    pending = 'none'
    line.push(key)
  }

  return {
    clear() {
      line = []
      pending = 'none'
    },
    feed(keys) {
      let used = 0
      for (const key of keys) {
        used += key.length
        const end = press(key)
        if (end !== undefined) return { used, end }
      }
      return { used, end: undefined }
    },
  }
}

const ESCAPE = '\x1b'
