/**
 * `archway identify`: shows one credential to the sources of a configuration, and says which of them takes it, who it
 * makes somebody, and what the identity gate left out.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import type { ClientCertificate, RequestCredentials } from '../authn/request/credentials.ts'
import { identify } from '../compose/identify.ts'
import type { Config } from '../config/schema.ts'
import { ArchwayError, messageOf } from '../errors.ts'
import { createLogger } from '../telemetry/logger.ts'
import { addConfigFlags, configOf } from './config-flags.ts'
import { describeIdentification, documentOf, type Note } from './identify-report.ts'
import { type CommandIo, ExitError } from './io.ts'
import type { PasswordPrompt } from './passwd.ts'
import { version } from './version.ts'

const EXAMPLES = `
Examples:
  openstack token issue -f value -c id | archway identify --config archway.yaml --bearer-file -
  archway identify --config archway.yaml --user alice --password-stdin < password.txt
  archway identify --config archway.yaml --certificate alice.crt
  archway identify --config archway.yaml --certificate proxy.crt --header 'X-Remote-User: alice'
  archway identify --oidc-issuer https://issuer.example --oidc-client-id kubernetes --bearer-file token.jwt -o json

Without a credential it asks for the anonymous. No door need run; sources are asked as a door would ask them, so a wrong
password counts at Keystone or the directory. No secret is printed.
Status 0: authenticated; 1: refused, or nobody; 2: could not tell, or a wrong command line or configuration.
`

interface IdentifyFlags extends Readonly<Record<string, unknown>> {
  readonly bearerFile?: string
  readonly user?: string
  readonly passwordStdin?: boolean
  readonly certificate?: string
  readonly header: readonly string[]
  readonly audience: readonly string[]
  readonly output: string
  readonly timeout: string
}

/** @param openPrompt gives undefined where nobody can be asked; absent: nobody ever can */
export function addIdentifyCommand(
  program: Command,
  io: CommandIo,
  done: (status: number) => void,
  openPrompt: () => PasswordPrompt | undefined = () => undefined,
): void {
  const command = program
    .command('identify')
    .description('say who a credential makes somebody, and which source says so')
    .option('--bearer-file <FILE>', 'file with a token; "-" reads it from standard input')
    .option('--user <NAME>', 'a user name, with the password that is asked for')
    .option('--password-stdin', 'the password, from standard input; one line feed at its end does not count')
    .option('--certificate <FILE>', 'client certificate and what else a client would send, PEM')
    .option('--header <LINE>', "'Name: value' of a front proxy, whose --certificate it is; repeatable", collect, [])
    .option('--audience <NAME>', 'audience the credential has to be good for; repeatable', collect, [])
    .addOption(
      new Option('-o, --output <FORMAT>', 'for people, or for programs').choices(['text', 'json']).default('text'),
    )
    .option('--timeout <SECONDS>', 'give up after', '30')
  addConfigFlags(command, { doors: ['none'], sections: ['authenticators', 'kubernetes'] })
    .addHelpText('after', EXAMPLES)
    .action(async (flags: IdentifyFlags) => {
      const timeoutMs = seconds(flags.timeout) * 1000
      const config = configured(flags, io)
      const credentials = await credentialsOf(flags, { io, openPrompt })
      const notes: Note[] = []
      const found = await identify({
        config,
        credentials,
        audiences: flags.audience,
        callLog: await createLogger({ level: 'info', format: 'json', write: (line) => void notes.push(noteOf(line)) }),
        log: await createLogger({ level: 'warn', format: 'human', write: io.err }),
        version: version(),
        timeoutMs,
      }).catch((thrown: unknown) => {
        throw thrown instanceof ArchwayError ? new ExitError(2, `archway: ${thrown.message}`) : thrown
      })
      const report = { ...found, notes, caveats: caveatsOf(flags) }
      io.out(
        flags.output === 'json' ? `${JSON.stringify(documentOf(report), null, 2)}\n` : describeIdentification(report),
      )
      done(STATUS[found.result.kind])
    })
}

const STATUS = { authenticated: 0, rejected: 1, skipped: 1, failed: 2 } as const

function collect(value: string, previous: readonly string[]): readonly string[] {
  return [...previous, value]
}

