/**
 * Makes the generated pages of `docs/`. `--check` writes nothing and fails where a page differs, which is what the
 * tests run.
 *
 * @module
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { configJsonSchema, configReference } from '../src/config/reference.ts'
import { ERROR_CODES } from '../src/errors.ts'

const DOCS = new URL('../docs/', import.meta.url)

const pages: ReadonlyMap<string, string> = new Map([
  ['configuration.md', configReference()],
  ['config.schema.json', `${JSON.stringify(configJsonSchema(), null, 2)}\n`],
  ['errors.md', errorPage()],
])

const check = process.argv.includes('--check')
let stale = 0
for (const [name, content] of pages) {
  const path = fileURLToPath(new URL(name, DOCS))
  if (content === read(path)) continue
  stale++
  if (check) console.error(`docs/${name} differs from what the code says: npm run docs`)
  else writeFileSync(path, content)
}
console.log(check ? `${pages.size - stale} of ${pages.size} generated pages are current` : `${stale} pages written`)
process.exitCode = check && stale > 0 ? 1 : 0

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function errorPage(): string {
  const rows = Object.entries(ERROR_CODES).map(([code, row]) => {
    const status = 'status' in row ? String(row.status) : ''
    return `| \`${code}\` | ${status} | ${row.exposed ? 'yes' : 'no'} | ${row.meaning} |`
  })
  return `# Error codes

Made from \`src/errors.ts\` by \`npm run docs\`. The code stands in the log line; \`shown\` says whether whoever asked
reads the message, or only that nothing could be decided. A code keeps its meaning; a retired one is not used again.

| code | HTTP status | shown | meaning |
| --- | --- | --- | --- |
${rows.join('\n')}
`
}
