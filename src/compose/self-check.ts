/**
 * The self-check of the proxy, kept up until it has an answer: an API server that is away at the start is asked when it
 * is back. What is set up wrongly is said once, with the remedy, and keeps the proxy from being ready where so configured.
 *
 * @module
 */
import type { CallLog } from '../context.ts'
import type { ApiServers } from '../proxy/upstreams/api-servers.ts'
import type { Finding } from '../proxy/upstreams/self-check.ts'
import type { ReadinessCheck } from '../server/admin.ts'

const AGAIN_MS = 10_000
const TIMEOUT_MS = 15_000

export interface SelfCheckWatch {
  readonly checks: readonly ReadinessCheck[]
  close(): void
}

export interface SelfCheckWatchOptions {
  /** Whether an error keeps us from being ready, is only said, or nobody looks. */
  readonly mode: 'require' | 'warn' | 'off'
  readonly log: CallLog
  /** How soon servers are asked again while something is wrong or unknown, milliseconds. */
  readonly againMs?: number
}

/** Begins when every server was checked once. */
export function watchSelfCheck(
  servers: Pick<ApiServers, 'firstRound' | 'selfCheck'>,
  { mode, log, againMs = AGAIN_MS }: SelfCheckWatchOptions,
): SelfCheckWatch {
  if (mode === 'off') return { checks: [], close() {} }
  const ending = new AbortController()
  const said = new Set<string>()
  let errors: readonly Finding[] = []
  let timer: NodeJS.Timeout | undefined
  void servers.firstRound.then(look)
  return {
    checks: [
      {
        name: 'front-proxy',
        check: () => ({
          ok: mode === 'warn' || errors.length === 0,
          detail: errors.map(({ server, message }) => `${server}: ${message}`).join('; ') || 'nothing wrong is known',
        }),
      },
    ],
    close() {
      ending.abort()
      clearTimeout(timer)
    },
  }

  async function look(): Promise<void> {
    if (ending.signal.aborted) return
    const found = await servers.selfCheck(AbortSignal.any([ending.signal, AbortSignal.timeout(TIMEOUT_MS)]))
    if (ending.signal.aborted) return
    errors = found.filter(({ level }) => level === 'error')
    for (const finding of found) say(finding)
    if (errors.length > 0 || found.some(({ level }) => level === 'undecided')) {
      timer = setTimeout(() => void look(), againMs).unref()
    }
  }

  /** Each of them once, as long as it stays the same. */
  function say({ server, check, level, message }: Finding): void {
    const key = `${server} ${check}`
    if (said.has(`${key} ${level} ${message}`)) return
    for (const old of [...said].filter((entry) => entry.startsWith(`${key} `))) said.delete(old)
    said.add(`${key} ${level} ${message}`)
    const fields = { upstream: server, check, finding: message }
    if (level === 'error') log.error(fields, 'the API server and this proxy are not set up for each other')
    else if (level === 'warning') log.warn(fields, 'something of identities is lost on the way to the API server')
    else if (level === 'undecided') log.info(fields, 'the set-up of an API server could not be looked at yet')
    else log.debug(fields, 'the set-up of an API server was looked at')
  }
}
