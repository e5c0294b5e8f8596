/**
 * An issuer that signs whatever a test wants, and an authenticator in front of it. Documents are handed over in the
 * process, so that each request for them is seen, and can be made to hang or fail.
 *
 * @module
 */
import { createHmac, generateKeyPairSync, type JsonWebKey, type KeyObject, sign } from 'node:crypto'
import type { AuthnResult, TokenAuthenticator } from '../../../src/authn/authenticator.ts'
import { claimMapping } from '../../../src/authn/oidc/claim-mapping.ts'
import { readClaimRules, type WrittenRules } from '../../../src/authn/oidc/claim-rules.ts'
import { flagRules } from '../../../src/authn/oidc/flag-rules.ts'
import type { DocumentRequest } from '../../../src/authn/oidc/issuer-http.ts'
import { type IssuerKeys, type IssuerKeysOptions, issuerKeys } from '../../../src/authn/oidc/issuer-keys.ts'
import { type OidcTokenOptions, oidcToken } from '../../../src/authn/oidc/oidc-token.ts'
import { ArchwayError } from '../../../src/errors.ts'
import { callContext, recordingLog, type TestContext } from '../../support/context.ts'

export const ISSUER = 'https://issuer.example'
export const AUDIENCE = 'kubernetes'
export const NOW = new Date('2030-01-01T00:00:00Z')
export const NOW_S: number = NOW.getTime() / 1000

export interface TestKey {
  readonly kid: string
  readonly alg: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  /** As it is published. */
  readonly jwk: JsonWebKey & Record<string, unknown>
}

const CURVES: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }

