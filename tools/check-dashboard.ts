/**
 * Checks the Grafana dashboards of `docs/dashboards/` against the metrics there are: every query is PromQL, every metric
 * and label in it is one that Archway exposes, every data source is the variable, and no two panels lie on one another.
 *
 * usage: node tools/check-dashboard.ts [FILE …]
 */

import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { parser } from '@prometheus-io/lezer-promql'
import { createMetrics } from '../src/telemetry/metrics.ts'

interface Target {
  readonly expr?: string
  readonly legendFormat?: string
}

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly datasource?: { readonly uid?: string }
  readonly targets?: readonly Target[]
}

export interface Dashboard {
  readonly panels: readonly Panel[]
  readonly templating: { readonly list: readonly { readonly name: string; readonly query?: unknown }[] }
}

/** What a metric is called where it is read (`x_bucket` is one), with its labels. */
export type Exposed = ReadonlyMap<string, { readonly counts: boolean; readonly labels: ReadonlySet<string> }>

const ROOT = dirname(import.meta.dirname)
/** Labels that Prometheus adds to whatever it reads. */
const SCRAPED = ['job', 'instance']
/** Functions that mean nothing but of what only grows. */
const OF_COUNTS: ReadonlySet<string> = new Set(['rate', 'irate', 'increase', 'resets'])
const DATASOURCE = '$datasource'

/** The metrics of a running Archway. */
export function exposed(): Exposed {
  const all = createMetrics('0').registry.getMetricsAsArray() as unknown as readonly {
    readonly name: string
    readonly type: string
    readonly labelNames: readonly string[]
  }[]
  return new Map(
    all.flatMap(({ name, type, labelNames }) => {
      const known = (suffix: string, ...more: readonly string[]) =>
        [name + suffix, { counts: type !== 'gauge', labels: new Set([...labelNames, ...SCRAPED, ...more]) }] as const
      return type === 'histogram' ? [known('_bucket', 'le'), known('_sum'), known('_count')] : [known('')]
    }),
  )
}

/** Everything wrong with a dashboard, in words, each with its place. */
export function problemsOf({ panels, templating }: Dashboard, metrics: Exposed): string[] {
  const variables = new Set(templating.list.map(({ name }) => name))
  return [
    ...templating.list.flatMap(({ name, query }) => at(`variable ${name}`, problemsOfVariable(query, metrics))),
    ...panels.flatMap((panel) => at(`panel "${panel.title}"`, problemsOfPanel(panel, metrics, variables))),
    ...panels.flatMap((panel, index) => at(`panel "${panel.title}"`, clashes(panel, panels.slice(0, index)))),
  ]
}

function at(place: string, problems: readonly string[]): string[] {
  return problems.map((problem) => `${place}: ${problem}`)
}

/** `label_values(METRIC{…}, LABEL)` is all that a variable may ask. */
function problemsOfVariable(query: unknown, metrics: Exposed): string[] {
  if (typeof query !== 'string' || query === 'prometheus') return []
  const [, expr, label = ''] = /^label_values\((.+), *(\w+)\)$/.exec(query) ?? []
  if (expr === undefined) return [`expected label_values(METRIC, LABEL), found ${query}`]
  return problemsOfQuery(expr, [label], metrics)
}

