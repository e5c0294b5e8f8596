/**
 * `archway review token`: sends a TokenReview to any webhook and says what came of it.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { stringify } from 'yaml'
import { messageOf } from '../errors.ts'
import type { TokenReviewVersion } from '../kube/token-review.ts'
import { reviewToken, type TokenReviewReply } from '../kube/token-review-client.ts'
import { Secret } from '../secret.ts'
import { type CommandIo, ExitError } from './io.ts'

const EXAMPLES = `
Examples:
  openstack token issue -f value -c id | archway review token --server https://127.0.0.1:8443/webhook --ca-file ca.crt
  archway review token "$TOKEN" --server https://archway.kube-system.svc:8443/webhook --ca-file ca.crt -o yaml
  archway review token - --audience https://kubernetes.default.svc < token.txt

Prefer standard input: arguments are seen by every user of the machine.
Status 0: authenticated; 1: refused; 2: no verdict (unreachable, an error, not a TokenReview), or a wrong command line.
`

interface ReviewFlags {
  readonly server: string
  readonly caFile?: string
  readonly clientCertFile?: string
  readonly clientKeyFile?: string
  readonly insecureSkipTlsVerify?: boolean
  readonly apiVersion: string
  readonly audience: readonly string[]
  readonly output: string
  readonly timeout: string
}

export function addReviewCommands(program: Command, io: CommandIo, done: (status: number) => void): void {
  const review = program.command('review').description('ask a webhook about somebody')
  review
    .command('token')
    .description('send a TokenReview to any webhook and print the verdict')
    .argument('[token]', 'the token; "-", or none at all, reads it from standard input')
    .option('--server <URL>', 'address of the webhook', 'https://127.0.0.1:8443/webhook')
    .option('--ca-file <FILE>', "CA of the webhook's certificate, PEM (default: the system's)")
    .option('--client-cert-file <FILE>', 'client certificate, PEM, for webhooks that ask for one')
    .option('--client-key-file <FILE>', 'its private key, PEM')
    .option('--insecure-skip-tls-verify', 'accept any certificate; whoever answers then learns the token')
    .addOption(new Option('--api-version <VERSION>', 'version to ask in').choices(['v1', 'v1beta1']).default('v1'))
    .option('--audience <NAME>', 'audience the token has to be good for; repeatable', collect, [])
    .addOption(
      new Option('-o, --output <FORMAT>', 'for people, or the whole answer')
        .choices(['text', 'json', 'yaml'])
        .default('text'),
    )
    .option('--timeout <SECONDS>', 'give up after', '30')
    .addHelpText('after', EXAMPLES)
    .action(async (token: string | undefined, flags: ReviewFlags) => {
      const reply = await reviewToken({
        url: webhookUrl(flags.server),
        apiVersion: `authentication.k8s.io/${flags.apiVersion}` as TokenReviewVersion,
        token: new Secret(readToken(token, io)),
        audiences: flags.audience,
        timeoutMs: seconds(flags.timeout) * 1000,
        tls: {
          ...readPem('ca', flags.caFile),
          ...readPem('cert', flags.clientCertFile),
          ...readPem('key', flags.clientKeyFile),
          insecure: flags.insecureSkipTlsVerify === true,
        },
      })
      io.out(render(reply, flags.output))
      done(STATUS[reply.verdict.kind])
    })
}

const STATUS = { authenticated: 0, rejected: 1, undecided: 2 } as const

function collect(value: string, previous: readonly string[]): readonly string[] {
  return [...previous, value]
}

function seconds(text: string): number {
  const value = Number(text)
  if (!(value > 0 && value <= 600)) throw new ExitError(2, `archway: --timeout ${text}: expected seconds, 1 to 600`)
  return value
}

function readToken(argument: string | undefined, io: CommandIo): string {
  const token = argument === undefined || argument === '-' ? io.readInput().trim() : argument
  if (token === '') throw new ExitError(2, 'archway: no token: give it as an argument or on standard input')
  return token
}

function webhookUrl(text: string): string {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw new ExitError(2, `archway: --server ${text}: expected a URL such as https://127.0.0.1:8443/webhook`)
  }
  if (url.protocol !== 'https:') throw new ExitError(2, `archway: --server ${text}: tokens travel over https only`)
  if (url.pathname === '/') url.pathname = '/webhook'
  return url.href
}

function readPem<Key extends string>(key: Key, path: string | undefined): { [name in Key]?: Buffer } {
  if (path === undefined) return {}
  try {
    return { [key]: readFileSync(path) } as { [name in Key]?: Buffer }
  } catch (thrown) {
    throw new ExitError(2, `archway: ${messageOf(thrown)}`)
  }
}

function render(reply: TokenReviewReply, output: string): string {
  if (output === 'text') return describeReply(reply)
  const { verdict, httpStatus, requestId, body } = reply
  const document = {
    verdict: verdict.kind,
    ...(verdict.kind === 'undecided' ? { cause: verdict.cause } : {}),
    httpStatus: httpStatus ?? null,
    requestId: requestId ?? null,
    review: parsed(body),
  }
  return output === 'json' ? `${JSON.stringify(document, null, 2)}\n` : stringify(document)
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return body === '' ? null : body
  }
}

/** The verdict in a few lines for people. Also what the demonstration prints. */
export function describeReply({ verdict, httpStatus, requestId, milliseconds }: TokenReviewReply): string {
  const notes = [
    httpStatus === undefined ? 'no answer' : `HTTP ${httpStatus}`,
    `${milliseconds.toFixed(1)} ms`,
    ...(requestId === undefined ? [] : [`request ${requestId}`]),
  ].join(', ')
  switch (verdict.kind) {
    case 'authenticated': {
      const { username, uid, groups, extra } = verdict.user
      const lines = [
        `authenticated (${notes})`,
        `  user    ${username}`,
        ...(uid === '' ? [] : [`  uid     ${uid}`]),
        ...groups.map((group, index) => `  ${index === 0 ? 'groups ' : '       '} ${group}`),
        ...[...extra].map(
          ([key, values], index) => `  ${index === 0 ? 'extra  ' : '       '} ${key}: ${values.join(', ')}`,
        ),
        ...(verdict.audiences.length === 0 ? [] : [`  for     ${verdict.audiences.join(', ')}`]),
      ]
      return `${lines.join('\n')}\n`
    }
    case 'rejected':
      return `refused (${notes})\n`
    case 'undecided':
      return `no verdict (${notes})\n  ${verdict.cause}\n`
  }
}
