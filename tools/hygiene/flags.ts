/** The command line of `npm run hygiene`, read as a whole before anything is done. */

import { readFileSync } from 'node:fs'
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import { type HygieneCase, readCorpus } from './corpus.ts'
import type { Target } from './raw-client.ts'
import { FORMATS, type Format } from './report.ts'

export const HELP = `usage: npm run hygiene -- --target https://HOST:PORT --credential basic:USER:PASSWORD [OPTION …]
       npm run hygiene -- --serve-upstream ADDRESS:PORT [OPTION …]

Sends the requests of examples/hygiene/corpus.json to a proxy and looks at what arrives behind it. The recorder has to
stand there in place of the API server: start it (--serve-upstream), point the proxy at it, then run against the proxy.
Both in one command is fine too. Status 1 when a case failed, 2 when none could be tried.

the proxy
  --target URL            where it listens
  --ca FILE               CA of its certificate, PEM
  --insecure              its certificate is not looked at
  --credential TEXT       basic:USER:PASSWORD or bearer:TOKEN; better in ARCHWAY_HYGIENE_CREDENTIAL, which nobody sees
  --expect-user NAME      who that is to the API server (the user of basic:)
  --timeout SECONDS       until a request counts as unanswered (10)
  --only TEXT             cases whose id begins so
  -o, --output FORMAT     ${FORMATS.join(', ')} (table)

the recorder
  --serve-upstream ADDR   where it listens, for example 127.0.0.1:9000
  --tls-cert, --tls-key   its certificate and key, PEM; made on the spot where they are absent
  --client-ca FILE        CA that the proxy's client certificate must be of, PEM
`

const OPTIONS = {
  target: { type: 'string' },
  ca: { type: 'string' },
  insecure: { type: 'boolean', default: false },
  credential: { type: 'string' },
  'expect-user': { type: 'string' },
  timeout: { type: 'string', default: '10' },
  only: { type: 'string', default: '' },
  output: { type: 'string', short: 'o', default: 'table' },
  'serve-upstream': { type: 'string' },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  'client-ca': { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const satisfies ParseArgsOptionsConfig

type Flags = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values']

/** A mistake of whoever called. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** What is to be tried on a proxy. */
export interface Attempt {
  readonly url: string
  readonly format: Format
  readonly target: Target
  readonly authorization: string
  readonly user: string
  readonly cases: readonly HygieneCase[]
}

/** Where the recorder listens, and with what; PEM. */
export interface Serving {
  readonly host: string
  readonly port: number
  /** Absent: to be made. */
  readonly certificate?: { readonly cert: string; readonly key: string }
  readonly clientCA?: string
}

export interface Command {
  readonly help: boolean
  readonly attempt?: Attempt
  readonly serving?: Serving
}

export function commandOf(args: readonly string[], env: NodeJS.ProcessEnv): Command {
  const flags = flagsOf(args)
  const { help, target, 'serve-upstream': address } = flags
  if (help) return { help }
  if (target === undefined && address === undefined) throw new UsageError('name --target, --serve-upstream or both')
  return {
    help,
    ...(target === undefined ? {} : { attempt: attemptOf(flags, target, env) }),
    ...(address === undefined ? {} : { serving: servingOf(flags, address) }),
  }
}

function flagsOf(args: readonly string[]): Flags {
  try {
    return parseArgs({ args: [...args], options: OPTIONS }).values
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function attemptOf(flags: Flags, url: string, env: NodeJS.ProcessEnv): Attempt {
  const target = targetOf(flags, url)
  const format = FORMATS.find((known) => known === flags.output)
  if (format === undefined) throw new UsageError(`--output is one of ${FORMATS.join(', ')}`)
  const cases = readCorpus().filter(({ id }) => id.startsWith(flags.only))
  if (cases.length === 0) throw new UsageError(`--only ${flags.only}: no case begins so`)
  const given = flags.credential ?? env['ARCHWAY_HYGIENE_CREDENTIAL']
  if (given === undefined) throw new UsageError('name --credential, or set ARCHWAY_HYGIENE_CREDENTIAL')
  const { authorization, username } = credentialOf(given)
  const user = flags['expect-user'] ?? username
  if (user === undefined) throw new UsageError('name --expect-user: a token does not say whose it is')
  return { url, format, target, authorization, user, cases }
}

function credentialOf(text: string): { readonly authorization: string; readonly username?: string } {
  const [, username, password] = /^basic:([^:]*):(.*)$/s.exec(text) ?? []
  if (username !== undefined) {
    return { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`, username }
  }
  const [, token] = /^bearer:([!-~]+)$/.exec(text) ?? []
  if (token === undefined) throw new UsageError('--credential is basic:USER:PASSWORD or bearer:TOKEN')
  return { authorization: `Bearer ${token}` }
}

function targetOf(flags: Flags, text: string): Target {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 'https:' || url.pathname !== '/') throw new UsageError('--target is https://HOST:PORT')
  const seconds = Number(flags.timeout)
  if (!(seconds > 0)) throw new UsageError('--timeout is a number of seconds')
  return {
    host: withoutBrackets(url.hostname),
    port: url.port === '' ? 443 : Number(url.port),
    insecure: flags.insecure,
    timeoutMs: seconds * 1_000,
    ...(flags.ca === undefined ? {} : { ca: fileText(flags.ca) }),
  }
}

function servingOf(flags: Flags, address: string): Serving {
  const [, host, port] = /^(.+):(\d+)$/.exec(address) ?? []
  if (host === undefined) throw new UsageError('--serve-upstream is ADDRESS:PORT')
  const { 'tls-cert': cert, 'tls-key': key, 'client-ca': clientCA } = flags
  if ((cert === undefined) !== (key === undefined)) throw new UsageError('name --tls-cert and --tls-key, or none')
  return {
    host: withoutBrackets(host),
    port: Number(port),
    ...(cert === undefined || key === undefined ? {} : { certificate: { cert: fileText(cert), key: fileText(key) } }),
    ...(clientCA === undefined ? {} : { clientCA: fileText(clientCA) }),
  }
}

function withoutBrackets(host: string): string {
  return host.replace(/^\[|\]$/g, '')
}

function fileText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
}
