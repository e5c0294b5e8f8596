/**
 * Who asks now: kubectl, or whatever else started the plugin.
 *
 * @module
 */
import { statSync } from 'node:fs'
import { processOf } from './processes.ts'
import type { Asker } from './store.ts'

/**
 * Set by a launcher that starts another Node, which is then between kubectl and the plugin: `LAUNCHER:ASKER`, its own
 * pid and that of its parent. It counts only where the launcher is the parent, so that a program further down that
 * inherits the variable is not taken for somebody else.
 */
export const ASKER_VARIABLE = 'ARCHWAY_ASKER_PID'

export function currentAsker(env: Readonly<Record<string, string | undefined>>, parent: number = process.ppid): Asker {
  const [, launcher, asker] = /^(\d{1,10}):(\d{1,10})$/.exec(env[ASKER_VARIABLE] ?? '') ?? []
  const pid = Number(launcher) === parent ? Number(asker) : parent
  const state = processOf(pid)
  return { pid, started: state.kind === 'running' ? `${state.started}${programOf(pid)}` : '' }
}

/**
 * A process may become another program and keep pid and start: the kubectl of Google's SDK asks the server for its
 * version, then becomes the kubectl of that version, which asks for a credential of its own. By device and inode, which
 * hold when the file has been replaced or removed; '' where they are not told.
 */
function programOf(pid: number): string {
  try {
    const { dev, ino } = statSync(`/proc/${pid}/exe`)
    return ` ${dev}:${ino}`
  } catch {
    return ''
  }
}
