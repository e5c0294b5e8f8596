/**
 * `archway csr fetch`: waits for the certificate, sees that it is one for the key, and writes it, alone or in a
 * kubeconfig.
 *
 * @module
 */
import type { KeyObject } from 'node:crypto'
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { clusterOfContext } from '../../credential/kubeconfig/known-cluster.ts'
import { ArchwayError, messageOf } from '../../errors.ts'
import { waitingTiming } from '../../kube/api-client/backoff.ts'
import type { CertificateSigningRequest } from '../../kube/certificate-signing-request.ts'
import { type CertificateRequests, certificateRequests } from '../../kube/certificates-client.ts'
import {
  applyChange,
  type ChangeRequest,
  loadKubeconfigs,
  planChange,
} from '../../kube/kubeconfig-file/change-files.ts'
import type { ClusterSettings, Entry } from '../../kube/kubeconfig-file/entries.ts'
import { type CertificateFacts, readCertificates } from '../../pki/certificate.ts'
import { isThere, readSecretFile, replaceFile, writeNewFile } from '../../pki/files.ts'
import { isSameKey, keyPem, readKey } from '../../pki/keys.ts'
import { awaitCertificate, type CertificateOutcome } from '../../signer/await-certificate.ts'
import { deviationsOf } from '../../signer/deviation.ts'
import { quoted } from '../../signer/finding.ts'
import { type CommandIo, ExitError } from '../io.ts'
import { passphraseOf } from '../pki/flags.ts'
import { printableLines } from '../terminal.ts'
import { addClusterFlags, type ClusterFlags, contextOf, ending, withCluster } from './cluster.ts'
import { lifeOf } from './render.ts'
import { asLifetime } from './review-flags.ts'

const EXAMPLES = `
Examples:
  archway csr fetch jane-x7k2p --key jane.key > jane.crt
  archway csr fetch jane-x7k2p --key jane.key --write-kubeconfig jane.kubeconfig
  archway csr fetch jane-x7k2p --key jane.key --out jane.crt --write-kubeconfig ~/.kube/config --link --set-current
  archway csr fetch jane-x7k2p --key jane.key --out jane.crt --timeout 1h --delete

Status 0: written; 1: denied, failed, not for this key, or not there in time; 2: a wrong command line or file;
3: no answer.
`

interface FetchFlags extends ClusterFlags {
  readonly key: string
  readonly passphraseFile?: string
  readonly timeout: number
  readonly out?: string
  readonly overwrite?: boolean
  readonly writeKubeconfig?: string
  readonly name?: string
  readonly namespace?: string
  readonly link?: boolean
  readonly setCurrent?: boolean
  readonly delete?: boolean
}

export function addFetchCommand(csr: Command, io: CommandIo, done: (status: number) => void): void {
  const command = csr
    .command('fetch')
    .description('wait for the certificate, and write it or a kubeconfig')
    .argument('<name>', 'name of the request')
    .requiredOption('--key <FILE>', 'the key that the request was made with, PEM')
    .option('--passphrase-file <FILE>', 'passphrase of the key; the first line counts')
    .addOption(new Option('--timeout <TIME>', 'how long to wait').argParser(asLifetime).default(600, '10m'))
    .optionsGroup('Certificate:')
    .option('--out <FILE>', 'where the certificate goes (default: standard output, unless there is a kubeconfig)')
    .option('--overwrite', 'replace the file, or entries of the kubeconfig, that are there already')
    .optionsGroup('Kubeconfig:')
    .option('--write-kubeconfig <FILE>', 'kubeconfig to add cluster, user and context to')
    .option('--name <NAME>', 'name of user and context (default: USER@CLUSTER)')
    .option('-n, --namespace <NAME>', 'namespace of the context')
    .addOption(new Option('--link', 'name the files of --out and --key instead of putting their content in'))
    .option('--set-current', 'make it the current context (default: only where there is none)')
    .optionsGroup('Options:')
    .option('--delete', 'remove the request afterwards, if that is allowed')
  addClusterFlags(command)
    .addHelpText('after', EXAMPLES)
    .action((name: string, flags: FetchFlags) =>
      ending(async () => {
        await fetchCertificate(name, flags, io)
        done(0)
      }),
    )
}

