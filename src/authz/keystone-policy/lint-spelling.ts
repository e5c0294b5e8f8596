/**
 * Lint: text that means something else than it looks like. Negations that exclude nothing, lists that are none, globs
 * where there is no globbing, upper case where nothing is, API versions in place of groups.
 *
 * @module
 */
import type { CompiledPolicy } from './compile.ts'
import { type Finding, type Report, reported } from './finding.ts'
import { withoutStars } from './grant.ts'
import { parseKey, type SubresourceMode } from './key.ts'
import type { Policy } from './model.ts'
import { excludesNothing, type Pattern } from './pattern.ts'

export function lintSpelling(compiled: CompiledPolicy): readonly Finding[] {
  const mode = compiled.meaning.subresources
  return reported(compiled).flatMap(({ policy, report }) => [
    ...[...(policy.resourcePermissions ?? [])].flatMap(([key]) => keyFindings(key, mode, report)),
    ...[...(policy.nonresourcePermissions ?? [])].flatMap(([path, verbs]) => pathFindings(path, verbs, report)),
    ...ruleFindings(policy, report),
  ])
}

function keyFindings(text: string, mode: SubresourceMode, report: Report): readonly Finding[] {
  const place = `resource_permissions[${JSON.stringify(text)}]`
  const key = parseKey(text, mode)
  if (key.kind === 'malformed') return [report('warning', 'malformed-key', `grants nothing: ${key.why}`, place)]
  return [
    ...halfFindings('namespace', key.namespace, report, place),
    ...halfFindings('resource', key.resource, report, place),
  ]
}

function halfFindings(
  half: 'namespace' | 'resource',
  pattern: Pattern,
  report: Report,
  place: string,
): readonly Finding[] {
  if (pattern.kind === 'every') return []
  if (excludesNothing(pattern)) {
    const names = [...pattern.names].map((name) => JSON.stringify(name)).join(', ')
    const out = names === '' ? 'nothing' : `only what is literally called ${names}, which no ${half} is,`
    const all = half === 'namespace' ? ', kube-system included' : ', secrets included'
    const message = `leaves out ${out} and so covers every ${half}${all}. Write !name or !["a","b"], without wildcards`
    return [report('error', 'fail-open', message, place)]
  }
  if (pattern.kind === 'except') return []
  const [text = '', ...names] = pattern.names
  if (/^[![]/.test(text) && names.length === 0) {
    const message = `${text} covers nothing. Write ["a","b"] or !["a","b"], every name in quotes and no * among them`
    return [report('warning', 'malformed-list', message, place)]
  }
  const listed = names.length === 0 ? [text] : names
  return listed.filter(isNoName).map((name) => report('warning', 'literal-wildcard', noName(half, name), place))
}

function isNoName(name: string): boolean {
  return !/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name)
}

function noName(half: 'namespace' | 'resource', name: string): string {
  const why = name.includes('*') ? 'is no pattern: * stands alone or not at all' : `is a name that no ${half} can have`
  return `${JSON.stringify(name)} ${why}, and covers nothing. Name what is meant`
}

function pathFindings(path: string, verbs: readonly string[], report: Report): readonly Finding[] {
  const place = `nonresource_permissions[${JSON.stringify(path)}]`
  const star = 'is one path and no pattern here. Write each path, or "nonresource": {"path": "/api/*", "verbs": [...]}'
  return [
    ...(path.includes('*') ? [report('warning', 'literal-wildcard', star, place)] : []),
    ...upperCase(verbs, 'verb', report, place),
  ]
}

function ruleFindings({ resource, nonresource }: Policy, report: Report): readonly Finding[] {
  const { version, namespace, resources = [], verbs = [] } = resource ?? {}
  return [
    ...(/^v\d/.test(version ?? '')
      ? [report('warning', 'version-is-group', versionMessage(version), 'resource.version')]
      : []),
    ...upperCase(verbs, 'verb', report, 'resource.verbs'),
    ...upperCase(resources, 'resource', report, 'resource.resources'),
    ...upperCase(namespace === undefined ? [] : [namespace], 'namespace', report, 'resource.namespace'),
    ...resources
      .filter(isNoTarget)
      .map((name) => report('warning', 'literal-wildcard', noTarget(name), 'resource.resources')),
    ...(namespace !== undefined && namespace !== '*' && /[*![\]]/.test(namespace)
      ? [report('warning', 'literal-wildcard', VERSION_1_NAMESPACE, 'resource.namespace')]
      : []),
    ...upperCase(nonresource?.verbs ?? [], 'verb', report, 'nonresource.verbs'),
    ...(withoutStars(nonresource?.path ?? '').includes('*')
      ? [
          report(
            'warning',
            'literal-wildcard',
            'has a * that is not at the end, where it is a letter',
            'nonresource.path',
          ),
        ]
      : []),
  ]
}

function versionMessage(version = ''): string {
  const group = JSON.stringify(version)
  return `is the API group, and there is no group ${group}: it covers nothing. Write "*", "apps", or "" for the core group`
}

const VERSION_1_NAMESPACE =
  'version 1 has no lists, negations and patterns for namespaces. Write one name, or use resource_permissions'

/** `*`, `pods`, `pods/*`, `pods/log`; nothing else covers anything. */
function isNoTarget(name: string): boolean {
  return name !== '*' && (/^\*|^[^/]*\*|[![\]]/.test(name) || /\*./.test(name) || name.split('/').length > 2)
}

function noTarget(name: string): string {
  return `${JSON.stringify(name)} covers nothing. Write "pods", "pods/log", "pods/*", or "*"`
}

function upperCase(names: readonly string[], what: string, report: Report, place: string): readonly Finding[] {
  return names
    .filter((name) => /[A-Z]/.test(name))
    .map((name) => {
      const [written, lower] = [JSON.stringify(name), JSON.stringify(name.toLowerCase())]
      const message = `the ${what} ${written} is compared as it is, and requests are in lower case. Write ${lower}`
      return report('warning', 'case-never-matches', message, place)
    })
}
