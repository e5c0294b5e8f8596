/**
 * Login protection: what can be set, and what the counters and slots are given for it.
 *
 * @module
 */
import { z } from 'zod'
import type { Policy } from '../authn/protection/counters.ts'
import type { SlotsOptions } from '../authn/protection/slots.ts'
import { ArchwayError } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { parseValkeyUrl } from '../valkey/url.ts'
import type { ValkeyOptions } from '../valkey/valkey.ts'
import { option } from './option.ts'
import { duration, filePath } from './values.ts'

const failures = z.int().min(1).max(10_000)
/** Waits are bounded so that no setting makes a lock one for ever. */
const wait = { min: '1s', max: '24h' }

const pair = z.strictObject({
  free: option(failures.default(5), 'Failures of a user at an address before an attempt has to wait.'),
  firstDelay: option(
    duration({ min: '100ms', max: '24h' }).prefault('1s'),
    'First wait; it doubles with each failure. What comes too early is refused unseen.',
  ),
  longestDelay: option(duration({ min: '100ms', max: '24h' }).prefault('5m'), 'The wait grows up to this.'),
  lockAfter: option(failures.default(20), 'Failures of a user at an address that lock him there.'),
  lockFor: option(duration(wait).prefault('15m'), 'Duration of that lock. Then the count begins anew.'),
  forgetAfter: option(duration(wait).prefault('30m'), 'Time after the last failure until all are forgotten.'),
})

const user = z.strictObject({
  slowAfter: option(
    failures.default(50),
    'Failures of a user from anywhere, within `window`, that slow him down wherever he has not logged in before.',
  ),
  window: option(duration(wait).prefault('1h'), 'Time from the first failure until the count begins anew.'),
  interval: option(duration(wait).prefault('30s'), 'While slowed down, one attempt is checked in this time.'),
})

const address = z.strictObject({
  lockAfter: option(
    failures.default(100),
    'Failures at an address, of anybody, within `window`, that lock it. Raise it where many people share one.',
  ),
  window: option(duration(wait).prefault('15m'), 'Time from the first failure until the count begins anew.'),
  lockFor: option(duration(wait).prefault('15m'), 'Duration of that lock.'),
})

const shared = z.strictObject({
  url: option(z.string().min(1), '`rediss://host:6379/0` or `valkeys://…`. Without TLS (`redis:`) this machine only.'),
  allowPlain: option(z.boolean().default(false), 'Whether a server elsewhere may be used without TLS. For trying out.'),
  caFile: option(filePath().optional(), 'CA bundle for the server, PEM, in the place of the system roots.'),
  username: option(z.string().min(1).optional(), 'User of the access list. Default: the default user.'),
  passwordFile: option(
    filePath().optional(),
    'File with the password; one line feed at its end does not count. Read again for each connection.',
  ),
  keyFile: option(
    filePath(),
    'File with a secret of 32 characters or more, the same for all replicas: user names and addresses are stored as digests under it.',
  ),
  prefix: option(
    z
      .string()
      .regex(/^[\x21-\x7e]{1,64}$/, 'expected 1 to 64 visible ASCII characters')
      .default('archway:login:'),
    'Begins every key.',
  ),
  timeout: option(
    duration({ min: '10ms', max: '5s' }).prefault('250ms'),
    'Longest wait for the server; then the counters of the replica stand in.',
  ),
})

