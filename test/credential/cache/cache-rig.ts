/** Homes, credentials and plugin processes for the tests of the cache. */

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { promisify } from 'node:util'
import { openStore } from '../../../src/credential/cache/open-store.ts'
import type { CachedCredential, CredentialStore } from '../../../src/credential/cache/store.ts'
import { Secret } from '../../../src/secret.ts'
import type { PluginJob } from './plugin-program.ts'

export const SUBJECT = { provider: 'keystone', url: 'https://keystone.example:5000/v3', user: 'alice' }

const homes: string[] = []
after(() => {
  for (const home of homes) rmSync(home, { recursive: true, force: true })
})

/** A home folder, removed after the file's tests. */
export function newHome(): string {
  const home = mkdtempSync(join(tmpdir(), 'cache-'))
  homes.push(home)
  return home
}

/** A path in the folder that a store makes in `home`. */
export function inCache(home: string, ...names: string[]): string {
  return join(home, '.cache/archway', ...names)
}

export function openIn(home: string, kind: CredentialStore['kind'] = 'file'): CredentialStore {
  return openStore(kind, { env: {}, home })
}

export function credentialOf(token: string, changes: Partial<CachedCredential> = {}): CachedCredential {
  return {
    token: new Secret(token),
    issuedAt: new Date('2030-01-02T03:04:05.678Z'),
    expiresAt: new Date('2030-01-02T04:04:05.000Z'),
    expiresAtText: '2030-01-02T04:04:05.000000Z',
    subject: SUBJECT,
    account: { user: 'alice', project: 'demo', domain: 'Default' },
    ...changes,
  }
}

/** A store in a new home that holds one credential. */
export async function filled(token = 'the-token'): Promise<{ home: string; store: CredentialStore; key: string }> {
  const home = newHome()
  const store = openIn(home)
  const key = store.keyOf(SUBJECT)
  await store.write(key, credentialOf(token))
  return { home, store, key }
}

/** Every file of a folder: name → content. */
export function filesOf(folder: string): ReadonlyMap<string, string> {
  return new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'latin1')]))
}

/** The command of a plugin process. */
export function pluginCommand(job: PluginJob): [string, ...string[]] {
  return [process.execPath, '--no-warnings', join(import.meta.dirname, 'plugin-program.ts'), JSON.stringify(job)]
}

/** Runs a command that is to succeed, and returns what it printed. */
export async function run([program, ...args]: readonly [string, ...string[]]): Promise<string> {
  const { stdout } = await promisify(execFile)(program, args, { env: childEnv(), maxBuffer: 2 ** 24 })
  return stdout.trim()
}

/** Starts a plugin process; the first thing it prints has been printed. */
export async function started(job: PluginJob): Promise<ChildProcess> {
  const [program, ...args] = pluginCommand(job)
  const child = spawn(program, args, { env: childEnv(), stdio: ['ignore', 'pipe', 'inherit'] })
  const exit = once(child, 'exit').then(() => Promise.reject(new Error(`${job.does} ended by itself`)))
  exit.catch(() => undefined)
  if (child.stdout !== null) await Promise.race([once(child.stdout, 'data'), exit])
  return child
}

/** Kills a process outright, and waits until it is gone. */
export async function killed(child: ChildProcess): Promise<void> {
  const gone = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined
  child.kill('SIGKILL')
  await gone
}

let compiled: string | undefined

/** What they run is compiled once for all of them: that is most of what a start takes. */
function childEnv(): NodeJS.ProcessEnv {
  compiled ??= newHome()
  const { NODE_TEST_CONTEXT: _, ...env } = process.env // what they print is not for node's test runner
  return { ...env, NODE_COMPILE_CACHE: compiled }
}
