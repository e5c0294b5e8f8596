/** A real Keystone for tests: the one that tools/test.ts has started and shares, or one of a test's own. */

import { existsSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { freePorts, newFolder, recordRig, runRig } from './script.ts'

/** Names → ids of what `keystone seed` makes (test/rigs/README.md lists it). */
export interface KeystoneIds {
  readonly domains: Readonly<Record<string, string>>
  readonly projects: Readonly<Record<string, string>>
  readonly users: Readonly<Record<string, string>>
  readonly groups: Readonly<Record<string, string>>
  readonly roles: Readonly<Record<string, string>>
  readonly application_credentials: Readonly<Record<string, string>>
}

export interface KeystoneAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  // biome-ignore lint/suspicious/noExplicitAny: a test reads from Keystone's JSON what it expects to be there
  readonly body: any
}

export interface KeystoneRig {
  readonly dir: string
  /** `http(s)://127.0.0.1:PORT/v3` */
  readonly url: string
  /** Empty tables for a rig started with `seed: false`. */
  readonly ids: KeystoneIds
  /** The CA of a rig started with `tls: true`. */
  readonly caFile: string | undefined
  /** Alice's application credential on project demo. */
  readonly applicationCredential: { readonly id: string; readonly name: string; readonly secret: string }
  /** Logs in. Without a project (or with '') the token is unscoped; `domain` is the user's and the project's. */
  token(user: string, password: string, project?: string, domain?: string): Promise<string>
  /** A token of the user admin on the project admin, made once. */
  adminToken(): Promise<string>
  /** Any call of the Identity API, e.g. `api('PATCH', '/users/ID', { user: { enabled: false } })`; by admin unless a token is given. */
  api(method: string, path: string, body?: object, token?: string): Promise<KeystoneAnswer>
  /** The token revokes itself. */
  revoke(token: string): Promise<void>
  /** One line for every request since the first start: `GET /v3/auth/tokens 200`. Complete for requests that were answered. */
  accessLog(): Promise<string[]>
  /** How many lines of {@link accessLog} match; compare before and after. */
  countRequests(pattern: RegExp): Promise<number>
  /** Keystone goes away; data and address stay. Never on the shared rig: other tests need it. */
  stop(): Promise<void>
  /** Comes back at the same address after {@link stop}. */
  start(): Promise<void>
  /** Stops it and removes its folder. */
  [Symbol.asyncDispose](): Promise<void>
}

export interface KeystoneOptions {
  readonly tls?: boolean
  /** The users, projects and roles of the README (yes, unless false). */
  readonly seed?: boolean
  /** uWSGI processes (1: answers do not depend on which worker a request meets). */
  readonly workers?: number
  /** How long a token lives (3600). */
  readonly tokenSeconds?: number
  readonly dir?: string
}

/** Set by tools/test.ts: the folder of the shared rig, and a seeded one to copy. */
export const SHARED_KEYSTONE = 'ARCHWAY_TEST_KEYSTONE_DIR'
export const KEYSTONE_TEMPLATE = 'ARCHWAY_TEST_KEYSTONE_TEMPLATE'

/** The Keystone that tests share. They may log in and revoke their own tokens, and change nothing else in it. */
export async function keystoneRig(): Promise<KeystoneRig> {
  const dir = process.env[SHARED_KEYSTONE]
  if (dir === undefined) throw new Error('no shared Keystone: run this through the runner (npm test -- FILE)')
  return openRig(dir, {})
}

/** A Keystone of the test's own, to stop, restart and change; about 4 s where there is a template, else 20 s. */
export async function startKeystone(options: KeystoneOptions = {}): Promise<KeystoneRig> {
  const dir = options.dir ?? join(newFolder('keystone'), 'rig')
  const template = process.env[KEYSTONE_TEMPLATE]
  const copied = options.seed !== false && template !== undefined
  recordRig('keystone', dir)
  if (copied) await runRig('keystone', ['clone', template, dir])
  const start = [dir, String(await freePorts()), ...(options.tls ? ['--tls'] : [])]
  await runRig('keystone', ['start', ...start], environment(options))
  if (!copied && options.seed !== false) await runRig('keystone', ['seed', dir])
  return openRig(dir, options)
}

function environment({ workers = 1, tokenSeconds = 3600 }: KeystoneOptions): NodeJS.ProcessEnv {
  return {
    KEYSTONE_WORKERS: String(workers),
    KEYSTONE_TOKEN_SECONDS: String(tokenSeconds),
    KEYSTONE_BCRYPT_ROUNDS: '4', // cheap logins: the seeded passwords guard nothing
  }
}

