/**
 * The rules that kube-apiserver's `--oidc-*` flags make, in the form of the AuthenticationConfiguration.
 *
 * @module
 */
import type { WrittenRules } from './claim-rules.ts'

export interface FlagRules {
  readonly issuer: string
  /** `--oidc-username-claim`; default `sub`. */
  readonly usernameClaim?: string | undefined
  /** `--oidc-username-prefix`; `-` is none. Absent: the issuer and `#`, and none where the claim is `email`. */
  readonly usernamePrefix?: string | undefined
  /** `--oidc-groups-claim`; absent: no groups. */
  readonly groupsClaim?: string | undefined
  /** `--oidc-groups-prefix`. */
  readonly groupsPrefix?: string | undefined
}

export function flagRules(flags: FlagRules): Pick<WrittenRules, 'claimMappings'> {
  const { issuer, usernameClaim = 'sub', groupsClaim, groupsPrefix = '' } = flags
  const given = flags.usernamePrefix ?? (usernameClaim === 'email' ? '-' : `${issuer}#`)
  return {
    claimMappings: {
      username: { claim: usernameClaim, prefix: given === '-' ? '' : given },
      ...(groupsClaim === undefined ? {} : { groups: { claim: groupsClaim, prefix: groupsPrefix } }),
    },
  }
}
