/**
 * The policy of a signer: who may ask for what, and for how long. What no rule grants is refused, and the reasons are
 * those of the rule that came nearest. Owns the decision; leaves the form of the file to `policy-schema.ts`, and the
 * operator's examples to `policy-examples.ts`.
 *
 * @module
 */
import { BlockList, isIP } from 'node:net'
import { sortUsages } from '../pki/usages.ts'
import { foldName, isReservedName } from '../user.ts'
import type { Asked } from './asked.ts'
import { type Breach, type BreachCode, quoted } from './finding.ts'
import { hazardsOf } from './hazards.ts'
import { compilePattern, isWithinLabel, type Pattern } from './pattern.ts'
import type { PolicyDocument, RuleDocument, SignerDocument } from './policy-schema.ts'

/** `automatic`: the signer approves it itself. `manual`: somebody has to. */
export type Approval = 'automatic' | 'manual'

export type PolicyDecision =
  | { readonly kind: 'granted'; readonly rule: string; readonly approval: Approval; readonly seconds: number }
  | {
      readonly kind: 'refused'
      /** The rule that came nearest; undefined where none is for whoever asks. */
      readonly rule: string | undefined
      /** Who says no: of that rule, or of the signer. */
      readonly approval: Approval
      readonly breaches: readonly Breach[]
    }
  /** Not a signer of this policy. */
  | { readonly kind: 'not-ours' }

/** A policy, compiled. */
export interface SignerPolicy {
  readonly signerNames: readonly string[]
  decide(asked: Asked): PolicyDecision
}

export function signerPolicy({ signers }: Pick<PolicyDocument, 'signers'>): SignerPolicy {
  const compiled = new Map(Object.entries(signers).map(([name, document]) => [name, compileSigner(document)]))
  return {
    signerNames: [...compiled.keys()],
    decide: (asked) => compiled.get(asked.signerName)?.(asked) ?? { kind: 'not-ours' },
  }
}

/** Whether a rule is for whoever asks, and what it has against the rest. */
interface Rule {
  readonly name: string
  readonly approval: Approval
  readonly most: number
  isFor(requester: Asked['requester']): boolean
  breaches(asked: Asked): readonly Breach[]
}

function compileSigner(document: SignerDocument): (asked: Asked) => PolicyDecision {
  const { lifetime, keys } = document
  const rules = document.rules.map((rule) => compileRule(rule, document))
  return (asked) => {
    const always = [...hazardsOf(asked.request), ...keyBreach(asked, keys)]
    const fitting = rules.filter((rule) => rule.isFor(asked.requester))
    const judged = fitting.map((rule) => {
      const seconds = Math.min(asked.expirationSeconds ?? lifetime.default, rule.most)
      const tooLong = lifetime.tooLong === 'refuse' && (asked.expirationSeconds ?? 0) > rule.most
      const breaches = [
        ...always,
        ...rule.breaches(asked),
        ...breach(tooLong, 'too-long', `${asked.expirationSeconds} s are more than the ${rule.most} s it may live`),
      ]
      return { rule, seconds, breaches }
    })
    const [nearest] = judged.sort((one, other) => one.breaches.length - other.breaches.length)
    if (nearest === undefined) {
      return { kind: 'refused', rule: undefined, approval: document.approval, breaches: [...always, notFor(asked)] }
    }
    const { rule, seconds, breaches } = nearest
    if (breaches.length > 0) return { kind: 'refused', rule: rule.name, approval: rule.approval, breaches }
    return { kind: 'granted', rule: rule.name, approval: rule.approval, seconds }
  }
}

function notFor({ requester }: Asked): Breach {
  return { code: 'requester', message: `no rule is for ${quoted(requester.username)}` }
}

function keyBreach({ request }: Asked, allowed: readonly string[]): readonly Breach[] {
  const { algorithm, text } = request.key
  return breach(
    !allowed.includes(algorithm),
    'key-algorithm',
    `${text} is not among the keys it takes: ${allowed.join(', ')}`,
  )
}

