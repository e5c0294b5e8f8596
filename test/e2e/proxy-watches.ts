/** Clients that watch through the proxy as client-go does: a watch that ends, or breaks, is begun again. */

import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'

export interface WatchOptions {
  readonly url: string
  /** PEM. */
  readonly ca: string
  readonly headers: Readonly<Record<string, string>>
}

/** How watches have ended so far. */
export interface WatchCounts {
  /** With the end of the answer. */
  ended: number
  /** Cut off in the middle. */
  broken: number
  /** Could not be begun: no answer, or not 200. */
  refused: number
}

export interface Watcher {
  /** A watch is open. */
  readonly isOpen: boolean
  /** Names of the objects it was told of, over all its watches. */
  readonly seen: ReadonlySet<string>
  stop(): void
}

/** Opens watch after watch until it is stopped; each on a connection of its own. */
export function startWatcher({ url, ca, headers }: WatchOptions, counts: WatchCounts): Watcher {
  const agent = new Agent({ ca, keepAlive: false })
  const seen = new Set<string>()
  let isStopped = false
  let isOpen = false
  let end = (): void => {}

  async function watchOnce(): Promise<void> {
    const asked = request(url, { agent, headers })
    end = () => asked.destroy()
    asked.end()
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    if (answer.statusCode !== 200) {
      answer.resume()
      counts.refused++
      return pause()
    }
    isOpen = true
    try {
      await readEvents(answer, seen)
      counts.ended++
    } catch {
      if (!isStopped) counts.broken++
    } finally {
      isOpen = false
    }
  }

  void (async () => {
    while (!isStopped) {
      await watchOnce().catch(() => {
        if (isStopped) return undefined
        counts.refused++
        return pause()
      })
    }
    agent.destroy()
  })()

  return {
    get isOpen() {
      return isOpen
    },
    seen,
    stop() {
      isStopped = true
      end()
    },
  }
}

/** To the end of the answer; rejects where it is cut off. */
async function readEvents(answer: IncomingMessage, seen: Set<string>): Promise<void> {
  let rest = ''
  for await (const chunk of answer.setEncoding('utf8')) {
    const lines = `${rest}${chunk}`.split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines)
      seen.add((JSON.parse(line) as { object: { metadata: { name: string } } }).object.metadata.name)
  }
  if (rest !== '') throw new Error('half an event at the end')
}

/** A server that has nobody to ask is not asked all the time. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 100))
}
