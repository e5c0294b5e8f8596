/** What a person reads of a suite's run: failures in full as they happen, signs of life, counts and slow files at the end. */

import type { TestLine } from './events.ts'

export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

export interface SuiteReport {
  take(line: TestLine): void
  /** A failure that is no test's: the suite's limit, a runner that died. */
  fail(what: string): void
  /** Files that have begun and not ended, with what is known of them. */
  unfinished(): string[]
  /** A file whose tests have all ended, but whose process has gone on for this long. */
  lingering(forMs: number): string | undefined
  /** One line that says how far it is. */
  progress(): string
  finish(): Counts
}

export interface ReportOptions {
  readonly name: string
  readonly files: number
  /** A file without tests is a mistake, unless only some tests were asked for. */
  readonly emptyFileFails: boolean
  readonly write: (line: string) => void
  readonly now: () => number
}

interface FileState {
  readonly begun: number
  /** Names of the test that began last and of those around it. */
  path: string[]
  queued: number
  ended: number
  lastEvent: number
  output: string
  failed: boolean
  /** Tests whose group failed before them. */
  unreached: number
  /** Its process has ended; before Node 24 its tests may be told of later. */
  done: boolean
}

const SLOW_MS = 5_000
const OUTPUT_TAIL = 4_000
const HEAD_LINES = 40
const TAIL_LINES = 20

export function reportSuite({ name, files, emptyFileFails, write, now }: ReportOptions): SuiteReport {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  const states = new Map<string, FileState>()
  /** Node 22 tells of a test by the file that defines it, which need not be one that was run. */
  const elsewhere = newState(0)
  let total: number | undefined
  const slow: [string, number][] = []
  const begin = now()
  const running = () => [...states].filter(([, state]) => !state.done)

  const report: SuiteReport = {
    take(line) {
      if (line.wholeFile && line.type === 'begun') states.set(line.file, newState(now()))
      if (line.type === 'total') {
        if (line.file === '') total = line.passed
        return
      }
      const state = states.get(line.file) ?? elsewhere
      state.lastEvent = now()
      if (line.type === 'output') state.output = (state.output + line.text).slice(-OUTPUT_TAIL)
      else if (line.wholeFile) takeFile(line, state)
      else takeTest(line, state)
    },

    fail(what) {
      counts.failed++
      write(`✗ ${name}: ${what}`)
    },

    unfinished() {
      return running().map(([file, { begun, path, queued, ended }]) => {
        const where = queued > ended && path.length > 0 ? `, in: ${path.join(' › ')}` : ''
        return `${file} (${inSeconds(now() - begun)}${where})`
      })
    },

    lingering(forMs) {
      const isLingering = (state: FileState) =>
        state.queued > 0 && state.queued === state.ended && now() - state.lastEvent > forMs
      return running().find(([, state]) => isLingering(state))?.[0]
    },

    progress() {
      const longest = report.unfinished()[0]
      return `${name}: ${states.size - running().length} of ${files} files, ${inSeconds(now() - begin)}${longest === undefined ? '' : `, at ${longest}`}`
    },

    finish() {
      const empty = [...states].filter(([, state]) => state.done && !state.failed && state.queued === 0)
      if (total !== undefined && total !== counts.passed + (elsewhere.queued > 0 ? 0 : empty.length)) {
        report.fail(`node counts ${total} passed tests, this report ${counts.passed}`)
      }
      for (const [file] of emptyFileFails && elsewhere.queued === 0 ? empty : []) {
        counts.failed++
        write(`✗ ${file}\n    there is no test in this file`)
      }
      write(`${name}: ${inNumbers(counts)} in ${inSeconds(now() - begin)} (${files} ${files === 1 ? 'file' : 'files'})`)
      for (const [file, ms] of slow.sort(([, a], [, b]) => b - a).slice(0, 5)) write(`  slow: ${file} ${inSeconds(ms)}`)
      return counts
    },
  }

  function takeTest(line: TestLine, state: FileState): void {
    if (line.type === 'queued') state.queued++
    if (line.type === 'begun') state.path = [...state.path.slice(0, line.nesting), line.name]
    if (line.type !== 'ended') return
    state.ended++
    if (line.skipped) counts.skipped++
    else if (line.failure !== undefined) takeFailure(line, line.failure, state)
    else if (line.kind === 'test') counts.passed++
  }

  function takeFailure(line: TestLine, { type, text }: { type: string; text: string }, state: FileState): void {
    if (type === 'subtestsFailed' && line.kind === 'suite') return // its tests have been counted
    counts.failed++
    if (type === 'subtestsFailed') return // and shown
    if (type === 'cancelledByParent') return void state.unreached++ // what is shown is the cause
    state.failed = true
    const path = [...state.path.slice(0, line.nesting), line.name].join(' › ')
    write(
      `✗ ${line.definedIn}:${line.line}  ${path}${line.definedIn === line.file ? '' : ` (${line.file})`}\n${indented(text)}`,
    )
  }

  function takeFile(line: TestLine, state: FileState): void {
    if (line.type !== 'ended') return
    state.done = true
    if (line.ms > SLOW_MS) slow.push([line.file, line.ms])
    if (state.unreached > 0) write(`✗ ${line.file}: ${state.unreached} tests were not reached`)
    const itself = line.failure !== undefined && line.failure.type !== 'subtestsFailed' // it could not be loaded, or its process died
    if (itself) {
      counts.failed++
      state.failed = true
      write(`✗ ${line.file}\n${indented(line.failure?.text ?? '')}`)
    }
    if (state.failed && state.output.trim() !== '') write(`  printed by ${line.file}:\n${indented(state.output)}`)
  }

  return report
}

function newState(now: number): FileState {
  return {
    begun: now,
    path: [],
    queued: 0,
    ended: 0,
    lastEvent: now,
    output: '',
    failed: false,
    unreached: 0,
    done: false,
  }
}

/** `1 passed, 0 failed, 0 skipped` */
export function inNumbers({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`
}

function inSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`
}

/** Shown in full, unless somebody compared a whole log. */
function indented(text: string): string {
  const lines = text.trimEnd().split('\n')
  const cut = lines.length - HEAD_LINES - TAIL_LINES
  const shown = cut > 0 ? [...lines.slice(0, HEAD_LINES), `… ${cut} lines …`, ...lines.slice(-TAIL_LINES)] : lines
  return shown.join('\n').replace(/^(?=.)/gm, '    ')
}
