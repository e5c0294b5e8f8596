/**
 * The load: keep-alive TLS connections, one request at a time on each, and what the server's process spent on it.
 *
 * @module
 */
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { connect, type TLSSocket } from 'node:tls'

export interface LoadOptions {
  readonly port: number
  /** Whole requests, sent in turn. */
  readonly requests: readonly Buffer[]
  readonly connections: number
  /** Process of the server. */
  readonly pid: number
  readonly warmupMs: number
  readonly slices: number
  readonly sliceMs: number
}

export interface Slice {
  readonly requestsPerSecond: number
  /** Processor time of the server's threads for each request, in microseconds. */
  readonly cpuMicroseconds: number
}

/** Runs the load. Throws where an answer is not the expected one: a fast error is not a result. */
export async function load(options: LoadOptions): Promise<readonly Slice[]> {
  const { port, requests, connections, pid, warmupMs, slices, sliceMs } = options
  let answered = 0
  let running = true
  let next = 0
  const nextRequest = (): Buffer => {
    next = (next + 1) % requests.length
    return requests[next] ?? Buffer.alloc(0)
  }
  const failures: Error[] = []
  const sockets = await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
      await once(socket, 'secureConnect')
      socket.setNoDelay(true)
      socket.on('error', (error) => failures.push(error))
      onAnswers(socket, (good) => {
        if (!good) failures.push(new Error('an answer was not the expected one'))
        answered++
        if (running) socket.write(nextRequest())
      })
      return socket
    }),
  )
  for (const socket of sockets) socket.write(nextRequest())
  await passed(warmupMs)
  const results: Slice[] = []
  for (let i = 0; i < slices; i++) {
    const before = { answered, cpu: cpuNanoseconds(pid), at: performance.now() }
    await passed(sliceMs)
    const count = answered - before.answered
    results.push({
      requestsPerSecond: count / ((performance.now() - before.at) / 1000),
      cpuMicroseconds: (cpuNanoseconds(pid) - before.cpu) / 1000 / count,
    })
  }
  running = false
  for (const socket of sockets) socket.destroy()
  const [failure] = failures.filter((error) => !/ECONNRESET|EPIPE/.test(error.message))
  if (failure !== undefined) throw failure
  return results
}

/** Calls back for each whole answer: status 200 and a body that says authenticated, or echoes the question. */
function onAnswers(socket: TLSSocket, answer: (good: boolean) => void): void {
  let pending = ''
  socket.setEncoding('latin1')
  socket.on('data', (text: string) => {
    pending += text
    const head = pending.indexOf('\r\n\r\n')
    if (head < 0) return
    const length = /content-length: (\d+)/i.exec(pending.slice(0, head))
    if (pending.length < head + 4 + Number(length?.[1])) return
    const good = pending.startsWith('HTTP/1.1 200') && /"authenticated": ?true|"spec": ?\{"token"/.test(pending)
    pending = ''
    answer(good)
  })
}

function passed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Time all threads of a process have run, from the scheduler's own books. */
function cpuNanoseconds(pid: number): number {
  const tasks = readdirSync(`/proc/${pid}/task`)
  return tasks.reduce(
    (sum, task) => sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]),
    0,
  )
}
