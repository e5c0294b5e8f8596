/** The table of checks behind `npm run check`; test/house runs the same ones as tests. */

import { spawn } from 'node:child_process'
import { delimiter, dirname, join } from 'node:path'

const ROOT = dirname(import.meta.dirname)

export interface Check {
  readonly name: string
  readonly finds: string
  /** A tool of node_modules/.bin, or `node`. */
  readonly command: readonly [string, ...string[]]
}

export const CHECKS: readonly Check[] = [
  { name: 'types', finds: 'what the compiler can prove wrong', command: ['tsc', '--project', 'tsconfig.json'] },
  { name: 'lint', finds: 'lint and format', command: ['biome', 'ci', '--colors=off', '.'] },
  { name: 'layers', finds: 'imports that do not point down', command: ['node', 'tools/check-layers.ts'] },
  { name: 'unused', finds: 'files, exports and dependencies nobody uses', command: ['knip', '--no-progress'] },
  {
    name: 'dashboards',
    finds: 'queries for metrics and labels that there are not',
    command: ['node', 'tools/check-dashboard.ts'],
  },
  { name: 'lock', finds: 'locks that npm ci refuses elsewhere', command: ['node', 'tools/check-lock.ts'] },
]

export interface Outcome {
  readonly status: number
  readonly output: string
  readonly ms: number
}

export function runCheck({ command: [tool, ...args] }: Check): Promise<Outcome> {
  const begin = Date.now()
  const bin = join(ROOT, 'node_modules/.bin')
  // The tools are scripts for "node", and that should be this one.
  const env = { ...process.env, PATH: [dirname(process.execPath), bin, process.env['PATH']].join(delimiter) }
  return new Promise((resolve, reject) => {
    const child = spawn(tool === 'node' ? process.execPath : join(bin, tool), args, { cwd: ROOT, env })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
      })
    }
    child.once('error', reject)
    child.once('close', (status) => resolve({ status: status ?? 1, output: output.trim(), ms: Date.now() - begin }))
  })
}