async function fetchCertificate(name: string, flags: FetchFlags, io: CommandIo): Promise<void> {
  const { out, overwrite, link, writeKubeconfig } = flags
  if (link === true && (out === undefined || out === '-' || writeKubeconfig === undefined)) {
    throw new ExitError(2, 'archway: --link goes with --out FILE and --write-kubeconfig FILE')
  }
  if (link === true && flags.passphraseFile !== undefined) {
    throw new ExitError(2, 'archway: --link names the key as it is, and kubectl reads none that has a passphrase')
  }
  if (out !== undefined && out !== '-' && overwrite !== true && isThere(out)) {
    throw new ExitError(2, `archway: ${out}: is there already. Say --overwrite to replace it`)
  }
  const key = keyOf(flags)
  const cluster = writeKubeconfig === undefined ? undefined : clusterFor(flags, io)
  await withCluster(flags, io, async (client) => {
    const requests = certificateRequests(client)
    const { csr, certificate } = await waited(client, requests, name, flags, io)
    const [leaf, ...above] = certificatesIn(certificate, key)
    for (const text of deviationsOf(csr, [leaf, ...above], new Date())) io.err(`archway: warning: ${text}\n`)
    // The certificates alone: around them the API lets any text stand.
    const pem = [leaf, ...above].map((one) => one.pem).join('')
    writeCertificate(pem, flags, io)
    if (cluster !== undefined) await writeEntries({ cluster, leaf, certificate: pem, key, flags, io })
    io.err(`archway: ${said(leaf)}\n`)
    if (flags.delete === true) await removed(requests, csr, io)
  })
}

function keyOf({ key, passphraseFile }: FetchFlags): KeyObject {
  return readKey(readSecretFile(key), { where: key, passphrase: passphraseOf(passphraseFile) })
}

async function waited(
  client: Parameters<typeof awaitCertificate>[0]['client'],
  requests: CertificateRequests,
  name: string,
  { timeout }: FetchFlags,
  io: CommandIo,
): Promise<Extract<CertificateOutcome, { kind: 'issued' }>> {
  const stop = new AbortController()
  const unlisten = io.onSignal(['SIGINT', 'SIGTERM'], () => stop.abort())
  const late = AbortSignal.timeout(timeout * 1000)
  try {
    const signal = AbortSignal.any([stop.signal, late])
    const outcome = await awaitCertificate({ client, requests, name, signal, timing: waitingTiming })
    if (stop.signal.aborted && outcome.kind === 'late') throw new ExitError(130, 'archway: interrupted')
    return issued(outcome, name, timeout)
  } finally {
    unlisten()
  }
}

function issued(
  outcome: CertificateOutcome,
  name: string,
  timeout: number,
): Extract<CertificateOutcome, { kind: 'issued' }> {
  const refuse = (text: string): never => {
    throw new ExitError(1, `archway: ${text}`)
  }
  switch (outcome.kind) {
    case 'issued':
      return outcome
    case 'denied':
    case 'failed':
      return refuse(
        `the request was ${outcome.kind === 'denied' ? 'denied' : 'refused by its signer'}: ${quoted(outcome.message)}`,
      )
    case 'gone':
      return refuse(`there is no request ${JSON.stringify(name)}; the cluster removes answered ones after an hour`)
    case 'late': {
      const { csr } = outcome
      const isApproved = csr?.conditions.some(({ type }) => type === 'Approved') === true
      const why = isApproved
        ? `it is approved, but ${csr?.signerName} has not signed it`
        : `nobody has approved it: archway csr approve ${name}`
      return csr === undefined
        ? refuse(`no answer of the API server within ${lifeOf(timeout)}`)
        : refuse(`no certificate within ${lifeOf(timeout)}: ${why}`)
    }
    default:
      return outcome satisfies never
  }
}

type Certificates = readonly [leaf: CertificateFacts, ...above: CertificateFacts[]]

/** The certificate itself, which has to be for our key: the API does not look. Then what came with it. */
function certificatesIn(text: string, key: KeyObject): Certificates {
  const [leaf, ...above] = readable(text)
  if (leaf === undefined) throw new ExitError(1, "archway: the signer's answer is no certificate; nothing was written")
  if (isSameKey(leaf.publicKey, key)) return [leaf, ...above]
  throw new ExitError(1, 'archway: the certificate is for another key than --key; nothing was written')
}

function readable(text: string): readonly CertificateFacts[] {
  try {
    return readCertificates(text, "the signer's answer")
  } catch (thrown) {
    throw new ExitError(1, `archway: ${printableLines(messageOf(thrown))}; nothing was written`)
  }
}

