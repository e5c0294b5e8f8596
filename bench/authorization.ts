/**
 * What a SubjectAccessReview costs as a Keystone policy grows: a decision in process, beside the straightforward scan
 * of the rules, and a whole review over HTTPS.
 *
 * @module
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Attributes } from '../src/authz/authorizer.ts'
import { compilePolicy, decide, parsePolicy } from '../src/authz/keystone-policy/index.ts'
import { reviewBody, reviewSpec } from '../src/authz/webhook/review.ts'
import { allowedBy, type RawPolicy } from '../test/authz/keystone-policy/reference.ts'
import { contest, median, request } from './contest.ts'
import type { Question } from './load.ts'

const RULES = [10, 1_000, 10_000]
/** Half of them allowed. */
const REQUESTS = 256
const MOST_RATIO = 3
const SLICES = 21
/** A slow one takes seconds. */
const SCAN_SLICES = 3
const SLICE_MS = 100
const WARMUP_MS = 1000
const V1 = 'authorization.k8s.io/v1'
const IDENTITY = 'alpha.kubernetes.io/identity'
const ROLES = ['admin', 'member', 'reader', 'auditor']

export async function measureAuthorization(): Promise<void> {
  inProcess()
  await overHttps()
}

// --- policies and requests ---------------------------------------------------------------------------------------

/** Four rules for each project, one for each role, of the kinds that are in use. */
function policyOf(rules: number): readonly RawPolicy[] {
  return Array.from({ length: rules }, (_, i) => {
    const project = projectOf(i)
    const role = ROLES[i % ROLES.length] ?? ''
    const users = { projects: [project], roles: [role] }
    switch (i % ROLES.length) {
      case 0:
        return { users, resource_permissions: { [`${project}/*`]: ['*'], '*/nodes': ['get', 'list'] } }
      case 1:
        return {
          users,
          resource_permissions: { [`${project}/['pods','services','configmaps']`]: ['get', 'list', 'watch'] },
          nonresource_permissions: { '/version': ['get'] },
        }
      case 2:
        return { users, resource_permissions: { "!['kube-system','kube-public']/pods": ['get', 'list'] } }
      default:
        return {
          resource: { verbs: ['get', 'list'], resources: ['pods', 'pods/log'], version: '', namespace: project },
          match: [
            { type: 'project', values: [project] },
            { type: 'role', values: [role] },
          ],
        }
    }
  })
}

function projectOf(rule: number): string {
  return `project-${Math.floor(rule / ROLES.length)}`
}

/** Whoever a rule is for asks for what it gives, and for what no rule gives, in turn; rules from all over the policy. */
function requestsFor(rules: number): readonly Attributes[] {
  return Array.from({ length: REQUESTS }, (_, i) => {
    const rule = Math.floor(((i >> 1) * rules) / (REQUESTS / 2))
    const project = projectOf(rule)
    const allowed = i % 2 === 0
    return {
      kind: 'resource',
      user: {
        username: `user-${rule}`,
        uid: `uid-${rule}`,
        groups: ['k8s-devs', `id-of-${project}`, 'system:authenticated'],
        extra: new Map([
          [`${IDENTITY}/project/id`, [`id-of-${project}`]],
          [`${IDENTITY}/project/name`, [project]],
          [`${IDENTITY}/roles`, [ROLES[rule % ROLES.length] ?? '']],
          [`${IDENTITY}/user/domain/id`, ['default']],
          [`${IDENTITY}/user/domain/name`, ['Default']],
        ]),
      },
      extraPresent: true,
      verb: allowed ? 'get' : 'delete',
      group: '',
      version: 'v1',
      resource: 'pods',
      subresource: '',
      namespace: allowed ? project : 'kube-system',
      name: `web-${i}`,
    }
  })
}

// --- in process ----------------------------------------------------------------------------------------------------

interface Case {
  readonly rules: number
  readonly requests: readonly Attributes[]
  readonly compileMs: number
  readonly byIndex: Judge
  readonly byScan: Judge
}

type Judge = (attributes: Attributes) => boolean

