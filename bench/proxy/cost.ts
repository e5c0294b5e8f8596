/**
 * What a request costs a proxy: processor time, by the scheduler's own books, of so many answers.
 *
 * @module
 */
import { cpuNanoseconds } from '../load.ts'
import { dial, onAnswers, requestFor } from './asking.ts'
import type { Peer } from './peers.ts'

/** One way of asking. */
export interface Load {
  readonly title: string
  readonly path: string
  readonly connections: number
  /** Answers before anything is measured, so that code is compiled and connections are there. */
  readonly warmup: number
  /** Answers of one slice. */
  readonly slice: number
}

export interface Cost {
  readonly cpuMicroseconds: number
  readonly perSecond: number
  readonly megabytesPerCpuSecond: number
}

const SLICES = 5

/** Asks everybody in turn, so that what else the machine does falls on all of them; the medians. */
export async function costs(peers: readonly Peer[], load: Load): Promise<ReadonlyMap<Peer, Cost>> {
  for (const peer of peers) await slice(peer, load, load.warmup)
  const all = new Map(peers.map((peer): [Peer, Cost[]] => [peer, []]))
  for (let at = 0; at < SLICES; at++) for (const [peer, cost] of all) cost.push(await slice(peer, load, load.slice))
  return new Map([...all].map(([peer, cost]) => [peer, median(cost)]))
}

function median(cost: readonly Cost[]): Cost {
  const middle = cost.toSorted((a, b) => a.cpuMicroseconds - b.cpuMicroseconds)[Math.floor(cost.length / 2)]
  if (middle === undefined) throw new TypeError('nothing was measured')
  return middle
}

/** Connections are made anew, and each has had its first answer before it counts. */
async function slice({ port, pid }: Peer, { path, connections }: Load, wanted: number): Promise<Cost> {
  const request = requestFor(path)
  const sockets = await Promise.all(Array.from({ length: connections }, () => dial(port)))
  let answers = 0
  let received = 0
  const { promise: over, resolve, reject } = Promise.withResolvers<Cost>()
  let before = { cpu: 0, at: 0, answers: 0, received: 0 }

  function cost(): Cost {
    const cpu = cpuNanoseconds(pid) - before.cpu
    const count = answers - before.answers
    return {
      cpuMicroseconds: cpu / 1000 / count,
      perSecond: count / ((performance.now() - before.at) / 1000),
      megabytesPerCpuSecond: (received - before.received) / 1e6 / (cpu / 1e9),
    }
  }

  for (const socket of sockets) {
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('a connection was closed')))
    onAnswers(socket, (status, bytes) => {
      if (status !== 200) reject(new Error(`an answer was ${status}`))
      answers += 1
      received += bytes
      if (answers === connections) before = { cpu: cpuNanoseconds(pid), at: performance.now(), answers, received }
      if (answers === connections + wanted) resolve(cost())
      else if (answers < connections + wanted) socket.write(request)
    })
    socket.write(request)
  }
  try {
    return await over
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}
