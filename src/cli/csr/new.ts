/**
 * `archway csr new`: a key, a request signed by it, and the object for the API, printed or created. The key never
 * leaves this machine.
 *
 * @module
 */

import type { KeyObject } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { stringify } from 'yaml'
import { messageOf } from '../../errors.ts'
import { type CsrVersion, type NewCsr, newCsr, parseCsr } from '../../kube/certificate-signing-request.ts'
import { certificateRequests } from '../../kube/certificates-client.ts'
import { BUILT_IN_SIGNER } from '../../kube/signer-name.ts'
import { isThere, readSecretFile, writeNewFile } from '../../pki/files.ts'
import { generateKey, judgeKey, type KeyAlgorithm, keyPem, readKey } from '../../pki/keys.ts'
import { createRequest, readRequest } from '../../pki/request.ts'
import { permissionWarning } from '../../reload/permissions.ts'
import { brokenRule } from '../../signer/built-in-signers.ts'
import { creationProblems } from '../../signer/creation.ts'
import { type CommandIo, ExitError } from '../io.ts'
import { keyAlgorithmOption, passphraseOf } from '../pki/flags.ts'
import { addClusterFlags, type ClusterFlags, ending, withCluster } from './cluster.ts'
import { asLifetime, collect } from './review-flags.ts'

const EXAMPLES = `
Examples:
  archway csr new --user jane --key jane.key --submit --expiration 8h
  archway csr new --user jane --group devs --key jane.key > jane.yaml       # for kubectl create -f
  archway csr new ci-bot --user ci-bot --key ci.key --signer example.com/people --usage "client auth" --submit
  archway csr new --csr jane.csr --generate-name jane- --submit

The key is made with mode 0600, nothing is ever overwritten; one that is there already is used. It is not sent anywhere.
Status 0: done; 1: refused, or the key cannot be written; 2: a wrong command line or kubeconfig; 3: no answer.
`

interface NewFlags extends ClusterFlags {
  readonly user?: string
  readonly group: readonly string[]
  readonly dns: readonly string[]
  readonly ip: readonly string[]
  readonly email: readonly string[]
  readonly uri: readonly string[]
  readonly key?: string
  readonly passphraseFile?: string
  readonly keyAlgorithm: KeyAlgorithm
  readonly csr?: string
  readonly generateName?: string
  readonly signer: string
  readonly usage: readonly string[]
  readonly expiration?: number
  readonly submit?: boolean
  readonly apiVersion: CsrVersion
  readonly output: string
}

export function addNewCommand(csr: Command, io: CommandIo, done: (status: number) => void): void {
  const repeatable = (flag: string, text: string): Option =>
    new Option(flag, `${text}; repeatable`).argParser(collect).default([], 'none')
  const command = csr
    .command('new')
    .description('make a key and a request, and print or submit it')
    .argument('[name]', 'name of the object (default: one that the server makes of the user)')
    .optionsGroup('Who:')
    .option('--user <NAME>', 'whom the certificate makes of its holder (common name)')
    .addOption(repeatable('--group <NAME>', 'a group of theirs (organization)'))
    .addOption(repeatable('--dns <NAME>', 'a host name, for servers'))
    .addOption(repeatable('--ip <ADDRESS>', 'an address, for servers'))
    .addOption(repeatable('--email <ADDRESS>', 'a mail address'))
    .addOption(repeatable('--uri <URI>', 'a URI'))
    .optionsGroup('Key:')
    .option('--key <FILE>', 'the key, PEM: used if it is there, else made')
    .option('--passphrase-file <FILE>', 'passphrase of the key; the first line counts')
    .addOption(keyAlgorithmOption('ecdsa-p256'))
    .addOption(
      new Option('--csr <FILE>', 'a request that somebody has made elsewhere, PEM').conflicts(['key', 'user', 'group']),
    )
    .optionsGroup('Object:')
    .option('--generate-name <PREFIX>', 'beginning of a name that the server completes')
    .option('--signer <NAME>', 'who is to sign', BUILT_IN_SIGNER.client)
    .addOption(
      new Option('--usage <USAGE>', 'what for, such as "client auth"; repeatable')
        .argParser(collect)
        .default([], 'as the signer wants it'),
    )
    .addOption(
      new Option('--expiration <TIME>', 'how long it is to live, such as 8h; 10m at least').argParser(asLifetime),
    )
    .optionsGroup('Options:')
    .option('--submit', 'create it in the cluster; without, it is printed')
    .addOption(new Option('--api-version <VERSION>', 'of what is printed').choices(['v1', 'v1beta1']).default('v1'))
    .addOption(new Option('-o, --output <FORM>', 'of what is printed').choices(['yaml', 'json']).default('yaml'))
  addClusterFlags(command)
    .addHelpText('after', EXAMPLES)
    .action((name: string | undefined, flags: NewFlags) =>
      ending(async () => {
        await make(name, flags, io)
        done(0)
      }),
    )
}

async function make(name: string | undefined, flags: NewFlags, io: CommandIo): Promise<void> {
  checkFlags(name, flags)
  const prepared = await requestFrom(flags, io)
  const wanted: NewCsr = {
    name: nameOf(name, flags, prepared.request),
    request: prepared.request,
    signerName: flags.signer,
    usages: flags.usage.length > 0 ? flags.usage : usualUsages(flags.signer, prepared.isRsa),
    expirationSeconds: flags.expiration,
  }
  check(wanted, flags)
  prepared.keep()
  if (flags.submit === true) await submit(wanted, flags, io)
  else print(newCsr(flags.apiVersion, wanted), flags, io)
}

