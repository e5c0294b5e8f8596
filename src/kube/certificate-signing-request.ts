/**
 * CertificateSigningRequest on the wire, v1 and v1beta1: what the API returns, typed; an object to create; its
 * conditions and its state. Owns no word of X.509: the request stays PEM.
 *
 * @see https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/certificate-signing-request-v1/
 * @module
 */
import { ArchwayError } from '../errors.ts'
import type { UserInfo } from '../user.ts'
import { asObject, type Fields, member, optionalString, requiredString, stringList } from './fields.ts'

/** v1beta1 is what clusters below 1.19 have; 1.22 has it no more. */
export type CsrVersion = 'v1' | 'v1beta1'

export const CSR_GROUP = 'certificates.k8s.io'
export const CSR_KIND = 'CertificateSigningRequest'

export interface CsrCondition {
  /** `Approved`, `Denied`, `Failed`, or somebody's own. */
  readonly type: string
  /** `True`, `False`, `Unknown`; v1beta1 leaves it out where it is True. */
  readonly status: string
  readonly reason: string
  readonly message: string
}

/** One request as the cluster has it. `spec` never changes; metadata and status do. */
export interface CertificateSigningRequest {
  readonly name: string
  /** Empty for a manifest that was never created. */
  readonly uid: string
  readonly resourceVersion: string
  readonly created: Date | undefined
  /** The request, text of a PEM file. Judged by the API server alone so far. */
  readonly request: string
  readonly signerName: string
  readonly usages: readonly string[]
  readonly expirationSeconds: number | undefined
  /** Who created it, by the API server's word. */
  readonly requester: UserInfo
  readonly conditions: readonly CsrCondition[]
  /** PEM, the issued certificate first; `undefined` as long as there is none. */
  readonly certificate: string | undefined
  /** The object itself: an update sends it back whole. */
  readonly object: Fields
}

const MOST_GROUPS = 10_000
const MOST_USAGES = 1_000
const BASE64 = /^[A-Za-z\d+/]*={0,2}$/

/** Reads an object of the API, or a manifest. Throws `body_invalid` with the field. */
export function parseCsr(value: unknown): CertificateSigningRequest {
  const object = asObject(value, CSR_KIND)
  const metadata = asObject(member(object, 'metadata'), 'metadata')
  const spec = asObject(member(object, 'spec'), 'spec')
  const status = asObject(member(object, 'status') ?? {}, 'status')
  const certificate = bytes(status, 'certificate', 'status.certificate')
  return {
    name: optionalString(metadata, 'name', 'metadata.name'),
    uid: optionalString(metadata, 'uid', 'metadata.uid'),
    resourceVersion: optionalString(metadata, 'resourceVersion', 'metadata.resourceVersion'),
    created: time(metadata, 'creationTimestamp', 'metadata.creationTimestamp'),
    request: bytes(spec, 'request', 'spec.request'),
    signerName: optionalString(spec, 'signerName', 'spec.signerName'),
    usages: stringList(spec, 'usages', 'spec.usages', MOST_USAGES),
    expirationSeconds: seconds(spec),
    requester: requester(spec),
    conditions: conditions(status),
    certificate: certificate === '' ? undefined : certificate,
    object,
  }
}

function bytes(object: Fields, key: string, where: string): string {
  const text = optionalString(object, key, where).replace(/\s+/g, '')
  if (!BASE64.test(text)) throw new ArchwayError('body_invalid', `${where} is not base64`)
  return Buffer.from(text, 'base64').toString('utf8')
}

function time(object: Fields, key: string, where: string): Date | undefined {
  const text = optionalString(object, key, where)
  if (text === '') return undefined
  const found = new Date(text)
  if (Number.isNaN(found.getTime())) throw new ArchwayError('body_invalid', `${where} is not a time`)
  return found
}

function seconds(spec: Fields): number | undefined {
  const found = member(spec, 'expirationSeconds')
  if (found === undefined) return undefined
  if (typeof found !== 'number' || !Number.isInteger(found)) {
    throw new ArchwayError('body_invalid', 'spec.expirationSeconds is not a whole number')
  }
  return found
}

function requester(spec: Fields): UserInfo {
  const extra = asObject(member(spec, 'extra') ?? {}, 'spec.extra')
  return {
    username: optionalString(spec, 'username', 'spec.username'),
    uid: optionalString(spec, 'uid', 'spec.uid'),
    groups: stringList(spec, 'groups', 'spec.groups', MOST_GROUPS),
    extra: new Map(
      Object.keys(extra).map((key) => [key, stringList(extra, key, 'a value of spec.extra', MOST_GROUPS)]),
    ),
  }
}

function conditions(status: Fields): readonly CsrCondition[] {
  const list = member(status, 'conditions') ?? []
  if (!Array.isArray(list)) throw new ArchwayError('body_invalid', 'status.conditions is not a list')
  return list.map((item: unknown, index): CsrCondition => {
    const where = `status.conditions[${index}]`
    const condition = asObject(item, where)
    return {
      type: requiredString(condition, 'type', `${where}.type`),
      status: optionalString(condition, 'status', `${where}.status`) || 'True',
      reason: optionalString(condition, 'reason', `${where}.reason`),
      message: optionalString(condition, 'message', `${where}.message`),
    }
  })
}

/** The condition of a type, where it holds. */
export function conditionOf({ conditions: all }: CertificateSigningRequest, type: string): CsrCondition | undefined {
  return all.find((condition) => condition.type === type && condition.status === 'True')
}

/** As `kubectl get csr` has it: `Pending`, `Approved`, `Approved,Issued`, `Denied`, `Approved,Failed` … */
export function stateOf(csr: CertificateSigningRequest): string {
  const decision = conditionOf(csr, 'Denied') ?? conditionOf(csr, 'Approved')
  const rest = [
    ...(conditionOf(csr, 'Failed') === undefined ? [] : ['Failed']),
    ...(csr.certificate === undefined ? [] : ['Issued']),
  ]
  return [decision?.type ?? 'Pending', ...rest].join(',')
}

/** What {@link newCsr} puts together. */
export interface NewCsr {
  /** A name, or the beginning of one that the server completes. */
  readonly name: { readonly name: string } | { readonly generateName: string }
  readonly request: string
  readonly signerName: string
  readonly usages: readonly string[]
  readonly expirationSeconds?: number | undefined
}

/** An object to create. */
export function newCsr(version: CsrVersion, { name, request, signerName, usages, expirationSeconds }: NewCsr): Fields {
  return {
    apiVersion: `${CSR_GROUP}/${version}`,
    kind: CSR_KIND,
    metadata: name,
    spec: {
      request: Buffer.from(request).toString('base64'),
      signerName,
      ...(expirationSeconds === undefined ? {} : { expirationSeconds }),
      usages,
    },
  }
}

/** What is to be added to the status of a request. */
export interface StatusChange {
  readonly condition?: Omit<CsrCondition, 'status'>
  /** PEM. */
  readonly certificate?: string
}

/** The whole object with the addition, `resourceVersion` and all, so that the server refuses it after another change. */
export function withStatus(csr: CertificateSigningRequest, { condition, certificate }: StatusChange): Fields {
  const status = asObject(member(csr.object, 'status') ?? {}, 'status')
  const before: unknown = member(status, 'conditions') ?? []
  return {
    ...csr.object,
    status: {
      ...status,
      ...(condition === undefined
        ? {}
        : { conditions: [...(Array.isArray(before) ? before : []), { ...condition, status: 'True' }] }),
      ...(certificate === undefined ? {} : { certificate: Buffer.from(certificate).toString('base64') }),
    },
  }
}
