/**
 * What a kubeconfig already says of a cluster: where it is, and who vouches for it.
 *
 * @module
 */
import { dirname, resolve } from 'node:path'
import { ArchwayError } from '../../errors.ts'
import { type Fields, member } from '../../kube/fields.ts'
import type { KubeconfigDocument } from '../../kube/kubeconfig-file/document.ts'
import type { LoadedKubeconfigs } from '../../kube/kubeconfig-file/locate.ts'
import { readKubeconfigFile } from '../../kube/kubeconfig-file/replace-file.ts'
import { parseServerAddress, type ServerAddress } from './server-address.ts'

/** A cluster of a kubeconfig. */
export interface KnownCluster {
  readonly name: string
  readonly address: ServerAddress
  /** PEM; undefined where it has none, or where it says that nobody need vouch. */
  readonly ca: string | undefined
  readonly serverName: string | undefined
  /** Whether it may be used as it stands: it does not switch verification off, nor go through a proxy. */
  readonly usable: boolean
}

/** The first cluster with that address, whatever it is called. */
export function clusterAt(address: ServerAddress, loaded: LoadedKubeconfigs): KnownCluster | undefined {
  return clustersOf(loaded).find((cluster) => cluster.address.url === address.url)
}

/** The cluster of a context; undefined where there is no such context, or its cluster cannot be used. */
export function clusterOfContext(context: string, loaded: LoadedKubeconfigs): KnownCluster | undefined {
  const settings = [...loaded.values()].map((document) => document.entry('context', context)).find(Boolean)
  const name = settings === undefined ? undefined : member(settings, 'cluster')
  return clustersOf(loaded).find((cluster) => cluster.name === name)
}

/** The first of a name counts. What has no address one could use is passed over: it is not what is looked for. */
function clustersOf(loaded: LoadedKubeconfigs): readonly KnownCluster[] {
  const known = new Map<string, KnownCluster | undefined>()
  for (const document of loaded.values()) {
    for (const name of document.names('cluster')) {
      if (!known.has(name)) known.set(name, readCluster(document, name))
    }
  }
  return [...known.values()].filter((cluster) => cluster !== undefined)
}

function readCluster(document: KubeconfigDocument, name: string): KnownCluster | undefined {
  const settings = document.entry('cluster', name) ?? {}
  const address = addressOf(textOf(settings, 'server'))
  if (address === undefined) return undefined
  const insecure = member(settings, 'insecure-skip-tls-verify') === true
  return {
    name,
    address,
    get ca() {
      return insecure ? undefined : authorityOf(document, settings)
    },
    serverName: textOf(settings, 'tls-server-name') || undefined,
    usable: !insecure && member(settings, 'proxy-url') === undefined,
  }
}

/** Read when it is asked for: the files of other clusters are none of our business. */
function authorityOf({ path }: KubeconfigDocument, settings: Fields): string | undefined {
  const data = textOf(settings, 'certificate-authority-data')
  if (data !== '') return Buffer.from(data, 'base64').toString('utf8')
  const file = textOf(settings, 'certificate-authority')
  if (file === '') return undefined
  const place = resolve(dirname(path), file)
  const content = readKubeconfigFile(place)
  if (content === undefined) throw new ArchwayError('file_invalid', `${place}: is not there; ${path} names it as a CA`)
  return content.toString()
}

function addressOf(server: string): ServerAddress | undefined {
  try {
    return parseServerAddress(server)
  } catch {
    return undefined
  }
}

function textOf(settings: Fields, key: string): string {
  const value = member(settings, key)
  return typeof value === 'string' ? value : ''
}
