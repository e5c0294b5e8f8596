/**
 * What is wrong with a request whoever asks: the list that no policy and no approver can be talked out of by the
 * standing of the asker.
 *
 * @module
 */
import { ArchwayError } from '../errors.ts'
import { altNamesExtension } from '../pki/names.ts'
import type { CertificateRequest } from '../pki/request.ts'
import { hasForbiddenCharacters } from '../user.ts'
import { HAZARDS, type Hazard, quoted } from './finding.ts'

export interface FoundHazard {
  readonly code: Hazard
  readonly message: string
}

const STRONG_HASHES: ReadonlySet<string> = new Set(['', 'SHA-256', 'SHA-384', 'SHA-512'])

/** All of them, in a fixed order. */
export function hazardsOf(
  request: Pick<CertificateRequest, 'subject' | 'altNames' | 'key' | 'signatureHash' | 'wantsAuthority'>,
): readonly FoundHazard[] {
  const { subject, altNames, key, signatureHash, wantsAuthority } = request
  const { dns, ip, email, uri, otherKinds } = altNames
  const names = [...subject.commonNames, ...subject.organizations, ...dns, ...ip, ...email, ...uri]
  const unseen = names.find(hasForbiddenCharacters)
  const malformed = faultOf(altNames)
  return [
    ...hazard('weak-key', key.weakness),
    ...hazard('weak-signature', STRONG_HASHES.has(signatureHash) ? undefined : signatureHash),
    ...hazard('authority-requested', wantsAuthority ? '' : undefined),
    ...hazard('no-common-name', subject.commonName === '' ? '' : undefined),
    ...hazard(
      'several-common-names',
      subject.commonNames.length > 1 ? subject.commonNames.map(quoted).join(', ') : undefined,
    ),
    ...hazard('subject-attributes', subject.hasOthers ? quoted(subject.text) : undefined),
    ...hazard('forbidden-characters', unseen === undefined ? undefined : quoted(unseen)),
    ...hazard('bad-name', otherKinds.length > 0 ? otherKinds.join(', ') : malformed),
  ]
}

function hazard(code: Hazard, detail: string | undefined): readonly FoundHazard[] {
  if (detail === undefined) return []
  return [{ code, message: detail === '' ? HAZARDS[code] : `${HAZARDS[code]}: ${detail}` }]
}

/** What could not be put into a certificate. */
function faultOf(altNames: CertificateRequest['altNames']): string | undefined {
  try {
    altNamesExtension(altNames, false)
    return undefined
  } catch (thrown) {
    if (thrown instanceof ArchwayError) return quoted(thrown.message)
    throw thrown
  }
}
