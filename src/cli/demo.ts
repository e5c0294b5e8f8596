/**
 * `archway demo`, which is `npm start`: webhook and proxy on embedded defaults. Certificates made on the spot, static
 * tokens or one's own Keystone, two reviews made against the webhook, and two requests through the proxy to a stand-in
 * for an API server.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { Service } from '../compose/service.ts'
import { loadConfig } from '../config/load.ts'
import { ArchwayError, messageOf } from '../errors.ts'
import { hasCredentials, loginFrom } from '../keystone/login/environment.ts'
import { reviewToken, tokenReviewRequest } from '../kube/token-review-client.ts'
import { Secret } from '../secret.ts'
import { orExit } from './config-flags.ts'
import { type DemoProxy, type DemoToken, demonstrateProxy } from './demo-proxy.ts'
import { type CommandIo, ExitError } from './io.ts'
import { describeReply } from './review.ts'
import { serve } from './serve.ts'

const EXAMPLES = `
Examples:
  archway demo
  archway demo --listen 127.0.0.1:18443
  OS_AUTH_URL=https://keystone.example:5000/v3 OS_USERNAME=alice OS_PASSWORD=… OS_PROJECT_NAME=demo archway demo

With OS_AUTH_URL set it asks that Keystone; the credentials come from the usual OS_* variables, or OS_TOKEN.
`

export function addDemoCommand(program: Command, io: CommandIo, done: (status: number) => void): void {
  program
    .command('demo')
    .description('run webhook and proxy on embedded defaults and show what they answer')
    .option('--listen <ADDR>', 'address and port of the webhook (default 127.0.0.1:8443, or a free port)')
    .option('--proxy-listen <ADDR>', 'address and port of the proxy (default 127.0.0.1:6443, or a free port)')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: DemoFlags) => done(await demo(flags, io)))
}

interface DemoFlags {
  readonly listen?: string
  readonly proxyListen?: string
}

/** What the demonstration knows people by, and whom it asks about. */
interface Identities {
  /** The `authenticators` of the configuration. */
  readonly sources: readonly object[]
  /** What stands where the token is in the printed line: the token itself only where it was made for this run. */
  readonly token: DemoToken | undefined
  /** What to do where there is no token to show. */
  readonly hint: string
}

