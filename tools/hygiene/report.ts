/** Results as people and programs read them. */

import type { CaseResult } from './run.ts'

export const FORMATS = ['table', 'json', 'markdown'] as const
export type Format = (typeof FORMATS)[number]

/** What each threat is about; `SECURITY.md` and docs/hygiene.md use the same ids. */
const THREATS: ReadonlyMap<string, string> = new Map([
  ['H1', 'identity taken out by `Connection`'],
  ['H2', 'identity made up by the client'],
  ['H3', 'identity in trailers'],
  ['H4', 'forged `X-Forwarded-*`'],
  ['H5', 'a target that is read in two ways'],
  ['H6', 'impersonation'],
  ['H8', 'requests that are read in two ways'],
  ['H9', 'upgrades'],
  ['H10', 'answers that lead elsewhere'],
  ['H12', 'credentials that go further'],
  ['H13', 'names that mean something to JavaScript'],
  ['H14', 'text outside ASCII'],
  ['H16', 'heads of any size'],
])

export function rendered(results: readonly CaseResult[], format: Format, what: string): string {
  if (format === 'json') return `${JSON.stringify({ target: what, ...counted(results), cases: results }, null, 2)}\n`
  return format === 'table' ? table(results, what) : markdown(results, what)
}

function counted(results: readonly CaseResult[]): { readonly held: number; readonly failed: number } {
  const held = results.filter((result) => result.held).length
  return { held, failed: results.length - held }
}

function table(results: readonly CaseResult[], what: string): string {
  const width = Math.max(...results.map(({ id }) => id.length))
  const lines = results.map(({ id, held, status, failure, title }) => {
    const words = failure === undefined ? title : `${title}: ${failure}`
    return `${held ? 'held  ' : 'FAILED'}  ${id.padEnd(width)}  ${String(status ?? '-').padEnd(3)}  ${words}`
  })
  const { held, failed } = counted(results)
  return `${lines.join('\n')}\n\n${what}: ${held} of ${results.length} held, ${failed} failed\n`
}

/** A row for each threat, then one for each case that failed. */
function markdown(results: readonly CaseResult[], what: string): string {
  const rows = [...Map.groupBy(results, ({ threat }) => threat)].map(([threat, cases]) => {
    const { held } = counted(cases)
    return `| ${threat} | ${THREATS.get(threat) ?? ''} | ${held} of ${cases.length} |`
  })
  const failures = results
    .filter(({ held }) => !held)
    .map(({ id, title, failure = '' }) => `| \`${id}\` | ${cell(title)} | ${cell(failure)} |`)
  const { held } = counted(results)
  return [
    `${what}: ${held} of ${results.length} cases hold.`,
    '',
    '| threat | | holds |',
    '| --- | --- | --- |',
    ...rows,
    ...(failures.length === 0 ? [] : ['', '| case | | what happened |', '| --- | --- | --- |', ...failures]),
    '',
  ].join('\n')
}

function cell(text: string): string {
  return text.replace(/[\\|_*<]/g, '\\$&')
}
