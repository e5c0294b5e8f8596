/**
 * From a certificate to an identity, as kube-apiserver has it: the last common name is the user, every organization in
 * its order a group, Kubernetes' own attribute the uid; and since 1.32 the certificate itself, by its digest.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/authentication/#x509-client-certificates
 * @module
 */
import { createHash } from 'node:crypto'
import type { UserInfo } from '../../user.ts'
import type { SourceTrust } from '../identity-gate.ts'
import type { Certificate } from './certificate.ts'
import { ATTRIBUTE, commonNameOf, valuesOf } from './name.ts'

/** Key of `extra` that says which credential was used. */
const CREDENTIAL_ID = 'authentication.kubernetes.io/credential-id'

/** For the identity gate, by the name of the source: the key is Kubernetes' own, and this source gives it its meaning. */
export const certificateTrust: SourceTrust = Object.freeze({ extraKey: (key: string) => key === CREDENTIAL_ID })

/** Put before names; an authority's own, so that two authorities cannot certify one user. */
export interface NamePrefixes {
  readonly usernamePrefix: string
  readonly groupPrefix: string
}

/**
 * The identity; `undefined` without a common name: it is nobody's. `invalid`: the uid is empty or stands twice.
 * A group without a name stays one, whatever the prefix, for the gate to leave out.
 */
export function identityOf(
  { subject, der }: Certificate,
  { usernamePrefix, groupPrefix }: NamePrefixes,
): UserInfo | 'invalid' | undefined {
  const name = commonNameOf(subject)
  if (name === '') return undefined
  const [uid, ...more] = valuesOf(subject, ATTRIBUTE.uid)
  if (uid === '' || more.length > 0) return 'invalid'
  const digest = createHash('sha256').update(der).digest('hex')
  return Object.freeze({
    username: usernamePrefix + name,
    uid: uid ?? '',
    groups: Object.freeze(
      valuesOf(subject, ATTRIBUTE.organization).map((group) => (group === '' ? '' : groupPrefix + group)),
    ),
    extra: new Map([[CREDENTIAL_ID, Object.freeze([`X509SHA256=${digest}`])]]),
  })
}
