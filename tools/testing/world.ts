/**
 * What a test run stands on and leaves nothing of: a folder of its own (also HOME and TMPDIR of the tests), an
 * environment without this machine's settings, the shared Keystone, and the list of rigs to stop.
 */

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { KEYSTONE_TEMPLATE, SHARED_KEYSTONE, startKeystone } from '../../test/rigs/keystone.ts'
import { type RigName, runRig, STARTED_RIGS, scriptOf } from '../../test/rigs/script.ts'
import { say } from '../progress.cjs'

/** The checkout. */
export const ROOT: string = dirname(dirname(import.meta.dirname))

const TEMPLATES = join(ROOT, '.cache/rigs')
const PREFIX = 'archway-test-run-'

export interface World {
  /** Starts the shared Keystone, once; from then on the tests' environment names it. */
  shareKeystone(): Promise<void>
  /** Stops every rig that is still there and removes the folder. */
  close(): Promise<void>
}

/** Opens the world of this run and sets this process's environment, which the tests inherit. */
export async function openWorld({ keep }: { readonly keep: boolean }): Promise<World> {
  await sweep()
  const folder = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`))
  cleanEnvironment(folder)
  let keystone: Promise<void> | undefined
  return {
    shareKeystone() {
      keystone ??= startShared(join(folder, 'keystone'))
      return keystone
    },

    async close() {
      await stopRigs(folder)
      if (keep) say(`archway: kept ${folder}`)
      else rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
    },
  }
}

/** Ends what runs that were killed have left: their pid is in the folder's name. */
async function sweep(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    const [, pid] = new RegExp(`^${PREFIX}(\\d+)-`).exec(name) ?? []
    if (pid === undefined || isAlive(Number(pid))) continue
    const folder = join(tmpdir(), name)
    try {
      await stopRigs(folder)
      rmSync(folder, { recursive: true, force: true })
    } catch (error) {
      say(`archway: could not clear ${folder}, left by an earlier run: ${error}`)
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM' // another user's
  }
}

/** Tests meet the same world everywhere: no clouds, clusters, proxies and settings of whoever runs them. */
function cleanEnvironment(folder: string): void {
  const [assets, kubectl] = (['kube-apiserver', 'kubectl'] as const).map(pathOf) // depend on HOME
  for (const name of Object.keys(process.env)) {
    if (/^(OS_|KUBE|ARCHWAY_|XDG_|npm_|https?_proxy$|all_proxy$)/i.test(name)) delete process.env[name]
  }
  for (const [name, sub] of Object.entries({ HOME: 'home', TMPDIR: 'tmp' })) {
    process.env[name] = join(folder, sub)
    mkdirSync(join(folder, sub))
  }
  process.env['KUBEBUILDER_ASSETS'] = assets
  process.env['KUBECTL_1_20'] = kubectl
  process.env[STARTED_RIGS] = join(folder, 'started-rigs')
}

/** Where a rig keeps its programs. */
function pathOf(rig: RigName): string {
  return execFileSync(scriptOf(rig), ['path'], { encoding: 'utf8' }).trim()
}

async function stopRigs(folder: string): Promise<void> {
  const list = join(folder, 'started-rigs')
  const started = existsSync(list) ? readFileSync(list, 'utf8').split('\n').filter(Boolean) : []
  for (const entry of new Set(started.reverse())) {
    const [name = '', dir = ''] = entry.split('\t')
    if (existsSync(dir)) await runRig(name as RigName, ['stop', dir]).catch((error: unknown) => say(String(error)))
  }
}

/**
 * A new Keystone takes 20 s, a copy of a seeded one 4 s. So the first one is copied into the checkout's cache before
 * any test has touched it, and every later one, of this run and the next, begins as a copy of that.
 */
async function startShared(dir: string): Promise<void> {
  const template = join(TEMPLATES, `keystone-${fingerprint()}`)
  const begin = Date.now()
  const isUp = () => {
    process.env[KEYSTONE_TEMPLATE] = template
    process.env[SHARED_KEYSTONE] = dir
    say(`archway: Keystone is up (${Math.round((Date.now() - begin) / 1000)} s)`)
  }
  if (existsSync(template)) {
    process.env[KEYSTONE_TEMPLATE] = template
    try {
      await startKeystone({ dir, workers: 2 })
      return isUp()
    } catch {
      delete process.env[KEYSTONE_TEMPLATE] // a spoilt copy: made anew
      rmSync(dir, { recursive: true, force: true })
    }
  }
  say('archway: making a Keystone with users, projects and roles (20 s, once) …')
  await startKeystone({ dir, workers: 2 })
  await keepTemplate(dir, template)
  isUp()
}

/** Puts the copy into place at once, whole; it replaces those of earlier versions. */
async function keepTemplate(dir: string, template: string): Promise<void> {
  mkdirSync(TEMPLATES, { recursive: true })
  for (const old of readdirSync(TEMPLATES)) rmSync(join(TEMPLATES, old), { recursive: true, force: true })
  const part = join(TEMPLATES, `part-${process.pid}`)
  await runRig('keystone', ['clone', dir, part])
  try {
    renameSync(part, template)
  } catch {
    rmSync(part, { recursive: true, force: true }) // another run was quicker
  }
}

/** Of all that decides what a seeded Keystone looks like. */
function fingerprint(): string {
  const version = execFileSync('dpkg-query', ['-W', 'python3-keystone'], { encoding: 'utf8' })
  return createHash('sha256')
    .update(readFileSync(scriptOf('keystone')))
    .update(version)
    .digest('hex')
    .slice(0, 16)
}
