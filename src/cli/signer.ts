/**
 * `archway signer`: signs the requests for a cluster's own signers, by a policy, until a signal ends it.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { hostname } from 'node:os'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { ArchwayError, messageOf } from '../errors.ts'
import { accessSource } from '../kube/api-client/access.ts'
import { waitingTiming } from '../kube/api-client/backoff.ts'
import { type KubeClient, kubeClient } from '../kube/api-client/client.ts'
import { type LeaseHolding, leadWhileHeld } from '../kube/api-client/lease.ts'
import { transport } from '../kube/api-client/transport.ts'
import { permissionWarning } from '../reload/permissions.ts'
import { type Reloading, reloading } from '../reload/reloading.ts'
import { parseListen } from '../server/address.ts'
import { type AdminServer, createAdminServer, type ReadinessCheck } from '../server/admin.ts'
import type { SignerEvent, SigningAuthority } from '../signer/answering.ts'
import { type SignerController, signerController } from '../signer/controller.ts'
import { type SignerMetrics, signerMetrics } from '../signer/metrics.ts'
import type { SignerPolicy } from '../signer/policy.ts'
import { parsePolicy } from '../signer/policy-file.ts'
import {
  createLogger,
  LOG_FORMATS,
  LOG_LEVELS,
  type LogFormat,
  type Logger,
  type LogLevel,
} from '../telemetry/logger.ts'
import { type AuthorityFlags, addAuthorityFlags, authorityFrom, authorityPaths } from './csr/authority.ts'
import { addClusterFlags, type ClusterFlags, loaderOf } from './csr/cluster.ts'
import { type CommandIo, ExitError } from './io.ts'
import { version } from './version.ts'

const EXAMPLES = `
Examples:
  archway signer --policy policy.yaml --ca-cert people-ca.crt --ca-key people-ca.key
  archway signer --policy policy.yaml --ca-cert ca.crt --ca-key ca.key --kubeconfig signer.kubeconfig --admin-listen 127.0.0.1:9444
  archway signer --policy policy.yaml --ca-cert ca.crt --ca-key ca.key --check         # reads everything, and ends

Of several replicas the one that holds the Lease signs. Policy and authority are taken up again when they change; SIGHUP
looks at once. Every decision is one line of the log. SIGTERM and SIGINT finish what is being signed, give the Lease back
and end with status 0; 1: something given cannot be used; 2: a wrong command line.
`

interface SignerFlags extends ClusterFlags, AuthorityFlags {
  readonly policy: string
  readonly lease: LeaseName
  readonly leaderElection: boolean
  readonly identity?: string
  readonly adminListen: string
  readonly logLevel: LogLevel
  readonly logFormat: LogFormat
  readonly check?: boolean
}

interface LeaseName {
  readonly namespace: string
  readonly name: string
}

export function addSignerCommand(program: Command, io: CommandIo, done: (status: number) => void): void {
  const command = program
    .command('signer')
    .description("sign certificates for a cluster's own signer names, by a policy")
    .requiredOption('--policy <FILE>', 'who may ask for what, YAML')
  addClusterFlags(addAuthorityFlags(command))
    .optionsGroup('Replicas:')
    .addOption(
      new Option('--lease <NAME>', 'namespace/name of the Lease')
        .argParser(leaseName)
        .default({ namespace: 'kube-system', name: 'archway-signer' }, 'kube-system/archway-signer'),
    )
    .option('--identity <NAME>', 'who this replica is in the Lease (default: host name and something random)')
    .option('--no-leader-election', 'sign without a Lease')
    .optionsGroup('Options:')
    .option('--admin-listen <ADDRESS>', 'health and metrics: host:port; "" for none', '127.0.0.1:9443')
    .addOption(new Option('--log-level <LEVEL>', 'least level of the log').choices(LOG_LEVELS).default('decision'))
    .addOption(new Option('--log-format <FORMAT>', 'of the log').choices(LOG_FORMATS).default('auto'))
    .option('--check', 'read policy and authority, say what is wrong, and end')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: SignerFlags) => {
      done(await signer(flags, io))
    })
}

function leaseName(text: string): LeaseName {
  const [namespace = '', name = '', ...more] = text.split('/')
  const isName = (part: string): boolean => /^[a-z\d]([a-z\d.-]{0,251}[a-z\d])?$/.test(part)
  if (more.length > 0 || !isName(namespace) || !isName(name)) throw new InvalidArgumentError('expected namespace/name.')
  return { namespace, name }
}

/** Runs until a signal. Resolves to the exit status. */
async function signer(flags: SignerFlags, io: CommandIo): Promise<number> {
  const log = await createLogger({ level: flags.logLevel, format: flags.logFormat })
  const closers: (() => void | Promise<void>)[] = []
  try {
    const files = await openFiles(flags, log, closers)
    if (flags.check === true) {
      io.out(`policy and authority are good: ${files.policy.current().signerNames.join(', ')}\n`)
      return 0
    }
    return await serve(flags, io, log, files, closers)
  } catch (thrown) {
    if (thrown instanceof ArchwayError) throw new ExitError(1, `archway: ${thrown.message}`)
    throw thrown
  } finally {
    for (const close of closers.reverse()) await close()
    log.flush()
  }
}

