/** The Redis rig for tests, one of a test's own: to look into, stop, kill and start again. */

import { execFile } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { freePorts, newFolder, recordRig, runRig } from './script.ts'

export interface ValkeyRig {
  readonly dir: string
  readonly port: number
  /** `redis://127.0.0.1:PORT` */
  readonly url: string
  /** `rediss://127.0.0.1:PORT+1` */
  readonly tlsUrl: string
  /** Of the CA that the server's certificate for `127.0.0.1` and `localhost` is from. */
  readonly caFile: string
  readonly password: string
  /** Runs a command of redis-cli; what it prints. */
  cli(...args: readonly string[]): Promise<string>
  /** Goes away in order; data and address stay. */
  stop(): Promise<void>
  /** Goes away at once. */
  kill(): Promise<void>
  /** Is there, and does not answer, until {@link ValkeyRig.resume}. */
  pause(): Promise<void>
  resume(): Promise<void>
  /** Comes back at the same address. */
  start(): Promise<void>
  /** Stops it and removes its folder. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Starts an empty server. */
export async function startValkey(): Promise<ValkeyRig> {
  const dir = join(newFolder('valkey'), 'rig')
  const port = await freePorts(2)
  const password = 'rig-pw'
  recordRig('valkey', dir)
  await runRig('valkey', ['start', dir, String(port)])
  const signal = async (name: NodeJS.Signals): Promise<void> => {
    process.kill(Number(await readFile(join(dir, 'valkey.pid'), 'utf8')), name)
  }

  const rig: ValkeyRig = {
    dir,
    port,
    url: `redis://127.0.0.1:${port}`,
    tlsUrl: `rediss://127.0.0.1:${port + 1}`,
    caFile: join(dir, 'ca.crt'),
    password,
    async cli(...args) {
      const { stdout } = await promisify(execFile)('redis-cli', ['-p', String(port), ...args], {
        env: { ...process.env, REDISCLI_AUTH: password },
      })
      return stdout.trimEnd()
    },
    async stop() {
      await runRig('valkey', ['stop', dir])
    },
    async kill() {
      await signal('SIGKILL')
      await runRig('valkey', ['stop', dir]) // finds it gone, or waits for that
    },
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    async start() {
      await runRig('valkey', ['start', dir, String(port)])
    },
    async [Symbol.asyncDispose]() {
      await rig.stop()
      await rm(dirname(dir), { recursive: true, force: true })
    },
  }
  return rig
}
