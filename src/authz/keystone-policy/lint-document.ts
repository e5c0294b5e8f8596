/**
 * Lint: what parsing noticed, and names of people: who is meant, and whether they exist.
 *
 * @module
 */
import type { CompiledPolicy } from './compile.ts'
import { type Finding, type LintOptions, type Report, reported } from './finding.ts'
import { looksLikeId } from './identity.ts'
import type { Policy } from './model.ts'

export function lintDocuments(compiled: CompiledPolicy, options: LintOptions): readonly Finding[] {
  const warnings = compiled.documents.flatMap(({ where, warnings: noticed }) =>
    noticed.map(
      ({ code, path, message, line = 1 }): Finding => ({ severity: 'warning', code, where, path, line, message }),
    ),
  )
  return [...warnings, ...reported(compiled).flatMap(({ policy, report }) => names(policy, report, options))]
}

function names(policy: Policy, report: Report, { roles, projects }: LintOptions): readonly Finding[] {
  const named = namesOf(policy)
  return [
    ...named.flatMap((name) => wildcard(name, report)),
    ...named.filter(({ type }) => type === 'role').flatMap((name) => unknown(name, roles, report)),
    ...named.filter(({ type }) => type === 'project').flatMap((name) => unknown(name, projects, report)),
    ...projectsByName(named, report),
  ]
}

interface Named {
  readonly type: string
  readonly name: string
  readonly place: string
  readonly in: 'users' | 'match'
}

function namesOf({ users, match }: Policy): readonly Named[] {
  const of = (type: string, list: readonly string[] | undefined, place: string, where: Named['in']): Named[] =>
    (list ?? []).map((name, i) => ({ type, name, place: `${place}[${i}]`, in: where }))
  return [
    ...of('role', users?.roles, 'users.roles', 'users'),
    ...of('project', users?.projects, 'users.projects', 'users'),
    ...match.flatMap(({ type, values }, i) => of(type, values, `match[${i}].values`, 'match')),
  ]
}

function wildcard({ name, place, in: where }: Named, report: Report): readonly Finding[] {
  if (name === '') return [report('warning', 'grants-nothing', 'is an empty name, which nobody has. Fill it in', place)]
  if (name === '*' && where === 'match') return []
  if (!name.includes('*')) return []
  const remedy =
    where === 'users'
      ? 'Name them, or use match, where "*" is everybody'
      : 'Name them, or write "*" alone for everybody'
  return [report('warning', 'literal-wildcard', `${JSON.stringify(name)} is a name, not a pattern. ${remedy}`, place)]
}

function unknown(
  { type, name, place }: Named,
  known: readonly string[] | undefined,
  report: Report,
): readonly Finding[] {
  if (known === undefined || known.includes(name) || name === '*' || name === '') return []
  const near = known.find((other) => other.toLowerCase() === name.toLowerCase())
  const hint = near === undefined ? '' : `. Write ${JSON.stringify(near)}: upper and lower case differ`
  return [report('warning', 'name-unknown', `there is no ${type} ${JSON.stringify(name)}${hint}`, place)]
}

/** Names are unique in a domain only, and which domain it is stands nowhere. */
function projectsByName(named: readonly Named[], report: Report): readonly Finding[] {
  const byName = named.filter(
    ({ type, name }) => type === 'project' && name !== '*' && name !== '' && !looksLikeId(name),
  )
  const [first] = byName
  if (first === undefined) return []
  const list = [...new Set(byName.map(({ name }) => JSON.stringify(name)))].slice(0, 5).join(', ')
  const message = `names projects (${list}), and so those of every domain that are called so. Write their ids`
  return [report('info', 'project-by-name', message, first.place)]
}
