/**
 * A service on the command line: started, running until a signal ends it, with its files looked at again on SIGHUP.
 *
 * @module
 */
import { constants } from 'node:os'
import { ArchwayError } from '../errors.ts'
import type { Logger } from '../telemetry/logger.ts'
import { type CommandIo, ExitError } from './io.ts'

/** What can be run. */
export interface Runnable {
  /** Looks at every file now. */
  reload(): Promise<void>
  /** Lets what is under way finish, closes everything. May be called again. */
  stop(): Promise<void>
}

export interface RunOptions<Service extends Runnable> {
  readonly log: Logger
  readonly io: CommandIo
  /** For the log line of the stop. */
  readonly drainMs: number
  readonly start: () => Promise<Service>
  /** Once it is up; a rejection ends it. */
  readonly ready: (service: Service) => Promise<void> | void
  /** Monotonic, milliseconds. */
  readonly now?: () => number
}

/** One Ctrl-C can come twice: from the terminal, and from the program that started us. */
const SAME_SIGNAL_MS = 1000

/** Runs until SIGTERM or SIGINT. Resolves to the exit status. */
export async function runService<Service extends Runnable>(options: RunOptions<Service>): Promise<number> {
  const { log, io, drainMs, now = () => performance.now() } = options
  let service: Service | undefined
  const stopListening = [
    io.onSignal(['SIGHUP'], () => void service?.reload()),
    // Without a listener Node answers this signal by opening its debugger, which shows every secret in memory.
    io.onSignal(['SIGUSR1'], () => log.warn({ signal: 'SIGUSR1' }, 'signal ignored: the debugger stays shut')),
  ]
  try {
    service = await started(options)
    stopListening.push(guard(log))
    const stopping = nextSignal(io)
    await options.ready(service)
    const signal = await stopping
    log.info({ signal, drainMs }, 'stopping: running requests may finish')
    const since = now()
    stopListening.push(
      io.onSignal(['SIGTERM', 'SIGINT'], (again) => {
        if (now() - since >= SAME_SIGNAL_MS) leave(again, options)
      }),
    )
    await service.stop()
    log.info({}, 'stopped')
    return 0
  } finally {
    await service?.stop()
    for (const stop of stopListening) stop()
    log.flush()
  }
}

async function started<Service extends Runnable>({ start, log }: RunOptions<Service>): Promise<Service> {
  try {
    return await start()
  } catch (thrown) {
    log.flush()
    if (thrown instanceof ArchwayError) throw new ExitError(1, `archway: ${thrown.message}`)
    throw thrown
  }
}

/** Whoever asks a second time means now. */
function leave(signal: NodeJS.Signals, { log, io }: Pick<RunOptions<Runnable>, 'log' | 'io'>): void {
  log.warn({ signal }, 'asked again to stop: what is under way is cut off')
  log.flush()
  io.leave?.(128 + constants.signals[signal])
}

function nextSignal(io: CommandIo): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const stop = io.onSignal(['SIGTERM', 'SIGINT'], (signal) => {
      stop()
      resolve(signal)
    })
  })
}

/** A fault nobody caught: what it was is said before the process ends. */
function guard(log: Logger): () => void {
  const report = (error: unknown): void => {
    log.error({ error }, 'fault: the process ends')
    log.flush()
    process.exit(70)
  }
  process.on('uncaughtException', report)
  process.on('unhandledRejection', report)
  return () => {
    process.off('uncaughtException', report)
    process.off('unhandledRejection', report)
  }
}
