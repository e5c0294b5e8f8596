/**
 * What a signer does with one request: nothing, sign it, or fail it for good. Each way of signing is a function of the
 * object and the time; writing the outcome to the cluster is left to `controller.ts` and to commands.
 *
 * @module
 */
import { type CertificateSigningRequest, conditionOf } from '../kube/certificate-signing-request.ts'
import type { Authority, IssuedCertificate } from '../pki/issuing.ts'
import type { CertificateRequest } from '../pki/request.ts'
import { type Asked, askedBy } from './asked.ts'
import { brokenRule, isBuiltIn } from './built-in-signers.ts'
import { templateOf } from './certificate.ts'
import type { Breach } from './finding.ts'
import type { SignerPolicy } from './policy.ts'

/** What became of it. Thrown: could not be done now, and may be tried again. */
export type Signing =
  /** Not this signer's, not approved, or done already. */
  | { readonly kind: 'ignored' }
  | { readonly kind: 'issued'; readonly issued: IssuedCertificate; readonly rule: string }
  /** Final. */
  | { readonly kind: 'failed'; readonly reason: string; readonly breaches: readonly Pick<Breach, 'message'>[] }

/** Whether a signer may act on it: approved, not denied, not failed, no certificate yet. */
export function isReady(csr: CertificateSigningRequest): boolean {
  return (
    conditionOf(csr, 'Approved') !== undefined &&
    conditionOf(csr, 'Denied') === undefined &&
    conditionOf(csr, 'Failed') === undefined &&
    csr.certificate === undefined
  )
}

export interface SigningOptions {
  /** Its certificates end with it at the latest. */
  readonly authority: Authority
  readonly now: () => Date
}

/** Signs what a policy grants. Whether it is approved is the caller's to know ({@link isReady}). */
export async function signByPolicy(
  csr: CertificateSigningRequest,
  policy: SignerPolicy,
  options: SigningOptions,
): Promise<Signing> {
  const asked = askedBy(csr)
  if (asked === undefined) return policy.signerNames.includes(csr.signerName) ? unreadable : { kind: 'ignored' }
  const decision = policy.decide(asked)
  switch (decision.kind) {
    case 'not-ours':
      return { kind: 'ignored' }
    case 'refused':
      return { kind: 'failed', reason: 'PolicyBreach', breaches: decision.breaches }
    case 'granted':
      return { kind: 'issued', rule: decision.rule, issued: await issue(asked, decision.seconds, options) }
    default:
      return decision satisfies never
  }
}

/** The bounds of `expirationSeconds`. */
const LEAST_SECONDS = 600

/** Signs as the built-in signers do, which know nothing of who asks. `seconds`: `--cluster-signing-duration`. */
export async function signAsBuiltIn(
  csr: CertificateSigningRequest,
  seconds: number,
  options: SigningOptions,
): Promise<Signing> {
  if (!isBuiltIn(csr.signerName)) return { kind: 'ignored' }
  const asked = askedBy(csr)
  return asked === undefined ? unreadable : signAsAsked(asked, seconds, options)
}

/** Signs what somebody has looked at; `seconds` is the most it may live. The rules of a built-in signer hold all the same. */
export async function signAsAsked(asked: WholeAsked, seconds: number, options: SigningOptions): Promise<Signing> {
  const broken = brokenRule(asked.signerName, asked.request, asked.usages)
  if (broken !== undefined) {
    return { kind: 'failed', reason: 'SignerValidationFailure', breaches: [{ message: broken }] }
  }
  const life = Math.min(Math.max(asked.expirationSeconds ?? seconds, LEAST_SECONDS), seconds)
  return { kind: 'issued', rule: asked.signerName, issued: await issue(asked, life, options) }
}

const unreadable: Signing = {
  kind: 'failed',
  reason: 'InvalidRequest',
  breaches: [{ message: 'spec.request is no CERTIFICATE REQUEST signed by its own key' }],
}

type WholeAsked = Asked & { readonly request: Pick<CertificateRequest, 'publicKey'> }

function issue(asked: WholeAsked, seconds: number, { authority, now }: SigningOptions): Promise<IssuedCertificate> {
  return authority.issue(asked.request.publicKey, templateOf(asked, seconds, now()))
}
