/** Runs one suite under node's test runner, in a process group of its own, so that nothing of it can stay behind. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestLine } from './events.ts'
import { type Counts, reportSuite, type SuiteReport } from './report.ts'
import type { Suite } from './suites.ts'
import { ROOT } from './world.ts'

const TEST_LIMIT_MS = 120_000
/** After its last test a file's process ends at once, unless something was left open. */
const LINGER_MS = 20_000
const PROGRESS_MS = 10_000

export interface SuiteRun {
  readonly suite: Suite
  readonly files: readonly string[]
  /** Only tests whose names match. */
  readonly pattern: string | undefined
  readonly stopped: AbortSignal
}

export async function runSuite({ suite, files, pattern, stopped }: SuiteRun): Promise<Counts> {
  const report = reportSuite({
    name: suite.name,
    files: files.length,
    emptyFileFails: pattern === undefined,
    write: (line) => console.log(line),
    now: Date.now,
  })
  const child = start(suite, files, pattern)
  const watch = watchOver(child, report, suite, stopped)
  try {
    for await (const line of linesOf(child.stdout)) report.take(JSON.parse(line) as TestLine)
  } finally {
    await watch.end()
  }
  const unfinished = report.unfinished()
  if (unfinished.length > 0 && !watch.gaveUp()) report.fail(`the runner ended before ${unfinished.join(', ')}`)
  return report.finish()
}

/** Cut at line feeds only: node:readline also cuts at U+2028, which a test's name may contain. */
export async function* linesOf(stream: Readable | null): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of stream?.setEncoding('utf8') ?? []) {
    const lines = `${rest}${chunk}`.split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
}

function start(suite: Suite, files: readonly string[], pattern: string | undefined): ChildProcess {
  const args = [
    `--import=${join(ROOT, 'test/support/property-seed.ts')}`,
    '--test',
    `--test-concurrency=${suite.concurrency}`,
    `--test-timeout=${TEST_LIMIT_MS}`,
    `--test-reporter=${join(import.meta.dirname, 'events.ts')}`,
    '--test-reporter-destination=stdout',
    ...(pattern === undefined ? [] : [`--test-name-pattern=${pattern}`]),
    ...files,
  ]
  return spawn(process.execPath, args, { cwd: ROOT, detached: true, stdio: ['ignore', 'pipe', 'inherit'] })
}

interface Watch {
  gaveUp(): boolean
  end(): Promise<void>
}

/** Shows that it goes on, gives it up at its limit, and at the end kills what outlives it. */
function watchOver(child: ChildProcess, report: SuiteReport, suite: Suite, stopped: AbortSignal): Watch {
  const exited = child.exitCode === null ? once(child, 'exit') : undefined
  let given = false
  const giveUp = (why: string) => {
    given = true
    report.fail(`${why}; not finished: ${report.unfinished().join(', ')}`)
    void endGroup(child)
  }
  const limit = setTimeout(() => giveUp(`given up after ${suite.limitMinutes} minutes`), suite.limitMinutes * 60_000)
  const progress = setInterval(() => console.log(`  … ${report.progress()}`), PROGRESS_MS)
  const lingering = setInterval(() => {
    const file = report.lingering(LINGER_MS)
    if (file === undefined) return
    clearInterval(lingering)
    giveUp(`${file} does not end after its tests: a server, timer or process is left open`)
  }, 1_000)
  const stop = () => void endGroup(child)
  if (stopped.aborted) stop()
  stopped.addEventListener('abort', stop)
  return {
    gaveUp: () => given,
    async end() {
      if (child.exitCode === null && child.signalCode === null && !child.stdout?.readableEnded) void endGroup(child)
      await exited
      clearTimeout(limit)
      clearInterval(progress)
      clearInterval(lingering)
      stopped.removeEventListener('abort', stop)
      signalGroup(child, 'SIGKILL')
    },
  }
}

async function endGroup(child: ChildProcess): Promise<void> {
  signalGroup(child, 'SIGTERM')
  await sleep(3_000, undefined, { ref: false })
  signalGroup(child, 'SIGKILL')
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal)
  } catch {
    // the group is empty
  }
}
