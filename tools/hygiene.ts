/**
 * `npm run hygiene`: hostile requests against a proxy that tells an API server in headers who asks. See docs/hygiene.md.
 */

import { type Attempt, commandOf, HELP, type Serving, UsageError } from './hygiene/flags.ts'
import { type Recorder, startRecorder } from './hygiene/recorder.ts'
import { rendered } from './hygiene/report.ts'
import { runHygiene } from './hygiene/run.ts'

async function main(args: readonly string[]): Promise<number> {
  const { help, attempt, serving } = commandOf(args, process.env)
  if (help) {
    process.stdout.write(HELP)
    return 0
  }
  const recorder = serving === undefined ? undefined : await serve(serving)
  try {
    return attempt === undefined ? await untilSignal() : await tried(attempt)
  } finally {
    await recorder?.close()
  }
}

async function tried(attempt: Attempt): Promise<number> {
  const results = await runHygiene(attempt)
  process.stdout.write(rendered(results, attempt.format, attempt.url))
  return results.every(({ held }) => held) ? 0 : 1
}

async function serve({ certificate, ...place }: Serving): Promise<Recorder> {
  const { cert, key, ca } = certificate === undefined ? await makeCertificate() : { ...certificate, ca: undefined }
  const recorder = await startRecorder({ ...place, cert, key })
  const trust = ca === undefined ? '' : `, with a certificate of this CA:\n\n${ca}`
  process.stderr.write(`point the proxy at https://${recorder.address} in place of its API server${trust}\n`)
  return recorder
}

/** For when none was named; PEM. */
async function makeCertificate(): Promise<{ readonly ca: string; readonly cert: string; readonly key: string }> {
  const { servingCertificate } = await import('../src/pki/self-signed.ts')
  const places = { names: ['localhost'], addresses: ['127.0.0.1', '::1'] }
  const { ca, certificate: cert, key } = await servingCertificate({ ...places, days: 1 })
  return { ca, cert, key }
}

function untilSignal(): Promise<number> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(0))
  })
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  const hint = error instanceof UsageError ? '\nnpm run hygiene -- --help says more' : ''
  process.stderr.write(`hygiene: ${error instanceof Error ? error.message : String(error)}${hint}\n`)
  return 2
})
