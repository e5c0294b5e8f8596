/**
 * From a profile to the certificate that is issued, and what is refused on the way: certificates that would open more
 * than whoever asks for them thinks.
 *
 * @module
 */
import type { KeyObject } from 'node:crypto'
import { ArchwayError } from '../errors.ts'
import { hasForbiddenCharacters, isReservedName } from '../user.ts'
import type { CertificateTemplate } from './issuing.ts'
import { isWithoutNames, NO_ALT_NAMES, type SubjectAltNames } from './names.ts'
import { altNamesOf, type Profile, type ProfileFacts } from './profiles.ts'
import type { CertificateRequest } from './request.ts'

export interface LeafOptions {
  readonly profile: Profile
  readonly facts: ProfileFacts
  /** Whose key it is for; what it asks for has to be what the profile gives. */
  readonly request?: CertificateRequest | undefined
  /** Somebody knows what `system:masters` and names of Kubernetes' own are. */
  readonly isMeant: boolean
  readonly notBefore: Date
  readonly notAfter: Date
  /** The key it will have; RSA keys may encipher keys too. */
  readonly keyType: KeyObject['asymmetricKeyType']
}

/** Throws `certificate_not_issued` with the remedy. */
export function leafTemplate(options: LeafOptions): CertificateTemplate {
  const { profile, facts, request, notBefore, notAfter, keyType } = options
  const subject = profile.subject(facts)
  const altNames = profile.names === undefined ? NO_ALT_NAMES : altNamesOf(profile.names(facts))
  const template: CertificateTemplate = {
    subject,
    altNames,
    notBefore,
    notAfter,
    keyUsages: keyType === 'rsa' ? ['digital signature', 'key encipherment'] : ['digital signature'],
    extendedKeyUsages: profile.usages,
  }
  refuse(misuse(template, options))
  if (request !== undefined) refuse(hostility(request, template))
  return template
}

function refuse(reason: string | undefined): void {
  if (reason !== undefined) throw new ArchwayError('certificate_not_issued', reason)
}

const MEANT = 'If that is what you want, say --i-know'

/** Why this use of a profile is wrong. */
function misuse(
  { subject, altNames }: CertificateTemplate,
  { profile, facts, isMeant }: LeafOptions,
): string | undefined {
  const unseen = [subject.commonName, ...subject.organizations].find(hasForbiddenCharacters)
  if (unseen !== undefined)
    return `${JSON.stringify(unseen)} has characters that cannot be seen, and looks like another`
  const isServer = profile.usages.includes('server auth')
  if (isServer && facts.groups.length > 0) return 'a server is in no group: leave out --group'
  if (isServer && isWithoutNames(altNames)) return 'a server without names does not exist: give it some with --san'
  if (!isServer && facts.names.length > 0) return 'a client has no names beside its common name: leave out --san'
  if (isMeant || isServer) return undefined
  if (subject.organizations.includes('system:masters')) {
    return `a certificate in system:masters is past all authorization, and cannot be revoked. ${MEANT}`
  }
  // The names of the profiles are Kubernetes' own; those somebody chose ought not to be.
  const chosen = [...facts.groups, ...(profile.fixedFile === undefined ? [facts.commonName ?? ''] : [])]
  const reserved = chosen.find((name) => name !== '' && isReservedName(name))
  return reserved === undefined ? undefined : `${JSON.stringify(reserved)} is a name of Kubernetes' own. ${MEANT}`
}

/** Why a request is not for this certificate. */
function hostility(
  request: CertificateRequest,
  { subject, altNames, extendedKeyUsages }: CertificateTemplate,
): string | undefined {
  const { key, signatureHash, usages } = request
  if (key.weakness !== undefined) return `the key of the request: ${key.weakness}`
  if (signatureHash === 'SHA-1') return 'the request is signed with SHA-1; have it made anew'
  if (request.wantsAuthority || usages.keyUsages.includes('cert sign')) return 'the request wants to be an authority'
  const { commonName, organizations, hasOthers } = request.subject
  if (commonName !== '' && commonName !== subject.commonName) {
    return `the request is for ${JSON.stringify(commonName)}, not for ${JSON.stringify(subject.commonName)}`
  }
  const group = organizations.find((name) => !subject.organizations.includes(name))
  if (group !== undefined)
    return `the request wants the group ${JSON.stringify(group)}; grant it with --group, or not at all`
  if (hasOthers || request.subject.commonNames.length > 1)
    return 'the request has a subject of more than a name and groups'
  const usage = [...usages.extendedKeyUsages, ...usages.unknown].find(
    (one) => !extendedKeyUsages.some((own) => own === one),
  )
  if (usage !== undefined) return `the request wants to be for ${usage}, which this profile is not`
  const name = foreignName(request.altNames, altNames)
  return name === undefined
    ? undefined
    : `the request wants the name ${JSON.stringify(name)}; grant it with --san, or not at all`
}

function foreignName(wanted: CertificateRequest['altNames'], granted: SubjectAltNames): string | undefined {
  const kinds = ['dns', 'ip', 'email', 'uri'] as const
  const names = kinds.flatMap((kind) => wanted[kind].filter((name) => !granted[kind].includes(name)))
  return [...names, ...wanted.otherKinds][0]
}
