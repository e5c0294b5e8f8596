/**
 * Kubeconfigs that hold a client certificate: written around a new one, and found in a folder to be checked and renewed.
 *
 * @module
 */
import { relative } from 'node:path'
import { stringify } from 'yaml'
import { ArchwayError } from '../../errors.ts'
import { parseKubeconfig } from '../../kube/kubeconfig-file/document.ts'
import { editKubeconfig } from '../../kube/kubeconfig-file/edit.ts'
import { type Entry, wholeKubeconfig } from '../../kube/kubeconfig-file/entries.ts'
import { readCertificates } from '../../pki/certificate.ts'
import { readFile, replaceFile } from '../../pki/files.ts'
import { filesOf, type HeldKey, type Holding, type Holdings, type Unreadable } from '../../pki/holdings.ts'
import { isEncryptedKey, keyPem, readKey } from '../../pki/keys.ts'
import { Secret } from '../../secret.ts'

export interface NewKubeconfig {
  readonly server: string
  /** What the server's certificate has to be by, PEM. */
  readonly authorityPem: string
  readonly clusterName: string
  readonly userName: string
  readonly namespace: string | undefined
  readonly certificatePem: string
  readonly key: Secret
}

/** The text of a kubeconfig with one cluster, one user and one context. */
export function certificateKubeconfig(options: NewKubeconfig): Secret {
  const { server, authorityPem, clusterName, userName, namespace, certificatePem, key } = options
  const name = `${userName}@${clusterName}`
  const entries: readonly Entry[] = [
    { kind: 'cluster', name: clusterName, settings: { server, 'certificate-authority-data': base64(authorityPem) } },
    { kind: 'user', name: userName, settings: userSettings(certificatePem, key) },
    {
      kind: 'context',
      name,
      settings: { cluster: clusterName, user: userName, ...(namespace === undefined ? {} : { namespace }) },
    },
  ]
  return new Secret(stringify(wholeKubeconfig(entries, name), { lineWidth: 0, indentSeq: false, compat: 'yaml-1.1' }))
}

function userSettings(certificatePem: string, key: Secret) {
  return { 'client-certificate-data': base64(certificatePem), 'client-key-data': base64(key.reveal()) }
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64')
}

/** A certificate in a kubeconfig. */
export interface KubeconfigHolding extends Holding {
  /** Trusts these authorities for the server, PEM; undefined where the kubeconfig names a file, or nothing. */
  readonly trustedPem: string | undefined
  /** Trusts others from now on. */
  trust(authorityPem: string): void
}

/** What {@link kubeconfigHoldings} gives. */
export interface KubeconfigHoldings extends Holdings {
  readonly found: readonly KubeconfigHolding[]
}

/** The certificates embedded in files that end in `.conf` or `.kubeconfig`, those of the current context. */
export function kubeconfigHoldings(folder: string): KubeconfigHoldings {
  const found: KubeconfigHolding[] = []
  const unreadable: Unreadable[] = []
  for (const path of filesOf(folder)) {
    if (!/\.(conf|kubeconfig)$/.test(path)) continue
    try {
      const holding = kubeconfigHolding(path, relative(folder, path))
      if (holding !== undefined) found.push(holding)
    } catch (thrown) {
      if (!(thrown instanceof ArchwayError)) throw thrown
      unreadable.push({ name: relative(folder, path), why: thrown.message })
    }
  }
  return { found, unreadable }
}

/** Undefined for a kubeconfig without a certificate in it. Throws `file_invalid`. */
function kubeconfigHolding(path: string, name: string): KubeconfigHolding | undefined {
  const { content, mode } = readFile(path)
  const document = parseKubeconfig(path, content)
  const context = document.entry('context', document.currentContext)
  const [userName, clusterName] = [String(context?.['user'] ?? ''), String(context?.['cluster'] ?? '')]
  const user = document.entry('user', userName)
  const pem = decoded(user?.['client-certificate-data'])
  if (pem === undefined) return undefined
  const certificates = readCertificates(pem, `${path}: users, "${userName}"`)
  if (certificates.length === 0)
    throw new ArchwayError('file_invalid', `${path}: client-certificate-data holds no certificate`)
  return {
    name,
    paths: [path],
    authority: undefined,
    certificates,
    key: heldKey(decoded(user?.['client-key-data']), path, mode),
    trustedPem: decoded(document.entry('cluster', clusterName)?.['certificate-authority-data']),
    replace: (chainPem, key) => change('user', userName, userSettings(chainPem, keyPem(key))),
    trust: (authorityPem) => change('cluster', clusterName, { 'certificate-authority-data': base64(authorityPem) }),
  }

  /** Reads again: what was changed before has to stay. */
  function change(kind: 'user' | 'cluster', entryName: string, fields: object): void {
    const current = parseKubeconfig(path, readFile(path).content)
    const settings = { ...current.entry(kind, entryName), ...fields }
    const entry = { kind, name: entryName, settings } as Entry // the fields of others are kept as they are
    const { text } = editKubeconfig(current, { entries: [entry], currentContext: undefined })
    replaceFile({ path, content: new Secret(text) })
  }
}

function decoded(data: unknown): string | undefined {
  return typeof data === 'string' && data !== '' ? Buffer.from(data, 'base64').toString('utf8') : undefined
}

function heldKey(pem: string | undefined, path: string, mode: number): HeldKey {
  if (pem === undefined) return { state: 'missing' }
  if (isEncryptedKey(pem)) return { state: 'encrypted', mode }
  try {
    return { state: 'present', key: readKey(new Secret(pem), { where: path }), mode }
  } catch (thrown) {
    if (!(thrown instanceof ArchwayError)) throw thrown
    return { state: 'unreadable', why: thrown.message }
  }
}
