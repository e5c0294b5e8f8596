/**
 * What somebody may do, as `kubectl auth can-i --list` prints it.
 *
 * @module
 */
import type { ListedRule } from '../../authz/rbac/policy-rule.ts'

const HEADINGS = ['Resources', 'Non-Resource URLs', 'Resource Names', 'Verbs'] as const

/** A row for each resource of each API group; verbs of the same thing are put together. */
export function ruleTable(rules: readonly ListedRule[]): string {
  const rows = new Map<string, { readonly cells: readonly string[]; readonly verbs: Set<string> }>()
  for (const { rule } of rules) {
    for (const cells of [...resourceCells(rule), ...pathCells(rule)]) {
      const key = JSON.stringify(cells)
      const row = rows.get(key) ?? { cells, verbs: new Set<string>() }
      rows.set(key, row)
      for (const verb of rule.verbs) row.verbs.add(verb)
    }
  }
  const all = [...rows.values()].map(({ cells, verbs }) => [...cells, list(verbs.has('*') ? ['*'] : verbs)])
  return table([HEADINGS, ...all])
}

function resourceCells({ resources, apiGroups, resourceNames }: ListedRule['rule']): readonly (readonly string[])[] {
  return resources.flatMap((resource) =>
    apiGroups.map((group) => [withGroup(resource, group), list([]), list(resourceNames)]),
  )
}

function pathCells({ nonResourceURLs }: ListedRule['rule']): readonly (readonly string[])[] {
  return nonResourceURLs.map((url) => ['', list([url]), list([])])
}

/** `deployments.apps/scale`; the group is left out where it is the core group, or any of anything. */
function withGroup(resource: string, group: string): string {
  if (group === '' || (group === '*' && resource.startsWith('*'))) return resource
  const [name] = /^[^/ ,]*/.exec(resource) ?? ['']
  return `${name}.${group}${resource.slice(name.length)}`
}

function list(items: Iterable<string>): string {
  return `[${[...items].join(' ')}]`
}

/** Columns as wide as what stands in them. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('   ')
          .trimEnd()}\n`,
    )
    .join('')
}
