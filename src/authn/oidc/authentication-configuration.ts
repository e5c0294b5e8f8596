/**
 * The AuthenticationConfiguration file of kube-apiserver (`--authentication-config`; `apiserver.config.k8s.io`, v1,
 * v1beta1 and v1alpha1) → issuers with their rules. Read as strictly as kube-apiserver reads it: every mistake at
 * once, each with its place.
 *
 * @module
 */
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument, visit } from 'yaml'
import { z } from 'zod'
import { InvalidDocumentError, messageOf, type Problem } from '../../errors.ts'
import type { ClaimRules } from './claim-mapping.ts'
import { readClaimRules } from './claim-rules.ts'
import { checkAuthorities } from './issuer-http.ts'
import { parseIssuerUrl } from './issuer-url.ts'

/** One issuer: where its keys are, for whom its tokens have to be, and what its claims become. */
export interface IssuerSettings {
  readonly issuer: string
  readonly discoveryUrl: string | undefined
  /** PEM. */
  readonly ca: string | undefined
  readonly audiences: readonly string[]
  readonly rules: ClaimRules
}

export interface AuthenticationConfiguration {
  readonly issuers: readonly IssuerSettings[]
  /** As it is written. It is kube-apiserver's to obey: nobody comes to Archway without a token. */
  readonly anonymous: { readonly enabled: boolean; readonly paths: readonly string[] } | undefined
}

const MAX_ISSUERS = 64
/** Longest file, in bytes; 64 issuers with their authorities come nowhere near it. */
const MAX_BYTES = 4 * 1024 * 1024
const VERSIONS = ['v1', 'v1beta1', 'v1alpha1'].map((version) => `apiserver.config.k8s.io/${version}`)

const text = z.string().optional()
const claimSource = { claim: text, expression: text }

const jwtAuthenticator = z.strictObject({
  issuer: z.strictObject({
    url: z.string(),
    discoveryURL: text,
    certificateAuthority: text,
    audiences: z.array(z.string().min(1, 'is empty')).min(1, 'name at least one audience'),
    audienceMatchPolicy: z.enum(['', 'MatchAny']).optional(),
    egressSelectorType: text,
  }),
  claimValidationRules: z
    .array(z.strictObject({ claim: text, requiredValue: text, expression: text, message: text }))
    .optional(),
  claimMappings: z.strictObject({
    username: z.strictObject({ ...claimSource, prefix: text }).optional(),
    groups: z.strictObject({ ...claimSource, prefix: text }).optional(),
    uid: z.strictObject(claimSource).optional(),
    extra: z.array(z.strictObject({ key: text, valueExpression: text })).optional(),
  }),
  userValidationRules: z.array(z.strictObject({ expression: text, message: text })).optional(),
})

const configuration = z.strictObject({
  apiVersion: z.string().refine((version) => VERSIONS.includes(version), `expected one of ${VERSIONS.join(', ')}`),
  kind: z.literal('AuthenticationConfiguration'),
  jwt: z.array(jwtAuthenticator).max(MAX_ISSUERS, `has more than ${MAX_ISSUERS} issuers`).default([]),
  anonymous: z
    .strictObject({
      enabled: z.boolean().default(false),
      conditions: z.array(z.strictObject({ path: z.string().min(1, 'is empty') })).default([]),
    })
    .optional(),
})

type WrittenIssuer = z.output<typeof jwtAuthenticator>

/** Reads the file. Throws {@link InvalidDocumentError} (`file_invalid`) with every mistake. */
export function parseAuthenticationConfiguration(content: string | Buffer, where: string): AuthenticationConfiguration {
  const document = readDocument(content, where)
  const parsed = configuration.safeParse(withoutNulls(document.value))
  if (!parsed.success) throw invalid(where, parsed.error.issues.flatMap(toProblems).map(document.locate))
  const { jwt, anonymous } = parsed.data
  const problems: Problem[] = [...repeatedIssuers(jwt)]
  if (anonymous !== undefined && !anonymous.enabled && anonymous.conditions.length > 0) {
    problems.push({ path: 'anonymous.conditions', message: 'stand where anonymous is not enabled' })
  }
  const issuers = jwt.flatMap((written, index) => readIssuer(written, `jwt[${index}]`, problems) ?? [])
  if (problems.length > 0) throw invalid(where, problems.map(document.locate))
  return {
    issuers,
    anonymous: anonymous && { enabled: anonymous.enabled, paths: anonymous.conditions.map(({ path }) => path) },
  }
}

function readIssuer(written: WrittenIssuer, path: string, problems: Problem[]): IssuerSettings | undefined {
  const { url, discoveryURL = '', certificateAuthority = '', audiences } = written.issuer
  problems.push(...issuerProblems(written.issuer, `${path}.issuer`))
  const read = readClaimRules(written)
  if (read.kind === 'faulty') {
    problems.push(...read.problems.map((problem) => ({ ...problem, path: `${path}.${problem.path}` })))
    return undefined
  }
  return {
    issuer: url,
    discoveryUrl: discoveryURL === '' ? undefined : discoveryURL,
    ca: certificateAuthority === '' ? undefined : certificateAuthority,
    audiences,
    rules: read.rules,
  }
}

