/**
 * Runs the rig scripts of this folder for tests: where rigs live, which ports are free, and a list of what was
 * started, by which tools/test.ts stops rigs whose test died.
 */

import { execFile } from 'node:child_process'
import { appendFileSync, mkdtempSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

export type RigName =
  | 'executable'
  | 'keyring'
  | 'keystone'
  | 'kube-apiserver'
  | 'kubectl'
  | 'kubelet-stand-in'
  | 'nginx'
  | 'slapd'
  | 'valkey'

/** Set by tools/test.ts: the file that remembers started rigs, one `name<TAB>folder` a line. */
export const STARTED_RIGS = 'ARCHWAY_TEST_STARTED_RIGS'

export function scriptOf(name: RigName): string {
  return join(import.meta.dirname, name)
}

/** Runs a rig's script and returns what it printed; its complaint becomes the error. */
export async function runRig(name: RigName, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(scriptOf(name), args, { env: { ...process.env, ...env } })
    return stdout.trim()
  } catch (error) {
    const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : ''
    throw new Error(`${name} ${args.join(' ')} failed:\n${stderr}`, { cause: error })
  }
}

/** Remembers a rig before it is started. */
export function recordRig(name: RigName, dir: string): void {
  const list = process.env[STARTED_RIGS]
  if (list !== undefined) appendFileSync(list, `${name}\t${dir}\n`)
}

/** A new folder; under tools/test.ts it lies in the run's own, which is removed at the end. */
export function newFolder(name: string): string {
  return mkdtempSync(join(tmpdir(), `${name}-`))
}

/** The first of `count` loopback ports in a row that nobody listens on. */
export async function freePorts(count = 1): Promise<number> {
  for (;;) {
    const first = await bindable(0)
    const rest = await Promise.all(Array.from({ length: count - 1 }, (_, index) => bindable(first + index + 1)))
    if (first > 0 && rest.every((port) => port > 0)) return first
  }
}

/** The port when it can be bound (0 asks for any), or -1. */
function bindable(port: number): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(-1))
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : -1))
    })
  })
}
