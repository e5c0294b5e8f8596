/** A kubectl that goes on for a while: its output as it comes, what is typed into it, its end. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'

export interface RunningKubectl {
  stdout(): string
  stderr(): string
  /** Resolves as soon as its standard output, or error, fits; rejects if it ends without. */
  shows(pattern: RegExp): Promise<RegExpExecArray>
  type(text: string): void
  /** The end of its standard input. */
  endInput(): void
  /** Resolves to its exit status. */
  readonly ended: Promise<number | null>
  /** Ends it by a signal, if it has not ended. */
  stop(): Promise<void>
}

export function spawnKubectl(program: string, kubeconfig: string, args: readonly string[]): RunningKubectl {
  const child = spawn(program, args, { env: { ...process.env, KUBECONFIG: kubeconfig }, stdio: 'pipe' })
  const text = { stdout: '', stderr: '' }
  const waiting = new Set<() => void>()
  const wake = (): void => {
    for (const look of waiting) look()
  }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (chunk: string) => {
      text[name] += chunk
      wake()
    })
  }
  child.stdin.on('error', () => {}) // it may end without reading
  let isOver = false
  const ended = once(child, 'close').then(() => {
    isOver = true
    wake()
    return child.exitCode
  })

  return {
    stdout: () => text.stdout,
    stderr: () => text.stderr,
    shows: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = pattern.exec(text.stdout) ?? pattern.exec(text.stderr)
          if (found !== null) resolve(found)
          else if (isOver) reject(new Error(`kubectl ended without ${pattern}:\n${text.stdout}${text.stderr}`))
          else return
          waiting.delete(look)
        }
        waiting.add(look)
        look()
      }),
    type: (keys) => child.stdin.write(keys),
    endInput: () => child.stdin.end(),
    ended,
    async stop() {
      child.kill('SIGTERM')
      await ended
    },
  }
}