async function demo({ listen, proxyListen }: DemoFlags, io: CommandIo): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'archway-demo-'))
  const file = (name: string, content: string): string => {
    const path = join(folder, name)
    writeFileSync(path, content, { mode: 0o600, flag: 'wx' })
    return path
  }
  let proxy: DemoProxy | undefined
  try {
    io.out('making certificates for this run\n')
    const { clientCertificate, servingCertificate } = await import('../pki/self-signed.ts')
    const made = await servingCertificate({ names: ['localhost'], addresses: ['127.0.0.1', '::1'], days: 7 })
    const frontProxy = await clientCertificate({ commonName: 'front-proxy-client', days: 7 })
    const caFile = file('ca.crt', made.ca)
    const tls = { certFile: file('tls.crt', made.certificate), keyFile: file('tls.key', made.key) }
    const identities = io.env['OS_AUTH_URL'] ? await fromKeystone(io) : fromTokenFile(file, io)
    const document = {
      server: { listen: listen ?? `127.0.0.1:${await freePort(8443)}`, tls },
      admin: { listen: `127.0.0.1:${await freePort(9443)}` },
      authenticators: identities.sources,
      logging: { format: 'human' },
    }
    const config = orExit(() => loadConfig({ file: { path: 'demo', text: JSON.stringify(document) } }))
    const door = {
      listen: proxyListen ?? `127.0.0.1:${await freePort(6443)}`,
      tls,
      upstream: {
        caFile,
        clientCertFile: file('front-proxy-client.crt', frontProxy.certificate),
        clientKeyFile: file('front-proxy-client.key', frontProxy.key),
      },
    }
    const standIn = { certificate: made.certificate, key: made.key, frontProxyCa: frontProxy.ca }
    return await serve(config, io, {
      async onReady(service) {
        await show(service, identities, caFile, io)
        proxy = await demonstrateProxy({
          document,
          door,
          standIn,
          caFile,
          token: identities.token,
          hint: identities.hint,
          io,
        })
        io.out(`\nThe webhook is up: ${service.url}/webhook, and the proxy: ${proxy.url}`)
        if (service.adminUrl !== undefined) io.out(`; health and metrics: ${service.adminUrl}/readyz?verbose`)
        io.out('\nCtrl-C ends it.\n\n')
      },
    })
  } finally {
    await proxy?.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

function fromTokenFile(file: (name: string, content: string) => string, io: CommandIo): Identities {
  const token = `demo-${randomBytes(12).toString('hex')}`
  const path = file('tokens.csv', `${token},alice,0001,"k8s-devs,demo"\n`)
  io.out('identities: a static token file with one token, for alice (set OS_AUTH_URL to ask a Keystone instead)\n')
  return { sources: [{ tokenFile: { path } }], token: { secret: new Secret(token), printed: token }, hint: '' }
}

async function fromKeystone(io: CommandIo): Promise<Identities> {
  const url = io.env['OS_AUTH_URL'] ?? ''
  const caFile = io.env['OS_CACERT']
  io.out(`identities: Keystone at ${url}\n`)
  const keystone = { url, ...(caFile ? { caFile, caMode: 'add' } : {}) }
  const hint = 'set OS_TOKEN, or OS_USERNAME, OS_PASSWORD and OS_PROJECT_NAME, to see an authenticated review'
  if (!hasCredentials(io.env)) return { sources: [{ keystone }], token: undefined, hint }
  const secret = await login(url, caFile, io)
  return { sources: [{ keystone }], token: { secret, printed: '\'"$OS_TOKEN"\'' }, hint }
}

async function login(url: string, caFile: string | undefined, io: CommandIo): Promise<Secret> {
  if (io.env['OS_TOKEN']) return new Secret(io.env['OS_TOKEN'])
  try {
    const { createKeystoneLogin } = await import('../keystone/login/login.ts')
    const keystone = createKeystoneLogin({ url, timeoutMs: 15_000, env: io.env, ...(caFile ? { caFile } : {}) })
    const { method, scope } = loginFrom(io.env)
    return (await keystone.issue([method], scope)).token
  } catch (thrown) {
    const refused = thrown instanceof ArchwayError && thrown.code === 'login_refused'
    const doing = refused ? 'the credentials of the OS_* variables' : 'logging in for the demonstration'
    throw new ExitError(1, `archway: ${doing}: ${messageOf(thrown)}`)
  }
}

/** Makes the two reviews and prints them, with the line that repeats each. */
async function show(service: Service, identities: Identities, caFile: string, io: CommandIo): Promise<void> {
  const url = `${service.url}/webhook`
  const unknown = { secret: new Secret('gAAAAABno-such-token'), printed: 'gAAAAABno-such-token' }
  const reviews = [
    { title: 'a token that is good', token: identities.token },
    { title: 'a token that nobody knows', token: unknown },
  ]
  for (const { title, token } of reviews) {
    if (token === undefined) {
      io.out(`\n# ${title}: ${identities.hint}\n`)
      continue
    }
    const apiVersion = 'authentication.k8s.io/v1'
    const ca = readFileSync(caFile)
    const reply = await reviewToken({
      url,
      apiVersion,
      token: token.secret,
      audiences: [],
      tls: { ca },
      timeoutMs: 20_000,
    })
    const body = tokenReviewRequest({ apiVersion, token: new Secret(token.printed), audiences: [] })
    // Where the token stands for a variable of the shell, its quotes are the shell's and not the document's.
    const data = body.replace(JSON.stringify(token.printed), `"${token.printed}"`)
    io.out(`\n# ${title}\n${describeReply(reply)}${reply.body}`)
    io.out(`curl --cacert ${caFile} -H 'Content-Type: application/json' -d '${data}' ${url}\n`)
  }
}

/** The port one expects, or any free one where something else has it. */
function freePort(preferred: number): Promise<number> {
  const attempt = (port: number): Promise<number | undefined> =>
    new Promise((resolve) => {
      const probe = createServer()
        .once('error', () => resolve(undefined))
        .listen({ host: '127.0.0.1', port }, () => {
          const address = probe.address()
          probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : undefined))
        })
    })
  return attempt(preferred).then(async (port) => port ?? (await attempt(0)) ?? preferred)
}