function inProcess(): void {
  console.log(`\nA decision in process: ${REQUESTS} requests, half of them allowed, median of ${SLICES}`)
  console.log('\n rules   compile ms   decision ns    linear scan ns   scan ÷ decision')
  const cases = RULES.map(caseOf)
  const decisions = inTurn(cases, ({ byIndex }) => byIndex, { warmupMs: WARMUP_MS, slices: SLICES })
  const scans = inTurn(cases, ({ byScan }) => byScan, { warmupMs: 0, slices: SCAN_SLICES })
  for (const [i, { rules, compileMs }] of cases.entries()) {
    const [decision = Number.NaN, scan = Number.NaN] = [decisions[i], scans[i]]
    const cells = [compileMs.toFixed(1), decision.toFixed(0), scan.toFixed(0), (scan / decision).toFixed(0)]
    console.log(String(rules).padStart(6) + cells.map((cell, at) => cell.padStart(WIDTHS[at] ?? 0)).join(''))
  }
  const ratio = (decisions.at(-1) ?? Number.NaN) / (decisions[0] ?? Number.NaN)
  const verdict = ratio <= MOST_RATIO ? 'within' : 'MISSES'
  console.log(
    `\n${RULES.at(-1)} rules ÷ ${RULES[0]} rules: ${ratio.toFixed(2)} (${verdict} the aim of at most ${MOST_RATIO})`,
  )
}

const WIDTHS = [12, 13, 17, 17]

function caseOf(rules: number): Case {
  const raw = policyOf(rules)
  const requests = requestsFor(rules)
  const document = parsePolicy(JSON.stringify(raw), { where: 'policy.json' })
  const begin = performance.now()
  const compiled = compilePolicy(document)
  const compileMs = performance.now() - begin
  const byIndex: Judge = (attributes) => decide(compiled, attributes).kind === 'allow'
  const byScan: Judge = (attributes) => raw.some((policy) => allowedBy([policy], attributes, GUARDED).length > 0)
  mustAgree(requests, byIndex, byScan)
  return { rules, requests, compileMs, byIndex, byScan }
}

/** What the server does unless told otherwise. */
const GUARDED = { mode: 'guarded', requireKeystoneIdentity: true, matchGuardsVersion2: true } as const

/** A fast wrong answer is not a result. */
function mustAgree(requests: readonly Attributes[], one: Judge, other: Judge): void {
  const allowed = requests.filter(one)
  if (requests.some((attributes) => one(attributes) !== other(attributes))) throw new Error('index and scan disagree')
  if (allowed.length !== REQUESTS / 2) throw new Error(`${allowed.length} of ${REQUESTS} requests allowed`)
}

/** Median time of one decision in each case. They take turns, so that whatever else runs slows all of them alike. */
function inTurn(
  cases: readonly Case[],
  judgeOf: (each: Case) => Judge,
  { warmupMs, slices }: { readonly warmupMs: number; readonly slices: number },
): readonly number[] {
  for (const each of cases) runFor(warmupMs, each.requests, judgeOf(each))
  const rounds = Array.from({ length: slices }, () =>
    cases.map((each) => runFor(SLICE_MS, each.requests, judgeOf(each))),
  )
  return cases.map((_, i) => median(rounds.map((round) => round[i] ?? Number.NaN)))
}

function runFor(ms: number, requests: readonly Attributes[], judge: Judge): number {
  const begin = performance.now()
  let decisions = 0
  let allowed = 0 // keeps the compiler from leaving the work out
  while (performance.now() - begin < ms) {
    for (const attributes of requests) if (judge(attributes)) allowed++
    decisions += requests.length
  }
  if (allowed * 2 !== decisions) throw new Error('decisions changed while they were timed')
  return ((performance.now() - begin) * 1e6) / decisions
}

// --- over HTTPS ----------------------------------------------------------------------------------------------------

async function overHttps(): Promise<void> {
  await contest(async ({ folder, enterArchway, enterEcho, run }) => {
    const tokens = join(folder, 'tokens.csv')
    writeFileSync(tokens, 'nobody-uses-this,user,uid\n', { mode: 0o600 })
    for (const rules of RULES) {
      const policy = join(folder, `policy-${rules}.json`)
      writeFileSync(policy, JSON.stringify(policyOf(rules)))
      const config = {
        authenticators: [{ tokenFile: { path: tokens } }],
        authorizers: [{ keystonePolicy: { files: [policy] } }],
      }
      await enterArchway(`${rules} rules`, config, questionsFor(rules))
    }
    const questions = questionsFor(RULES[0] ?? 0)
    await enterEcho(questions)
    console.log(`\nSubjectAccessReview over HTTPS: request ${questions[0]?.bytes.length} bytes`)
    await run()
  })
}

/** The echo answers with the question: with its attributes, and the status that kube-apiserver sends along. */
function questionsFor(rules: number): readonly Question[] {
  return requestsFor(rules).map((attributes, i) => ({
    bytes: request('/webhook?timeout=30s', `${reviewBody(reviewSpec(attributes, V1), V1)}\n`),
    answer: i % 2 === 0 ? /"allowed": ?true|"resourceAttributes"/ : /"allowed": ?false/,
  }))
}