function checkFlags(name: string | undefined, { csr, key, user, generateName, submit, output }: NewFlags): void {
  if (csr === undefined && key === undefined) throw new ExitError(2, 'archway: --key names the file for the key')
  if (csr === undefined && user === undefined)
    throw new ExitError(2, 'archway: --user says whom the certificate is for')
  if (name !== undefined && generateName !== undefined)
    throw new ExitError(2, 'archway: NAME or --generate-name, not both')
  if (submit === true && output !== 'yaml')
    throw new ExitError(2, 'archway: -o says how to print; --submit prints no object')
}

interface Prepared {
  readonly request: string
  readonly isRsa: boolean
  /** Writes the key, if it is a new one. */
  readonly keep: () => void
}

async function requestFrom(flags: NewFlags, io: CommandIo): Promise<Prepared> {
  if (flags.csr !== undefined) {
    const request = flags.csr === '-' ? io.readInput() : readFile(flags.csr)
    return { request, isRsa: readRequest(request).key.algorithm === 'RSA', keep: () => {} }
  }
  const { key: path = '', user = '', group, dns, ip, email, uri } = flags
  const { key, keep } = await keyAt(path, flags, io)
  const request = await createRequest(key, { commonName: user, organizations: group }, { dns, ip, email, uri })
  return { request, isRsa: key.asymmetricKeyType === 'rsa', keep }
}

async function keyAt(path: string, flags: NewFlags, io: CommandIo): Promise<{ key: KeyObject; keep: () => void }> {
  const passphrase = passphraseOf(flags.passphraseFile)
  if (!isThere(path)) {
    const key = await generateKey(flags.keyAlgorithm)
    return {
      key,
      keep() {
        writeNewFile({ path, content: keyPem(key, passphrase) })
        io.err(`archway: made the key ${path}\n`)
      },
    }
  }
  const key = readKey(readSecretFile(path), { where: path, passphrase })
  const warning = permissionWarning(path, statSync(path).mode)
  if (warning !== undefined) io.err(`archway: ${warning}\n`)
  const { weakness } = judgeKey(key)
  if (weakness !== undefined) throw new ExitError(1, `archway: ${path}: ${weakness}`)
  io.err(`archway: using the key ${path}\n`)
  return { key, keep: () => {} }
}

function readFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (thrown) {
    throw new ExitError(2, `archway: --csr: ${messageOf(thrown)}`)
  }
}

/** The kubelet's signers want all three; an elliptic curve enciphers nothing. */
function usualUsages(signer: string, isRsa: boolean): readonly string[] {
  const both = ['digital signature', 'key encipherment']
  if (signer === BUILT_IN_SIGNER.kubeletServing) return [...both, 'server auth']
  if (signer === BUILT_IN_SIGNER.kubeletClient) return [...both, 'client auth']
  return [...(isRsa ? both : ['digital signature']), 'client auth']
}

function nameOf(name: string | undefined, { generateName, user }: NewFlags, request: string): NewCsr['name'] {
  if (name !== undefined) return { name }
  if (generateName !== undefined) return { generateName }
  const who = (user ?? readRequest(request).subject.commonName).toLowerCase().replace(/[^a-z\d.-]+/g, '-')
  const prefix = who.replace(/^[^a-z\d]+|[^a-z\d]+$/g, '').slice(0, 50)
  return { generateName: `${prefix || 'csr'}-` }
}

/** What the API server would refuse, and what no signer would sign: before a key is kept or anything is sent. */
function check(wanted: NewCsr, { apiVersion, submit }: NewFlags): void {
  const version = submit === true ? 'v1' : apiVersion
  const csr = parseCsr(newCsr(version, wanted))
  const problems = creationProblems(csr, version).map(({ path, message }) => `${path}: ${message}`)
  const broken = brokenRule(wanted.signerName, readRequest(wanted.request), wanted.usages)
  if (broken !== undefined) problems.push(`${wanted.signerName} would refuse it: ${broken}`)
  if (problems.length > 0) throw new ExitError(2, problems.map((line) => `archway: ${line}`).join('\n'))
}

function print(object: object, { output, key }: NewFlags, io: CommandIo): void {
  io.out(output === 'json' ? `${JSON.stringify(object, null, 2)}\n` : stringify(object, { lineWidth: 0 }))
  io.err(
    `archway: create it with: kubectl create -f -${key === undefined ? '' : `; then: archway csr fetch NAME --key ${key}`}\n`,
  )
}

async function submit(wanted: NewCsr, flags: NewFlags, io: CommandIo): Promise<void> {
  const created = await withCluster(flags, io, (client) => certificateRequests(client).create(wanted))
  io.out(`${created.name}\n`)
  if (wanted.expirationSeconds !== undefined && created.expirationSeconds === undefined) {
    io.err('archway: the cluster (before 1.22) does not know --expiration; the signer alone says how long it lives\n')
  }
  io.err(`archway: created; when it is approved: archway csr fetch ${created.name} --key ${flags.key ?? 'FILE'}\n`)
}
