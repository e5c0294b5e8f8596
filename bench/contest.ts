/**
 * Servers asked the same in turn, all in one run and on the same core, so that the ratios hold where the absolute
 * figures move with the machine. Owns their processes and the table; leaves what is asked to whoever compares.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { openSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { servingCertificate } from '../src/pki/self-signed.ts'
import { load, type Question, type Slice } from './load.ts'

const CONNECTIONS = 32
const PASSES = 2
const WARMUP_MS = 8000
const SLICES = 5
const SLICE_MS = 1000

/** Files of the serving certificate. */
export interface Files {
  readonly cert: string
  readonly key: string
}

/** A server under test. */
interface Contender {
  readonly name: string
  readonly child: ChildProcess
  readonly port: number
  readonly questions: readonly Question[]
  readonly slices: Slice[]
}

export interface Contest {
  /** Gone, with what is in it, when the contest is over. */
  readonly folder: string
  readonly files: Files
  /** Starts a server. Its port is the last number of the line that says `ready`. */
  enter(name: string, command: readonly string[], questions: readonly Question[]): Promise<void>
  /** Starts Archway with a configuration to which addresses and the certificate are added. */
  enterArchway(name: string, config: object, questions: readonly Question[]): Promise<void>
  /** Starts the bare `node:https` server that sends back what it is sent. */
  enterEcho(questions: readonly Question[]): Promise<void>
  /** Asks everybody, and prints what it cost. The first one is what the others are compared with. */
  run(): Promise<void>
}

export const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** Runs a contest; whatever comes of it, nothing is left behind. */
export async function contest(compare: (contest: Contest) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'archway-bench-'))
  const contenders: Contender[] = []
  const children: ChildProcess[] = []
  try {
    const pinned = pinThisProcess()
    const files = await certificate(folder)
    const enter: Contest['enter'] = async (name, command, questions) => {
      const log = join(folder, `${name.replaceAll(/\W+/g, '-')}.log`)
      const child = start(command, log, pinned)
      children.push(child)
      contenders.push({ name, child, port: await portOf(name, child, log), questions, slices: [] })
    }
    await compare({
      folder,
      files,
      enter,
      enterArchway: (name, config, questions) => enter(name, archway(name, config, files, folder), questions),
      enterEcho: (questions) =>
        enter('node:https echo', [process.execPath, here('echo.ts'), files.cert, files.key], questions),
      async run() {
        for (let pass = 0; pass < PASSES; pass++) for (const each of contenders) each.slices.push(...(await ask(each)))
        report(contenders)
      },
    })
  } finally {
    for (const child of children) child.kill('SIGKILL')
    await rm(folder, { recursive: true, force: true })
  }
}

/** The server on one core, the load on the other, where the machine has two and `taskset`. */
function pinThisProcess(): boolean {
  if (availableParallelism() < 2) return false
  return spawnSync('taskset', ['-acp', '1', String(process.pid)]).status === 0
}

async function certificate(folder: string): Promise<Files> {
  const { certificate, key } = await servingCertificate({ names: ['localhost'], addresses: ['127.0.0.1'], days: 1 })
  const files = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') }
  writeFileSync(files.cert, certificate)
  writeFileSync(files.key, key, { mode: 0o600 })
  return files
}

function archway(name: string, config: object, { cert, key }: Files, folder: string): readonly string[] {
  const path = join(folder, `${name.replaceAll(/\W+/g, '-')}.yaml`)
  const server = { listen: '127.0.0.1:0', tls: { certFile: cert, keyFile: key } }
  writeFileSync(path, JSON.stringify({ server, admin: { listen: '127.0.0.1:0' }, ...config }))
  return [process.execPath, here('../bin/archway'), 'serve', '--config', path]
}

/** Log lines go to a file, as they would to a collector. */
function start(command: readonly string[], log: string, pinned: boolean): ChildProcess {
  const output = openSync(log, 'w')
  const [program = '', ...args] = pinned ? ['taskset', '-c', '0', ...command] : command
  return spawn(program, args, { stdio: ['ignore', output, output] })
}

async function portOf(name: string, child: ChildProcess, log: string): Promise<number> {
  for (;;) {
    const text = readFileSync(log, 'utf8')
    const port = /"url":"https:\/\/127\.0\.0\.1:(\d+)\/webhook"|^ready (\d+)$/m.exec(text)
    if (port !== null) return Number(port[1] ?? port[2])
    if (child.exitCode !== null) throw new Error(`${name} did not start:\n${text}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function ask({ port, child, questions }: Contender): Promise<readonly Slice[]> {
  return load({
    port,
    questions,
    connections: CONNECTIONS,
    pid: child.pid ?? 0,
    warmupMs: WARMUP_MS,
    slices: SLICES,
    sliceMs: SLICE_MS,
  })
}

/** A request as kube-apiserver's client writes it. */
export function request(path: string, body: string): Buffer {
  const head = [
    `POST ${path} HTTP/1.1`,
    'Host: 127.0.0.1:8443',
    'User-Agent: Go-http-client/1.1',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Accept: application/json, */*',
    'Content-Type: application/json',
    'Accept-Encoding: gzip',
  ]
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`)
}

function report(contenders: readonly Contender[]): void {
  const [first] = contenders
  const width = Math.max(...contenders.map(({ name }) => name.length)) + 2
  console.log(`${CONNECTIONS} keep-alive TLS connections`)
  console.log(`\n${'server'.padEnd(width)} CPU µs/request (min-max)     requests/s   ${first?.name ?? ''} ÷ it`)
  for (const each of contenders) {
    const cpu = each.slices.map((slice) => slice.cpuMicroseconds)
    const range = `${Math.min(...cpu).toFixed(1)}-${Math.max(...cpu).toFixed(1)}`
    const rate = median(each.slices.map((slice) => slice.requestsPerSecond)).toFixed(0)
    const ratio = each === first ? '' : (cost(first) / cost(each)).toFixed(2)
    console.log(
      `${each.name.padEnd(width)} ${cost(each).toFixed(1).padStart(8)}  (${range})`.padEnd(width + 29) +
        rate.padStart(11) +
        ratio.padStart(12),
    )
  }
}

function cost(contender: Contender | undefined): number {
  return median(contender?.slices.map((slice) => slice.cpuMicroseconds) ?? [])
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
