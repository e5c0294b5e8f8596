/** Commands run in process: what they print, and signals a test can send. */
import type { CommandIo } from '../../src/cli/io.ts'
import { main } from '../../src/cli/main.ts'

export interface Ran {
  readonly status: number
  readonly out: string
  readonly err: string
}

export interface TestIo extends CommandIo {
  readonly printed: { out: string; err: string }
  /** Resolves when what was printed to stdout holds the text. */
  said(text: string): Promise<void>
  signal(name: NodeJS.Signals): void
}

export function testIo(env: Readonly<Record<string, string>> = {}, input = ''): TestIo {
  const printed = { out: '', err: '' }
  const listeners = new Set<readonly [readonly NodeJS.Signals[], (signal: NodeJS.Signals) => void]>()
  const waiting = new Set<() => void>()
  return {
    env,
    printed,
    out(text) {
      printed.out += text
      for (const look of waiting) look()
    },
    err(text) {
      printed.err += text
    },
    readInput: () => input,
    onSignal(signals, listener) {
      const entry = [signals, listener] as const
      listeners.add(entry)
      return () => void listeners.delete(entry)
    },
    signal(name) {
      for (const [signals, listener] of listeners) if (signals.includes(name)) listener(name)
    },
    said: (text) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!printed.out.includes(text)) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      }),
  }
}

export async function run(program: string, argv: readonly string[], io: TestIo = testIo()): Promise<Ran> {
  const status = await main({ program, argv, io })
  return { status, ...io.printed }
}
