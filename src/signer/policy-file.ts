/**
 * A policy file, read: its form is checked, then its meaning by the examples that the operator put into it. A policy
 * that does not do what its examples say is not used.
 *
 * @module
 */
import { LineCounter, parseDocument } from 'yaml'
import { z } from 'zod'
import { InvalidDocumentError, type Problem } from '../errors.ts'
import type { KeyJudgement } from '../pki/keys.ts'
import type { Asked } from './asked.ts'
import { type PolicyDecision, type SignerPolicy, signerPolicy } from './policy.ts'
import { type ExampleDocument, policySchema } from './policy-schema.ts'

/**
 * Reads a policy, YAML or JSON.
 *
 * @throws InvalidDocumentError `file_invalid`, with every mistake, or every example that does not hold
 */
export function parsePolicy(text: string, where: string): SignerPolicy {
  const refuse = (problems: readonly Problem[]): never => {
    throw new InvalidDocumentError('file_invalid', where, problems)
  }
  const lines = new LineCounter()
  const yaml = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const broken = yaml.errors.map(({ message, pos }) => {
    const { line, col } = lines.linePos(pos[0])
    return { path: '', message, line, column: col }
  })
  if (broken.length > 0) refuse(broken)
  const found = policySchema.safeParse(yaml.toJS({ maxAliasCount: 100 }))
  if (!found.success) return refuse(found.error.issues.flatMap(problemsOf))
  const policy = signerPolicy(found.data)
  const failed = found.data.examples.flatMap((example, at) => failureOf(policy, example, at))
  return failed.length > 0 ? refuse(failed) : policy
}

function problemsOf(issue: z.core.$ZodIssue): readonly Problem[] {
  const path = z.core.toDotPath(issue.path)
  if (issue.code !== 'invalid_key') return [{ path, message: issue.message }]
  return issue.issues.map(({ message }) => ({ path, message }))
}

function failureOf(policy: SignerPolicy, example: ExampleDocument, at: number): readonly Problem[] {
  const decision = policy.decide(askedIn(example))
  const fault = faultOf(decision, example)
  return fault === undefined ? [] : [{ path: `examples[${at}]`, message: `${JSON.stringify(example.name)}: ${fault}` }]
}

function faultOf(decision: PolicyDecision, { signer, expect, rule, breach }: ExampleDocument): string | undefined {
  switch (decision.kind) {
    case 'not-ours':
      return `${signer} is not among the signers`
    case 'granted':
      if (expect === 'refused') return `is granted, by rule ${JSON.stringify(decision.rule)}`
      return rule === undefined || rule === decision.rule
        ? undefined
        : `is granted by rule ${JSON.stringify(decision.rule)}`
    case 'refused': {
      const reasons = decision.breaches.map(({ code, message }) => `${code}: ${message}`).join('; ')
      if (expect === 'granted') return `is refused: ${reasons}`
      const isMeant = breach === undefined || decision.breaches.some(({ code }) => code === breach)
      return isMeant ? undefined : `is refused, but not for ${breach}: ${reasons}`
    }
    default:
      return decision satisfies never
  }
}

const GOOD_KEY: KeyJudgement = { algorithm: 'ECDSA', bits: 256, text: 'ECDSA P-256', weakness: undefined }

/** The request an example describes. */
function askedIn(example: ExampleDocument): Asked {
  const { signer, requester, commonName, organizations, names, usages, lifetime } = example
  const commonNames = commonName === '' ? [] : [commonName]
  return {
    signerName: signer,
    requester,
    request: {
      subject: { commonName, commonNames, organizations, hasOthers: false, text: '' },
      altNames: { ...names, otherKinds: [] },
      key: GOOD_KEY,
      signatureHash: 'SHA-256',
      wantsAuthority: false,
      extensions: [],
    },
    usages,
    expirationSeconds: lifetime,
  }
}
