/**
 * What runs in the thread of `crypt-thread.ts`: takes a job, answers with its verdict, one at a time.
 *
 * @module
 */
import { parentPort } from 'node:worker_threads'
import { matchesCrypt } from './crypt.ts'
import type { CryptHash } from './stored-hash.ts'

export interface CryptJob {
  readonly id: number
  readonly stored: CryptHash
  readonly password: string
}

export interface CryptVerdict {
  readonly id: number
  readonly matches: boolean
}

parentPort?.on('message', ({ id, stored, password }: CryptJob) => {
  const verdict: CryptVerdict = { id, matches: matchesCrypt(stored, password) }
  parentPort?.postMessage(verdict)
})
