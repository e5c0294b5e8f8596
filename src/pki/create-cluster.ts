/**
 * The authorities of a cluster, made in one go, and the key pair of its service accounts. Owns which key each of them
 * may have; leaves flags and printing to the command.
 *
 * @module
 */
import { join } from 'node:path'
import { ArchwayError } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { isThere, makeFolder, type NewFile, replaceFile, writeNewFile } from './files.ts'
import { createAuthority } from './issuing.ts'
import { generateKey, type KeyAlgorithm, keyPem, publicKeyPem } from './keys.ts'
import { AUTHORITIES, AUTHORITY_NAMES, type AuthorityName, pairPaths, serviceAccountPaths } from './layout.ts'
import type { NameConstraints } from './name-constraints.ts'

/** An authority, or the service accounts' keys. */
export type ItemName = AuthorityName | 'sa'

export const ITEM_NAMES: readonly ItemName[] = [...AUTHORITY_NAMES, 'sa']

export interface CreateClusterOptions {
  readonly folder: string
  readonly algorithm: KeyAlgorithm
  readonly notBefore: Date
  readonly notAfter: Date
  /** Undefined: any number of authorities below. */
  readonly pathLength: number | undefined
  /** For the authorities that certify servers. */
  readonly nameConstraints: NameConstraints
  /** For the authorities' keys. Never for the service accounts', which kube-controller-manager reads. */
  readonly passphrase: Secret | undefined
  /** What is made again where it is there already. */
  readonly replace: ReadonlySet<ItemName>
  readonly random?: (bytes: number) => Uint8Array
}

/** What was done with one item. */
export interface CreatedItem {
  readonly name: ItemName
  /** `kept`: one of its files was there, and nobody asked for another. */
  readonly state: 'made' | 'replaced' | 'kept'
  readonly paths: readonly string[]
  readonly algorithm: KeyAlgorithm
}

/** Makes what is not there; an item of which one file is there is left alone altogether. */
export async function createCluster(options: CreateClusterOptions): Promise<readonly CreatedItem[]> {
  makeFolder(options.folder)
  for (const name of AUTHORITY_NAMES) refuseHalf(name, options)
  const items: CreatedItem[] = []
  for (const name of ITEM_NAMES) items.push(await createItem(name, options))
  return items
}

/** A key alone is what is left of a run that was cut off, and no authority; a certificate alone is one from elsewhere. */
function refuseHalf(name: AuthorityName, { folder, replace }: CreateClusterOptions): void {
  const { certificate, key } = pairPaths(folder, name)
  if (!isThere(key) || isThere(certificate) || replace.has(name)) return
  throw new ArchwayError('file_invalid', `${key}: is there, and no ${certificate}; --replace ${name} makes both anew`)
}

async function createItem(name: ItemName, options: CreateClusterOptions): Promise<CreatedItem> {
  const algorithm = algorithmFor(name, options.algorithm)
  const paths = itemPaths(name, options.folder)
  const found = paths.some(isThere)
  if (found && !options.replace.has(name)) return { name, state: 'kept', paths, algorithm }
  const files =
    name === 'sa' ? await serviceAccountFiles(algorithm, options) : await authorityFiles(name, algorithm, options)
  for (const file of files) {
    if (found) replaceFile(file)
    else writeNewFile(file)
  }
  return { name, state: found ? 'replaced' : 'made', paths, algorithm }
}

/** Ed25519 where Kubernetes takes it: it signs no tokens of service accounts, which are RS256 or ES256 there. */
function algorithmFor(name: ItemName, asked: KeyAlgorithm): KeyAlgorithm {
  return asked === 'ed25519' && name === 'sa' ? 'ecdsa-p256' : asked
}

/** The files of an item. */
function itemPaths(name: ItemName, folder: string): readonly string[] {
  return Object.values(name === 'sa' ? serviceAccountPaths(folder) : pairPaths(folder, name))
}

async function serviceAccountFiles(algorithm: KeyAlgorithm, { folder }: CreateClusterOptions): Promise<NewFile[]> {
  const key = await generateKey(algorithm)
  const { privateKey, publicKey } = serviceAccountPaths(folder)
  return [
    { path: privateKey, content: keyPem(key) },
    { path: publicKey, content: publicKeyPem(key) },
  ]
}

async function authorityFiles(
  name: AuthorityName,
  algorithm: KeyAlgorithm,
  options: CreateClusterOptions,
): Promise<NewFile[]> {
  const { folder, notBefore, notAfter, pathLength, nameConstraints, passphrase, random } = options
  const key = await generateKey(algorithm)
  const limits = name === 'front-proxy-ca' ? { pathLength } : { pathLength, nameConstraints }
  const { certificatePem } = await createAuthority(
    key,
    { commonName: AUTHORITIES[name].commonName, notBefore, notAfter, ...limits },
    random === undefined ? {} : { random },
  )
  return [
    { path: join(folder, `${name}.key`), content: keyPem(key, passphrase) },
    { path: join(folder, `${name}.crt`), content: certificatePem },
  ]
}
