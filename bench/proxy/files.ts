/**
 * What both sides of the comparison are given: certificates, a token, and the objects that are asked for.
 *
 * @module
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { clientCertificate, servingCertificate } from '../../src/pki/self-signed.ts'

export const TOKEN = 'bench-token-0123456789abcdef0123456789abcdef'
export const SMALL = '/api/v1/namespaces/default/configmaps/small'
export const LIST = '/api/v1/configmaps'

/** Paths. */
export interface Files {
  readonly folder: string
  readonly ca: string
  readonly cert: string
  readonly key: string
  readonly frontCa: string
  readonly frontCert: string
  readonly frontKey: string
  readonly tokens: string
  /** What a web server would serve as {@link SMALL} and {@link LIST}. */
  readonly www: string
  readonly list: string
}

export async function writeFiles(folder: string): Promise<Files> {
  const file = (name: string, content: string): string => {
    const path = join(folder, name)
    writeFileSync(path, content, { mode: 0o600 })
    return path
  }
  const made = await servingCertificate({ names: ['localhost'], addresses: ['127.0.0.1'], days: 1 })
  const front = await clientCertificate({ commonName: 'front-proxy-client', days: 1 })
  const items = Array.from({ length: 5400 }, (_, at) => configMap(`map-${at}`))
  mkdirSync(join(folder, 'www/api/v1/namespaces/default/configmaps'), { recursive: true })
  file(`www${SMALL}`, JSON.stringify({ kind: 'ConfigMap', apiVersion: 'v1', ...configMap('small') }))
  return {
    folder,
    ca: file('ca.crt', made.ca),
    cert: file('tls.crt', made.certificate),
    key: file('tls.key', made.key),
    frontCa: file('front-ca.crt', front.ca),
    frontCert: file('front.crt', front.certificate),
    frontKey: file('front.key', front.key),
    tokens: file('tokens.csv', `${TOKEN},alice,1,"devs"\n`),
    www: join(folder, 'www'),
    list: file(`www${LIST}`, JSON.stringify({ kind: 'ConfigMapList', apiVersion: 'v1', metadata: {}, items })),
  }
}

function configMap(name: string): object {
  return {
    metadata: { name, namespace: 'default', uid: '0f0e0d0c-0000-4000-8000-000000000000', resourceVersion: '4711' },
    data: { 'settings.yaml': 'key: value\n'.repeat(60) },
  }
}
