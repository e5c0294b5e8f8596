/**
 * Files that change while we run. Built whole, checked, then swapped; on any error the last good one stays in force,
 * and log and status say so. Owns when to look and what is in force; leaves what the content means to `load`, and
 * metrics and readiness to whoever asks {@link Reloading.status}.
 *
 * Polled: Kubernetes swaps the folder behind a symbolic link (`..data`) under us, and inotify misses that.
 *
 * @module
 */
import type { CallLog } from '../context.ts'
import { ArchwayError, messageOf } from '../errors.ts'
import { diskReads, type FileReads, type FileSet, factsOf, readFileSet } from './file-set.ts'
import { permissionWarning } from './permissions.ts'

const DEFAULT_INTERVAL_MS = 1000

/**
 * A file changed less than this before it was read may change once more without its stamp showing it: file systems
 * count time in ticks of some milliseconds, FAT in two seconds. Until it has rested that long it is read, not trusted.
 */
const REST_MS = 2000

/** What {@link reloading} needs. */
export interface ReloadingOptions<T> {
  /** `tls`, `token-file` …: stands in logs, metrics and readiness. */
  readonly name: string
  /** They are one set: certificate and key are swapped together or not at all. */
  readonly paths: readonly string[]
  /**
   * Makes the value from the content of every path. Everything that can be wrong is found here: a throw keeps the
   * last good value. The message goes to log and readiness, so it must not quote what the files hold.
   */
  readonly load: (files: ReadonlyMap<string, Buffer>) => T | Promise<T>
  readonly log: CallLog
  /** Whether the files hold secrets; then a mode that lets others at them is warned of, once a load. */
  readonly secret?: boolean
  /** Default 1000; 0 never looks by itself. */
  readonly intervalMs?: number
  /** After a successful swap, not after the first load. What it throws is logged, and changes nothing. */
  readonly onChange?: (value: T) => void
  readonly now?: () => Date
  readonly reads?: FileReads
}

/** What one look came to. */
export type LookOutcome = 'unchanged' | 'reloaded' | 'failed'

/** For readiness and metrics. */
export interface ReloadStatus {
  readonly name: string
  /** False while the files cannot be used and an older content is in force. */
  readonly ok: boolean
  /** SHA-256 of the content in force; of one file it is what `sha256sum` prints. */
  readonly digest: string
  readonly loadedAt: Date
  /** Swaps since the first load. */
  readonly reloads: number
  /** Looks that failed; it grows with every look while the fault lasts. */
  readonly failures: number
  /** What is wrong; there while `ok` is false. */
  readonly error?: string
}

/** A value that follows its files. */
export interface Reloading<T> {
  current(): T
  /** Looks now; tests and SIGHUP call it. Concurrent calls share one look. Never throws. */
  check(): Promise<LookOutcome>
  status(): ReloadStatus
  /** Stops looking; the value stays. */
  close(): void
}

