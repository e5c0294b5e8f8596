/**
 * What the process under test holds at a moment: its own metrics, and its descriptors as the kernel counts them.
 *
 * @module
 */
import { readdirSync } from 'node:fs'
import { get } from 'node:http'

export interface Reading {
  /** Of the monotonic clock. */
  readonly seconds: number
  /** All the memory it has, megabytes; much of it is what V8 has taken for young objects and may give back or not. */
  readonly rss: number
  /** Of which JavaScript uses so much. */
  readonly heap: number
  /** And so much is not V8's at all: TLS, buffers, the program itself. */
  readonly native: number
  readonly descriptors: number
  /** What is to be 0 when nobody asks. */
  readonly underWay: UnderWay
  readonly upstreamIdle: number
  /** Requests so far. */
  readonly requests: number
}

export type UnderWay = Readonly<Record<(typeof GAUGES)[number], number>>

const GAUGES = ['connections', 'short', 'long', 'waiting', 'users', 'upstreamBusy'] as const

/** `adminUrl` of the proxy whose process is `pid`. */
export async function readingOf(adminUrl: string, pid: number): Promise<Reading> {
  const metrics = await textOf(`${adminUrl}/metrics`)
  const sum = (name: string, labels = ''): number => sumOf(metrics, name, labels)
  const rss = sum('process_resident_memory_bytes')
  return {
    seconds: performance.now() / 1000,
    rss: rss / 1e6,
    heap: sum('nodejs_heap_size_used_bytes') / 1e6,
    native: (rss - sum('nodejs_heap_size_total_bytes')) / 1e6,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    underWay: {
      connections: sum('archway_connections'),
      short: sum('archway_proxy_in_flight', 'duration="short"'),
      long: sum('archway_proxy_in_flight', 'duration="long"'),
      waiting: sum('archway_proxy_waiting'),
      users: sum('archway_proxy_active_users'),
      upstreamBusy: sum('archway_proxy_upstream_connections', 'state="busy"'),
    },
    upstreamIdle: sum('archway_proxy_upstream_connections', 'state="idle"'),
    requests: sum('archway_proxy_outcomes_total'),
  }
}

export function isStill({ underWay }: Reading): boolean {
  return Object.values(underWay).every((count) => count === 0)
}

/** The sum of all series of a name that have these labels. */
function sumOf(metrics: string, name: string, labels: string): number {
  return metrics
    .split('\n')
    .filter((line) => (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) && line.includes(labels))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}

/** On a connection of its own, gone with the answer: a kept one would be counted. */
export function textOf(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asking = get(url, { agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('error', reject)
      response.on('end', () => {
        if (response.statusCode === 200) resolve(text)
        else reject(new Error(`${url}: ${response.statusCode} ${text}`))
      })
    })
    asking.on('error', reject)
  })
}
