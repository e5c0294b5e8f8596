/**
 * What the proxy costs, against nginx in the same run: a small object, a list of 5 MB, and 500 idle watches. Both have
 * TLS in front, a client certificate and kept connections behind, and write an access log; behind both stands the same
 * server. Ratios are what counts: absolute figures move with the machine.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { clientCertificate, servingCertificate } from '../src/pki/self-signed.ts'
import { here } from './contest.ts'
import { cpuNanoseconds, passed } from './load.ts'

const WATCHES = 500
const SMALL = '/api/v1/namespaces/default/configmaps/small'
const LIST = '/api/v1/configmaps'
const WATCH = '/api/v1/configmaps?watch=true'
const TOKEN = 'bench-token-0123456789abcdef0123456789abcdef'

interface Contender {
  readonly name: string
  readonly child: ChildProcess
  readonly port: number
}

/** One way of asking. */
interface Load {
  readonly title: string
  readonly path: string
  readonly connections: number
}

interface Measured {
  readonly perSecond: number
  readonly cpuMicroseconds: number
  readonly megabytesPerCpuSecond: number
}

/** Runs every comparison and prints it. */
export async function measureProxy(): Promise<void> {
  if (spawnSync('nginx', ['-v']).status !== 0) {
    console.log('proxy: nginx is not installed (npm run rigs); nothing to compare with')
    return
  }
  const folder = await mkdtemp(join(tmpdir(), 'archway-bench-'))
  const children: ChildProcess[] = []
  try {
    const pinned = availableParallelism() >= 2 && spawnSync('taskset', ['-acp', '1', `${process.pid}`]).status === 0
    const start = (name: string, command: readonly string[], core: 0 | 1): ChildProcess => {
      const output = openSync(join(folder, `${name}.log`), 'w')
      const [program = '', ...args] = pinned ? ['taskset', '-c', `${core}`, ...command] : command
      const child = spawn(program, args, { stdio: ['ignore', output, output] })
      children.push(child)
      return child
    }
    const files = await prepare(folder)
    const behind = await freePort()
    start('behind', ['nginx', '-e', 'stderr', '-c', behindConfig(folder, files, behind)], 1)
    const watched = await freePort()
    start('watched', [process.execPath, here('watched.ts'), `${watched}`, files.cert, files.key], 1)
    const contenders: Contender[] = []
    for (const [name, upstream] of [
      ['requests', behind],
      ['watches', watched],
    ] as const) {
      const nginx = await freePort()
      const config = frontConfig({ folder, files, port: nginx, upstream, name })
      contenders.push({
        name: `nginx ${name}`,
        child: start(`nginx-${name}`, ['nginx', '-e', 'stderr', '-c', config], 0),
        port: nginx,
      })
      const archway = await freePort()
      const command = archwayCommand({ folder, files, port: archway, upstream, name })
      contenders.push({ name: `archway ${name}`, child: start(`archway-${name}`, command, 0), port: archway })
    }
    for (const { port } of contenders) await answering(port)
    const [nginx, archway, nginxWatches, archwayWatches] = contenders
    if (nginx === undefined || archway === undefined || nginxWatches === undefined || archwayWatches === undefined)
      return
    await compare({ title: 'small object, 32 connections', path: SMALL, connections: 32 }, nginx, archway)
    await compare({ title: 'list of 5 MB, 4 connections', path: LIST, connections: 4 }, nginx, archway)
    await compareWatches(nginxWatches, archwayWatches)
  } finally {
    for (const child of children) child.kill('SIGKILL')
    await rm(folder, { recursive: true, force: true })
  }
}

interface Files {
  readonly ca: string
  readonly cert: string
  readonly key: string
  readonly frontCa: string
  readonly frontCert: string
  readonly frontKey: string
  readonly tokens: string
}

async function prepare(folder: string): Promise<Files> {
  const file = (name: string, content: string): string => {
    const path = join(folder, name)
    writeFileSync(path, content, { mode: 0o600 })
    return path
  }
  const made = await servingCertificate({ names: ['localhost'], addresses: ['127.0.0.1'], days: 1 })
  const front = await clientCertificate({ commonName: 'front-proxy-client', days: 1 })
  const object = (name: string): object => ({
    metadata: { name, namespace: 'default', uid: '0f0e0d0c-0000-4000-8000-000000000000', resourceVersion: '4711' },
    data: { 'settings.yaml': 'key: value\n'.repeat(60) },
  })
  const small = JSON.stringify({ kind: 'ConfigMap', apiVersion: 'v1', ...object('small') })
  const items = Array.from({ length: 5400 }, (_, at) => object(`map-${at}`))
  mkdirSync(join(folder, 'www/api/v1/namespaces/default/configmaps'), { recursive: true })
  file('www/api/v1/namespaces/default/configmaps/small', small)
  file('www/api/v1/configmaps', JSON.stringify({ kind: 'ConfigMapList', apiVersion: 'v1', metadata: {}, items }))
  return {
    ca: file('ca.crt', made.ca),
    cert: file('tls.crt', made.certificate),
    key: file('tls.key', made.key),
    frontCa: file('front-ca.crt', front.ca),
    frontCert: file('front.crt', front.certificate),
    frontKey: file('front.key', front.key),
    tokens: file('tokens.csv', `${TOKEN},alice,1,"devs"\n`),
  }
}

