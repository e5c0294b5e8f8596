/**
 * Checks that imports in src/ point down only: a room may use the floors below its own, rooms on one floor do not know
 * each other, and no files import one another in a circle. Type-only imports count: they tie rooms together as well.
 *
 * usage: node tools/check-layers.ts [FOLDER]
 */

import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

/** From the top floor to the ground. A room is a folder of src/ or a file right in it; a new one is registered here. */
const FLOORS: readonly (readonly string[])[] = [
  ['cli', 'index.ts'],
  ['compose'],
  ['webhook', 'proxy', 'credential', 'sync', 'signer', 'server', 'config', 'demo'],
  ['authn', 'authz'],
  ['kube', 'keystone', 'ldap', 'oidc', 'pki', 'telemetry', 'reload', 'valkey'],
  ['build.ts', 'errors.ts', 'user.ts', 'context.ts', 'secret.ts', 'http.ts', 'json.ts'],
]
const GROUND = FLOORS.length - 1 // its files may use one another

// `import … from 'x'`, `import 'x'`, `export … from 'x'`, `import('x')`, `import x = require('x')`
const IMPORT = /\b(?:from|import)\s*\(?\s*(['"])(\.[^'"]*)\1|\brequire\s*\(\s*(['"])(\.[^'"]*)\3/g
const COMMENT = /^\s*\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm

type Imports = ReadonlyMap<string, readonly string[]>

/** Every violation in `folder` (a src/), in words; an empty list means that the layers hold. */
export function violations(folder: string): string[] {
  const files = globSync('**/*.ts', { cwd: folder }).sort()
  const imports: Imports = new Map(files.map((file) => [file, importsOf(folder, file)]))
  const unknown = [...new Set(files.map(roomOf))].filter((room) => floorOf(room) === -1)
  return [
    ...unknown.map((room) => `src/${room}: unknown room (give it a floor in tools/check-layers.ts)`),
    ...[...imports].flatMap(([file, targets]) => targets.flatMap((target) => verdict(file, target))),
    ...circles(imports).map((circle) => `${circle.map((file) => `src/${file}`).join(' → ')}: circular`),
  ]
}

function importsOf(folder: string, file: string): string[] {
  const text = readFileSync(join(folder, file), 'utf8').replace(COMMENT, '')
  const found = [...text.matchAll(IMPORT)].map((match) => match[2] ?? match[4] ?? '')
  return [...new Set(found.map((target) => join(dirname(file), target)))]
}

function verdict(file: string, target: string): string[] {
  const [from, to] = [roomOf(file), roomOf(target)]
  const [fromFloor, toFloor] = [floorOf(from), floorOf(to)]
  if (target.startsWith('..')) return [`src/${file} → ${target.slice(3)}: outside of src/`]
  if (from === to || fromFloor === -1 || toFloor === -1 || toFloor > fromFloor) return []
  if (fromFloor === toFloor && fromFloor === GROUND) return []
  return [`src/${file} → src/${target}: ${toFloor < fromFloor ? 'upward' : 'sideways'} (${from} → ${to})`]
}

function roomOf(file: string): string {
  return file.split('/')[0] ?? file
}

function floorOf(room: string): number {
  return FLOORS.findIndex((rooms) => rooms.includes(room))
}

/** Each circle once, found by walking the imports depth first. */
function circles(imports: Imports): string[][] {
  const found: string[][] = []
  const done = new Set<string>()
  const walk = (file: string, path: readonly string[]): void => {
    const begin = path.indexOf(file)
    if (begin !== -1) found.push([...path.slice(begin), file])
    if (begin !== -1 || done.has(file)) return
    for (const target of imports.get(file) ?? []) walk(target, [...path, file])
    done.add(file)
  }
  for (const file of imports.keys()) walk(file, [])
  return found
}

if (process.argv[1] === import.meta.filename) {
  const folder = process.argv[2] ?? join(dirname(import.meta.dirname), 'src')
  const found = violations(folder)
  for (const line of found) console.log(line)
  if (found.length === 0) console.log(`layers hold in ${relative(process.cwd(), folder) || folder}`)
  process.exitCode = found.length === 0 ? 0 : 1
}