type Closers = (() => void | Promise<void>)[]

interface Files {
  readonly policy: Reloading<SignerPolicy>
  readonly authority: Reloading<SigningAuthority>
  /** Called when another policy is in force. */
  onPolicy: () => void
}

async function openFiles(flags: SignerFlags, log: Logger, closers: Closers): Promise<Files> {
  const paths = [...authorityPaths(flags)]
  const files: { onPolicy: () => void } = { onPolicy: () => {} }
  const policy = await reloading({
    name: 'signer-policy',
    paths: [flags.policy],
    load: (contents) => parsePolicy(contents.get(flags.policy)?.toString('utf8') ?? '', flags.policy),
    onChange: () => files.onPolicy(),
    log,
  })
  closers.push(() => policy.close())
  const authority = await reloading({
    name: 'signer-authority',
    paths,
    load: (contents) => authorityFrom(flags, contents),
    log,
  })
  // Of the certificate there is nothing to be said: anybody may read it.
  const warning = permissionWarning(flags.caKey, statSync(flags.caKey).mode)
  if (warning !== undefined) log.warn({ warning }, 'file with secrets is open to others')
  closers.push(() => authority.close())
  return Object.assign(files, { policy, authority })
}

async function serve(flags: SignerFlags, io: CommandIo, log: Logger, files: Files, closers: Closers): Promise<number> {
  const wire = transport({
    access: accessSource({ load: loaderOf(flags, io), log }),
    userAgent: `archway-signer/${version()}`,
  })
  closers.push(() => wire.close())
  const client = kubeClient({ transport: wire })
  const stop = new AbortController()
  let holding: LeaseHolding | undefined
  const metrics = signerMetrics({
    leading: () => holding?.status().leading ?? flags.leaderElection === false,
    authorityNotAfter: () => files.authority.current().authority.notAfter,
  })
  const controller = controllerOf(client, files, metrics, log)
  const stopListening = [
    io.onSignal(['SIGTERM', 'SIGINT'], (signal) => {
      log.info({ signal }, 'stopping: what is being signed may finish')
      stop.abort()
    }),
    io.onSignal(['SIGHUP'], () => void Promise.all([files.policy.check(), files.authority.check()])),
    // Without a listener Node answers this signal by opening its debugger, which shows every secret in memory.
    io.onSignal(['SIGUSR1'], () => log.warn({ signal: 'SIGUSR1' }, 'signal ignored: the debugger stays shut')),
  ]
  closers.push(() => {
    for (const stopOne of stopListening) stopOne()
  })
  await openAdmin(
    flags,
    checks(flags, files, controller, () => holding),
    metrics,
    log,
    closers,
  )
  log.info({ signers: files.policy.current().signerNames, version: version() }, 'ready')
  if (flags.leaderElection) {
    const identity = flags.identity ?? `${hostname()}_${randomBytes(6).toString('hex')}`
    const lead = (signal: AbortSignal): Promise<void> => controller.run(signal)
    holding = leadWhileHeld({ client, ...flags.lease, identity, lead, log, signal: stop.signal, timing: waitingTiming })
    await holding.done
  } else await controller.run(stop.signal)
  log.info({}, 'stopped')
  return 0
}

