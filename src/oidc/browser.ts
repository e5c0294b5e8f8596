/**
 * Opens the person's browser. No shell is involved, and the address cannot be taken for an option: it is an http or
 * https URL, written anew by the URL parser.
 *
 * @module
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { isConfidential } from './address.ts'

export interface OpenBrowserOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly platform?: NodeJS.Platform
  /** How long a command may take to fail before it counts as running. Default 1 s. */
  readonly graceMs?: number
}

const GRACE_MS = 1000

/** Opens `url`. `false`: there is no browser here, or it could not be started; then print the address. Never throws. */
export async function openBrowser(url: string, options: OpenBrowserOptions = {}): Promise<boolean> {
  const { env = process.env, platform = process.platform, graceMs = GRACE_MS } = options
  const parsed = URL.parse(url)
  if (parsed === null || !isConfidential(parsed)) return false
  for (const command of commands(env, platform)) {
    if (await starts(withUrl(command, parsed.href), { env, graceMs })) return true
  }
  return false
}

/** In the order they are tried, each a program and its arguments. */
function commands(env: NodeJS.ProcessEnv, platform: NodeJS.Platform): string[][] {
  const { BROWSER: chosen = '', DISPLAY: x11 = '', WAYLAND_DISPLAY: wayland = '', SystemRoot: root } = env
  if (platform === 'darwin') return [['/usr/bin/open']]
  if (platform === 'win32') {
    // Not `start`, which is a command of the shell. By its full path, so that nothing in this folder is run instead.
    return [[join(root ?? 'C:\\Windows', 'System32', 'rundll32.exe'), 'url.dll,FileProtocolHandler']]
  }
  const named = chosen.split(':').map((command) => command.split(' ').filter((word) => word !== ''))
  const desktop = x11 !== '' || wayland !== '' ? [['xdg-open']] : []
  return [...named.filter((words) => words.length > 0), ...desktop]
}

/** `$BROWSER` may say with `%s` where the address belongs; otherwise it comes last. */
function withUrl(command: readonly string[], url: string): string[] {
  const filled = command.map((word) => word.replaceAll('%s', () => url))
  return command.some((word) => word.includes('%s')) ? filled : [...filled, url]
}

/** Whether the command runs: it was found, and it has not failed within the grace. */
function starts(
  [program = '', ...args]: readonly string[],
  { env, graceMs }: { readonly env: NodeJS.ProcessEnv; readonly graceMs: number },
): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { env, shell: false, detached: true, stdio: 'ignore', windowsHide: true })
    const settle = (runs: boolean): void => {
      clearTimeout(timer)
      child.unref()
      resolve(runs)
    }
    const timer = setTimeout(() => settle(true), graceMs)
    child.once('error', () => settle(false))
    child.once('exit', (code) => settle(code === 0))
  })
}
