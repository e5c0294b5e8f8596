/**
 * Lint: rules that give more than they say. Each is a known way from "may do this one thing" to a shell, a credential
 * or more rights; which are given is asked of the rule itself, so that a wildcard or a negation hides nothing.
 *
 * @module
 */
import type { CompiledPolicy } from './compile.ts'
import { allHold, isUnsatisfiable } from './condition.ts'
import { ESCALATIONS, type Escalation } from './escalations.ts'
import { type Finding, lineReporter, type Report } from './finding.ts'
import { type Grant, isGrant } from './grant.ts'
import type { SubresourceMode } from './key.ts'
import { asksWho, covered, covers, OUTSIDER, probe } from './probe.ts'
import { type Request, toRequest } from './request.ts'

export function lintEscalations(compiled: CompiledPolicy): readonly Finding[] {
  const report = lineReporter(compiled)
  const ways = waysOf(ESCALATIONS)
  return compiled.lines
    .filter(isGrant)
    .filter(({ conditions }) => !conditions.some(isUnsatisfiable))
    .flatMap((grant) => grantFindings(grant, ways, compiled, report(grant)))
}

function grantFindings(
  grant: Grant,
  ways: readonly Way[],
  { meaning }: CompiledPolicy,
  report: Report,
): readonly Finding[] {
  if (coversEverything(grant)) {
    const inNamespaces = grant.conditions.some(({ dimension }) => dimension === 'namespace')
    const all = `every${grant.half === 'path' ? ' path' : 'thing'}${inNamespaces ? ' in the namespaces it covers' : ''}`
    const message = `allows ${all}, be it new with a later version of Kubernetes. Name what is needed`
    return [report('warning', 'everything', message)]
  }
  if (grant.half === 'path') return []
  const given = givenBy(grant, ways)
  const implied = given.filter(({ subresource }) => subresource !== undefined && !namesSubresource(grant, subresource))
  const stated = given.filter((escalation) => !implied.includes(escalation))
  return [
    ...(stated.length === 0
      ? []
      : [report('warning', 'escalation', `gives ${inWords(stated)}. Keep it where that is meant`)]),
    ...(implied.length === 0 ? [] : [impliedFinding(implied, meaning.subresources, report)]),
    ...guardedFinding(grant, ways, given, report),
  ]
}

function impliedFinding(implied: readonly Escalation[], mode: SubresourceMode, report: Report): Finding {
  const remedy =
    mode === 'compat'
      ? 'Run in guarded mode, where it does not'
      : 'Name the verbs and resources that are meant instead of *'
  const severity = mode === 'compat' ? 'error' : 'warning'
  return report(severity, 'subresource-implied', `gives ${inWords(implied)}, and does not say so. ${remedy}`)
}

function guardedFinding(
  grant: Grant,
  ways: readonly Way[],
  given: readonly Escalation[],
  report: Report,
): readonly Finding[] {
  const guarded = givenBy(unguarded(grant), ways).filter(({ what }) => !given.some((other) => other.what === what))
  const [first] = guarded
  if (first === undefined) return []
  const own = `${grant.key?.split('/')[0] ?? 'namespace'}/${first.resource}/${first.subresource}`
  const message =
    `would give ${inWords(guarded)} in compat mode, and does not here. ` +
    `To give one, add a key such as ${JSON.stringify(own)}`
  return [report('info', 'subresource-guarded', message)]
}

/** An escalation, and a request for it by each of its verbs; the namespace is left to the grant. */
interface Way {
  readonly escalation: Escalation
  readonly requests: readonly Request[]
}

function waysOf(escalations: readonly Escalation[]): readonly Way[] {
  return escalations.map((escalation) => {
    const { verbs, group = '', resource, subresource = '' } = escalation
    const asked = { group, resource, subresource, namespace: '' }
    return { escalation, requests: verbs.map((verb) => toRequest(probe({}, { ...asked, verb }))) }
  })
}

/** Escalations with those of their verbs that the grant gives. */
function givenBy({ conditions }: Grant, ways: readonly Way[]): readonly Escalation[] {
  const inNamespaces = conditions.filter((condition) => !asksWho(condition) && condition.dimension !== 'namespace')
  const inCluster = conditions.filter((condition) => !asksWho(condition))
  return ways.flatMap(({ escalation, requests }) => {
    const asked = escalation.clusterScoped ? inCluster : inNamespaces
    const verbs = escalation.verbs.filter((_, i) => requests[i] !== undefined && allHold(asked, requests[i]))
    return verbs.length === 0 ? [] : [{ ...escalation, verbs }]
  })
}

/** The grant as a key without subresource reaches in the predecessor. */
function unguarded(grant: Grant): Grant {
  const named = grant.conditions.find(
    ({ dimension, names }) => dimension === 'subresource' && names.has('exec') !== names.has(''),
  )
  const isTwoPart = named === undefined || (named.kind === 'in') === named.names.has('')
  return isTwoPart ? { ...grant, conditions: grant.conditions.filter((condition) => condition !== named) } : grant
}

/** Whether the rule names the subresource, as version 1 and keys of three parts do. */
function namesSubresource({ conditions }: Grant, subresource: string): boolean {
  return conditions.some(({ dimension, kind, names }) => {
    if (dimension === 'target') return true
    return dimension === 'subresource' && (kind === 'in' ? names.has(subresource) : names.has(''))
  })
}

/** Whatever the namespace. */
function coversEverything(grant: Grant): boolean {
  const { namespace = '' } = covered(grant)
  const asked = grant.half === 'path' ? { path: `/${OUTSIDER}` } : { group: OUTSIDER, namespace }
  return ['', 'exec'].every((subresource) => covers(grant, toRequest(probe({}, { ...asked, subresource }))))
}

function inWords(escalations: readonly Escalation[]): string {
  return escalations
    .map(({ what, verbs, resource, subresource }) => {
      return `${what} (${verbs.join(', ')} ${[resource, subresource].filter((part) => part !== undefined).join('/')})`
    })
    .join('; ')
}
