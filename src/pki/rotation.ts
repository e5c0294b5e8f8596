/**
 * An authority replaced while everything goes on: first both are trusted, then the new one issues, then the old one is
 * trusted no longer. Owns the steps and the order of files within each: cut off anywhere, a step is done again; until
 * the last one there is a way back. When whom to restart is the command's to say.
 *
 * @see https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/
 * @module
 */
import { basename, join } from 'node:path'
import { ArchwayError } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { type CertificateFacts, isSameCertificate, readCertificates } from './certificate.ts'
import { isThere, readSecretFile, readTextFile, removeFile, replaceFile, writeNewFile } from './files.ts'
import { openFolderAuthority } from './folder-authority.ts'
import { backupFolder, type Holding, holdingsOf } from './holdings.ts'
import { createAuthority } from './issuing.ts'
import { generateKey, isSameKey, type KeyAlgorithm, keyPem, readKey } from './keys.ts'
import type { AuthorityName } from './layout.ts'
import { freshPath, issuedBy, type Renewed, renew } from './renewal.ts'
import { type RotationState, rotationPaths, rotationState } from './rotation-state.ts'

export const STEPS = ['prepare', 'issue', 'finish', 'undo'] as const
export type Step = (typeof STEPS)[number]

/** What can be done in each state. */
export const STEPS_OF: Readonly<Record<RotationState, readonly Step[]>> = {
  none: ['prepare'],
  prepared: ['issue', 'undo', 'prepare'],
  switching: ['issue', 'undo'],
  issued: ['finish', 'undo', 'issue'],
}

/** Something that trusts an authority by a copy of it. */
export interface Trusting {
  readonly trustedPem: string | undefined
  trust(authorityPem: string): void
}

export interface RotationOptions {
  readonly folder: string
  readonly name: AuthorityName
  readonly passphrase: Secret | undefined
  readonly now: Date
  /** For the new authority. */
  readonly algorithm: KeyAlgorithm
  readonly lifeMs: number
  /** Certificates beside those of the folder's files. */
  readonly holdings: readonly Holding[]
  /** Copies of the authority that are kept up to date. */
  readonly trusting: readonly Trusting[]
}

export interface StepResult extends Reissued {
  readonly state: RotationState
}

/** What was issued again, and what could not be: its key is elsewhere, or it says more than can be said again. */
interface Reissued {
  readonly renewed: readonly Renewed[]
  readonly left: readonly { readonly name: string; readonly why: string }[]
}

const NOTHING: Reissued = { renewed: [], left: [] }

/** Does a step. Throws `certificate_not_issued` for one that is not its turn. */
export async function rotate(step: Step, options: RotationOptions): Promise<StepResult> {
  const { folder, name } = options
  const before = rotationState(folder, name)
  if (before === 'none' && (tidied(step, options) || step === 'finish')) return { ...NOTHING, state: before }
  if (!STEPS_OF[before].includes(step)) {
    const possible = STEPS_OF[before].join(', ')
    throw new ArchwayError('certificate_not_issued', `the rotation of ${name} is at "${before}": --step ${possible}`)
  }
  const reissued = await DO[step](options)
  return { ...reissued, state: rotationState(folder, name) }
}

const DO: Readonly<Record<Step, (options: RotationOptions) => Promise<Reissued>>> = {
  prepare,
  issue,
  finish,
  undo,
}

/** Both are trusted. */
async function prepare(options: RotationOptions): Promise<Reissued> {
  const { folder, name } = options
  const { next, issuing } = rotationPaths(folder, name)
  const current = issuingCertificate(options)
  if (rotationState(folder, name) === 'none') await makeNext(current, options)
  replaceFile({ path: issuing, content: current.pem })
  trustThese([current, certificateIn(next.certificate)], options)
  return NOTHING
}

/** The new one has the name and the limits of the old one. */
async function makeNext(current: CertificateFacts, options: RotationOptions): Promise<void> {
  const { folder, name, algorithm, now, lifeMs, passphrase } = options
  const { next } = rotationPaths(folder, name)
  const key = await generateKey(algorithm)
  const { certificatePem } = await createAuthority(key, {
    commonName: current.subject.commonName,
    notBefore: new Date(now.getTime() - 300_000),
    notAfter: new Date(now.getTime() + lifeMs),
    pathLength: current.pathLength,
    nameConstraints: current.nameConstraints,
  })
  replaceFile({ path: next.key, content: keyPem(key, passphrase) })
  replaceFile({ path: next.certificate, content: certificatePem })
}

/** The new one issues, and has issued everything that the old one had. */
async function issue(options: RotationOptions): Promise<Reissued> {
  const { current, next, old, issuing } = rotationPaths(options.folder, options.name)
  if (isThere(next.certificate)) {
    const [own, coming] = [issuingCertificate(options), certificateIn(next.certificate)]
    if (!isSameCertificate(own, coming)) {
      replaceFile({ path: old.key, content: readSecretFile(current.key) })
      replaceFile({ path: old.certificate, content: own.pem })
      replaceFile({ path: current.key, content: readSecretFile(next.key) })
    }
    trustThese([coming, certificateIn(old.certificate)], options)
    replaceFile({ path: issuing, content: coming.pem })
    removeFile(next.certificate)
  }
  removeFile(next.key)
  return renewFrom(certificateIn(old.certificate), options)
}

