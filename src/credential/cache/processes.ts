/**
 * What the system says of a process. Owns telling a process apart from a later one with the same pid.
 *
 * @module
 */
import { readFileSync } from 'node:fs'

export type ProcessState =
  | { readonly kind: 'running'; readonly started: string }
  | { readonly kind: 'ended' }
  /** There is one with this pid, and nothing tells whether it is the same. */
  | { readonly kind: 'unknown' }

/** Linux says when a process was started, in clock ticks since the machine was; other systems only that there is one. */
export function processOf(pid: number): ProcessState {
  const stat = statOf(pid)
  if (stat !== undefined) return stat
  try {
    process.kill(pid, 0)
    return { kind: 'unknown' }
  } catch (error) {
    const isGone = error instanceof Error && 'code' in error && error.code === 'ESRCH'
    return { kind: isGone ? 'ended' : 'unknown' } // EPERM: it is somebody else's
  }
}

function statOf(pid: number): ProcessState | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return undefined
  }
}

/**
 * Reads `/proc/PID/stat` (proc(5)). The second field, the program's name in parentheses, may itself hold spaces,
 * parentheses and newlines, so counting begins after the last parenthesis: state is field 3, starttime field 22.
 */
export function parseStat(text: string): ProcessState | undefined {
  const fields = text
    .slice(text.lastIndexOf(')') + 1)
    .trim()
    .split(' ')
  const [state, started] = [fields[0], fields[22 - 3]]
  if (!text.includes(')') || state === undefined || started === undefined || !/^\d+$/.test(started)) return undefined
  return /^[ZXx]$/.test(state) ? { kind: 'ended' } : { kind: 'running', started } // Z: nobody has fetched its status
}
