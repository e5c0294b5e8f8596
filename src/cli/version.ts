/**
 * The version of the program, from its package.json.
 *
 * @module
 */
import { readFileSync } from 'node:fs'

export function version(): string {
  // Both src/cli and dist/cli lie two folders below it.
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const found: unknown = (JSON.parse(text) as { readonly version?: unknown }).version
  return typeof found === 'string' ? found : 'unknown'
}
