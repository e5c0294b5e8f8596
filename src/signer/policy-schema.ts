/**
 * What a signer's policy file looks like. Owns its form and the messages about it; leaves what it means to
 * `policy.ts`.
 *
 * @module
 */
import { z } from 'zod'
import { isSignerName, isUsage } from '../kube/signer-name.ts'
import { foldName } from '../user.ts'
import { BREACHES } from './finding.ts'

const UNITS: ReadonlyMap<string, number> = new Map([
  ['s', 1],
  ['m', 60],
  ['h', 3600],
  ['d', 86_400],
])
/** The shortest the API lets anybody ask for. */
export const LEAST_SECONDS = 600
const MOST_SECONDS = 10 * 365 * 86_400

/** `8h`, `1h30m`, `90d` → seconds; `undefined` for anything else. */
export function parseLifetime(text: string): number | undefined {
  if (!/^(\d{1,9}[smhd])+$/.test(text)) return undefined
  return [...text.matchAll(/(\d+)([smhd])/g)].reduce(
    (sum, [, amount = '', unit = '']) => sum + Number(amount) * (UNITS.get(unit) ?? 0),
    0,
  )
}

const TIME = 'expected a time such as 8h, 1h30m or 90d'

const lifetime = z.string(TIME).transform((text, ctx) => {
  const seconds = parseLifetime(text)
  if (seconds !== undefined && seconds >= LEAST_SECONDS && seconds <= MOST_SECONDS) return seconds
  ctx.issues.push({ code: 'custom', message: 'expected from 10m to 3650d, such as 8h, 1h30m or 90d', input: text })
  return z.NEVER
})

const pattern = z.string().min(1, 'expected a name, or a pattern with *')
const patterns = z.array(pattern)
const usage = z.string().refine(isUsage, 'is no usage the API knows, such as "client auth" or "digital signature"')
const approval = z.enum(['automatic', 'manual'])

/** Names that only an authority of the cluster itself may give: no policy reaches them. */
const NEVER = ['system:masters', 'kubeadm:cluster-admins'].map(foldName)

const names = z.strictObject({
  dns: patterns.default([]),
  ip: z
    .array(z.union([z.cidrv4(), z.cidrv6(), z.ipv4(), z.ipv6()], 'expected an address or a network: 10.0.0.0/8'))
    .default([]),
  email: patterns.default([]),
  uri: patterns.default([]),
})

const rule = z.strictObject({
  name: z.string().min(1),
  requester: z
    .strictObject({ users: patterns.default([]), groups: patterns.default([]) })
    .refine(({ users, groups }) => users.length + groups.length > 0, 'expected users, groups, or both'),
  commonName: z.union([pattern.transform((one) => [one]), patterns.min(1)]),
  organizations: patterns.default([]),
  organizationsOfRequester: z.boolean().default(false),
  reserved: z
    .array(
      z
        .string()
        .refine((name) => !NEVER.includes(foldName(name)), 'is never certified by a signer of one’s own')
        .refine((name) => !name.includes('*'), 'expected a whole name: reserved names are listed one by one'),
    )
    .default([]),
  names: names.prefault({}),
  usages: z.array(usage).min(1).default(['client auth', 'digital signature', 'key encipherment']),
  lifetime: lifetime.optional(),
  approval: approval.optional(),
})

const signer = z.strictObject({
  approval: approval.default('manual'),
  lifetime: z
    .strictObject({
      default: lifetime,
      most: lifetime,
      tooLong: z.enum(['refuse', 'shorten']).default('refuse'),
    })
    .refine((given) => given.default <= given.most, { message: 'is more than lifetime.most', path: ['default'] }),
  keys: z
    .array(z.enum(['ECDSA', 'Ed25519', 'RSA']))
    .min(1)
    .default(['ECDSA', 'Ed25519', 'RSA']),
  rules: z.array(rule).min(1),
})

const example = z.strictObject({
  name: z.string().min(1),
  signer: z.string(),
  requester: z.strictObject({ username: z.string().min(1), groups: z.array(z.string()).default([]) }),
  commonName: z.string(),
  organizations: z.array(z.string()).default([]),
  names: z
    .strictObject({
      dns: z.array(z.string()).default([]),
      ip: z.array(z.string()).default([]),
      email: z.array(z.string()).default([]),
      uri: z.array(z.string()).default([]),
    })
    .prefault({}),
  usages: z.array(z.string()).default(['client auth', 'digital signature']),
  lifetime: z
    .string(TIME)
    .transform((text, ctx) => {
      const seconds = parseLifetime(text)
      if (seconds !== undefined) return seconds
      ctx.issues.push({ code: 'custom', message: TIME, input: text })
      return z.NEVER
    })
    .optional(),
  expect: z.enum(['granted', 'refused']),
  rule: z.string().optional(),
  breach: z.enum(BREACHES).optional(),
})

export const policySchema = z.strictObject({
  signers: z
    .record(z.string().refine(isSignerName, 'is no name of a signer, such as example.com/people'), signer)
    .refine((signers) => Object.keys(signers).length > 0, 'expected at least one signer'),
  examples: z.array(example).default([]),
})

export type PolicyDocument = z.infer<typeof policySchema>
export type SignerDocument = z.infer<typeof signer>
export type RuleDocument = z.infer<typeof rule>
export type ExampleDocument = z.infer<typeof example>
