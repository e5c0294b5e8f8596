/**
 * A program in a real pseudo-terminal, with a person at it: `script` of util-linux makes the terminal, and every answer
 * waits until its question stands on the screen.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What is typed, once `on` stands on the screen after all that was answered before. */
export interface TerminalAnswer {
  readonly on: RegExp
  /** As the keyboard sends it: Enter is `\r`. A function may act instead and send nothing. */
  readonly send: string | ((match: RegExpExecArray) => string)
}

export interface TerminalRun {
  /** Everything the terminal showed. */
  readonly screen: string
  /** What the program wrote to its standard output, which is no terminal: as under kubectl. */
  readonly stdout: string
  /** 128 + signal where it was ended by one. */
  readonly status: number
}

export interface TerminalOptions {
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly answers: readonly TerminalAnswer[]
  /** When the program is given up. Default 60 s. */
  readonly limitMs?: number
}

/** Runs a program in a terminal of its own. Rejects, showing the screen, if it does not come to its end. */
export async function runInTerminal(
  command: string,
  args: readonly string[],
  { env = process.env, answers, limitMs = 60_000 }: TerminalOptions,
): Promise<TerminalRun> {
  const folder = await mkdtemp(join(tmpdir(), 'terminal-'))
  const output = join(folder, 'stdout')
  try {
    const line = `exec ${[command, ...args].map(quoted).join(' ')} > ${quoted(output)}`
    const child = spawn(
      'script',
      ['--quiet', '--return', '--flush', '--echo', 'always', '--command', line, '/dev/null'],
      {
        env: { ...env, SHELL: '/bin/sh' },
        stdio: ['pipe', 'pipe', 'pipe'],
      },
    )
    let screen = ''
    let seen = 0
    let next = 0
    const answer = (): void => {
      for (let due = answers[next]; due !== undefined; due = answers[next]) {
        const match = due.on.exec(screen.slice(seen))
        if (match === null) return
        seen += match.index + match[0].length
        next++
        const keys = typeof due.send === 'string' ? due.send : due.send(match)
        if (keys !== '') child.stdin.write(keys)
      }
    }
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      screen += text
      answer()
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      screen += text
    })
    child.stdin.on('error', () => {}) // it may be gone before all was typed
    const status = await new Promise<number>((resolve, reject) => {
      const limit = setTimeout(() => {
        child.kill('SIGKILL')
        reject(new Error(`${command} did not end; the screen:\n${screen}`))
      }, limitMs)
      child.on('error', (error) => {
        clearTimeout(limit)
        reject(error)
      })
      child.on('close', (code) => {
        clearTimeout(limit)
        resolve(code ?? -1)
      })
    })
    if (next < answers.length) throw new Error(`never asked: ${answers[next]?.on}; the screen:\n${screen}`)
    return { screen, stdout: await readFile(output, 'utf8'), status }
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** One word for /bin/sh. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}
