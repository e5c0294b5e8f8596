/**
 * `archway policy diff`: requests that two policies decide differently.
 *
 * @module
 */
import { type Command, Option } from 'commander'
import {
  type Change,
  diffPolicies,
  inWords,
  type PolicyDiff,
  type SubresourceMode,
  userInWords,
} from '../../authz/keystone-policy/index.ts'
import { OUTSIDER } from '../../authz/keystone-policy/probe.ts'
import type { CommandIo } from '../io.ts'
import { addPolicyFlag, compiledPolicy, orExit2, SUBRESOURCE_MODES } from './policy-files.ts'
import { wholeNumber } from './replay.ts'

const EXAMPLES = `
Examples:
  archway policy diff policy.json candidate.json
  archway policy diff policy.json candidate.json --examples 100 -o json
  archway policy diff policy.json policy.json --policy-subresources compat --new-subresources guarded

Compares decisions, not text, over requests made of every name in either policy and of names in none (*). With very
many names it is a choice of those requests, always the same one; --requests makes it larger.
Status 0: no difference; 1: some; 2: mistakes in a policy, or a wrong command line.
`

interface DiffFlags {
  readonly policySubresources: SubresourceMode
  readonly newSubresources?: SubresourceMode
  readonly requests: string
  readonly examples: string
  readonly output: 'text' | 'json'
}

export function addDiffCommand(policy: Command, io: CommandIo, done: (status: number) => void): void {
  addPolicyFlag(
    policy
      .command('diff')
      .description('show what a change of the policy changes')
      .argument('<old>', 'policy, JSON or YAML')
      .argument('<new>', 'policy, JSON or YAML'),
  )
    .addOption(
      new Option('--new-subresources <MODE>', 'the mode of the new policy, where it is another').choices(
        SUBRESOURCE_MODES,
      ),
    )
    .option('--requests <COUNT>', 'most requests that are compared', '20000')
    .option('--examples <COUNT>', 'most requests that are shown of either kind', '20')
    .addOption(new Option('-o, --output <FORMAT>', 'for people, or JSON').choices(['text', 'json']).default('text'))
    .addHelpText('after', EXAMPLES)
    .action((before: string, after: string, flags: DiffFlags) => {
      const { policySubresources: mode, newSubresources: newMode = mode } = flags
      const limit = wholeNumber('--requests', flags.requests)
      const examples = wholeNumber('--examples', flags.examples)
      const found = orExit2(() =>
        diffPolicies(compiledPolicy([before], mode), compiledPolicy([after], newMode), { limit }),
      )
      io.out(flags.output === 'json' ? asJson(found, examples) : inText(found, examples))
      done(found.opened.length + found.closed.length > 0 ? 1 : 0)
    })
}

function inText({ requests, opened, closed }: PolicyDiff, examples: number): string {
  const summary = `${requests} requests compared: ${opened.length} newly allowed, ${closed.length} no longer allowed\n`
  return [
    ...changesInText('Newly allowed', '+', opened, examples),
    ...changesInText('No longer allowed', '-', closed, examples),
    summary,
  ].join('')
}

function changesInText(
  heading: string,
  mark: '+' | '-',
  changes: readonly Change[],
  examples: number,
): readonly string[] {
  if (changes.length === 0) return []
  const left = changes.length - examples
  return [
    `${heading}:\n`,
    ...changes.slice(0, examples).map((change) => `  ${mark} ${changeInWords(change)}\n`),
    ...(left > 0 ? [`  and ${left} more\n`] : []),
    '\n',
  ]
}

/** `role member, project demo: get default/pods (by policy.json[0] "default/pods")`. */
export function changeInWords({ attributes, before, after }: Change): string {
  const reason = (after.kind === 'allow' ? after : before).reason?.replace('Keystone policy: allowed', '')
  return starred(
    `${userInWords(attributes)}: ${inWords(attributes)}${reason === undefined ? '' : ` (${reason.trim()})`}`,
  )
}

/** The name that stands for all that are in no policy. */
function starred(text: string): string {
  return text.replaceAll(OUTSIDER, '*')
}

function asJson({ requests, opened, closed }: PolicyDiff, examples: number): string {
  const listed = (changes: readonly Change[]): readonly object[] =>
    changes.slice(0, examples).map(({ attributes: { user, extraPresent, ...request }, before, after }) => ({
      user: { ...user, extra: extraPresent ? Object.fromEntries(user.extra) : undefined },
      request,
      before: before.reason,
      after: after.reason,
    }))
  const document = {
    requests,
    newlyAllowed: { count: opened.length, examples: listed(opened) },
    noLongerAllowed: { count: closed.length, examples: listed(closed) },
  }
  return `${JSON.stringify(document, null, 2)}\n`
}