/** One process, so that what it spends is what is measured. */
function nginxConfig(folder: string, name: string, http: string): string {
  const path = join(folder, `${name}.conf`)
  const text = `user root;
daemon off;
master_process off;
pid ${folder}/${name}.pid;
events { worker_connections 4096; }
http {
  client_body_temp_path ${folder}/${name}-body;
  proxy_temp_path ${folder}/${name}-proxy;
  fastcgi_temp_path ${folder}/${name}-a;
  uwsgi_temp_path ${folder}/${name}-b;
  scgi_temp_path ${folder}/${name}-c;
  keepalive_requests 100000000;
${http}
}
`
  writeFileSync(path, text)
  return path
}

function behindConfig(folder: string, files: Files, port: number): string {
  return nginxConfig(
    folder,
    'behind',
    `  access_log off;
  sendfile on;
  output_buffers 2 512k;
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${files.cert};
    ssl_certificate_key ${files.key};
    ssl_client_certificate ${files.frontCa};
    ssl_verify_client on;
    default_type application/json;
    root ${folder}/www;
    location = /readyz { return 200 ok; }
  }`,
  )
}

interface Front {
  readonly folder: string
  readonly files: Files
  readonly port: number
  readonly upstream: number
  readonly name: string
}

function frontConfig({ folder, files, port, upstream, name }: Front): string {
  return nginxConfig(
    folder,
    `front-${name}`,
    `  access_log ${folder}/front-${name}-access.log;
  upstream apiserver { server 127.0.0.1:${upstream}; keepalive 64; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${files.cert};
    ssl_certificate_key ${files.key};
    location / {
      proxy_pass https://apiserver;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Authorization "";
      proxy_set_header X-Remote-User alice;
      proxy_set_header X-Remote-Group devs;
      proxy_ssl_certificate ${files.frontCert};
      proxy_ssl_certificate_key ${files.frontKey};
      proxy_ssl_trusted_certificate ${files.ca};
      proxy_ssl_verify on;
      proxy_ssl_name localhost;
      proxy_read_timeout 1h;
    }
  }`,
  )
}

function archwayCommand({ folder, files, port, upstream, name }: Front): readonly string[] {
  const path = join(folder, `archway-${name}.yaml`)
  const document = {
    admin: { listen: '127.0.0.1:0' },
    authenticators: [{ tokenFile: { path: files.tokens } }],
    proxy: {
      listen: `127.0.0.1:${port}`,
      tls: { certFile: files.cert, keyFile: files.key },
      upstreams: [`https://127.0.0.1:${upstream}`],
      upstream: {
        caFile: files.ca,
        clientCertFile: files.frontCert,
        clientKeyFile: files.frontKey,
        selfCheck: 'off',
      },
    },
  }
  writeFileSync(path, JSON.stringify(document))
  return [process.execPath, here('../bin/archway'), 'proxy', '--config', path]
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

function requestFor(path: string): Buffer {
  const lines = [
    `GET ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    'User-Agent: kubectl/v1.32.4 (linux/amd64) kubernetes/59526cd',
    'Accept: application/json',
    `Authorization: Bearer ${TOKEN}`,
  ]
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`)
}

async function dial(port: number): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
  await once(socket, 'secureConnect')
  return socket.setNoDelay(true)
}

/** Resolves when it gives a right answer. */
async function answering(port: number): Promise<void> {
  for (;;) {
    const isUp = await dial(port)
      .then(async (socket) => {
        socket.on('error', () => {})
        socket.write(requestFor('/readyz'))
        const [head] = await once(socket, 'data')
        socket.destroy()
        return /^HTTP\/1\.1 200/.test(String(head))
      })
      .catch(() => false)
    if (isUp) return
    await passed(100)
  }
}

const PASSES = 3
const SLICE_MS = 4000
const WARMUP_MS = 4000

