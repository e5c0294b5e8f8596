/** The contracts of a login, played in memory: a store, a Keystone, an issuer, settings, a person. */

import { createHmac, randomBytes } from 'node:crypto'
import type { Asker, CachedCredential, CredentialStore } from '../../src/credential/cache/store.ts'
import type { LoginContext, Providers } from '../../src/credential/login-now.ts'
import type { ObtainOptions } from '../../src/credential/obtain.ts'
import type { LoginPlan, LoginSubject, Question, Settings, Terminal } from '../../src/credential/plan.ts'
import type { IssuedToken, KeystoneLogin } from '../../src/keystone/login/login-request.ts'
import type { OidcClient, OidcTokens } from '../../src/oidc/oidc-client.ts'
import { Secret } from '../../src/secret.ts'

const START = new Date('2026-05-01T10:00:00.000Z')

/** A clock that stands until it is moved. */
export interface TestClock {
  now(): Date
  pass(seconds: number): void
}

export function testClock(): TestClock {
  let at = START.getTime()
  return {
    now: () => new Date(at),
    pass(seconds) {
      at += seconds * 1000
    },
  }
}

export interface MemoryStore extends CredentialStore {
  readonly entries: ReadonlyMap<string, CachedCredential>
  /** How many wait for a lock, or hold one. */
  readonly locks: { waiting: number; held: number }
}

/** Keeps credentials as the contract says, for as long as the test lasts. */
export function memoryStore(): MemoryStore {
  const key = randomBytes(32)
  const entries = new Map<string, CachedCredential>()
  const served = new Set<string>()
  const queues = new Map<string, Promise<void>>()
  const locks = { waiting: 0, held: 0 }
  const mac = (text: string): string => createHmac('sha256', key).update(text).digest('base64url')
  const store: MemoryStore = {
    kind: 'file',
    entries,
    locks,
    keyOf: (subject) => mac(JSON.stringify(Object.entries(subject).sort())),
    digest: (secret) => mac(`secret ${secret.reveal()}`),
    read: async (name) => entries.get(name),
    write: async (name, credential) => void entries.set(name, credential),
    remove: async (name) => void entries.delete(name),
    list: async () => [...entries].map(([name, credential]) => ({ key: name, credential })),
    async lock(name, waitMs, signal) {
      signal?.throwIfAborted()
      const before = queues.get(name)
      if (before !== undefined && waitMs === 0) return undefined
      let release = (): void => {}
      const mine = new Promise<void>((resolve) => {
        release = resolve
      })
      queues.set(name, before === undefined ? mine : before.then(() => mine))
      locks.waiting++
      await before
      locks.waiting--
      locks.held++
      return {
        async release() {
          locks.held--
          if (locks.waiting === 0) queues.delete(name)
          release()
        },
      }
    },
    wasServed: async (name, credential, asker) => served.has(servedBy(name, credential, asker)),
    served: async (name, credential, asker) => void served.add(servedBy(name, credential, asker)),
    problem: () => undefined,
  }
  const servedBy = (name: string, { token }: CachedCredential, { pid, started }: Asker): string =>
    [name, store.digest(token), pid, started].join(' ')
  return store
}

/** A token of Keystone, good for an hour unless told otherwise. */
export function keystoneToken(value: string, now: Date, seconds = 3600): IssuedToken {
  const expiresAt = new Date(now.getTime() + seconds * 1000)
  return {
    token: new Secret(value),
    expiresAt,
    expiresAtText: expiresAt.toISOString().replace('Z', '000Z'),
    methods: ['password'],
    user: { id: 'a1', name: 'alice', domain: { id: 'default', name: 'Default' } },
    project: { id: 'p1', name: 'demo', domain: { id: 'default', name: 'Default' } },
    system: false,
    roles: ['member'],
  }
}

export interface Played {
  readonly providers: Providers
  /** What was asked of whom, in order. */
  readonly calls: string[]
}

/** What Keystone and the issuer answer; a function may throw. */
export interface Play {
  readonly issue?: () => IssuedToken | Promise<IssuedToken>
  readonly federate?: (accessToken: Secret) => IssuedToken
  readonly describe?: (token: Secret) => IssuedToken | undefined
  readonly revoke?: () => void
  readonly oidc?: Partial<OidcClient>
  readonly browser?: boolean
}

