/**
 * What guessers get, and what people feel of it: 10,000 guesses against bcrypt, from one address and from a thousand, at
 * one user and spread over all, while people log in. The policy is the default one, the clock the real one.
 *
 * @module
 */
import { availableParallelism } from 'node:os'
import { hash, verify } from '@node-rs/bcrypt'
import type { AuthnResult, PasswordAuthenticator } from '../src/authn/authenticator.ts'
import { keyedDigest } from '../src/authn/keyed-digest.ts'
import { memoryCounters } from '../src/authn/protection/memory-counters.ts'
import { protectedLogin } from '../src/authn/protection/protected-login.ts'
import { slots } from '../src/authn/protection/slots.ts'
import { loginProtection, protectionPolicy, protectionSlots } from '../src/config/protection.ts'
import type { CallContext } from '../src/context.ts'
import { median } from './contest.ts'

const COST = 8
const GUESSES = 10_000
const GUESSES_PER_SECOND = 500
const USERS = 1000
const ADDRESSES = 1000
const PASSWORD = 'correct horse battery staple'
/** People who are known where they log in, and who come from somewhere new; every so many milliseconds one of each. */
const KNOWN_EVERY_MS = 250
const NEW_EVERY_MS = 1000

interface Attack {
  readonly name: string
  readonly guess?: (n: number) => { readonly username: string; readonly address: string }
  readonly protected: boolean
}

const oneAddress = '192.0.2.1'
const anAddress = (n: number): string => `10.0.${Math.floor((n % ADDRESSES) / 250)}.${n % 250}`
const aUser = (n: number): string => `user-${n % USERS}`

const ATTACKS: readonly Attack[] = [
  { name: 'no attack', protected: true },
  { name: 'one address, one user', protected: true, guess: () => ({ username: 'user-7', address: oneAddress }) },
  { name: 'one address, all users', protected: true, guess: (n) => ({ username: aUser(n), address: oneAddress }) },
  { name: 'all addresses, one user', protected: true, guess: (n) => ({ username: 'user-7', address: anAddress(n) }) },
  {
    name: 'all addresses, all users',
    protected: true,
    guess: (n) => ({ username: aUser(n + Math.floor(n / USERS)), address: anAddress(n) }),
  },
  {
    name: 'the same, unprotected',
    protected: false,
    guess: (n) => ({ username: aUser(n + Math.floor(n / USERS)), address: anAddress(n) }),
  },
]

export async function measureGuessing(): Promise<void> {
  const right = await hash(PASSWORD, { cost: COST })
  console.log(
    `\n${GUESSES} guesses, ${GUESSES_PER_SECOND} a second, bcrypt of cost ${COST} (${await costOf(right)} ms each)`,
  )
  console.log(
    `${availableParallelism()} cores; people: ${1000 / KNOWN_EVERY_MS} a second known, 1 a second from a new address`,
  )
  const columns = ['known: median', 'p99', 'new: median', 'p99', 'not told', 'guesses checked', 'CPU']
  console.log(`\n${'attack'.padEnd(26)}${columns.map((column) => column.padStart(16)).join('')}`)
  for (const attack of ATTACKS) console.log(await measure(attack, right))
}

async function costOf(right: string): Promise<string> {
  const times: number[] = []
  for (let i = 0; i < 9; i++) {
    const begun = performance.now()
    await verify(PASSWORD, right)
    times.push(performance.now() - begun)
  }
  return median(times).toFixed(0)
}

async function measure(attack: Attack, right: string): Promise<string> {
  const ended = new AbortController()
  let checks = 0
  /** Takes as long for a name that nobody has. */
  const files: PasswordAuthenticator = {
    name: 'files',
    async authenticate({ username, password }): Promise<AuthnResult> {
      const isRight = await verify(password, right, { signal: ended.signal })
      checks++
      return isRight && username.startsWith('user-')
        ? { kind: 'authenticated', source: 'files', user: { username, uid: '', groups: [], extra: new Map() } }
        : { kind: 'rejected', source: 'files', code: 'login_failed' }
    },
  }
  const login = attack.protected ? protectedBy(files) : files
  for (let person = 0; person < 50; person++) await logIn(login, person, home(person))
  checks = 0

  const known: number[] = []
  const fresh: number[] = []
  const begun = performance.now()
  const cpu = process.cpuUsage()
  const until = (GUESSES / GUESSES_PER_SECOND) * 1000
  let [guesses, knownTried, freshTried, untold] = [0, 0, 0, 0]
  const person = async (n: number, address: string, times: number[]): Promise<void> => {
    const ms = await logIn(login, n, address).catch(() => undefined)
    if (ms !== undefined) times.push(ms)
    else if (!ended.signal.aborted) untold++
  }
  for (let elapsed = 0; elapsed < until; elapsed = performance.now() - begun) {
    for (; attack.guess !== undefined && guesses < (elapsed / 1000) * GUESSES_PER_SECOND; guesses++) {
      const credential = { ...attack.guess(guesses), password: `guess ${guesses}` }
      void login.authenticate(credential, context()).catch(() => undefined)
    }
    for (; knownTried < elapsed / KNOWN_EVERY_MS; knownTried++) void person(knownTried, home(knownTried), known)
    for (; freshTried < elapsed / NEW_EVERY_MS; freshTried++) void person(freshTried, `203.0.113.${freshTried}`, fresh)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const { user, system } = process.cpuUsage(cpu)
  const wall = performance.now() - begun
  const guessesChecked = Math.max(0, checks - known.length - fresh.length)
  untold += knownTried + freshTried - known.length - fresh.length - untold // those that still wait
  ended.abort()
  const cells = [
    `${median(known).toFixed(0)} ms`,
    `${percentile(known, 0.99).toFixed(0)} ms`,
    `${median(fresh).toFixed(0)} ms`,
    `${percentile(fresh, 0.99).toFixed(0)} ms`,
    `${untold} of ${knownTried + freshTried}`,
    String(guessesChecked),
    `${((user + system) / 10 / wall).toFixed(0)} %`,
  ]
  return attack.name.padEnd(26) + cells.map((cell) => cell.padStart(16)).join('')
}

function protectedBy(inner: PasswordAuthenticator): PasswordAuthenticator {
  const config = loginProtection.parse({})
  const threads = Number(process.env['UV_THREADPOOL_SIZE'] ?? 4)
  return protectedLogin(inner, {
    counters: memoryCounters({ policy: protectionPolicy(config), entries: config.entries }),
    slots: slots(protectionSlots(config, { cores: availableParallelism(), threads })),
    digest: keyedDigest(),
    checkMs: config.timeout,
  })
}

/** Where somebody always logs in from. */
function home(person: number): string {
  return `198.51.100.${person % 50}`
}

/** Milliseconds a login took. Throws where it was not told, or refused. */
async function logIn(login: PasswordAuthenticator, person: number, address: string): Promise<number> {
  const begun = performance.now()
  const result = await login.authenticate({ username: `user-${person % 50}`, password: PASSWORD, address }, context())
  if (result.kind !== 'authenticated') throw new Error(`a person was refused: ${JSON.stringify(result)}`)
  return performance.now() - begun
}

const silent = { debug() {}, info() {}, warn() {}, error() {} }

function context(): CallContext {
  return { requestId: 'bench', signal: AbortSignal.timeout(30_000), log: silent, audiences: [] }
}

function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}