/** The old one is trusted no longer. */
async function finish(options: RotationOptions): Promise<Reissued> {
  const { folder, name } = options
  const { old, issuing } = rotationPaths(folder, name)
  const inUse = issuedBy(leavesOf(options), certificateIn(old.certificate)).filter(({ key }) => key.state !== 'missing')
  const left = inUse.map((holding) => holding.name)
  if (left.length > 0) {
    const message = `${left.join(', ')}: still by the old ${name}; --step issue renews them`
    throw new ArchwayError('certificate_not_issued', message)
  }
  trustThese([issuingCertificate(options)], options)
  retire(options, [old.certificate, old.key])
  removeFile(issuing)
  return NOTHING
}

/** What the last act of a step that was cut off had still to take away; whether there was any. */
function tidied(step: Step, options: RotationOptions): boolean {
  const { next, old, issuing } = rotationPaths(options.folder, options.name)
  const left = [old.certificate, old.key, next.certificate, next.key, issuing].filter(isThere)
  if (left.length === 0 || (step !== 'finish' && step !== 'undo')) return false
  retire(options, left)
  return true
}

/** Keys that nothing is issued with any more are kept, out of the way. */
function retire({ folder, name, now }: RotationOptions, paths: readonly string[]): void {
  for (const path of paths) {
    const to = freshPath(join(backupFolder(folder, now), name, '..', basename(path)))
    writeNewFile({ path: to, content: readSecretFile(path) })
    removeFile(path)
  }
}

/** One step back: nobody trusts the new one, or the old one issues again. */
async function undo(options: RotationOptions): Promise<Reissued> {
  const { current, next, old, issuing } = rotationPaths(options.folder, options.name)
  if (!isThere(old.certificate)) {
    const coming = certificateIn(next.certificate)
    trustThese(
      trustedNow(options).filter((one) => !isSameCertificate(one, coming)),
      options,
    )
    for (const path of [issuing, next.certificate, next.key]) removeFile(path)
    return NOTHING
  }
  const previous = certificateIn(old.certificate)
  const own = issuingCertificate(options)
  if (!isSameCertificate(own, previous)) {
    replaceFile({ path: next.key, content: readSecretFile(current.key) })
    replaceFile({ path: next.certificate, content: own.pem })
    replaceFile({ path: current.key, content: readSecretFile(old.key) })
  }
  replaceFile({ path: issuing, content: previous.pem })
  trustThese([previous, certificateIn(next.certificate)], options)
  const reissued = await renewFrom(certificateIn(next.certificate), options)
  for (const path of [old.certificate, old.key]) removeFile(path)
  return reissued
}

async function renewFrom(previous: CertificateFacts, options: RotationOptions): Promise<Reissued> {
  const { folder, name, passphrase, now } = options
  const authority = openFolderAuthority({ folder, name, passphrase, pastEnd: 'clamp', now: () => now })
  const renewed: Renewed[] = []
  const left: { name: string; why: string }[] = []
  for (const holding of issuedBy(leavesOf(options), previous)) {
    try {
      renewed.push(await renew(holding, authority, { folder, now, keepKey: false }))
    } catch (thrown) {
      if (!(thrown instanceof ArchwayError)) throw thrown
      left.push({ name: holding.name, why: thrown.message })
    }
  }
  return { renewed, left }
}

function leavesOf({ folder, passphrase, holdings }: RotationOptions): readonly Holding[] {
  const { found, unreadable } = holdingsOf(folder, passphrase)
  const [broken] = unreadable
  if (broken !== undefined) throw new ArchwayError('file_invalid', broken.why)
  return [...found, ...holdings]
}

/** The authority's file, and every copy that trusted any of it. */
function trustThese(certificates: readonly CertificateFacts[], options: RotationOptions): void {
  const { current } = rotationPaths(options.folder, options.name)
  const before = trustedNow(options)
  const bundle = certificates.map(({ pem }) => pem).join('')
  replaceFile({ path: current.certificate, content: bundle })
  for (const copy of options.trusting) {
    const trusted = copy.trustedPem === undefined ? [] : readCertificates(copy.trustedPem, 'certificate-authority-data')
    const isOurs = trusted.some((one) => [...before, ...certificates].some((other) => isSameCertificate(one, other)))
    if (isOurs) copy.trust(bundle)
  }
}

function trustedNow({ folder, name }: RotationOptions): readonly CertificateFacts[] {
  const { certificate } = rotationPaths(folder, name).current
  return readCertificates(readTextFile(certificate), certificate)
}

/** The one that the key in use is of. */
function issuingCertificate(options: RotationOptions): CertificateFacts {
  const { current } = rotationPaths(options.folder, options.name)
  const key = readKey(readSecretFile(current.key), { where: current.key, passphrase: options.passphrase })
  const found = trustedNow(options).find(({ publicKey }) => isSameKey(publicKey, key))
  if (found !== undefined) return found
  throw new ArchwayError('key_unusable', `${current.key}: is the key of no certificate in ${current.certificate}`)
}

function certificateIn(path: string): CertificateFacts {
  const [certificate] = readCertificates(readTextFile(path), path)
  if (certificate !== undefined) return certificate
  throw new ArchwayError('file_invalid', `${path}: holds no certificate, PEM`)
}
