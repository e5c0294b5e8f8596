/**
 * One thread beside the event loop for hashes that are computed in JavaScript. Owns its life: started with the first
 * job, kept, given up on `close`; leaves the arithmetic to `crypt.ts`.
 *
 * @module
 */
import { Worker } from 'node:worker_threads'
import { ArchwayError, messageOf } from '../../errors.ts'
import type { CryptJob, CryptVerdict } from './crypt-worker.ts'
import type { CryptHash } from './stored-hash.ts'

export interface CryptThread {
  /** Jobs are done in order. Throws `internal` where the thread has failed; the next job gets a new one. */
  matches(stored: CryptHash, password: string): Promise<boolean>
  /** Ends the thread; jobs that wait fail. */
  close(): void
}

interface Waiting {
  readonly resolve: (matches: boolean) => void
  readonly reject: (cause: ArchwayError) => void
}

export function cryptThread(): CryptThread {
  const waiting = new Map<number, Waiting>()
  let worker: Worker | undefined
  let jobs = 0

  function start(): Worker {
    // The compiler rewrites the endings of imports, and this is none.
    const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const started = new Worker(new URL(`./crypt-worker.${ending}`, import.meta.url), { execArgv: [] })
    started.on('message', ({ id, matches }: CryptVerdict) => {
      waiting.get(id)?.resolve(matches)
      waiting.delete(id)
      if (waiting.size === 0) started.unref()
    })
    started.on('error', (thrown) => drop(started, messageOf(thrown)))
    started.on('exit', () => drop(started, 'it has ended'))
    return started
  }

  function drop(ended: Worker, cause: string): void {
    if (ended !== worker) return
    worker = undefined
    for (const { reject } of waiting.values()) {
      reject(new ArchwayError('internal', `the thread that computes password hashes failed: ${cause}`))
    }
    waiting.clear()
  }

  return {
    matches(stored, password) {
      worker ??= start()
      const thread = worker
      const job: CryptJob = { id: jobs++, stored, password }
      return new Promise((resolve, reject) => {
        waiting.set(job.id, { resolve, reject })
        thread.ref()
        thread.postMessage(job)
      })
    },
    close() {
      const ended = worker
      if (ended === undefined) return
      drop(ended, 'it was closed')
      void ended.terminate()
    },
  }
}