function* issuerProblems(issuer: WrittenIssuer['issuer'], path: string): Generator<Problem> {
  const { url, discoveryURL = '', certificateAuthority = '', audiences, audienceMatchPolicy } = issuer
  yield* complaint(`${path}.url`, () => parseIssuerUrl(url, { allowHttpLoopback: false }))
  if (discoveryURL !== '') {
    yield* complaint(`${path}.discoveryURL`, () => parseIssuerUrl(discoveryURL, { allowHttpLoopback: false }))
    if (discoveryURL.replace(/\/+$/, '') === url.replace(/\/+$/, '')) {
      yield { path: `${path}.discoveryURL`, message: 'is the same as url; leave it out' }
    }
  }
  if (certificateAuthority !== '') {
    yield* complaint(`${path}.certificateAuthority`, () => checkAuthorities(certificateAuthority))
  }
  for (const [index, audience] of audiences.entries()) {
    if (audiences.indexOf(audience) < index) yield { path: `${path}.audiences[${index}]`, message: 'stands twice' }
  }
  if (audiences.length > 1 && audienceMatchPolicy !== 'MatchAny') {
    yield { path: `${path}.audienceMatchPolicy`, message: 'has to be MatchAny where there are several audiences' }
  }
  if (issuer.egressSelectorType !== undefined && issuer.egressSelectorType !== '') {
    const message = 'egress selectors are a thing of kube-apiserver; leave it out, the issuer is asked directly'
    yield { path: `${path}.egressSelectorType`, message }
  }
}

function* repeatedIssuers(issuers: readonly WrittenIssuer[]): Generator<Problem> {
  for (const field of ['url', 'discoveryURL'] as const) {
    const addresses = issuers.map(({ issuer }) => issuer[field] ?? '')
    for (const [index, address] of addresses.entries()) {
      if (address === '' || addresses.indexOf(address) === index) continue
      yield { path: `jwt[${index}].issuer.${field}`, message: `is that of jwt[${addresses.indexOf(address)}] too` }
    }
  }
}

function* complaint(path: string, check: () => unknown): Generator<Problem> {
  try {
    check()
  } catch (thrown) {
    yield { path, message: messageOf(thrown) }
  }
}

interface ReadDocument {
  readonly value: unknown
  /** Adds line and column, of the place itself or of the nearest one around it. */
  readonly locate: (problem: Problem) => Problem
}

function readDocument(content: string | Buffer, where: string): ReadDocument {
  if (Buffer.byteLength(content) > MAX_BYTES) {
    throw invalid(where, [{ path: '', message: `is longer than ${MAX_BYTES} bytes` }])
  }
  const lines = new LineCounter()
  const document = parseDocument(content.toString(), { schema: 'core', lineCounter: lines, prettyErrors: false })
  const at = (offset: number): { line: number; column: number } => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  const problems: Problem[] = [...document.errors, ...document.warnings].map(({ code, pos }) => {
    return { path: '', message: `is not YAML (${code.toLowerCase().replaceAll('_', ' ')})`, ...at(pos[0]) }
  })
  visit(document, {
    Alias: (_, { range }) => {
      problems.push({ path: '', message: 'has an alias; write it out', ...at(range?.[0] ?? 0) })
    },
    Pair: (_, { key }) => {
      if (!isScalar(key) || typeof key.value === 'string') return
      problems.push({ path: '', message: 'has a key that is not text', ...at(key.range?.[0] ?? 0) })
    },
  })
  if (problems.length > 0) throw invalid(where, problems)
  return {
    value: document.toJS(),
    locate(problem) {
      const path = [...problem.path.matchAll(/[^.[\]]+/g)].map(([part]) => (/^\d+$/.test(part) ? Number(part) : part))
      for (let length = path.length; length > 0; length--) {
        const offset = offsetOf(document, path.slice(0, length))
        if (offset !== undefined) return { ...problem, ...at(offset) }
      }
      return problem
    },
  }
}

/** Where the key or the item at a path stands. */
function offsetOf(document: Document, path: readonly (string | number)[]): number | undefined {
  const above: unknown = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)
  if (!isMap(above)) return rangeOf(document.getIn(path, true))
  return rangeOf(above.items.find(({ key }) => isScalar(key) && key.value === path.at(-1))?.key)
}

function rangeOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined
}

/** To Kubernetes a field that is null is one that is not there. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, member]) => (member === null ? [] : [[key, withoutNulls(member)]])),
  )
}

function toProblems(issue: z.core.$ZodIssue): readonly Problem[] {
  const path = issue.path.reduce<string>((made, key) => {
    if (typeof key === 'number') return `${made}[${key}]`
    return made === '' ? String(key) : `${made}.${String(key)}`
  }, '')
  if (issue.code === 'invalid_type' && issue.message.endsWith('received undefined')) {
    return [{ path, message: `missing; expected ${issue.expected}` }]
  }
  if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message }]
  return issue.keys.map((key) => ({ path: path === '' ? key : `${path}.${key}`, message: 'unknown field' }))
}

function invalid(where: string, problems: readonly Problem[]): InvalidDocumentError {
  return new InvalidDocumentError('file_invalid', where, problems)
}
