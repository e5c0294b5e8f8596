/**
 * UserInfo: who somebody is to Kubernetes, and which names belong to Kubernetes itself.
 *
 * @module
 */

/**
 * The identity Kubernetes works with: `UserInfo` of `authentication.k8s.io/v1`.
 *
 * `extra` is a Map, so that no key (`__proto__`) can be anything but a key. Keys are lower case, since two of
 * Kubernetes' transports (headers, impersonation) fold them.
 */
export interface UserInfo {
  readonly username: string
  /** Stable over renames; empty when the source has none. */
  readonly uid: string
  readonly groups: readonly string[]
  readonly extra: ReadonlyMap<string, readonly string[]>
}

/** Folds a name to what a person or a careless program would take it for: NFKC, lower case, nothing invisible. */
export function foldName(name: string): string {
  return name
    .normalize('NFKC')
    .replace(/[\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\s]/gu, '')
    .toLowerCase()
    .normalize('NFKC')
}

/** Whether a user or group name is, or looks like, one that Kubernetes keeps for itself (`system:…`). */
export function isReservedName(name: string): boolean {
  return foldName(name).startsWith('system:')
}

/**
 * Whether a name holds characters that no name should: controls, line and paragraph separators, bidi and zero-width
 * format characters, unpaired surrogates, noncharacters.
 */
export function hasForbiddenCharacters(name: string): boolean {
  return /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Noncharacter_Code_Point}]/u.test(name)
}
