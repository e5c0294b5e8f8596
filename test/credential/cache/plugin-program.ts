/**
 * What a plugin does with the cache, as a process of its own for tests to start many of, and to kill.
 *
 * usage: node plugin-program.ts JOB, a {@link PluginJob} as JSON
 */
import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { openStore } from '../../../src/credential/cache/open-store.ts'
import type { CredentialStore } from '../../../src/credential/cache/store.ts'
import { Secret } from '../../../src/secret.ts'

export interface PluginJob {
  /**
   * - `login`: reads, else locks, reads again, logs in (a line in `logins`) and writes; prints the token.
   * - `hold`: locks, prints `held`, and stays.
   * - `churn`: locks, writes a new token, releases, prints a dot, over and over.
   * - `turn`: locks, is alone for a moment (a line `in` and a line `out` in `logins`), releases.
   * - `report`: reads and writes; prints what it got as JSON, with the problem.
   */
  readonly does: 'login' | 'hold' | 'churn' | 'turn' | 'report'
  readonly kind: CredentialStore['kind']
  readonly home: string
  readonly user: string
  readonly logins?: string
  readonly tokenLength?: number
}

const job: PluginJob = JSON.parse(process.argv[2] ?? '')
const store = openStore(job.kind, { env: { ...process.env, XDG_CACHE_HOME: '' }, home: job.home })
const subject = { provider: 'keystone', user: job.user }
const key = store.keyOf(subject)

function credential(token: string) {
  const issuedAt = new Date()
  const expiresAt = new Date(issuedAt.getTime() + 3_600_000)
  return { token: new Secret(token), issuedAt, expiresAt, expiresAtText: 'later', subject, account: { user: job.user } }
}

async function locked(work: () => Promise<void>): Promise<void> {
  const lock = await store.lock(key, 90_000)
  if (lock === undefined) throw new Error('no lock within 90 s')
  await work()
  await lock.release()
}

function note(line: string): void {
  if (job.logins !== undefined) appendFileSync(job.logins, `${line}\n`)
}

const DOES: Readonly<Record<PluginJob['does'], () => Promise<void>>> = {
  async login() {
    let found = await store.read(key)
    if (found === undefined) {
      await locked(async () => {
        found = await store.read(key)
        if (found !== undefined) return
        note('login')
        await sleep(20) // whoever asks Keystone lets others run
        found = credential(`token-of-${process.pid}`)
        await store.write(key, found)
      })
    }
    console.log(found?.token.reveal())
  },

  async hold() {
    await locked(async () => {
      console.log('held')
      await sleep(600_000)
    })
  },

  async churn() {
    for (let turn = 0; ; turn++) {
      await locked(() => store.write(key, credential(`${turn}-`.repeat(1 + ((turn * 7919) % 5000)))))
      process.stdout.write('.')
    }
  },

  async turn() {
    await locked(async () => {
      note('in')
      await sleep(2)
      note('out')
    })
  },

  async report() {
    const before = await store.read(key)
    await store.write(key, credential('t'.repeat(job.tokenLength ?? 10)))
    const lock = await store.lock(key, 1_000)
    await lock?.release()
    const after = await store.read(key)
    const lengthOf = (found: typeof before) => found?.token.reveal().length ?? 0
    console.log(
      JSON.stringify({
        before: lengthOf(before),
        after: lengthOf(after),
        locked: lock !== undefined,
        listed: (await store.list()).length,
        problem: store.problem() ?? '',
      }),
    )
  },
}

if (store.problem() !== undefined && job.does !== 'report') throw new Error(store.problem())
await DOES[job.does]()