/** Loads the files and follows them. The first load must succeed: else `file_invalid`, naming path and cause. */
export async function reloading<T>(options: ReloadingOptions<T>): Promise<Reloading<T>> {
  const { name, paths, log, intervalMs = DEFAULT_INTERVAL_MS } = options
  const { now = () => new Date(), reads = diskReads() } = options

  let closed = false
  let reloads = 0
  let failures = 0
  let failure: Failure | undefined
  let looking: Promise<LookOutcome> | undefined
  const first = await readFileSet(paths, reads)
  let inForce = await build(first)
  let trusted = restedStamp(first)
  const timer = intervalMs > 0 ? setInterval(() => void check(), intervalMs).unref() : undefined

  return {
    current: () => inForce.value,
    check,
    status: () => ({
      name,
      ok: failure === undefined,
      digest: inForce.digest,
      loadedAt: inForce.loadedAt,
      reloads,
      failures,
      ...(failure === undefined ? {} : { error: failure.message }),
    }),
    close() {
      closed = true
      clearInterval(timer)
    },
  }

  function check(): Promise<LookOutcome> {
    if (closed) return Promise.resolve('unchanged')
    looking ??= look().finally(() => {
      looking = undefined
    })
    return looking
  }

  async function look(): Promise<LookOutcome> {
    let digest = '' // stays empty when there is nothing to read
    try {
      if (failure === undefined && trusted === (await factsOf(paths, reads)).stamp) return 'unchanged'
      const set = await readFileSet(paths, reads)
      digest = set.digest
      const next = digest === inForce.digest ? inForce : await build(set)
      if (closed) return 'unchanged'
      trusted = restedStamp(set)
      return settle(next)
    } catch (thrown) {
      return closed ? 'unchanged' : fail({ message: messageOf(thrown), digest })
    }
  }

  async function build(set: FileSet): Promise<InForce<T>> {
    const value = await loadOrExplain(options, set)
    if (options.secret === true && !closed) warnOfModes(set)
    return { value, digest: set.digest, loadedAt: now() }
  }

  /** The files are good: put `next` in force, or, being what is in force already, only leave the failure behind. */
  function settle(next: InForce<T>): LookOutcome {
    const recovered = failure !== undefined
    failure = undefined
    if (next === inForce) {
      if (recovered) log.info({ file: name, paths, digest: next.digest }, 'files are good again, nothing has changed')
      return 'unchanged'
    }
    inForce = next
    reloads += 1
    log.info({ file: name, paths, digest: next.digest }, 'files reloaded')
    void announce(next.value)
    return 'reloaded'
  }

  /** Looked at every second while it lasts, said once for each cause and content. */
  function fail(latest: Failure): LookOutcome {
    const known = failure?.message === latest.message && failure.digest === latest.digest
    failure = latest
    failures += 1
    if (known) return 'failed'
    log.error({ file: name, paths, error: latest.message }, 'reload failed, the last good content stays in force')
    return 'failed'
  }

  /** Async, so that a listener which throws and one which returns a rejected promise come to the same. */
  async function announce(value: T): Promise<void> {
    try {
      await options.onChange?.(value)
    } catch (thrown) {
      log.error({ file: name, paths, error: messageOf(thrown) }, 'what follows a reload failed')
    }
  }

  function warnOfModes(set: FileSet): void {
    for (const [path, { mode }] of set.facts.byPath) {
      const warning = permissionWarning(path, mode)
      if (warning !== undefined) log.warn({ file: name, warning }, 'file with secrets is open to others')
    }
  }

  /** The stamp by which this content is known again; undefined while the files have not rested. */
  function restedStamp(set: FileSet): string | undefined {
    return now().getTime() - set.facts.changedAt > REST_MS ? set.facts.stamp : undefined
  }
}

interface InForce<T> {
  readonly value: T
  readonly digest: string
  readonly loadedAt: Date
}

interface Failure {
  readonly message: string
  readonly digest: string
}

/** Runs `load`; whatever it throws becomes `file_invalid` that names the files. */
async function loadOrExplain<T>({ paths, load }: ReloadingOptions<T>, set: FileSet): Promise<T> {
  try {
    return await load(set.contents)
  } catch (thrown) {
    const named = thrown instanceof ArchwayError && paths.some((path) => thrown.message.includes(path))
    if (named && thrown.code === 'file_invalid') throw thrown
    const where = named ? '' : `${paths.join(', ')}: `
    // What parsers of the language throw quotes the text, so neither message nor cause of it goes on.
    if (thrown instanceof SyntaxError) throw new ArchwayError('file_invalid', `${where}cannot be parsed${at(thrown)}`)
    throw new ArchwayError('file_invalid', `${where}${messageOf(thrown)}`, { cause: thrown })
  }
}

/** The position a parser names in its message, without the rest of it. */
function at({ message }: SyntaxError): string {
  const place = /\b(?:position \d+|line \d+(?: column \d+)?)/.exec(message)
  return place === null ? '' : ` at ${place[0]}`
}
