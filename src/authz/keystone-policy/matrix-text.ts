/**
 * The matrix for a terminal.
 *
 * @module
 */
import type { Matrix, MatrixCell, MatrixRow } from './matrix.ts'

/** One block for each row of people and namespaces: resources on the left, verbs on the right, `!` for dangerous. */
export function matrixText({ title, resources, resourceRows, paths, pathRows }: Matrix): string {
  const blocks = [
    ...resourceRows.map((row) => block(row, resources, ` in ${row.namespaces.join(', ')}`)),
    ...pathRows.map((row) => block(row, paths, ', paths')),
  ]
  const empty = 'Nobody may do anything.\n'
  return `${title}\n\n${blocks.length === 0 ? empty : blocks.join('\n')}`
}

function block({ who, cells }: MatrixRow, columns: readonly string[], where: string): string {
  const lines = columns.flatMap((name, i) => (isAny(cells[i]) ? [[name, verbsOf(cells[i])] as const] : []))
  const width = lines.reduce((most, [name]) => Math.max(most, name.length), 0)
  return `${who}${where}\n${lines.map(([name, verbs]) => `  ${name.padEnd(width)}  ${verbs}\n`).join('')}`
}

function isAny(cell: MatrixCell | undefined): boolean {
  return (cell?.verbs.length ?? 0) > 0
}

function verbsOf(cell: MatrixCell | undefined): string {
  return `${cell?.verbs.join(' ') ?? ''}${cell?.dangerous ? ' !' : ''}`
}
