/**
 * Decides on a request with a compiled policy, and says which rule it was.
 *
 * @module
 */
import type { Attributes, Decision } from '../authorizer.ts'
import type { CompiledPolicy } from './compile.ts'
import type { Grant } from './grant.ts'
import { isKeystoneIdentity } from './identity.ts'
import { findGrant } from './index-find.ts'
import { toRequest } from './request.ts'

const NO_EXTRA: Decision = { kind: 'no-opinion', reason: 'Keystone policy: not about identities without extra' }
const NOT_KEYSTONE: Decision = { kind: 'no-opinion', reason: 'Keystone policy: not about this identity' }
const NO_RULE: Decision = { kind: 'no-opinion', reason: 'Keystone policy: no rule allows this' }

/**
 * Decides: `allow`, or no opinion, since policies never deny. The reason goes into the audit log or, for a refusal, to
 * the user: it names the rule and nothing else of the policy.
 */
export function decide(policy: CompiledPolicy, attributes: Attributes): Decision {
  const grant = grantFor(policy, attributes)
  if (grant === undefined) return noOpinion(policy, attributes)
  const selectors = hasSelector(attributes) ? JUDGED_WITHOUT : ''
  return { kind: 'allow', reason: `Keystone policy: allowed by ${grant.name}${selectors}` }
}

const JUDGED_WITHOUT = ' (judged on verb and resource, whatever the selector)'

function grantFor(policy: CompiledPolicy, attributes: Attributes): Grant | undefined {
  if (!isInScope(policy, attributes)) return undefined
  return findGrant(attributes.kind === 'resource' ? policy.resources : policy.paths, toRequest(attributes))
}

/** Whether the rules are about somebody at all. */
export function isInScope({ meaning }: CompiledPolicy, attributes: Attributes): boolean {
  return attributes.extraPresent && (!meaning.requireKeystoneIdentity || isKeystoneIdentity(attributes))
}

function noOpinion(policy: CompiledPolicy, attributes: Attributes): Decision {
  if (!attributes.extraPresent) return NO_EXTRA
  if (!isInScope(policy, attributes)) return NOT_KEYSTONE
  return hasSelector(attributes) ? { kind: 'no-opinion', reason: `${NO_RULE.reason}${JUDGED_WITHOUT}` } : NO_RULE
}

/** Selectors narrow what is asked for; a rule knows nothing of them, so that they change no decision. */
function hasSelector(attributes: Attributes): boolean {
  if (attributes.kind !== 'resource') return false
  return isSelector(attributes.fieldSelector) || isSelector(attributes.labelSelector)
}

function isSelector(selector: unknown): boolean {
  if (typeof selector !== 'object' || selector === null) return false
  return Object.values(selector).some((value) => (Array.isArray(value) ? value.length > 0 : Boolean(value)))
}