async function compare(load: Load, nginx: Contender, archway: Contender): Promise<void> {
  const results = new Map<Contender, Measured[]>([
    [nginx, []],
    [archway, []],
  ])
  for (let pass = 0; pass < PASSES; pass++) {
    for (const [contender, measured] of results) measured.push(await ask(contender, load))
  }
  console.log(`\nproxy, ${load.title} (median of ${PASSES} passes)`)
  const medians = [...results].map(([{ name }, measured]) => ({ name, ...medianOf(measured) }))
  const [first] = medians
  for (const { name, perSecond, cpuMicroseconds, megabytesPerCpuSecond } of medians) {
    const ratio = cpuMicroseconds / (first?.cpuMicroseconds ?? 1)
    console.log(
      `  ${name.split(' ')[0]?.padEnd(8)} ${cpuMicroseconds.toFixed(0).padStart(7)} us CPU/request  ${ratio.toFixed(2)} x nginx ` +
        ` ${perSecond.toFixed(0).padStart(6)}/s  ${megabytesPerCpuSecond.toFixed(0).padStart(5)} MB per CPU second`,
    )
  }
}

function medianOf(measured: readonly Measured[]): Measured {
  const middle = measured.toSorted((a, b) => a.cpuMicroseconds - b.cpuMicroseconds)[Math.floor(measured.length / 2)]
  if (middle === undefined) throw new TypeError('nothing was measured')
  return middle
}

async function ask({ port, child }: Contender, { path, connections }: Load): Promise<Measured> {
  const request = requestFor(path)
  const counts = { answers: 0, bytes: 0 }
  let failure: Error | undefined
  const sockets = await Promise.all(Array.from({ length: connections }, () => dial(port)))
  let isRunning = true
  for (const socket of sockets) {
    socket.on('error', (error) => {
      failure ??= error
    })
    onAnswers(socket, counts, (status) => {
      if (status !== 200) failure ??= new Error(`an answer was ${status}`)
      if (isRunning) socket.write(request)
    })
    socket.write(request)
  }
  await passed(WARMUP_MS)
  const before = { ...counts, cpu: cpuNanoseconds(child.pid ?? 0), at: performance.now() }
  await passed(SLICE_MS)
  const answers = counts.answers - before.answers
  const cpu = cpuNanoseconds(child.pid ?? 0) - before.cpu
  const seconds = (performance.now() - before.at) / 1000
  const bytes = counts.bytes - before.bytes
  isRunning = false
  for (const socket of sockets) socket.destroy()
  if (failure !== undefined) throw failure
  return {
    perSecond: answers / seconds,
    cpuMicroseconds: cpu / 1000 / answers,
    megabytesPerCpuSecond: bytes / 1e6 / (cpu / 1e9),
  }
}

/** Counts, and looks at nothing but what it needs to know where an answer ends. */
function onAnswers(
  socket: TLSSocket,
  counts: { answers: number; bytes: number },
  whole: (status: number) => void,
): void {
  let status = 0
  let missing = -1
  let head = ''
  socket.on('data', (chunk: Buffer) => {
    counts.bytes += chunk.length
    if (missing >= 0) missing -= chunk.length
    else {
      head += chunk.toString('latin1')
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      status = Number(head.slice(9, 12))
      missing = Number(/content-length: (\d+)/i.exec(head.slice(0, end))?.[1]) - (head.length - end - 4)
      head = ''
    }
    if (missing > 0) return
    missing = -1
    counts.answers++
    whole(status)
  })
}

async function compareWatches(nginx: Contender, archway: Contender): Promise<void> {
  console.log(`\nproxy, ${WATCHES} idle watches`)
  const kilobytes: number[] = []
  for (const contender of [nginx, archway]) {
    const each = await memoryOfWatches(contender)
    kilobytes.push(each)
    const ratio = each / (kilobytes[0] ?? 1)
    console.log(
      `  ${contender.name.split(' ')[0]?.padEnd(8)} ${each.toFixed(0).padStart(7)} KB for each watch  ${ratio.toFixed(2)} x nginx`,
    )
  }
}

/** What the process holds more with the watches than before, after as many were opened and closed once. */
async function memoryOfWatches({ port, child }: Contender): Promise<number> {
  const open = async (): Promise<readonly TLSSocket[]> => {
    const sockets: TLSSocket[] = []
    for (let at = 0; at < WATCHES; at++) {
      const socket = await dial(port)
      socket.on('error', () => {})
      socket.write(requestFor(WATCH))
      await once(socket, 'data')
      sockets.push(socket)
    }
    return sockets
  }
  const before = memory(child)
  const sockets = await open()
  await passed(3000)
  const after = memory(child)
  for (const socket of sockets) socket.destroy()
  return (after - before) / WATCHES
}

/** Private memory of a process, in KB. */
function memory({ pid }: ChildProcess): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  return ['Private_Clean', 'Private_Dirty']
    .map((field) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1]))
    .reduce((sum, value) => sum + value, 0)
}
