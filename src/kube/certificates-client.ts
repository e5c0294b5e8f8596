/**
 * Certificate signing requests of a cluster: read, created, decided, answered, removed. Owns the paths, and which
 * version of the API is spoken: v1, or v1beta1 where the server does not have v1.
 *
 * @module
 */
import type { KubeClient } from './api-client/client.ts'
import { KubeApiError } from './api-client/error.ts'
import {
  type CertificateSigningRequest,
  CSR_GROUP,
  CSR_KIND,
  type CsrVersion,
  type NewCsr,
  newCsr,
  parseCsr,
  type StatusChange,
  withStatus,
} from './certificate-signing-request.ts'

/** The requests of one cluster. Everything throws `KubeApiError`, or `body_invalid` for an answer that is no request. */
export interface CertificateRequests {
  version(signal?: AbortSignal): Promise<CsrVersion>
  /** Path of the list, for a watch. */
  path(signal?: AbortSignal): Promise<string>
  /** `undefined`: there is none of that name. */
  get(name: string, signal?: AbortSignal): Promise<CertificateSigningRequest | undefined>
  list(signal?: AbortSignal): Promise<readonly CertificateSigningRequest[]>
  create(request: NewCsr, signal?: AbortSignal): Promise<CertificateSigningRequest>
  /** Approves or denies. The server takes nothing but the condition; 409 when somebody was faster. */
  decide(csr: CertificateSigningRequest, change: StatusChange, signal?: AbortSignal): Promise<CertificateSigningRequest>
  /** Writes a certificate, or `Failed`. 409 when somebody was faster. */
  answer(csr: CertificateSigningRequest, change: StatusChange, signal?: AbortSignal): Promise<CertificateSigningRequest>
  /** Removes this very request, not another of its name; one that is gone already is gone. */
  remove(csr: Pick<CertificateSigningRequest, 'name' | 'uid'>, signal?: AbortSignal): Promise<void>
}

/** Asks for the version with the first call that needs it. */
export function certificateRequests(client: KubeClient): CertificateRequests {
  let known: CsrVersion | undefined

  async function version(signal?: AbortSignal): Promise<CsrVersion> {
    known ??= (await serves('v1', signal)) ? 'v1' : 'v1beta1'
    return known
  }

  async function serves(candidate: CsrVersion, signal?: AbortSignal): Promise<boolean> {
    try {
      await client.get(`/apis/${CSR_GROUP}/${candidate}`, signal)
      return true
    } catch (thrown) {
      if (statusOf(thrown) === 404) return false
      if (statusOf(thrown) === 403) return true // who may not look around may use what there is
      throw thrown
    }
  }

  async function path(signal?: AbortSignal): Promise<string> {
    return `/apis/${CSR_GROUP}/${await version(signal)}/certificatesigningrequests`
  }

  async function pathOf(name: string, signal?: AbortSignal): Promise<string> {
    return `${await path(signal)}/${encodeURIComponent(name)}`
  }

  async function put(
    subresource: 'approval' | 'status',
    csr: CertificateSigningRequest,
    change: StatusChange,
    signal?: AbortSignal,
  ): Promise<CertificateSigningRequest> {
    const to = `${await pathOf(csr.name, signal)}/${subresource}`
    const apiVersion = `${CSR_GROUP}/${await version(signal)}`
    return parseCsr(await client.replace(to, { ...withStatus(csr, change), apiVersion, kind: CSR_KIND }, signal))
  }

  return {
    version,
    path,
    async get(name, signal) {
      try {
        return parseCsr(await client.get(await pathOf(name, signal), signal))
      } catch (thrown) {
        if (statusOf(thrown) === 404) return undefined
        throw thrown
      }
    },
    list: async (signal) => (await client.list({ path: await path(signal) }, signal)).items.map(parseCsr),
    async create(request, signal) {
      return parseCsr(await client.create(await path(signal), newCsr(await version(signal), request), signal))
    },
    decide: (csr, change, signal) => put('approval', csr, change, signal),
    answer: (csr, change, signal) => put('status', csr, change, signal),
    async remove({ name, uid }, signal) {
      try {
        await client.remove(await pathOf(name, signal), { uid }, signal)
      } catch (thrown) {
        if (statusOf(thrown) !== 404) throw thrown
      }
    },
  }
}

function statusOf(thrown: unknown): number | undefined {
  return thrown instanceof KubeApiError ? thrown.status : undefined
}
