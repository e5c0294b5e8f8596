/**
 * `npm run bench [-- authentication|authorization|credential|guessing|proxy]`: what a review costs, what the credential
 * plugin does, what guessers get, and what the proxy costs beside nginx. Without a word all are measured.
 *
 * @module
 */
import { measureAuthentication } from './authentication.ts'
import { measureAuthorization } from './authorization.ts'
import { measureCredential } from './credential.ts'
import { measureGuessing } from './guessing.ts'
import { measureProxy } from './proxy.ts'

const MEASUREMENTS: ReadonlyMap<string, () => Promise<void>> = new Map([
  ['authentication', measureAuthentication],
  ['authorization', measureAuthorization],
  ['credential', measureCredential],
  ['guessing', measureGuessing],
  ['proxy', measureProxy],
])

const words = process.argv.slice(2)
const unknown = words.filter((word) => !MEASUREMENTS.has(word))
if (unknown.length > 0) {
  console.error(
    `bench: unknown: ${unknown.join(', ')}\nusage: npm run bench [-- ${[...MEASUREMENTS.keys()].join('|')}]`,
  )
  process.exitCode = 2
} else {
  for (const [word, measure] of MEASUREMENTS) if (words.length === 0 || words.includes(word)) await measure()
}