function writeCertificate(certificate: string, { out, overwrite, writeKubeconfig }: FetchFlags, io: CommandIo): void {
  if (out === undefined && writeKubeconfig !== undefined) return
  if (out === undefined || out === '-') io.out(certificate)
  else if (overwrite === true) replaceFile({ path: out, content: certificate })
  else writeNewFile({ path: out, content: certificate })
}

interface KubeconfigCluster {
  readonly name: string
  readonly settings: ClusterSettings
}

/** The cluster that was asked is the one the certificate is for. */
function clusterFor(flags: FetchFlags, io: CommandIo): KubeconfigCluster {
  const { loaded, context } = contextOf(flags, io)
  const known = clusterOfContext(context, loaded)
  if (known === undefined || !known.usable) {
    throw new ExitError(
      2,
      'archway: --write-kubeconfig takes the cluster from a context of --kubeconfig, and there is none',
    )
  }
  const { name, address, ca, serverName } = known
  return {
    name,
    settings: {
      server: address.url,
      ...(ca === undefined ? {} : { 'certificate-authority-data': base64(ca) }),
      ...(serverName === undefined ? {} : { 'tls-server-name': serverName }),
    },
  }
}

async function writeEntries(job: {
  readonly cluster: KubeconfigCluster
  readonly leaf: CertificateFacts
  readonly certificate: string
  readonly key: KeyObject
  readonly flags: FetchFlags
  readonly io: CommandIo
}): Promise<void> {
  const { cluster, leaf, flags, io } = job
  const path = resolve(flags.writeKubeconfig ?? '')
  const name = flags.name ?? `${leaf.subject.commonName || 'user'}@${cluster.name}`
  const entries: readonly Entry[] = [
    { kind: 'cluster', name: cluster.name, settings: cluster.settings },
    { kind: 'user', name, settings: credentials(job) },
    {
      kind: 'context',
      name,
      settings: {
        cluster: cluster.name,
        ...(flags.namespace === undefined ? {} : { namespace: flags.namespace }),
        user: name,
      },
    },
  ]
  const current = { name, when: flags.setCurrent === true ? 'always' : 'none-yet' } as const
  const request: ChangeRequest = { files: [path], entries, current, isHarmlessFlag: () => false }
  const inTheWay = planChange(request, loadKubeconfigs([path])).entries.filter(({ state }) => state === 'different')
  if (inTheWay.length > 0 && flags.overwrite !== true) {
    const which = inTheWay.map(({ entry }) => `${entry.kind} ${JSON.stringify(entry.name)}`).join(', ')
    throw new ExitError(
      1,
      `archway: ${path}: ${which} is there already, and differs. Say --overwrite, or another --name`,
    )
  }
  await applyChange({
    request,
    overwrite: flags.overwrite === true,
    backup: false,
    now: new Date(),
    lockWaitMs: LOCK_MS,
  })
  if (flags.passphraseFile !== undefined) {
    io.err(`archway: warning: ${path} holds the key without its passphrase, which kubectl could not ask for\n`)
  }
  io.err(`archway: written: kubectl --kubeconfig ${path} --context ${JSON.stringify(name)} auth can-i --list\n`)
}

const LOCK_MS = 5000

function credentials({
  certificate,
  key,
  flags,
}: Parameters<typeof writeEntries>[0]): Extract<Entry, { kind: 'user' }>['settings'] {
  if (flags.link === true) {
    return { 'client-certificate': resolve(flags.out ?? ''), 'client-key': resolve(flags.key) }
  }
  return { 'client-certificate-data': base64(certificate), 'client-key-data': base64(keyPem(key).reveal()) }
}

function said({ subject, notAfter }: CertificateFacts): string {
  const left = (notAfter.getTime() - Date.now()) / 1000
  return `certificate for ${quoted(subject.commonName)}, until ${notAfter.toISOString()} (${lifeOf(left)})`
}

async function removed(requests: CertificateRequests, csr: CertificateSigningRequest, io: CommandIo): Promise<void> {
  try {
    await requests.remove(csr)
  } catch (thrown) {
    // What was asked for is there; the cluster removes the request by itself.
    io.err(`archway: the request was not removed: ${messageOf(thrown)}\n`)
    if (thrown instanceof ArchwayError) throw thrown
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
