/**
 * `npm run bench [-- authentication|authorization|credential|guessing|proxy]`: what a review costs, what the credential
 * plugin does, what guessers get, and what the proxy costs beside nginx. Without a word all are measured.
 *
 * `npm run bench -- soak [--minutes 10]`: the proxy over time; fails where something leaks or an answer is wrong.
 *
 * @module
 */
import { parseArgs } from 'node:util'
import { measureAuthentication } from './authentication.ts'
import { measureAuthorization } from './authorization.ts'
import { measureCredential } from './credential.ts'
import { measureGuessing } from './guessing.ts'
import { measureProxy } from './proxy.ts'
import { measureSoak } from './soak.ts'

const MEASUREMENTS: ReadonlyMap<string, () => Promise<void>> = new Map([
  ['authentication', measureAuthentication],
  ['authorization', measureAuthorization],
  ['credential', measureCredential],
  ['guessing', measureGuessing],
  ['proxy', measureProxy],
])

/** Takes minutes, so only where it is asked for. */
const SOAK = 'soak'

const { values, positionals: words } = parseArgs({
  options: { minutes: { type: 'string', default: '10' } },
  allowPositionals: true,
})
const minutes = Number(values.minutes)
const unknown = words.filter((word) => word !== SOAK && !MEASUREMENTS.has(word))
if (unknown.length > 0 || !(minutes > 0)) {
  const wrong = unknown.length > 0 ? `unknown: ${unknown.join(', ')}` : `no number of minutes: ${values.minutes}`
  const known = [...MEASUREMENTS.keys(), `${SOAK} [--minutes 10]`].join('|')
  console.error(`bench: ${wrong}\nusage: npm run bench [-- ${known}]`)
  process.exitCode = 2
} else {
  for (const [word, measure] of MEASUREMENTS) if (words.length === 0 || words.includes(word)) await measure()
  if (words.includes(SOAK)) await measureSoak(minutes)
}
