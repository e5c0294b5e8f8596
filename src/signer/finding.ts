/**
 * What can be said against a request for a certificate, by a closed list of names. Operators write these names in
 * policies and on command lines, so one that was released keeps its meaning.
 *
 * @module
 */

/** Wrong whoever asks and whoever signs; no signer of ours certifies it. */
export const HAZARDS = {
  'weak-key': 'the key is weak, or none that Kubernetes can use',
  'weak-signature': 'the request is signed with a hash that proves little',
  'authority-requested': 'the request asks for the certificate of an authority',
  'no-common-name': 'there is no common name, so the certificate would be nobody’s',
  'several-common-names': 'there are several common names, of which Kubernetes takes the last and others the first',
  'subject-attributes': 'the subject has more than a common name and organizations, or a value that is no text',
  'forbidden-characters': 'a name has control or invisible characters',
  'bad-name': 'an alternative name is malformed, or of a kind that is not signed',
} as const

/** Outside of what a policy grants. */
export const BREACHES = [
  ...(Object.keys(HAZARDS) as (keyof typeof HAZARDS)[]),
  'reserved-user',
  'reserved-group',
  'requester',
  'common-name',
  'organization',
  'alternative-name',
  'usage',
  'key-algorithm',
  'too-long',
] as const

/** What a person who is to approve ought to know. */
export const FINDINGS = [
  ...(Object.keys(HAZARDS) as (keyof typeof HAZARDS)[]),
  'cluster-admin',
  'reserved-user',
  'reserved-group',
  'foreign-user',
  'foreign-group',
  'names-on-client',
  'no-names-on-server',
  'usage-beyond-client',
  'usage-beyond-server',
  'signer-rule',
  'unknown-signer',
  'legacy-signer',
  'long-life',
  'life-by-signer',
  'extensions-dropped',
  'names-on-server',
] as const

export type Hazard = keyof typeof HAZARDS
export type BreachCode = (typeof BREACHES)[number]
export type FindingCode = (typeof FINDINGS)[number]

/** One thing against a request, in a sentence that names the value. */
export interface Breach {
  readonly code: BreachCode
  readonly message: string
}

/** `hostile`: not to be approved without being named. `notice`: to be known. */
export interface Finding {
  readonly code: FindingCode
  readonly severity: 'hostile' | 'notice'
  readonly message: string
}

/** A stranger's text in a sentence: quoted, without a hold on the terminal, and not for ever long. */
export function quoted(text: string): string {
  const short = text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text
  return JSON.stringify(short).replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Noncharacter_Code_Point}]/gu,
    (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`,
  )
}

const MOST_SHOWN = 300
