/**
 * `npm run bench`: what a warm TokenReview costs, beside a bare `node:https` server that echoes the same bytes and,
 * where Go is at hand, beside a handler that does what k8s-keystone-auth does for each request. All in one run and on
 * the same core, so that the ratios hold where the absolute figures move with the machine.
 *
 * @module
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { openSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { servingCertificate } from '../src/pki/self-signed.ts'
import { startFakeKeystone } from '../test/support/fake-keystone.ts'
import { load, type Slice } from './load.ts'

const CONNECTIONS = 32
const TOKENS = 64
const PASSES = 2
const WARMUP_MS = 8000
const SLICES = 5
const SLICE_MS = 1000

interface Contender {
  readonly name: string
  readonly child: ChildProcess
  readonly port: number
  readonly slices: Slice[]
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const folder = await mkdtemp(join(tmpdir(), 'archway-bench-'))
const children: ChildProcess[] = []
const keystone = await startFakeKeystone()
try {
  const pinned = pinThisProcess()
  const { certificate, key } = await servingCertificate({ names: ['localhost'], addresses: ['127.0.0.1'], days: 1 })
  const files = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') }
  writeFileSync(files.cert, certificate)
  writeFileSync(files.key, key, { mode: 0o600 })

  const contenders = [
    await contender('archway', startArchway(files), pinned),
    await contender('node:https echo', [process.execPath, here('echo.ts'), files.cert, files.key], pinned),
    ...(await goPeer(files, pinned)),
  ]
  const requests = makeRequests()
  console.log(`${CONNECTIONS} keep-alive TLS connections, ${TOKENS} tokens, request ${requests[0]?.length} bytes`)
  for (let pass = 0; pass < PASSES; pass++) {
    for (const { child, port, slices } of contenders) {
      const pid = child.pid ?? 0
      slices.push(
        ...(await load({
          port,
          pid,
          requests,
          connections: CONNECTIONS,
          warmupMs: WARMUP_MS,
          slices: SLICES,
          sliceMs: SLICE_MS,
        })),
      )
    }
  }
  report(contenders)
} finally {
  for (const child of children) child.kill('SIGKILL')
  await keystone.close()
  await rm(folder, { recursive: true, force: true })
}

/** The configuration: tokens of a Keystone, remembered from the first review on; log lines go to a file. */
function startArchway(files: { cert: string; key: string }): readonly string[] {
  const config = join(folder, 'archway.yaml')
  writeFileSync(
    config,
    JSON.stringify({
      server: { listen: '127.0.0.1:0', tls: { certFile: files.cert, keyFile: files.key } },
      admin: { listen: '127.0.0.1:0' },
      authenticators: [{ keystone: { url: keystone.url } }],
      cache: { ttl: '10m' },
    }),
  )
  return [process.execPath, here('../bin/archway'), 'serve', '--config', config]
}

/** Starts a server; its port is the last number of the line that says `ready`. */
async function contender(name: string, command: readonly string[], pinned: boolean): Promise<Contender> {
  const log = join(folder, `${name.replaceAll(/\W+/g, '-')}.log`)
  const output = openSync(log, 'w')
  const [program = '', ...args] = pinned ? ['taskset', '-c', '0', ...command] : command
  const child = spawn(program, args, { stdio: ['ignore', output, output] })
  children.push(child)
  for (;;) {
    const text = readFileSync(log, 'utf8')
    const port = /"url":"https:\/\/127\.0\.0\.1:(\d+)\/webhook"|^ready (\d+)$/m.exec(text)
    if (port !== null) return { name, child, port: Number(port[1] ?? port[2]), slices: [] }
    if (child.exitCode !== null) throw new Error(`${name} did not start:\n${text}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function goPeer(files: { cert: string; key: string }, pinned: boolean): Promise<Contender[]> {
  const built = spawnSync('go', ['build', '-o', join(folder, 'peer'), here('go/main.go')], { encoding: 'utf8' })
  if (built.status !== 0) {
    console.log('no Go toolchain: the predecessor-style handler is left out')
    return []
  }
  console.log(execFileSync('go', ['version'], { encoding: 'utf8' }).trim())
  return [await contender('Go maps, indented', [join(folder, 'peer'), files.cert, files.key], pinned)]
}

/** The server on one core, the load on the other, where the machine has two and `taskset`. */
function pinThisProcess(): boolean {
  if (availableParallelism() < 2) return false
  return spawnSync('taskset', ['-acp', '1', String(process.pid)]).status === 0
}

function makeRequests(): readonly Buffer[] {
  return Array.from({ length: TOKENS }, (_, i) => {
    const token = keystone.issue({
      user: `user-${i}`,
      project: 'demo',
      roles: ['member', 'reader'],
      groups: ['k8s-devs', 'k8s-ops'],
    })
    const body = JSON.stringify({
      kind: 'TokenReview',
      apiVersion: 'authentication.k8s.io/v1',
      metadata: { creationTimestamp: null },
      spec: { token: token.padEnd(183, 'x'), audiences: ['https://kubernetes.default.svc'] },
      status: { user: {} },
    })
    const head = [
      'POST /webhook?timeout=30s HTTP/1.1',
      'Host: 127.0.0.1:8443',
      'User-Agent: Go-http-client/1.1',
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Accept: application/json, */*',
      'Content-Type: application/json',
      'Accept-Encoding: gzip',
    ]
    return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`)
  })
}

function report(contenders: readonly Contender[]): void {
  const [archway] = contenders
  const cost = (contender: Contender | undefined): number =>
    median(contender?.slices.map((s) => s.cpuMicroseconds) ?? [])
  console.log('\nserver               CPU µs/request (min-max)     requests/s   archway ÷ it')
  for (const each of contenders) {
    const cpu = each.slices.map((slice) => slice.cpuMicroseconds)
    const range = `${Math.min(...cpu).toFixed(1)}-${Math.max(...cpu).toFixed(1)}`
    const rate = median(each.slices.map((slice) => slice.requestsPerSecond)).toFixed(0)
    const ratio = each === archway ? '' : (cost(archway) / cost(each)).toFixed(2)
    console.log(
      `${each.name.padEnd(20)} ${cost(each).toFixed(1).padStart(8)}  (${range})`.padEnd(50) +
        rate.padStart(11) +
        ratio.padStart(12),
    )
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
