/** Requests of any kind, an authority, and objects as a cluster has them. */
import type { KeyObject } from 'node:crypto'
import { type CertificateSigningRequest, newCsr, parseCsr } from '../../src/kube/certificate-signing-request.ts'
import { type Authority, createAuthority, openAuthority } from '../../src/pki/issuing.ts'
import { generateKey } from '../../src/pki/keys.ts'
import type { SubjectAltNames } from '../../src/pki/names.ts'
import { NO_ALT_NAMES } from '../../src/pki/names.ts'
import { createRequest } from '../../src/pki/request.ts'

export const NOW = new Date('2030-01-01T00:00:00Z')

let shared: Promise<KeyObject> | undefined

/** One key for every request that does not need its own. */
export function sharedKey(): Promise<KeyObject> {
  shared ??= generateKey('ecdsa-p256')
  return shared
}

export interface AuthorityTestOptions {
  readonly notAfter?: Date
  readonly now?: () => Date
}

export async function testAuthority({
  notAfter = new Date('2050-01-01T00:00:00Z'),
  now = () => NOW,
}: AuthorityTestOptions = {}): Promise<Authority> {
  const key = await generateKey('ecdsa-p256')
  const { certificatePem } = await createAuthority(key, {
    commonName: 'test-ca',
    notBefore: new Date('2020-01-01T00:00:00Z'),
    notAfter,
  })
  return openAuthority(certificatePem, key, { pastEnd: 'clamp', now })
}

export interface TestCsr {
  readonly name?: string
  readonly username?: string
  readonly groups?: readonly string[]
  readonly commonName?: string
  readonly organizations?: readonly string[]
  readonly names?: Partial<SubjectAltNames>
  readonly usages?: readonly string[]
  readonly signerName?: string
  readonly expirationSeconds?: number
  readonly conditions?: readonly string[]
  readonly key?: KeyObject
  /** PEM, in the place of one that is made. */
  readonly request?: string
}

/** Made by `jane`, for herself, unless told otherwise. */
export async function testCsr(options: TestCsr = {}): Promise<CertificateSigningRequest> {
  const { name = 'jane-1', username = 'jane', groups = ['people'], signerName = 'example.com/people' } = options
  const {
    commonName = username,
    organizations = [],
    names = {},
    usages = ['client auth', 'digital signature'],
  } = options
  const key = options.key ?? (await sharedKey())
  const request =
    options.request ?? (await createRequest(key, { commonName, organizations }, { ...NO_ALT_NAMES, ...names }))
  const { expirationSeconds } = options
  const object = newCsr('v1', { name: { name }, request, signerName, usages, expirationSeconds })
  const spec = object['spec'] as object
  return parseCsr({
    ...object,
    metadata: { name, uid: `uid-${name}`, resourceVersion: '1', creationTimestamp: '2030-01-01T00:00:00Z' },
    spec: { ...spec, username, groups },
    status: { conditions: (options.conditions ?? []).map((type) => ({ type, status: 'True', reason: 'Test' })) },
  })
}
