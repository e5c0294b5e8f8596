/**
 * The load: keep-alive TLS connections, one request at a time on each, and what the server's process spent on it.
 *
 * @module
 */
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { connect, type TLSSocket } from 'node:tls'

/** A whole request, and what is in the body of a right answer. */
export interface Question {
  readonly bytes: Buffer
  readonly answer: RegExp
}

export interface LoadOptions {
  readonly port: number
  /** Asked in turn. */
  readonly questions: readonly Question[]
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
  const { port, questions, connections, pid, warmupMs, slices, sliceMs } = options
  let answered = 0
  let running = true
  let next = 0
  /** Asks the next question; gives what the answer has to hold. */
  const ask = (socket: TLSSocket): RegExp => {
    next = (next + 1) % questions.length
    const question = questions[next]
    if (question === undefined) throw new TypeError('nothing to ask')
    socket.write(question.bytes)
    return question.answer
  }
  const failures: Error[] = []
  const sockets = await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
      await once(socket, 'secureConnect')
      socket.setNoDelay(true)
      socket.on('error', (error) => failures.push(error))
      return socket
    }),
  )
  for (const socket of sockets) {
    let expected = ask(socket)
    onAnswers(socket, (answer) => {
      if (!answer.startsWith('HTTP/1.1 200') || !expected.test(answer)) {
        failures.push(new Error(`an answer was not the expected one: ${answer}`))
      }
      answered++
      if (running) expected = ask(socket)
    })
  }
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

/** Calls back with each whole answer. */
function onAnswers(socket: TLSSocket, take: (answer: string) => void): void {
  let pending = ''
  socket.setEncoding('latin1')
  socket.on('data', (text: string) => {
    pending += text
    const head = pending.indexOf('\r\n\r\n')
    if (head < 0) return
    const length = /content-length: (\d+)/i.exec(pending.slice(0, head))
    if (pending.length < head + 4 + Number(length?.[1])) return
    const answer = pending
    pending = ''
    take(answer)
  })
}

export function passed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Time all threads of a process have run, from the scheduler's own books. */
export function cpuNanoseconds(pid: number): number {
  const tasks = readdirSync(`/proc/${pid}/task`)
  return tasks.reduce(
    (sum, task) => sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]),
    0,
  )
}
