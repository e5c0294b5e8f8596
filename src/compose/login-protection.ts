/**
 * Login protection around the passwords of all sources: counters in memory, or shared by replicas, and slots.
 *
 * @module
 */
import { readFileSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import type { PasswordAuthenticator } from '../authn/authenticator.ts'
import { keyedDigest } from '../authn/keyed-digest.ts'
import type { LoginCounters } from '../authn/protection/counters.ts'
import { memoryCounters } from '../authn/protection/memory-counters.ts'
import { type ProtectionEvent, protectedLogin } from '../authn/protection/protected-login.ts'
import { sharedDigest } from '../authn/protection/shared-digest.ts'
import { slots } from '../authn/protection/slots.ts'
import { valkeyCounters } from '../authn/protection/valkey-counters.ts'
import { type LoginProtection, protectionPolicy, protectionSlots, protectionValkey } from '../config/protection.ts'
import { ArchwayError, messageOf } from '../errors.ts'
import { permissionWarning } from '../reload/permissions.ts'
import { Secret } from '../secret.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { valkey } from '../valkey/valkey.ts'
import type { Closer } from './part.ts'

export interface LoginProtectionOptions {
  readonly settings: LoginProtection
  readonly metrics: Metrics
  readonly log: Logger
}

/** What libuv has unless told otherwise. */
const USUAL_THREADS = 4

/** Wraps the passwords of all sources. Throws where a file of the shared counters cannot be used. */
export function withLoginProtection(
  inner: PasswordAuthenticator,
  { settings, metrics, log }: LoginProtectionOptions,
  closers: Closer[],
): PasswordAuthenticator {
  const observe = (event: ProtectionEvent): void => metrics.loginEvents.labels(event).inc()
  const policy = protectionPolicy(settings)
  const memory = memoryCounters({ policy, entries: settings.entries })
  const machine = { cores: availableParallelism(), threads: threads(process.env['UV_THREADPOOL_SIZE']) }
  const own = {
    slots: slots(protectionSlots(settings, machine)),
    ipv6Prefix: settings.ipv6Prefix,
    checkMs: settings.timeout,
    tell: settings.tell,
    observe: ({ event }: { readonly event: ProtectionEvent }) => observe(event),
  }
  const { valkey: shared } = settings
  if (shared === undefined) return protectedLogin(inner, { ...own, counters: memory, digest: keyedDigest() })
  const { caFile, passwordFile, keyFile, prefix } = shared
  const digest = sharedDigest(secretOf(keyFile, 'keyFile'))
  const connection = valkey(
    protectionValkey(shared, {
      ...(caFile === undefined ? {} : { ca: contentOf(caFile, 'caFile') }),
      ...(passwordFile === undefined ? {} : { password: () => secretOf(passwordFile, 'passwordFile') }),
    }),
  )
  closers.push(() => connection.close())
  for (const path of [keyFile, ...(passwordFile === undefined ? [] : [passwordFile])]) warnOfMode(path, log)
  const counters: LoginCounters = valkeyCounters({
    valkey: connection,
    memory,
    policy,
    prefix,
    pendingMs: settings.timeout,
    onFallback: () => observe('fallback'),
    log,
  })
  return protectedLogin(inner, { ...own, counters, digest })
}

/** How many threads hash: what the process was started with. */
function threads(written: string | undefined): number {
  const count = Number(written)
  return Number.isInteger(count) && count > 0 ? count : USUAL_THREADS
}

function secretOf(path: string, option: string): Secret {
  return new Secret(
    contentOf(path, option)
      .toString('utf8')
      .replace(/\r?\n$/, ''),
  )
}

function contentOf(path: string, option: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new ArchwayError('file_invalid', `loginProtection.valkey.${option}: ${messageOf(cause)}`, { cause })
  }
}

function warnOfMode(path: string, log: Logger): void {
  const warning = permissionWarning(path, statSync(path).mode)
  if (warning !== undefined) log.warn({ path }, warning)
}