function seconds(text: string): number {
  const value = Number(text)
  if (!(value > 0 && value <= 600)) throw new ExitError(2, `archway: --timeout ${text}: expected seconds, 1 to 600`)
  return value
}

/** Status 1 would say that somebody was refused. */
function configured(flags: IdentifyFlags, io: CommandIo): Config {
  try {
    return configOf(flags, io, 'none')
  } catch (thrown) {
    throw thrown instanceof ExitError ? new ExitError(2, thrown.message) : thrown
  }
}

interface Asking {
  readonly io: CommandIo
  readonly openPrompt: () => PasswordPrompt | undefined
}

/** What a request with these credentials would show. */
async function credentialsOf(flags: IdentifyFlags, asking: Asking): Promise<RequestCredentials> {
  const { bearerFile, user, passwordStdin = false, certificate, header } = flags
  if (bearerFile !== undefined && user !== undefined) throw usage('either --bearer-file or --user')
  if (user === undefined && passwordStdin) throw usage('--password-stdin goes with --user')
  if (header.length > 0 && certificate === undefined) {
    throw usage('--header goes with --certificate: without the one of a front proxy no header is believed')
  }
  const headers = header.map(readHeader)
  const shown = await authorization(flags, asking)
  return {
    headers: shown === undefined ? headers : [...headers, ['Authorization', shown]],
    ...(certificate === undefined ? {} : { certificate: readCertificate(certificate) }),
  }
}

async function authorization(flags: IdentifyFlags, asking: Asking): Promise<string | undefined> {
  const { bearerFile, user, passwordStdin = false } = flags
  if (bearerFile !== undefined) {
    const token = (bearerFile === '-' ? asking.io.readInput() : readText(bearerFile)).trim()
    if (!/^[\x21-\x7e]+$/.test(token)) throw usage('--bearer-file: holds no token, or more than one')
    return `Bearer ${token}`
  }
  if (user === undefined) return undefined
  if (user.includes(':')) throw usage('--user: a name with a colon cannot be sent with a password')
  const password = passwordStdin ? asking.io.readInput().replace(/\r?\n$/, '') : await askPassword(asking)
  return `Basic ${Buffer.from(`${user}:${password}`, 'utf8').toString('base64')}`
}

async function askPassword({ openPrompt }: Asking): Promise<string> {
  const prompt = openPrompt()
  if (prompt === undefined) throw usage('--user: nobody can be asked for the password here: use --password-stdin')
  try {
    return await prompt.ask({ prompt: 'Password: ', hidden: true })
  } finally {
    prompt.close()
  }
}

/** Values go over the wire as bytes, one character each. */
function readHeader(line: string): readonly [string, string] {
  const [, name = '', value = ''] = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([^\r\n\0]*)$/.exec(line) ?? []
  if (name === '') throw usage("--header: expected 'Name: value'")
  if (/^(authorization|sec-websocket-protocol)$/i.test(name)) {
    throw usage(`--header ${name}: arguments are seen by every user of the machine: use --bearer-file or --user`)
  }
  return [name, Buffer.from(value, 'utf8').toString('latin1')]
}

function readCertificate(path: string): ClientCertificate {
  const blocks = readText(path).match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
  try {
    const [leaf, ...intermediates] = blocks.map((pem) => new Uint8Array(new X509Certificate(pem).raw))
    if (leaf !== undefined) return { leaf, intermediates }
  } catch (thrown) {
    throw usage(`--certificate ${path}: ${messageOf(thrown)}`)
  }
  throw usage(`--certificate ${path}: holds no certificate, PEM`)
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (thrown) {
    throw usage(messageOf(thrown))
  }
}

function usage(message: string): ExitError {
  return new ExitError(2, `archway: ${message}`)
}

function caveatsOf({ certificate }: IdentifyFlags): readonly string[] {
  return certificate === undefined
    ? []
    : ['nothing proved that the key of the certificate is held: a door asks for that']
}

/** What the log made of it: redacted, and errors described. */
function noteOf(line: string): Note {
  const { time: _time, level: _level, message, ...fields } = JSON.parse(line) as Note
  return { message, ...fields }
}
