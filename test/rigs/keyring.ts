/** A real keyring for tests: commands are run on a D-Bus session of their own, with the keyring of a home. */

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { scriptOf } from './script.ts'

/** `run`: unlocked; `locked`: nobody there to unlock it; `bare`: a session without a Secret Service. */
export type KeyringState = 'run' | 'locked' | 'bare'

/** Runs a command and returns what it printed. `home` becomes its HOME, and keeps the keyring from one session to the next. */
export async function onKeyring(
  state: KeyringState,
  home: string,
  command: readonly [string, ...string[]],
): Promise<string> {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env // what it prints is not for node's test runner
  const { stdout } = await promisify(execFile)(scriptOf('keyring'), [state, home, ...command], { env })
  return stdout.trim()
}
