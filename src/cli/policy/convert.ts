/**
 * `archway policy convert`: the same decisions in another language, as far as it can say them.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { parseAbacFile } from '../../authz/abac/policy-file.ts'
import {
  compilePolicy,
  diffPolicies,
  type Loss,
  type PolicyDiff,
  parsePolicy,
  rbacYaml,
  type SubresourceMode,
  toRbac,
  toVersion2,
} from '../../authz/keystone-policy/index.ts'
import { ArchwayError, messageOf } from '../../errors.ts'
import { type CommandIo, ExitError } from '../io.ts'
import { abacToRbac } from './abac-to-rbac.ts'
import { changeInWords } from './diff.ts'
import { addPolicyFlag, collect, compiledPolicy, counted, orExit2 } from './policy-files.ts'
import { groupsFor, proveAbac, provePolicy } from './rbac-proof.ts'

const EXAMPLES = `
Examples:
  archway policy convert policy.json --to v2 > policy-v2.json
  archway policy convert policy.json --to v2 --policy-subresources strict > policy-v2.json
  archway policy convert policy.json --to rbac --group-for member@demo=keystone:demo:member > rbac.yaml
  archway policy convert policy.json --to rbac --namespaces default,team --resources pods,services > rbac.yaml
  archway policy convert abac.jsonl --from abac --to rbac > rbac.yaml

The result goes to standard output, and what it does not carry over to standard error: "kept" as it was, "dropped"
where it allowed nothing, "narrower", "wider", or "skipped". Then the decisions of both are compared, over requests
made of every name in the policy and of names that are in none.
Status 0: every decision that was compared is the same; 1: some are not; 2: mistakes, or a wrong command line.
`

interface ConvertFlags {
  readonly policySubresources: SubresourceMode
  readonly from: 'policy' | 'abac'
  readonly to: 'v2' | 'rbac'
  readonly widen?: boolean
  readonly groupFor: readonly string[]
  readonly namespaces?: string
  readonly resources?: string
}

export function addConvertCommand(policy: Command, io: CommandIo, done: (status: number) => void): void {
  addPolicyFlag(
    policy
      .command('convert')
      .description('say a policy in version 2, or as RBAC manifests')
      .argument('<file>', 'Keystone policy, or ABAC policy file'),
  )
    .addOption(new Option('--to <LANGUAGE>', 'what it becomes').choices(['v2', 'rbac']).makeOptionMandatory())
    .addOption(new Option('--from <LANGUAGE>', 'what it is').choices(['policy', 'abac']).default('policy'))
    .option('--widen', 'to v2: a resource may bring its harmless subresources, such as pods/log')
    .option(
      '--group-for <WHO=GROUP>',
      'to rbac: the group of those with ROLE, of @PROJECT, or of ROLE@PROJECT; repeatable',
      collect,
      [],
    )
    .option('--namespaces <LIST>', 'to rbac: namespaces there are, for rules about all but some')
    .option('--resources <LIST>', 'to rbac: resources there are, for rules about all but some')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string, flags: ConvertFlags) => {
      const { text, losses, compared } = await converted(file, flags)
      io.out(text)
      for (const { kind, path, message } of losses) io.err(`${kind}: ${path === '' ? '' : `${path}: `}${message}\n`)
      io.err(verdict(compared))
      done(compared.opened.length + compared.closed.length > 0 ? 1 : 0)
    })
}

interface Converted {
  readonly text: string
  readonly losses: readonly Loss[]
  readonly compared: PolicyDiff
}

async function converted(file: string, flags: ConvertFlags): Promise<Converted> {
  if (flags.from === 'abac') {
    if (flags.to !== 'rbac') throw new ExitError(2, 'archway: ABAC policies are converted to rbac only')
    return fromAbac(file)
  }
  return flags.to === 'v2' ? toV2(file, flags) : policyToRbac(file, flags)
}

function toV2(file: string, { policySubresources: subresources, widen = false }: ConvertFlags): Converted {
  const before = orExit2(() => compiledPolicy([file], subresources))
  const { policies, losses } = toVersion2(before, { widen })
  const text = `${JSON.stringify(policies, null, 2)}\n`
  const after = compilePolicy(parsePolicy(text, { where: 'converted' }), { subresources })
  return { text, losses: [...losses, ...examplesLost(before.documents)], compared: diffPolicies(before, after) }
}

function examplesLost(documents: readonly { readonly where: string; readonly examples: readonly unknown[] }[]): Loss[] {
  return documents
    .filter(({ examples }) => examples.length > 0)
    .map(({ where, examples }) => ({
      kind: 'skipped',
      path: where,
      message: `${counted(examples.length, 'example')}: they are good for the result as well; put them beside it`,
    }))
}

async function policyToRbac(file: string, flags: ConvertFlags): Promise<Converted> {
  const { policySubresources, namespaces, resources } = flags
  const policy = orExit2(() => compiledPolicy([file], policySubresources))
  const groups = groupsFor(flags.groupFor)
  const { manifests, losses } = toRbac(policy, {
    groupFor: groups.groupFor,
    ...(namespaces === undefined ? {} : { namespaces: namespaces.split(',') }),
    ...(resources === undefined ? {} : { resources: resources.split(',') }),
  })
  const text = rbacYaml(manifests)
  return {
    text,
    losses: [...losses, ...examplesLost(policy.documents)],
    compared: await provePolicy(policy, text, groups),
  }
}

async function fromAbac(file: string): Promise<Converted> {
  const { policies } = orExit2(() => parseAbacFile(contentOf(file), file))
  const { manifests, losses } = abacToRbac(policies, file)
  const text = rbacYaml(manifests)
  return { text, losses, compared: await proveAbac(policies, text) }
}

function contentOf(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new ArchwayError('file_invalid', `${file}: cannot be read (${messageOf(cause)})`, { cause })
  }
}

const SHOWN = 5

function verdict({ requests, opened, closed }: PolicyDiff): string {
  const count = opened.length + closed.length
  if (count === 0) return `${requests} decisions compared: all the same\n`
  const shown = [
    ...opened.slice(0, SHOWN).map((change) => `  + ${changeInWords(change)}\n`),
    ...closed.slice(0, SHOWN).map((change) => `  - ${changeInWords(change)}\n`),
  ]
  return `${requests} decisions compared: ${opened.length} newly allowed, ${closed.length} no longer allowed\n${shown.join('')}`
}