/** Of all passwords, whatever checks them. */
export const loginProtection = z
  .strictObject({
    pair: pair.prefault({}),
    user: user.prefault({}),
    address: address.prefault({}),
    ipv6Prefix: option(
      z.int().min(32).max(64).default(64),
      'Bits of an IPv6 address that are one: what one subscriber is given, 48 to 64.',
    ),
    knownFor: option(
      duration({ min: '1m', max: '596h' }).prefault('168h'),
      'How long after a login a user is known at an address: locks for others do not hold him there.',
    ),
    entries: option(
      z.int().min(100).max(1_000_000).default(50_000),
      'Users, addresses and pairs of both that are kept in memory, of each. The least recent go first.',
    ),
    checks: option(
      z.int().min(1).max(1024).optional(),
      'Passwords checked at once. Default: one for each core, and one less than the threads hashing shares with others.',
    ),
    queue: option(z.int().min(1).max(10_000).default(256), 'Logins waiting for a check; more could not be told.'),
    timeout: option(duration({ min: '1s', max: '1m' }).prefault('20s'), 'Deadline of one check.'),
    tell: option(
      z.boolean().default(false),
      'Whether whoever comes too early is told so, and when to come back. Otherwise it looks like a wrong password.',
    ),
    valkey: shared.optional().describe('Counters that replicas share, in Valkey or Redis.'),
  })
  .superRefine((protection, ctx) => {
    for (const { path, message } of problemsOf(protection)) ctx.addIssue({ code: 'custom', path, message })
  })
  .describe('What stands between passwords and those who guess them.')

export type LoginProtection = z.output<typeof loginProtection>

/** The rules of the counters. */
export function protectionPolicy({ pair, user, address, knownFor }: LoginProtection): Policy {
  return {
    pair: {
      free: pair.free,
      firstDelayMs: pair.firstDelay,
      longestDelayMs: pair.longestDelay,
      lockAfter: pair.lockAfter,
      lockMs: pair.lockFor,
      forgetMs: pair.forgetAfter,
    },
    user: { slowAfter: user.slowAfter, windowMs: user.window, intervalMs: user.interval },
    address: { lockAfter: address.lockAfter, windowMs: address.window, lockMs: address.lockFor },
    knownMs: knownFor,
  }
}

/** Cores of the machine, and threads of the pool that hashing shares with files and name look-ups (libuv's). */
export interface Machine {
  readonly cores: number
  readonly threads: number
}

/** How many passwords are checked at once. One thread is left to everything else. */
export function protectionSlots({ checks, queue }: LoginProtection, { cores, threads }: Machine): SlotsOptions {
  return { slots: checks ?? Math.max(1, Math.min(cores, threads - 1)), queue }
}

/** What the connection is given; `ca` and `password` are the contents of the files. */
export function protectionValkey(
  { url, allowPlain, username, timeout }: NonNullable<LoginProtection['valkey']>,
  { ca, password }: { readonly ca?: string | Buffer; readonly password?: () => Secret },
): ValkeyOptions {
  return {
    url,
    allowPlain,
    timeoutMs: timeout,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(ca === undefined ? {} : { ca }),
  }
}

type Issue = { readonly path: string[]; readonly message: string }

function* problemsOf({ pair, user, address, valkey }: LoginProtection): Generator<Issue> {
  if (pair.lockAfter <= pair.free) yield { path: ['pair', 'lockAfter'], message: 'is not more than `free`' }
  if (pair.longestDelay < pair.firstDelay) {
    yield { path: ['pair', 'longestDelay'], message: 'is shorter than `firstDelay`' }
  }
  if (pair.forgetAfter < pair.longestDelay) {
    yield { path: ['pair', 'forgetAfter'], message: 'is shorter than `longestDelay`: waiting would lead nowhere' }
  }
  if (user.interval > user.window) yield { path: ['user', 'interval'], message: 'is longer than `window`' }
  if (user.slowAfter <= pair.free) yield { path: ['user', 'slowAfter'], message: 'is not more than `pair.free`' }
  if (address.lockAfter <= pair.free) yield { path: ['address', 'lockAfter'], message: 'is not more than `pair.free`' }
  if (valkey === undefined) return
  const fault = urlFault(valkey)
  if (fault !== undefined) yield { path: ['valkey', 'url'], message: fault }
  if (valkey.username !== undefined && valkey.passwordFile === undefined) {
    yield { path: ['valkey', 'passwordFile'], message: 'missing: it goes with `username`' }
  }
}

function urlFault({ url, allowPlain }: { readonly url: string; readonly allowPlain: boolean }): string | undefined {
  try {
    parseValkeyUrl(url, { allowPlain })
    return undefined
  } catch (error) {
    if (error instanceof ArchwayError) return error.message.replace(/^url: /, '')
    throw error
  }
}
