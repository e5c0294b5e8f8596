/**
 * The version of the program: from its package.json, or as the build of the single executable has put it in.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import { executableVersion } from '../build.ts'

export function version(): string {
  if (executableVersion !== undefined) return executableVersion
  // Both src/cli and dist/cli lie two folders below it.
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const found: unknown = (JSON.parse(text) as { readonly version?: unknown }).version
  return typeof found === 'string' ? found : 'unknown'
}