/** A new key. `over` is laid over what is published. */
export function newKey(alg = 'RS256', kid: string = alg, over: Record<string, unknown> = {}): TestKey {
  const pair = newPair(alg)
  return { kid, alg, ...pair, jwk: { ...pair.publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig', ...over } }
}

function newPair(alg: string): { publicKey: KeyObject; privateKey: KeyObject } {
  const namedCurve = CURVES[alg]
  if (namedCurve !== undefined) return generateKeyPairSync('ec', { namedCurve })
  if (alg === 'EdDSA' || alg === 'Ed25519') return generateKeyPairSync('ed25519')
  return generateKeyPairSync('rsa', { modulusLength: 2048 })
}

/** Made once: a key takes a while. */
export const KEYS: { readonly [alg in 'RS256' | 'ES256' | 'EdDSA']: TestKey } = {
  RS256: newKey('RS256'),
  ES256: newKey('ES256'),
  EdDSA: newKey('EdDSA'),
}

export function encode(part: unknown): string {
  return Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')
}

/** A signature by the rules of `alg`, of any text. */
export function signature(alg: string, text: string, key: KeyObject): Buffer {
  const data = Buffer.from(text)
  const hash = `sha${alg.slice(2)}`
  if (alg === 'EdDSA' || alg === 'Ed25519') return sign(null, data, key)
  if (alg.startsWith('ES')) return sign(hash, data, { key, dsaEncoding: 'ieee-p1363' })
  if (alg.startsWith('PS')) return sign(hash, data, { key, padding: 6, saltLength: Number(alg.slice(2)) / 8 })
  return sign(hash, data, key)
}

/** Claims that are good, with `over` laid over them; an `undefined` one is left out. */
export function goodClaims(over: Record<string, unknown> = {}): Record<string, unknown> {
  return { iss: ISSUER, aud: AUDIENCE, sub: 'jane', exp: NOW_S + 3600, iat: NOW_S - 60, ...over }
}

export interface SignOptions {
  readonly key?: TestKey
  readonly header?: Record<string, unknown>
  /** Text of the payload, in the place of the claims. */
  readonly payload?: string
}

/** A token. */
export function signed(over: Record<string, unknown> = {}, options: SignOptions = {}): string {
  const { key = KEYS.RS256, header = {}, payload = goodClaims(over) } = options
  const text = `${encode({ alg: key.alg, kid: key.kid, typ: 'JWT', ...header })}.${encode(payload)}`
  return `${text}.${signature(key.alg, text, key.privateKey).toString('base64url')}`
}

/** A token with an HMAC under any bytes. */
export function withHmac(alg: 'HS256' | 'HS512', secret: string | Buffer, kid: string): string {
  const text = `${encode({ alg, kid, typ: 'JWT' })}.${encode(goodClaims())}`
  return `${text}.${createHmac(`sha${alg.slice(2)}`, secret)
    .update(text)
    .digest('base64url')}`
}

/** Documents of an issuer, as they would come over HTTP. */
export interface TestIssuer {
  keys: TestKey[]
  /** Discovery document, laid over the right one. */
  discovery: Record<string, unknown>
  /** Replaces the key set where it is set. */
  keySet: unknown
  /** While set, everything fails with it. */
  failure: ArchwayError | undefined
  /** While set, everything waits for it. */
  hold: Promise<void> | undefined
  /** Addresses that were asked for, in order. */
  readonly asked: string[]
  get(request: DocumentRequest): Promise<unknown>
}

export function testIssuer(keys: TestKey[] = Object.values(KEYS)): TestIssuer {
  return {
    keys,
    discovery: {},
    keySet: undefined,
    failure: undefined,
    hold: undefined,
    asked: [],
    async get({ url, signal }) {
      this.asked.push(url.href)
      await Promise.race([this.hold, aborted(signal)])
      if (this.failure !== undefined) throw this.failure
      if (url.href.endsWith('/jwks')) return this.keySet ?? { keys: this.keys.map(({ jwk }) => jwk) }
      return { issuer: ISSUER, jwks_uri: `${ISSUER}/jwks`, ...this.discovery }
    },
  }
}

export function unreachable(): ArchwayError {
  return new ArchwayError('oidc_unreachable', 'the issuer is down', { retryAfter: 5 })
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
}

/** Rounds of asking: each asks for discovery once. */
export function rounds(issuer: TestIssuer): number {
  return issuer.asked.filter((address) => address.includes('/.well-known/')).length
}

/** A clock in milliseconds that stands still until it is set. */
export interface TestClock {
  ms: number
}

export interface KeysSetup {
  readonly issuer: TestIssuer
  readonly clock: TestClock
  readonly log: ReturnType<typeof recordingLog>
  readonly keys: IssuerKeys
}

export function keysOf(issuer: TestIssuer = testIssuer(), over: Partial<IssuerKeysOptions> = {}): KeysSetup {
  const clock = { ms: NOW.getTime() }
  const log = recordingLog()
  const keys = issuerKeys({
    issuer: ISSUER,
    log,
    now: () => clock.ms,
    getDocument: (request) => issuer.get(request),
    ...over,
  })
  return { issuer, clock, log, keys }
}

export interface Given extends Partial<Omit<OidcTokenOptions, 'keys' | 'mapping'>> {
  readonly issuer?: TestIssuer
  readonly rules?: WrittenRules
  readonly keyOptions?: Partial<IssuerKeysOptions>
}

export interface Setup extends KeysSetup {
  readonly authenticator: TokenAuthenticator
  readonly ctx: TestContext
  ask(token: string): Promise<AuthnResult>
}

/** User names as they are, groups from `groups`. */
const PLAIN_RULES: WrittenRules = flagRules({ issuer: ISSUER, usernamePrefix: '-', groupsClaim: 'groups' })

export function setUp({ issuer, rules = PLAIN_RULES, keyOptions, ...given }: Given = {}): Setup {
  const keys = keysOf(issuer, keyOptions)
  const ctx = callContext()
  const authenticator = oidcToken({
    keys: keys.keys,
    audiences: [AUDIENCE],
    mapping: mappingOf(rules),
    now: () => new Date(keys.clock.ms),
    ...given,
  })
  return { ...keys, authenticator, ctx, ask: (token) => authenticator.authenticate(token, ctx) }
}

export function mappingOf(rules: WrittenRules): ReturnType<typeof claimMapping> {
  const read = readClaimRules(rules)
  if (read.kind === 'faulty') throw new Error(JSON.stringify(read.problems))
  return claimMapping(read.rules)
}

/** What became of a token, in a word: the user name, `!code`, or `skipped`. */
export async function outcome(result: AuthnResult | Promise<AuthnResult>): Promise<string> {
  const settled = await result
  if (settled.kind === 'authenticated') return settled.user.username
  return settled.kind === 'rejected' ? `!${settled.code}` : 'skipped'
}
