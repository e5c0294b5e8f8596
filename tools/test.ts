/**
 * The test runner behind `npm test`: finds out which suites this machine can bring up, starts the servers they share,
 * runs them under node's own runner, stops everything, and ends with one line of counts.
 */

import { existsSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { say } from './progress.cjs'
import { whatIsMissing } from './rigs.ts'
import { type Counts, inNumbers } from './testing/report.ts'
import { runSuite } from './testing/suite.ts'
import { SUITES, type Suite, suiteOf, testFiles } from './testing/suites.ts'
import { openWorld, ROOT, type World } from './testing/world.ts'

const USAGE = `usage: npm test -- [OPTION …] [SUITE | FILE | FOLDER …]

${SUITES.map(({ name, does }) => `  ${name.padEnd(12)}${does}`).join('\n')}

  --all         a suite that has to be left out is a failure (as with CI=true)
  --name TEXT   only tests whose names match this pattern
  --keep        keep the run's folder, with the logs of the rigs
`

interface Options {
  readonly help: boolean
  readonly all: boolean
  readonly keep: boolean
  readonly pattern: string | undefined
  /** What to run: all suites' files, or those that were asked for. */
  readonly asked: readonly Planned[]
}

interface Planned {
  readonly suite: Suite
  readonly files: readonly string[]
}

interface LeftOut {
  readonly suite: Suite
  readonly why: string
  readonly remedy: string
}

function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h', default: false },
      all: { type: 'boolean', default: process.env['CI'] === 'true' },
      keep: { type: 'boolean', default: false },
      name: { type: 'string' },
    },
  })
  return { help: values.help, all: values.all, keep: values.keep, pattern: values.name, asked: choose(positionals) }
}

function choose(names: readonly string[]): Planned[] {
  const files = testFiles(ROOT).map((file) => ({ file, suite: suiteOf(file) }))
  const isChosen = names.map((name) =>
    chooser(
      name,
      files.map(({ file }) => file),
    ),
  )
  const chosen = names.length === 0 ? files : files.filter(({ file, suite }) => isChosen.some((is) => is(file, suite)))
  return SUITES.map((suite) => ({
    suite,
    files: chosen.filter((one) => one.suite === suite).map(({ file }) => file),
  })).filter(({ suite, files }) => names.length === 0 || names.includes(suite.name) || files.length > 0)
}

/** Does a file belong to what `name` names: a suite, a folder, or itself? */
function chooser(name: string, files: readonly string[]): (file: string, suite: Suite) => boolean {
  if (SUITES.some((suite) => suite.name === name)) return (_, suite) => suite.name === name
  const path = relative(ROOT, resolve(name))
  const isIn = (file: string) => file === path || file.startsWith(`${path}/`)
  if (files.some(isIn)) return isIn
  const remedy = existsSync(path)
    ? 'tests are files of test/ that end in .test.ts'
    : `suites are ${SUITES.map((suite) => suite.name).join(', ')}`
  throw new UsageError(`"${name}" is neither a suite nor a test: ${remedy}`)
}

class UsageError extends Error {}

/** Installs what is quickly installed, then divides the suites into those that can run and those that cannot. */
async function plan(asked: readonly Planned[]): Promise<{ runnable: Planned[]; leftOut: LeftOut[] }> {
  const runnable: Planned[] = []
  const leftOut: LeftOut[] = []
  for (const planned of asked) {
    const { suite, files } = planned
    const missing =
      files.length === 0 ? { why: 'it has no test yet', remedy: 'a first test file' } : await whatIsMissing(suite.needs)
    if (missing === undefined) runnable.push(planned)
    else leftOut.push({ suite, ...missing })
  }
  return { runnable, leftOut }
}

async function runPlanned(planned: Planned, options: Options, world: World, stopped: AbortSignal): Promise<Counts> {
  const { suite, files } = planned
  try {
    if (suite.needs.includes('keystone')) await world.shareKeystone()
    return await runSuite({ suite, files, pattern: options.pattern, stopped })
  } catch (error) {
    if (!stopped.aborted) console.log(`✗ ${suite.name}: ${error instanceof Error ? error.stack : error}`)
    return { passed: 0, failed: 1, skipped: 0 }
  }
}

async function main(options: Options): Promise<number> {
  if (options.help) {
    console.log(USAGE)
    return 0
  }
  const { runnable, leftOut } = await plan(options.asked)
  const stopped = untilStopped()
  const all: Counts[] = []
  const world = await openWorld(options)
  try {
    for (const planned of runnable) {
      if (!stopped.aborted) all.push(await runPlanned(planned, options, world, stopped))
    }
  } finally {
    await world.close()
  }
  for (const { suite, why, remedy } of leftOut)
    console.log(`left out: ${suite.name} (${why}) — include it with: ${remedy}`)
  if (options.all) all.push({ passed: 0, failed: leftOut.length, skipped: 0 })
  return conclude(sum(all), stopped.aborted)
}

function conclude(total: Counts, stopped: boolean): number {
  const ran = total.passed + total.failed > 0
  if (stopped) console.log('stopped before the end')
  else if (!ran) console.log('nothing ran')
  console.log(`\n${inNumbers(total)}`)
  return stopped || total.failed > 0 || !ran ? 1 : 0
}

function sum(all: readonly Counts[]): Counts {
  const total = (member: keyof Counts) => all.reduce((count, counts) => count + counts[member], 0)
  return { passed: total('passed'), failed: total('failed'), skipped: total('skipped') }
}

/** Aborts when somebody wants this to stop; what was started is then stopped in good order. */
function untilStopped(): AbortSignal {
  const controller = new AbortController()
  const stop = () => {
    if (!controller.signal.aborted) say('archway: stopping, when what is being started can be stopped …')
    controller.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => controller.abort()) // nobody reads
  return controller.signal
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : ''
}

try {
  process.exitCode = await main(parseOptions(process.argv.slice(2)))
} catch (error) {
  const isUsage = error instanceof UsageError || (error instanceof Error && /^ERR_PARSE_ARGS/.test(codeOf(error)))
  say(isUsage ? `archway: ${error.message}\n${USAGE}` : String(error instanceof Error ? error.stack : error))
  process.exitCode = isUsage ? 2 : 1
}