function problemsOfPanel({ type, datasource, targets = [] }: Panel, metrics: Exposed, variables: ReadonlySet<string>) {
  if (type === 'row') return []
  const queries = targets.map(({ expr = '', legendFormat = '' }) => ({ expr, legendFormat }))
  return [
    ...(datasource?.uid === DATASOURCE ? [] : [`the data source is not ${DATASOURCE}`]),
    ...(queries.length === 0 ? ['no query'] : []),
    ...queries.flatMap(({ expr, legendFormat }) => [
      ...[...expr.matchAll(/\$\{?(\w+)/g)]
        .map(([, name = '']) => name)
        .filter((name) => !name.startsWith('__') && !variables.has(name))
        .map((name) => `no variable $${name}`),
      ...problemsOfQuery(expr, namesIn(legendFormat), metrics),
    ]),
  ]
}

function namesIn(legend: string): string[] {
  return [...legend.matchAll(/\{\{ *(\w+) *\}\}/g)].map(([, name = '']) => name)
}

/** `used`: labels that are shown of the result. */
function problemsOfQuery(expr: string, used: readonly string[], metrics: Exposed): string[] {
  // What Grafana puts in for a range is a duration; other variables stand within strings.
  const query = expr.replaceAll(/\$__(?:rate_interval|interval|range)/g, '5m')
  const { names, labels, counted, grouped, broken } = read(query)
  if (broken) return [`no PromQL: ${expr}`]
  const of = (name: string) => metrics.get(name)
  const known = new Set(names.flatMap((name) => [...(of(name)?.labels ?? [])]))
  return [
    ...(names.length === 0 ? [`no metric in ${expr}`] : []),
    ...names.filter((name) => of(name) === undefined).map((name) => `no metric ${name}`),
    ...counted.filter((name) => of(name)?.counts === false).map((name) => `${name} does not only grow: no rate of it`),
    ...labels
      .filter(({ metric, label }) => of(metric)?.labels.has(label) === false)
      .map(({ metric, label }) => `${metric} has no label ${label}`),
    ...[...grouped, ...used].filter((label) => !known.has(label)).map((label) => `no label ${label}`),
  ]
}

interface Query {
  readonly broken: boolean
  /** Metrics, and those of them whose growth is asked for. */
  readonly names: readonly string[]
  readonly counted: readonly string[]
  /** Labels that values are chosen by, and those that results are grouped by. */
  readonly labels: readonly { readonly metric: string; readonly label: string }[]
  readonly grouped: readonly string[]
}

function read(query: string): Query {
  const names: string[] = []
  const counted: string[] = []
  const grouped: string[] = []
  const labels: Query['labels'][number][] = []
  const functions: string[] = []
  let broken = false
  parser.parse(query).iterate({
    enter({ name, type, from, to, node }) {
      const text = query.slice(from, to)
      if (type.isError) broken = true
      if (name === 'FunctionCall') functions.push(/^\w+/.exec(text)?.[0] ?? '')
      if (name === 'LabelName' && node.parent?.name === 'GroupingLabels') grouped.push(text)
      else if (name === 'LabelName') labels.push({ metric: names.at(-1) ?? '', label: text })
      if (name !== 'Identifier') return
      names.push(text)
      if (functions.some((each) => OF_COUNTS.has(each))) counted.push(text)
    },
    leave({ name }) {
      if (name === 'FunctionCall') functions.pop()
    },
  })
  return { broken, names, counted, labels, grouped }
}

function clashes(panel: Panel, others: readonly Panel[]): string[] {
  const { x, y, w, h } = panel.gridPos
  const over = others.filter(({ gridPos: p }) => x < p.x + p.w && p.x < x + w && y < p.y + p.h && p.y < y + h)
  return [
    ...over.map(({ title }) => `lies on "${title}"`),
    ...others.filter(({ id }) => id === panel.id).map(({ title }) => `has the id of "${title}"`),
    ...(x + w > 24 ? ['is wider than the page'] : []),
  ]
}

if (process.argv[1] === import.meta.filename) {
  const given = process.argv.slice(2)
  const files =
    given.length > 0 ? given : globSync('docs/dashboards/*.json', { cwd: ROOT }).map((file) => join(ROOT, file))
  const metrics = exposed()
  let problems = files.length === 0 ? 1 : 0
  if (files.length === 0) console.log('no dashboards in docs/dashboards')
  for (const file of files) {
    const found = problemsOf(JSON.parse(readFileSync(file, 'utf8')) as Dashboard, metrics)
    problems += found.length
    for (const problem of found) console.log(`${relative(process.cwd(), file)}: ${problem}`)
  }
  if (problems === 0) console.log(`${files.length} dashboard asks for what there is`)
  process.exitCode = problems === 0 ? 0 : 1
}
