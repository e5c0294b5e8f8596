/**
 * The service in this process: a configuration of files in a folder, a fake Keystone, ports that the system chooses,
 * and what came of it: answers, log lines, metrics.
 *
 * @module
 */
import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { type ComposeOptions, type Service, startService } from '../../src/compose/service.ts'
import { loadConfig } from '../../src/config/load.ts'
import { createLogger } from '../../src/telemetry/logger.ts'
import { type FakeKeystone, startFakeKeystone } from '../support/fake-keystone.ts'
import { createAuthority, createFolder, type TestAuthority, type TestFolder } from '../support/tls.ts'

export interface LogLine {
  readonly level: string
  readonly message: string
  readonly [field: string]: unknown
}

/** What services of a test have in common. */
export interface Site {
  readonly folder: TestFolder
  readonly authority: TestAuthority
  readonly keystone: FakeKeystone
  /** The rest of a configuration. */
  readonly base: object
  remove(): Promise<void>
}

export async function createSite(): Promise<Site> {
  const folder = await createFolder()
  const authority = await createAuthority('webhook CA')
  const keystone = await startFakeKeystone()
  const { cert, key } = await authority.server()
  const tls = { certFile: await folder.write('tls.crt', cert), keyFile: await folder.write('tls.key', key) }
  return {
    folder,
    authority,
    keystone,
    base: {
      server: { listen: '127.0.0.1:0', tls },
      admin: { listen: '127.0.0.1:0' },
      authenticators: [{ keystone: { url: keystone.url } }],
    },
    async remove() {
      await keystone.close()
      await folder.remove()
    },
  }
}

export interface ReviewStatus {
  readonly allowed: boolean
  readonly denied?: boolean
  readonly reason?: string
}

export interface Running extends Service {
  readonly lines: readonly LogLine[]
  /** Sends a SubjectAccessReview (v1) with this `spec`; resolves to its `status`. */
  access(spec: object): Promise<ReviewStatus>
  /** Sends a TokenReview; resolves to the user as a SubjectAccessReview names him. */
  login(token: string): Promise<object>
  /** GET on the admin listener. */
  admin(path: string): Promise<{ readonly status: number; readonly body: string }>
  /** Value of a metric without labels, or with exactly these, as text. */
  metric(name: string): Promise<number | undefined>
  [Symbol.asyncDispose](): Promise<void>
}

/** Starts the service; `lines` is filled also where that fails. */
export async function start(
  site: Site,
  over: object,
  { lines = [], ...options }: Partial<Pick<ComposeOptions, 'adminRequired'>> & { readonly lines?: LogLine[] } = {},
): Promise<Running> {
  const log = await createLogger({
    level: 'debug',
    format: 'json',
    write: (line) => void lines.push(JSON.parse(line) as LogLine),
  })
  const config = loadConfig({ file: { path: 'archway.yaml', text: JSON.stringify({ ...site.base, ...over }) } })
  const service = await startService(config, { log, version: '0.0.0-test', adminRequired: true, ...options })
  const dispatcher = new Agent({ connect: { ca: site.authority.cert } })

  async function review(kind: string, group: string, spec: object): Promise<Readonly<Record<string, unknown>>> {
    const { statusCode, body } = await request(`${service.url}/webhook`, {
      dispatcher,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ kind, apiVersion: `${group}.k8s.io/v1`, spec }),
    })
    const text = await body.text()
    assert.equal(statusCode, 200, text)
    return (JSON.parse(text) as { readonly status: Readonly<Record<string, unknown>> }).status
  }

  const running: Running = {
    ...service,
    lines,
    access: async (spec) => (await review('SubjectAccessReview', 'authorization', spec)) as unknown as ReviewStatus,
    async login(token) {
      const { user } = await review('TokenReview', 'authentication', { token })
      const { username, ...rest } = user as { readonly username: string }
      return { ...rest, user: username }
    },
    async admin(path) {
      const { statusCode, body } = await request(`${service.adminUrl}${path}`)
      return { status: statusCode, body: await body.text() }
    },
    async metric(name) {
      const { body } = await running.admin('/metrics')
      const line = body.split('\n').find((each) => each.startsWith(`${name} `))
      return line === undefined ? undefined : Number(line.slice(name.length + 1))
    },
    async stop() {
      await dispatcher.close()
      await service.stop()
    },
    async [Symbol.asyncDispose]() {
      if (!dispatcher.closed) await dispatcher.close()
      await service.stop()
    },
  }
  return running
}

/** A request for pods in `default`, unless said otherwise. */
export function asks(user: object, verb: string, over: object = {}): object {
  return { ...user, resourceAttributes: { verb, resource: 'pods', version: 'v1', namespace: 'default', ...over } }
}

/** Goes on as soon as it is so: what is waited for comes by itself, out of sockets of this process. */
export async function until(holds: () => Promise<boolean> | boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!(await holds())) {
    if (performance.now() > deadline) assert.fail(`never came: ${what}`)
    await setImmediate()
  }
}
