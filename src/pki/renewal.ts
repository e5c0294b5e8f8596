/**
 * Leaf certificates issued again: same subject, names, usages, kind of key and length of life; another key, unless it is
 * to stay. What was there goes to a folder of backups first.
 *
 * @module
 */
import type { KeyObject } from 'node:crypto'
import { basename, join } from 'node:path'
import { ArchwayError } from '../errors.ts'
import { type CertificateFacts, isIssuedBy } from './certificate.ts'
import { isThere, readSecretFile, writeNewFile } from './files.ts'
import type { FolderAuthority } from './folder-authority.ts'
import { backupFolder, type Holding } from './holdings.ts'
import { generateKey, type KeyAlgorithm, publicOf } from './keys.ts'

export interface RenewalOptions {
  readonly folder: string
  readonly now: Date
  /** Reuse the key that is there. */
  readonly keepKey: boolean
}

/** What became of one. */
export interface Renewed {
  readonly name: string
  readonly notAfter: Date
  readonly backups: readonly string[]
}

const BACKDATED_MS = 300_000

/**
 * Issues a holding again.
 *
 * @throws ArchwayError `certificate_not_issued` for one that says more than can be said again; `key_unusable` where its
 * key is not to be had; nothing has changed then
 */
export async function renew(holding: Holding, authority: FolderAuthority, options: RenewalOptions): Promise<Renewed> {
  const [leaf] = holding.certificates
  if (leaf === undefined) throw new ArchwayError('internal', `${holding.name}: nothing to renew`)
  checkRenewable(holding.name, leaf)
  if (holding.key.state !== 'present') {
    throw new ArchwayError(
      'key_unusable',
      `${holding.name}: its key is ${holding.key.state}; issue it where the key is`,
    )
  }
  const key = options.keepKey ? holding.key.key : await generateKey(algorithmOf(holding.key.key))
  const life = leaf.notAfter.getTime() - leaf.notBefore.getTime()
  const notBefore = new Date(options.now.getTime() - BACKDATED_MS)
  const issued = await authority.issue(publicOf(key), {
    subject: leaf.subject,
    altNames: leaf.altNames,
    notBefore,
    notAfter: new Date(notBefore.getTime() + life),
    keyUsages: leaf.usages.keyUsages,
    extendedKeyUsages: leaf.usages.extendedKeyUsages,
  })
  const backups = backUp(holding, options)
  holding.replace(`${issued.certificatePem}${authority.intermediatesPem}`, key)
  return { name: holding.name, notAfter: issued.notAfter, backups }
}

/** What would be lost is not renewed. */
function checkRenewable(name: string, { subject, altNames, usages, isAuthority }: CertificateFacts): void {
  const more = [
    ...(isAuthority ? ['is an authority'] : []),
    ...(subject.hasOthers ? ['has a subject of more than a name and groups'] : []),
    ...altNames.otherKinds.map((kind) => `has a name of the kind ${kind}`),
    ...usages.unknown.map((usage) => `is for ${usage}`),
  ]
  if (more.length > 0) throw new ArchwayError('certificate_not_issued', `${name}: ${more.join(', ')}; renew it by hand`)
}

/** The kind of key there is, or the nearest that is made here. */
function algorithmOf({ asymmetricKeyType, asymmetricKeyDetails = {} }: KeyObject): KeyAlgorithm {
  if (asymmetricKeyType === 'ed25519') return 'ed25519'
  if (asymmetricKeyType !== 'rsa') return asymmetricKeyDetails.namedCurve === 'prime256v1' ? 'ecdsa-p256' : 'ecdsa-p384'
  const { modulusLength = 0 } = asymmetricKeyDetails
  return modulusLength <= 2048 ? 'rsa-2048' : modulusLength <= 3072 ? 'rsa-3072' : 'rsa-4096'
}

/** Copies of the files, under the name they have in the folder. */
function backUp({ name, paths }: Holding, { folder, now }: RenewalOptions): readonly string[] {
  return paths.map((path) => {
    const to = freshPath(join(backupFolder(folder, now), name, '..', basename(path)))
    writeNewFile({ path: to, content: readSecretFile(path) }) // whoever could read the key, a copy is nobody's
    return to
  })
}

/** A path nothing has yet: there may be two backups of one second. */
export function freshPath(path: string): string {
  for (let at = 0; ; at += 1) {
    const candidate = at === 0 ? path : `${path}.${at}`
    if (!isThere(candidate)) return candidate
  }
}

/** Which of them are by one of these authorities. */
export function issuedBy(holdings: readonly Holding[], authority: CertificateFacts): readonly Holding[] {
  return holdings.filter(({ authority: name, certificates: [leaf] }) => {
    return name === undefined && leaf !== undefined && isIssuedBy(leaf, authority)
  })
}

/** Whether it is time: less is left than so many days, or than a third of its life. */
export function isDue({ notBefore, notAfter }: CertificateFacts, now: Date, withinDays: number): boolean {
  const left = notAfter.getTime() - now.getTime()
  return left < Math.min(withinDays * 86_400_000, (notAfter.getTime() - notBefore.getTime()) / 3)
}
