import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { CommandIo } from '../../src/cli/io.ts'
import { type Runnable, runService } from '../../src/cli/run-service.ts'
import { createLogger } from '../../src/telemetry/logger.ts'
import { testIo } from './support.ts'

interface Running {
  readonly io: CommandIo & { signal(name: NodeJS.Signals): void }
  readonly lines: string[]
  readonly calls: string[]
  readonly left: number[]
  readonly up: Promise<void>
  readonly ended: Promise<number>
  now: number
  begin(): void
  finish(): void
}

/** A service that starts, and stops, when the test says so. */
async function run(): Promise<Running> {
  const lines: string[] = []
  const calls: string[] = []
  const left: number[] = []
  const log = await createLogger({ level: 'info', format: 'json', write: (line) => void lines.push(line) })
  const starting = Promise.withResolvers<void>()
  const stopping = Promise.withResolvers<void>()
  const up = Promise.withResolvers<void>()
  const io = Object.assign(testIo(), { leave: (status: number) => void left.push(status) })
  const service: Runnable = {
    async reload() {
      calls.push('reload')
    },
    stop() {
      calls.push('stop')
      return stopping.promise
    },
  }
  const running: Running = {
    io,
    lines,
    calls,
    left,
    up: up.promise,
    now: 0,
    begin: starting.resolve,
    finish: stopping.resolve,
    ended: runService({
      log,
      io,
      drainMs: 1000,
      start: () => starting.promise.then(() => service),
      ready: () => up.resolve(),
      now: () => running.now,
    }),
  }
  return running
}

const said = (lines: readonly string[], message: RegExp): boolean => lines.some((line) => message.test(line))

describe('a service on the command line', () => {
  test('S2 keeps the debugger shut from the beginning, and has nothing to look at before it is up', async () => {
    const running = await run()
    running.io.signal('SIGUSR1')
    running.io.signal('SIGHUP')
    assert.ok(said(running.lines, /the debugger stays shut/))
    assert.deepEqual(running.calls, [])
    running.begin()
    await running.up
    running.io.signal('SIGHUP')
    assert.deepEqual(running.calls, ['reload'])
    running.io.signal('SIGTERM')
    running.finish()
    assert.equal(await running.ended, 0)
  })

  test('ends at once when it is asked a second time, and says so', async () => {
    const running = await run()
    running.begin()
    await running.up
    running.io.signal('SIGTERM')
    await new Promise(setImmediate)
    running.now = 5000
    running.io.signal('SIGTERM')
    assert.deepEqual(running.left, [143])
    assert.ok(said(running.lines, /asked again to stop/))
    running.finish()
    await running.ended
  })

  test('takes one Ctrl-C that comes twice for one', async () => {
    const running = await run()
    running.begin()
    await running.up
    running.io.signal('SIGINT')
    await new Promise(setImmediate)
    running.now = 20
    running.io.signal('SIGINT')
    assert.deepEqual(running.left, [])
    running.finish()
    assert.equal(await running.ended, 0)
  })
})
