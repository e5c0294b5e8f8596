/**
 * `archway policy matrix`: who may do what, as a table.
 *
 * @module
 */
import { type Command, Option } from 'commander'
import {
  type Matrix,
  type MatrixRow,
  matrix,
  matrixHtml,
  matrixText,
  type SubresourceMode,
} from '../../authz/keystone-policy/index.ts'
import type { CommandIo } from '../io.ts'
import { addPolicyFlag, compiledPolicy, orExit2 } from './policy-files.ts'

const EXAMPLES = `
Examples:
  archway policy matrix policy.json
  archway policy matrix policy.json -o html > who-may-do-what.html
  archway policy matrix base.json more.json -o csv

Each row is somebody who has just what a rule asks for. Each cell is asked of the policy itself. A star stands for
whatever the policy does not name; (cluster) for requests without namespace; ! for what leads to a shell, a credential
or more rights.
Status 0: printed; 2: mistakes in the policy, or a wrong command line.
`

interface MatrixFlags {
  readonly policySubresources: SubresourceMode
  readonly output: 'text' | 'html' | 'json' | 'csv'
}

export function addMatrixCommand(policy: Command, io: CommandIo, done: (status: number) => void): void {
  addPolicyFlag(
    policy
      .command('matrix')
      .description('show who may do what')
      .argument('<file...>', 'policies, JSON or YAML; several are one, as a server takes them'),
  )
    .addOption(
      new Option('-o, --output <FORMAT>', 'for a terminal, one page for a browser, or data')
        .choices(['text', 'html', 'json', 'csv'])
        .default('text'),
    )
    .addHelpText('after', EXAMPLES)
    .action((files: readonly string[], { policySubresources, output }: MatrixFlags) => {
      io.out(RENDERERS[output](matrix(orExit2(() => compiledPolicy(files, policySubresources)))))
      done(0)
    })
}

const RENDERERS: Readonly<Record<MatrixFlags['output'], (matrix: Matrix) => string>> = {
  text: matrixText,
  html: matrixHtml,
  json: (found) => `${JSON.stringify(found, null, 2)}\n`,
  csv: matrixCsv,
}

/** One line for each cell that allows something. */
function matrixCsv({ resources, resourceRows, paths, pathRows }: Matrix): string {
  const lines = [
    ['who', 'namespaces', 'resource or path', 'verbs', 'dangerous'],
    ...resourceRows.flatMap((row) => cellLines(row, resources)),
    ...pathRows.flatMap((row) => cellLines(row, paths)),
  ]
  return lines.map((line) => `${line.map(csvField).join(',')}\r\n`).join('')
}

function cellLines({ who, namespaces, cells }: MatrixRow, columns: readonly string[]): readonly (readonly string[])[] {
  return cells.flatMap(({ verbs, dangerous }, column) => {
    if (verbs.length === 0) return []
    return [[who, namespaces.join(' '), columns[column] ?? '', verbs.join(' '), dangerous ? 'yes' : 'no']]
  })
}

/** Quoted where need be; a spreadsheet must not take a name for a formula. */
function csvField(text: string): string {
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless
}