export function play({ issue, federate, describe, revoke, oidc = {}, browser = false }: Play): Played {
  const calls: string[] = []
  const missing = (what: string) => (): never => {
    throw new Error(`${what} was not expected`)
  }
  const keystone: KeystoneLogin = {
    async issue() {
      calls.push('issue')
      return (issue ?? missing('issue'))()
    },
    async federate(_provider, _protocol, accessToken) {
      calls.push('federate')
      return (federate ?? missing('federate'))(accessToken)
    },
    async describe(token) {
      calls.push('describe')
      return (describe ?? missing('describe'))(token)
    },
    async revoke() {
      calls.push('revoke')
      revoke?.()
    },
    async close() {
      calls.push('close')
    },
  }
  const flow = (name: 'deviceCode' | 'authorizationCode' | 'password' | 'refresh') => calls.push(name)
  const client: OidcClient = {
    deviceCode(options) {
      flow('deviceCode')
      return (oidc.deviceCode ?? missing('deviceCode'))(options)
    },
    authorizationCode(options) {
      flow('authorizationCode')
      return (oidc.authorizationCode ?? missing('authorizationCode'))(options)
    },
    async password(username, password) {
      flow('password')
      return (oidc.password ?? missing('password'))(username, password)
    },
    async refresh(token) {
      flow('refresh')
      return (oidc.refresh ?? missing('refresh'))(token)
    },
    async revoke(token) {
      calls.push('revoke')
      return (oidc.revoke ?? missing('revoke'))(token)
    },
  }
  return {
    calls,
    providers: {
      keystone: async () => keystone,
      oidc: async () => client,
      async openBrowser() {
        calls.push('openBrowser')
        return browser
      },
    },
  }
}

export const PASSWORD_PLAN: LoginPlan = {
  provider: 'keystone',
  endpoint: { url: 'https://keystone.example:5000' },
  methods: [
    {
      method: 'password',
      user: { name: 'alice', domain: { name: 'Default' } },
      password: new Secret('password-canary'),
    },
  ],
  scope: { scope: 'default' },
}

export function oidcPlan(flow: 'device' | 'code', present: 'id_token' | 'access_token' = 'id_token'): LoginPlan {
  return {
    provider: 'oidc',
    oidc: { issuer: 'https://issuer.example', clientId: 'terminal' },
    oidcFlow: flow === 'device' ? { flow } : { flow, ports: [0] },
    present,
  }
}

export function idTokens(now: Date, seconds = 3600): OidcTokens {
  const payload = Buffer.from(JSON.stringify({ exp: now.getTime() / 1000 + seconds })).toString('base64url')
  return {
    accessToken: new Secret('opaque-access-canary'),
    idToken: new Secret(`e30.${payload}.id-canary`),
    refreshToken: new Secret('refresh-canary'),
    claims: { sub: '1', preferred_username: 'alice' },
  }
}

export interface SettingsPlay {
  readonly plan?: LoginPlan | ((terminal: Terminal | undefined) => Promise<LoginPlan>)
  readonly questions?: readonly Question[]
  readonly warnings?: readonly string[]
  readonly subject?: LoginSubject
}

export function settings({
  plan = PASSWORD_PLAN,
  questions = [],
  warnings = [],
  subject = { provider: 'keystone', url: 'https://keystone.example:5000', user: 'alice' },
}: SettingsPlay = {}): Settings {
  return {
    subject,
    warnings,
    questions,
    plan: async (terminal) => (typeof plan === 'function' ? plan(terminal) : plan),
  }
}

export interface Door extends ObtainOptions {
  readonly said: string[]
  readonly warned: string[]
  readonly traced: string[]
}

export interface DoorOptions extends Partial<Omit<ObtainOptions, 'context'>> {
  readonly played: Played
  readonly clock: TestClock
  readonly context?: Partial<LoginContext>
}

/** Everything {@link obtain} needs; asked by a Kubernetes client, with nobody at the keyboard, unless told otherwise. */
export function door({ played, clock, context, ...options }: DoorOptions): Door {
  const [said, warned, traced]: [string[], string[], string[]] = [[], [], []]
  return {
    said,
    warned,
    traced,
    settings: settings(),
    store: memoryStore(),
    asker: { pid: 7, started: '1' },
    exec: { asked: true, refused: false },
    force: false,
    openTerminal: async () => undefined,
    warn: (line) => void warned.push(line),
    trace: (line) => void traced.push(line),
    ...options,
    context: {
      providers: played.providers,
      say: (text) => void said.push(text),
      browser: true,
      signal: new AbortController().signal,
      now: clock.now,
      ...context,
    },
  }
}