async function openRig(dir: string, options: KeystoneOptions): Promise<KeystoneRig> {
  const url = (await readFile(join(dir, 'url'), 'utf8')).trim()
  const caFile = existsSync(join(dir, 'ca.crt')) ? join(dir, 'ca.crt') : undefined
  const dispatcher = new Agent({ connect: caFile === undefined ? {} : { ca: await readFile(caFile, 'utf8') } })
  const { port } = new URL(url)
  let admin: Promise<string> | undefined

  const rig: KeystoneRig = {
    dir,
    url,
    caFile,
    ids: await readIds(dir),
    applicationCredential: await readApplicationCredential(dir),

    async token(user, password, project = '', domain = 'Default') {
      const owner = { name: user, password, domain: { name: domain } }
      const scope = project === '' ? 'unscoped' : { project: { name: project, domain: { name: domain } } }
      const answer = await call('POST', '/auth/tokens', {
        auth: { identity: { methods: ['password'], password: { user: owner } }, scope },
      })
      const token = answer.headers['x-subject-token']
      if (typeof token === 'string') return token
      throw new Error(`Keystone did not let ${user} in: ${answer.status} ${JSON.stringify(answer.body)}`)
    },

    adminToken() {
      admin ??= rig.token('admin', 'admin', 'admin')
      return admin
    },

    async api(method, path, body, token) {
      return call(method, path, body, { 'x-auth-token': token ?? (await rig.adminToken()) })
    },

    async revoke(token) {
      const { status } = await call('DELETE', '/auth/tokens', undefined, {
        'x-auth-token': token,
        'x-subject-token': token,
      })
      if (status !== 204) throw new Error(`Keystone did not revoke the token: ${status}`)
    },

    async accessLog() {
      // A worker writes a request's line just after its answer. So a request of ours is sent last, and waited for.
      const mark = `/v3?rig=${crypto.randomUUID()}`
      if (await isServing()) await request(new URL(mark, url), { dispatcher }).then(({ body }) => body.dump())
      for (;;) {
        const log = await readFile(join(dir, 'uwsgi.log'), 'utf8')
        if (log.includes(mark) || !(await isServing())) return requestLines(log)
        await sleep(10)
      }
    },

    async countRequests(pattern) {
      return (await rig.accessLog()).filter((line) =>
        new RegExp(pattern, pattern.flags.replace(/[gy]/g, '')).test(line),
      ).length
    },

    async stop() {
      await runRig('keystone', ['stop', dir])
    },

    async start() {
      await runRig('keystone', ['start', dir, port, ...(options.tls ? ['--tls'] : [])], environment(options))
    },

    async [Symbol.asyncDispose]() {
      await rig.stop()
      await dispatcher.close()
      await rm(dir, { recursive: true, force: true })
    },
  }

  async function call(
    method: string,
    path: string,
    body?: object,
    headers: Record<string, string> = {},
  ): Promise<KeystoneAnswer> {
    const answer = await request(`${url}${path}`, {
      method,
      dispatcher,
      headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    })
    const text = await answer.body.text()
    return { status: answer.statusCode, headers: answer.headers, body: text === '' ? undefined : JSON.parse(text) }
  }

  function isServing(): Promise<boolean> {
    return readFile(join(dir, 'keystone.pid')).then(
      () => true,
      () => false,
    )
  }

  return rig
}

/** uWSGI's request lines, shortened; those of the rig itself left out. */
function requestLines(log: string): string[] {
  const lines = log.matchAll(/\] ([A-Z]+) (\S+) => generated .* \(HTTP\/1\.[01] (\d+)\)/g)
  return [...lines]
    .filter(([, , path]) => !path?.startsWith('/v3?rig'))
    .map(([, method, path, status]) => `${method} ${path} ${status}`)
}

async function readIds(dir: string): Promise<KeystoneIds> {
  const none: KeystoneIds = { domains: {}, projects: {}, users: {}, groups: {}, roles: {}, application_credentials: {} }
  const file = join(dir, 'ids.json')
  return existsSync(file) ? (JSON.parse(await readFile(file, 'utf8')) as KeystoneIds) : none
}

async function readApplicationCredential(dir: string): Promise<KeystoneRig['applicationCredential']> {
  const file = join(dir, 'app-cred.env')
  const text = existsSync(file) ? await readFile(file, 'utf8') : ''
  const value = (name: string) => new RegExp(`OS_APPLICATION_CREDENTIAL_${name}=(\\S+)`).exec(text)?.[1] ?? ''
  return { id: value('ID'), name: value('NAME'), secret: value('SECRET') }
}
