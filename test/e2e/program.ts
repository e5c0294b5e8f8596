/**
 * The program as its users run it: a process started from `bin/`, asked over HTTPS, stopped by a signal. Everything
 * it writes is kept, so that a test can look for what must not be there.
 *
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Agent, type Dispatcher, request } from 'undici'
import { createAuthority, createFolder, type TestAuthority, type TestFolder } from '../support/tls.ts'

const BIN = fileURLToPath(new URL('../../bin/', import.meta.url))

export interface LogLine {
  readonly level: string
  readonly message: string
  readonly [field: string]: unknown
}

export interface ReviewAnswer {
  readonly httpStatus: number
  readonly headers: Dispatcher.ResponseData['headers']
  readonly apiVersion: string | undefined
  readonly authenticated: boolean | undefined
  readonly user: ReviewedUser
  readonly text: string
}

export interface ReviewedUser {
  readonly username?: string
  readonly uid?: string
  readonly groups?: readonly string[]
  readonly extra?: Readonly<Record<string, readonly string[]>>
}

export interface Program {
  /** `https://127.0.0.1:PORT` */
  readonly url: string
  readonly adminUrl: string
  readonly pid: number
  /** Everything written so far, to stdout and stderr. */
  output(): string
  lines(): readonly LogLine[]
  /** Resolves with the first line, already written or to come, that fits. */
  line(fits: (line: LogLine) => boolean): Promise<LogLine>
  review(token: string, options?: ReviewOptions): Promise<ReviewAnswer>
  /** Sends a SubjectAccessReview (v1) with this `spec`; resolves to its `status`. */
  access(spec: object): Promise<{ readonly allowed?: boolean; readonly denied?: boolean; readonly reason?: string }>
  /** GET on the admin listener. */
  admin(path: string): Promise<{ readonly status: number; readonly body: string }>
  /** Sends SIGTERM; resolves to the exit status. */
  stop(): Promise<number | null>
  [Symbol.asyncDispose](): Promise<void>
}

export interface ReviewOptions {
  readonly version?: 'v1' | 'v1beta1'
  readonly audiences?: readonly string[]
}

/** A folder with the serving certificate every test uses. */
export interface Site {
  readonly folder: TestFolder
  readonly authority: TestAuthority
  readonly caFile: string
  readonly certFile: string
  readonly keyFile: string
}

export async function createSite(): Promise<Site> {
  const folder = await createFolder()
  const authority = await createAuthority('webhook CA')
  const { cert, key } = await authority.server()
  return {
    folder,
    authority,
    caFile: await folder.write('webhook-ca.crt', authority.cert),
    certFile: await folder.write('tls.crt', cert),
    keyFile: await folder.write('tls.key', key),
  }
}

/** Starts `archway serve` with the configuration (as JSON, which YAML takes) on free ports. */
export async function serve(site: Site, config: object): Promise<Program> {
  const whole = {
    server: { listen: '127.0.0.1:0', tls: { certFile: site.certFile, keyFile: site.keyFile } },
    admin: { listen: '127.0.0.1:0' },
    logging: { level: 'debug', format: 'json' },
    ...config,
  }
  const file = await site.folder.write(`archway-${Math.random().toString(36).slice(2)}.yaml`, JSON.stringify(whole))
  return startProgram(site, 'archway', ['serve', '--config', file])
}

/** Starts a program of `bin/` and waits until it says that it is ready. */
export async function startProgram(
  site: Site,
  name: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Program> {
  const child = spawn(process.execPath, [`${BIN}${name}`, ...args], {
    cwd: site.folder.path('.'),
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const recorder = record(child)
  const ready = await recorder.line(({ message }) => message === 'ready')
  const url = String(ready['url']).replace(/\/webhook$/, '')
  const dispatcher = new Agent({ connect: { ca: site.authority.cert } })

  const program: Program = {
    url,
    adminUrl: String(ready['admin']),
    pid: child.pid ?? 0,
    ...recorder,

    async review(token, { version = 'v1', audiences } = {}) {
      const answer = await request(`${url}/webhook?timeout=30s`, {
        dispatcher,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          kind: 'TokenReview',
          apiVersion: `authentication.k8s.io/${version}`,
          metadata: { creationTimestamp: null },
          spec: { token, ...(audiences && { audiences }) },
          status: { user: {} },
        }),
      })
      const text = await answer.body.text()
      const document = JSON.parse(text) as {
        apiVersion?: string
        status?: { authenticated?: boolean; user?: ReviewedUser }
      }
      return {
        httpStatus: answer.statusCode,
        headers: answer.headers,
        apiVersion: document.apiVersion,
        authenticated: document.status?.authenticated,
        user: document.status?.user ?? {},
        text,
      }
    },

    async access(spec) {
      const answer = await request(`${url}/webhook?timeout=30s`, {
        dispatcher,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ kind: 'SubjectAccessReview', apiVersion: 'authorization.k8s.io/v1', spec }),
      })
      const { status } = (await answer.body.json()) as { status: { allowed?: boolean } }
      return status
    },

    async admin(path) {
      const answer = await request(`${program.adminUrl}${path}`)
      return { status: answer.statusCode, body: await answer.body.text() }
    },

    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = once(child, 'exit')
        child.kill('SIGTERM')
        await ended
      }
      if (!dispatcher.closed) await dispatcher.close()
      return child.exitCode
    },

    async [Symbol.asyncDispose]() {
      await program.stop()
    },
  }
  return program
}

/** Runs a program of `bin/` to its end; `input` is what it reads on standard input. */
export async function runProgram(
  name: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  input = '',
): Promise<{ readonly status: number | null; readonly stdout: string; readonly stderr: string }> {
  const child = spawn(process.execPath, [`${BIN}${name}`, ...args], { env: { ...process.env, ...env } })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  child.stdin.on('error', () => {}) // it may end without reading
  child.stdin.end(input)
  await once(child, 'close')
  return { status: child.exitCode, stdout, stderr }
}

function record(child: ChildProcess): Pick<Program, 'output' | 'lines' | 'line'> {
  let text = ''
  let ended = false
  const waiting = new Set<() => void>()
  const wake = (): void => {
    for (const look of waiting) look()
  }
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      wake()
    })
  }
  child.once('close', () => {
    ended = true
    wake()
  })
  const lines = (): readonly LogLine[] =>
    text
      .split('\n')
      .slice(0, -1)
      .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as LogLine] : []))
  return {
    output: () => text,
    lines,
    line: (fits) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = lines().find(fits)
          if (found !== undefined) resolve(found)
          else if (ended) reject(new Error(`the program ended (${child.exitCode}) without the line:\n${text}`))
          else return
          waiting.delete(look)
        }
        waiting.add(look)
        look()
      }),
  }
}