function compileRule(document: RuleDocument, { approval, lifetime }: SignerDocument): Rule {
  const { name, usages, organizationsOfRequester } = document
  const [users, groups] = [all(document.requester.users), all(document.requester.groups)]
  const [commonNames, organizations] = [all(document.commonName), all(document.organizations)]
  const reserved = new Set(document.reserved)
  const altNames = compileNames(document.names)

  function subjectBreaches({ requester, request }: Asked): readonly Breach[] {
    const { commonName, organizations: asked } = request.subject
    const mayHave = (group: string): boolean =>
      some(organizations, group, requester.username) || (organizationsOfRequester && requester.groups.includes(group))
    return [
      ...breach(isKept(commonName, reserved), 'reserved-user', `${quoted(commonName)} is a name of Kubernetes itself`),
      ...breach(
        !some(commonNames, commonName, requester.username),
        'common-name',
        `${quoted(requester.username)} may not be certified as ${quoted(commonName)}`,
      ),
      ...asked.flatMap((group) => [
        ...breach(isKept(group, reserved), 'reserved-group', `${quoted(group)} is a group of Kubernetes itself`),
        ...breach(
          !mayHave(group),
          'organization',
          `${quoted(requester.username)} may not be certified for group ${quoted(group)}`,
        ),
      ]),
    ]
  }

  return {
    name,
    approval: document.approval ?? approval,
    most: Math.min(document.lifetime ?? lifetime.most, lifetime.most),
    isFor: ({ username, groups: own }) =>
      some(users, username, username) || own.some((group) => some(groups, group, username)),
    breaches: (asked) => [
      ...subjectBreaches(asked),
      ...altNames(asked),
      ...[...new Set(asked.usages)].flatMap((usage) =>
        breach(!usages.some((known) => known === usage), 'usage', `${quoted(usage)} is not among its usages`),
      ),
      ...breach(
        sortUsages(asked.usages).extendedKeyUsages.length === 0 && !usages.includes('any'),
        'usage',
        'no usage says what for, so the certificate would be good for everything',
      ),
    ],
  }
}

/** A name that is Kubernetes' own, or looks like it, and is not listed by its exact spelling. */
function isKept(name: string, reserved: ReadonlySet<string>): boolean {
  return (isReservedName(name) || foldName(name) === 'kubeadm:cluster-admins') && !reserved.has(name)
}

function compileNames(document: RuleDocument['names']): (asked: Asked) => readonly Breach[] {
  const dns = document.dns.map((text) => compilePattern(text.toLowerCase(), isWithinLabel))
  const [email, uri] = [all(document.email), all(document.uri)]
  const networks = networksOf(document.ip)
  return ({ requester: { username }, request: { altNames } }) => [
    ...altNames.dns.flatMap((name) => nameBreach(!some(dns, name.toLowerCase(), username), 'host name', name)),
    ...altNames.ip.flatMap((name) =>
      nameBreach(!networks.check(name, isIP(name) === 6 ? 'ipv6' : 'ipv4'), 'address', name),
    ),
    ...altNames.email.flatMap((name) => nameBreach(!some(email, name, username), 'mail address', name)),
    ...altNames.uri.flatMap((name) => nameBreach(!some(uri, name, username), 'URI', name)),
  ]
}

function networksOf(texts: readonly string[]): BlockList {
  const networks = new BlockList()
  for (const text of texts) {
    const [address = '', prefix] = text.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (prefix === undefined) networks.addAddress(address, family)
    else networks.addSubnet(address, Number(prefix), family)
  }
  return networks
}

function nameBreach(holds: boolean, what: string, name: string): readonly Breach[] {
  return breach(holds, 'alternative-name', `${what} ${quoted(name)} is not granted`)
}

function all(texts: readonly string[]): readonly Pattern[] {
  return texts.map((text) => compilePattern(text))
}

function some(patterns: readonly Pattern[], name: string, username: string): boolean {
  return patterns.some((pattern) => pattern.matches(name, username))
}

function breach(holds: boolean, code: BreachCode, message: string): readonly Breach[] {
  return holds ? [{ code, message }] : []
}
