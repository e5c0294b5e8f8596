/**
 * Lint: whom and what a rule reaches. Rules for everybody, guards that are not looked at, rules that reach nobody or
 * nothing, and rules that another makes superfluous.
 *
 * @module
 */
import type { CompiledPolicy } from './compile.ts'
import { among, type Condition, implies, isUnsatisfiable } from './condition.ts'
import { whyNobody } from './explain-words.ts'
import { type Finding, lineReporter, type Report, reported } from './finding.ts'
import { type Grant, isGrant, type Line } from './grant.ts'
import { allGrants } from './index-find.ts'
import type { Policy } from './model.ts'
import { asksWho, covered, leastFacts, probe } from './probe.ts'
import { toRequest } from './request.ts'

export function lintReach(compiled: CompiledPolicy): readonly Finding[] {
  const report = lineReporter(compiled)
  const lines = Map.groupBy(compiled.lines, ({ policy }) => policy)
  const rank = new Map(compiled.lines.map((line, i) => [line, i]))
  return [
    ...reported(compiled).flatMap(({ policy, report: of }) =>
      policyFindings(policy, lines.get(policy) ?? [], compiled, of),
    ),
    ...compiled.lines.flatMap((line) => {
      if (!isGrant(line)) return line.key === undefined ? [report(line)('warning', 'grants-nothing', line.why)] : []
      const nothing = grantsNothing(line, report(line))
      return nothing.length > 0 ? nothing : shadowed(line, compiled, rank, report(line))
    }),
  ]
}

function policyFindings(
  policy: Policy,
  lines: readonly Line[],
  { meaning }: CompiledPolicy,
  report: Report,
): readonly Finding[] {
  const { match, users, resourcePermissions, nonresourcePermissions } = policy
  const mapped = resourcePermissions ?? nonresourcePermissions
  const guard = match.length > 0 && mapped !== undefined && !meaning.matchGuardsVersion2
  const findings: Finding[] = []
  if (guard) {
    const message = 'match is not looked at for version 2 maps in this mode. Write users, or run in guarded mode'
    findings.push(report(users === undefined ? 'error' : 'warning', 'match-ignored', message, 'match'))
  }
  const open = lines.find((line) => isGrant(line) && !line.conditions.some(asksWho))
  if (open === undefined) return findings
  const who = meaning.requireKeystoneIdentity
    ? 'every Keystone user, of whatever project and role'
    : 'everybody with an extra in the request, which on recent API servers is every service account'
  const message = `asks for nobody in particular, and so is for ${who}. Write users, with projects and roles`
  return [...findings, report(meaning.requireKeystoneIdentity ? 'warning' : 'error', 'open-to-everyone', message)]
}

function grantsNothing(grant: Grant, report: Report): readonly Finding[] {
  const empty = grant.conditions.find(isUnsatisfiable)
  if (empty === undefined) return []
  const why = asksWho(empty) ? whyNobody(empty.place, grant.policy) : `it names no ${empty.dimension}`
  return [report('warning', 'grants-nothing', `allows nothing: ${why}. Fill it in, or take the rule away`)]
}

/** Of many lines for the same request no more are compared with each, or large policies would take hours. */
const COMPARED = 200

/** Whether another line allows all that this one allows; of two that are equal, the later is superfluous. */
function shadowed(
  grant: Grant,
  { resources, paths }: CompiledPolicy,
  rank: ReadonlyMap<unknown, number>,
  report: Report,
): readonly Finding[] {
  const facts = leastFacts(grant.conditions)
  if (facts === undefined) return []
  // Whatever covers the grant covers this one request of it: so only few need to be compared.
  const request = toRequest(probe(facts, covered(grant)))
  let compared = 0
  for (const other of allGrants(grant.half === 'resource' ? resources : paths, request)) {
    compared += 1
    if (compared > COMPARED) break
    if (other === grant || !includes(other, grant)) continue
    if (includes(grant, other) && (rank.get(other) ?? 0) > (rank.get(grant) ?? 0)) continue
    return [report('info', 'shadowed', `is superfluous: ${other.name} allows all of it. Take one of them away`)]
  }
  return []
}

/** Whether `wide` allows whatever `narrow` allows. What cannot be told is no. */
function includes(wide: Grant, narrow: Grant): boolean {
  const given = [...narrow.conditions, ...narrow.conditions.flatMap(spelledOut)]
  return wide.conditions.every((condition) => given.some((fact) => implies(fact, condition)))
}

/** What a version 1 list of resources says in the words of version 2. */
function spelledOut({ dimension, names, place }: Condition): readonly Condition[] {
  if (dimension !== 'target') return []
  const split = [...names].map((name) => name.split('/'))
  const resources = new Set(split.map(([resource = '']) => resource))
  const subresources = new Set(split.map(([, subresource = '']) => subresource))
  return [
    among('resource', resources, place),
    ...(subresources.has('*') ? [] : [among('subresource', subresources, place)]),
  ]
}
