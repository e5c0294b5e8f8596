/**
 * `archway csr sign`: one request signed with an authority from disk, by a policy or by the eyes of whoever runs it.
 *
 * @module
 */
import { readFileSync, statSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { parse as parseYaml } from 'yaml'
import { ArchwayError, messageOf } from '../../errors.ts'
import { type CertificateSigningRequest, newCsr, parseCsr, stateOf } from '../../kube/certificate-signing-request.ts'
import { certificateRequests } from '../../kube/certificates-client.ts'
import { asObject, member } from '../../kube/fields.ts'
import { readFile, writeNewFile } from '../../pki/files.ts'
import type { SigningAuthority } from '../../signer/answering.ts'
import { askedBy } from '../../signer/asked.ts'
import { withDefaults } from '../../signer/built-in-signers.ts'
import { type FindingCode, quoted } from '../../signer/finding.ts'
import { review } from '../../signer/findings.ts'
import { parsePolicy } from '../../signer/policy-file.ts'
import { isReady, type Signing, signAsAsked, signByPolicy } from '../../signer/signing.ts'
import { type CommandIo, ExitError } from '../io.ts'
import { type AuthorityFlags, addAuthorityFlags, authorityFrom, authorityPaths } from './authority.ts'
import { addClusterFlags, type ClusterFlags, ending, withCluster } from './cluster.ts'
import { described } from './render.ts'
import {
  addKnownFlag,
  addReviewFlags,
  asLifetime,
  collect,
  findingsOptions,
  type ReviewFlags,
  unknownFindings,
} from './review-flags.ts'

const EXAMPLES = `
Examples:
  archway csr sign jane-x7k2p --ca-cert ca.crt --ca-key ca.key --policy policy.yaml        # in the cluster
  archway csr sign jane.yaml --ca-cert ca.crt --ca-key ca.key --requester jane --lifetime 8h > jane.crt
  archway csr sign web.csr --ca-cert ca.crt --ca-key ca.key --signer example.com/web --usage "server auth" \\
    --policy policy.yaml --requester ci --requester-group builders --out web.crt

A name is a request in the cluster, which has to be approved; the certificate, or why there is none, is written there. A
file is a manifest or a PEM request; its certificate is printed. What a file says of who asks proves nothing: say it
with --requester. With --policy that alone decides; without, findings do, as with csr approve.
Status 0: signed; 1: refused; 2: a wrong command line or file; 3: no answer.
`

interface SignFlags extends ClusterFlags, ReviewFlags, AuthorityFlags {
  readonly policy?: string
  readonly lifetime: number
  readonly iKnow: readonly FindingCode[]
  readonly requester?: string
  readonly requesterGroup: readonly string[]
  readonly signer?: string
  readonly usage: readonly string[]
  readonly out?: string
}

export function addSignCommand(csr: Command, io: CommandIo, done: (status: number) => void): void {
  const command = csr
    .command('sign')
    .description('sign a request with an authority from disk')
    .argument('<name-or-file>', 'name of a request in the cluster, or a file; "-" is standard input')
  addAuthorityFlags(command)
    .optionsGroup('Deciding:')
    .option('--policy <FILE>', 'policy that decides, YAML')
    .addOption(
      new Option('--lifetime <TIME>', 'without a policy: longest life').argParser(asLifetime).default(86_400, '24h'),
    )
  addKnownFlag(addReviewFlags(command))
    .optionsGroup('Of a file:')
    .option('--requester <NAME>', 'who asks')
    .addOption(
      new Option('--requester-group <NAME>', 'a group of theirs; repeatable').argParser(collect).default([], 'none'),
    )
    .option('--signer <NAME>', 'of a PEM request: the signer')
    .addOption(
      new Option('--usage <USAGE>', 'of a PEM request: what for; repeatable').argParser(collect).default([], 'none'),
    )
    .option('--out <FILE>', 'where the certificate goes (default: standard output)')
  addClusterFlags(command)
    .addHelpText('after', EXAMPLES)
    .action((what: string, flags: SignFlags) =>
      ending(async () => {
        const authority = await authorityFrom(
          flags,
          new Map(authorityPaths(flags).map((path) => [path, readFile(path).content])),
        )
        if (what === '-' || isFile(what)) await signFile(what, authority, flags, io)
        else await signInCluster(what, authority, flags, io)
        done(0)
      }),
    )
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true
}

async function signInCluster(
  name: string,
  authority: SigningAuthority,
  flags: SignFlags,
  io: CommandIo,
): Promise<void> {
  await withCluster(flags, io, async (client) => {
    const requests = certificateRequests(client)
    const csr = await requests.get(name)
    if (csr === undefined)
      throw new ExitError(1, `archway: there is no request ${JSON.stringify(name)}, nor a file of that name`)
    if (!isReady(csr)) {
      throw new ExitError(
        1,
        `archway: it is ${stateOf(csr)}; what is signed is Approved and nothing else: archway csr approve ${name}`,
      )
    }
    const signing = await judged(csr, authority, flags, io)
    if (signing.kind === 'issued') {
      await requests.answer(csr, { certificate: signing.issued.certificatePem + authority.intermediates })
      io.out(`signed ${JSON.stringify(name)}\n`)
      return
    }
    if (signing.kind === 'failed') {
      const message = signing.breaches.map((breach) => breach.message).join('; ')
      await requests.answer(csr, {
        condition: { type: 'Failed', reason: signing.reason, message: message.slice(0, 1000) },
      })
    }
    refuse(signing)
  })
}

async function signFile(path: string, authority: SigningAuthority, flags: SignFlags, io: CommandIo): Promise<void> {
  const csr = requestIn(path === '-' ? io.readInput() : text(path), flags)
  const signing = await judged(csr, authority, flags, io)
  if (signing.kind !== 'issued') return refuse(signing)
  const certificate = signing.issued.certificatePem + authority.intermediates
  if (flags.out === undefined || flags.out === '-') io.out(certificate)
  else writeNewFile({ path: flags.out, content: certificate })
}

/** By the policy; without one by what there is against it, shown on stderr. */
async function judged(
  csr: CertificateSigningRequest,
  { authority }: SigningAuthority,
  flags: SignFlags,
  io: CommandIo,
): Promise<Signing> {
  const options = { authority, now: () => new Date() }
  if (flags.policy !== undefined) return signByPolicy(csr, parsePolicy(text(flags.policy), flags.policy), options)
  const reviewed = review(csr, findingsOptions(flags))
  io.err(described(reviewed, new Date()))
  const asked = askedBy(csr)
  if (asked === undefined)
    throw new ExitError(1, 'archway: not signed: it cannot be read, or is not signed by its own key')
  const unknown = unknownFindings(reviewed, flags.iKnow)
  if (unknown.length > 0) {
    throw new ExitError(
      1,
      `archway: not signed, for ${unknown.join(', ')}. To sign it all the same: ${unknown.map((code) => `--i-know ${code}`).join(' ')}`,
    )
  }
  return signAsAsked(asked, flags.lifetime, options)
}

function refuse(signing: Exclude<Signing, { kind: 'issued' }>): never {
  if (signing.kind === 'ignored') throw new ExitError(1, 'archway: not signed: its signer is not one of the policy')
  const reasons = signing.breaches.map(({ message }) => message)
  throw new ExitError(1, `archway: not signed: ${reasons.join('; ')}`)
}

/** A manifest, YAML or JSON, or a PEM request with what the flags say. */
function requestIn(content: string, flags: SignFlags): CertificateSigningRequest {
  const { requester = '', requesterGroup, signer = '', usage } = flags
  const isPem = content.includes('-----BEGIN ')
  const manifest: unknown = isPem
    ? newCsr('v1', { name: { name: 'file' }, request: content, signerName: signer, usages: usage })
    : manifestIn(content)
  const parsed = parse(manifest)
  const csr = withDefaults(parsed, isPem || hasUsages(parsed))
  if (csr.usages.length === 0) throw new ExitError(2, 'archway: nothing says what for: name at least one --usage')
  return { ...csr, requester: { ...csr.requester, username: requester, groups: requesterGroup } }
}

function manifestIn(content: string): unknown {
  try {
    return parseYaml(content, { maxAliasCount: 10, prettyErrors: false })
  } catch (thrown) {
    throw new ExitError(2, `archway: the request is neither PEM nor YAML (${messageOf(thrown)})`)
  }
}

function parse(manifest: unknown): CertificateSigningRequest {
  try {
    return parseCsr(manifest)
  } catch (thrown) {
    if (thrown instanceof ArchwayError) throw new ExitError(2, `archway: the manifest: ${quoted(thrown.message)}`)
    throw thrown
  }
}

/** v1beta1 fills them in only where they are absent. */
function hasUsages({ object }: CertificateSigningRequest): boolean {
  return member(asObject(member(object, 'spec'), 'spec'), 'usages') !== undefined
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (thrown) {
    throw new ExitError(2, `archway: ${path}: ${messageOf(thrown)}`)
  }
}