function controllerOf(client: KubeClient, files: Files, metrics: SignerMetrics, log: Logger): SignerController {
  const controller = signerController({
    client,
    policy: () => files.policy.current(),
    authority: () => files.authority.current(),
    audit(event) {
      metrics.decided(event.kind)
      log.decision(recordOf(event), MESSAGES[event.kind])
      log.flush() // a record that is not written is none, whatever becomes of us
    },
    failed: () => metrics.failed(),
    log,
    timing: waitingTiming,
  })
  files.onPolicy = () => controller.policyChanged()
  return controller
}

const MESSAGES = {
  approved: 'certificate request approved',
  denied: 'certificate request denied',
  issued: 'certificate issued',
  failed: 'certificate request failed',
} as const satisfies Record<SignerEvent['kind'], string>

/** Who asked, for what, and what came of it: all that is kept of a request that the cluster removes within the hour. */
function recordOf(event: SignerEvent): object {
  const { csr, subject } = event
  const { username, uid, groups } = csr.requester
  const about = {
    csr: csr.name,
    uid: csr.uid,
    signer: csr.signerName,
    requester: { username, uid, groups },
    subject,
    usages: csr.usages,
  }
  switch (event.kind) {
    case 'approved':
      return { ...about, rule: event.rule }
    case 'issued':
      return { ...about, rule: event.rule, serial: event.issued.serial, notAfter: event.issued.notAfter.toISOString() }
    case 'denied':
      return { ...about, breaches: event.breaches }
    case 'failed':
      return { ...about, reason: event.reason, breaches: event.breaches }
    default:
      return event satisfies never
  }
}

async function openAdmin(
  { adminListen }: SignerFlags,
  readiness: readonly ReadinessCheck[],
  { registry }: SignerMetrics,
  log: Logger,
  closers: Closers,
): Promise<void> {
  if (adminListen === '') return
  const admin: AdminServer = createAdminServer({
    listen: parseListen(adminListen),
    readiness,
    metrics: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
    log,
  })
  await admin.listen()
  closers.push(() => admin.close())
}

/** A replica that waits for the Lease is ready: it is where it should be. */
function checks(
  { leaderElection }: SignerFlags,
  files: Files,
  controller: SignerController,
  holding: () => LeaseHolding | undefined,
): readonly ReadinessCheck[] {
  return [
    {
      name: 'requests',
      check() {
        const lease = holding()?.status()
        if (leaderElection && lease?.leading !== true)
          return { ok: true, detail: `waiting; ${lease?.holder || 'nobody'} leads` }
        const { watched, signers, error } = controller.status()
        return {
          ok: watched === signers,
          detail: `${watched} of ${signers} signers watched${error === undefined ? '' : `: ${error}`}`,
        }
      },
    },
    {
      name: 'authority',
      check() {
        const { authority } = files.authority.current()
        const { ok, error } = files.authority.status()
        const until = `until ${authority.notAfter.toISOString()}`
        return { ok: authority.notAfter > new Date(), detail: ok ? until : `${until}; still in force, for: ${error}` }
      },
    },
    {
      name: 'policy',
      check() {
        const { ok, digest, error } = files.policy.status()
        const loaded = `sha256 ${digest.slice(0, 12)}`
        return { ok: true, detail: ok ? loaded : `${loaded}; still in force, for: ${messageOf(error)}` }
      },
    },
  ]
}
