/**
 * `archway policy explain`: why a request is decided as it is.
 *
 * @module
 */
import { type Command, Option } from 'commander'
import type { Attributes } from '../../authz/authorizer.ts'
import {
  type ExplainedLine,
  type Explanation,
  explain,
  type SubresourceMode,
  userInWords,
} from '../../authz/keystone-policy/index.ts'
import { type CommandIo, ExitError } from '../io.ts'
import { addPolicyFlag, compiledPolicy, counted, orExit2 } from './policy-files.ts'
import { addRequestFlags, type RequestFlags, requestOf } from './request-flags.ts'
import { readOneReview } from './review-lines.ts'

const EXAMPLES = `
Examples:
  archway policy explain policy.json get pods -n default --as jane --project-name demo --role member
  archway policy explain policy.json get pods/exec web-0 --as jane --project-id 4f0c… --role member
  archway policy explain policy.json get /healthz --as jane --role reader -o json
  archway policy explain policy.json --review review.json

Shows every rule that was looked at, what it lacks, and, where nothing allows the request, which came nearest. --review
takes a SubjectAccessReview, as kube-apiserver sends it.
Status 0: allowed; 1: not allowed; 2: mistakes in the policy, or a wrong command line.
`

interface ExplainFlags extends RequestFlags {
  readonly policySubresources: SubresourceMode
  readonly review?: string
  readonly all?: boolean
  readonly output: 'text' | 'json'
}

/** More rules that do not allow are for `--all`. */
const SHOWN = 50

export function addExplainCommand(policy: Command, io: CommandIo, done: (status: number) => void): void {
  const command = policy
    .command('explain')
    .description('tell why a request is allowed or not')
    .argument('<file>', 'policy, JSON or YAML')
    .argument('[verb]', 'get, list, create …')
    .argument('[resource]', 'RESOURCE, RESOURCE/NAME, RESOURCE/SUBRESOURCE, or a PATH')
    .argument('[name]', 'name of the object')
    .option('--review <FILE>', 'the request is a SubjectAccessReview, JSON; - for standard input')
    .option('--all', `show every rule; else no more than ${SHOWN} that do not allow`)
    .addOption(new Option('-o, --output <FORMAT>', 'for people, or JSON').choices(['text', 'json']).default('text'))
  addPolicyFlag(addRequestFlags(command))
    .addHelpText('after', EXAMPLES)
    .action((file: string, ...rest: readonly unknown[]) => {
      const words = rest.slice(0, 3) as readonly (string | undefined)[]
      const flags = rest[3] as ExplainFlags
      const request = requested(words, flags, io)
      const compiled = orExit2(() => compiledPolicy([file], flags.policySubresources))
      const explanation = explain(compiled, request)
      io.out(flags.output === 'json' ? asJson(explanation, request) : inText(explanation, request, flags.all === true))
      done(explanation.decision.kind === 'allow' ? 0 : 1)
    })
}

function requested(words: readonly (string | undefined)[], flags: ExplainFlags, io: CommandIo): Attributes {
  if (flags.review === undefined) return requestOf(words, flags)
  if (words.some((word) => word !== undefined)) {
    throw new ExitError(2, 'archway: --review is the request: leave out VERB and RESOURCE')
  }
  return readOneReview(flags.review, io)
}

function inText(explanation: Explanation, request: Attributes, all: boolean): string {
  const { request: words, decision, outOfScope, lines, nearest } = explanation
  const allowing = lines.filter(({ verdict }) => verdict === 'allows')
  const others = lines.filter(({ verdict }) => verdict !== 'allows').toSorted(byDistance)
  const shown = all ? others : others.slice(0, SHOWN)
  const left = others.length - shown.length
  return [
    `${words}: ${decision.kind === 'allow' ? 'allowed' : 'not allowed'}\n`,
    `  ${decision.reason ?? 'no reason'}\n`,
    `  asked by ${userInWords(request)}\n`,
    ...(outOfScope === undefined ? [] : [`  no rule counts: ${outOfScope}\n`]),
    ...(nearest === undefined ? [] : [`  nearest: ${nearest.line.name}: ${nearest.why ?? ''}\n`]),
    `\n${counted(lines.length, 'rule')} about ${request.kind === 'resource' ? 'resources' : 'paths'}\n`,
    ...[...allowing, ...shown].map(lineInText),
    ...(left > 0 ? [`  and ${left} more that do not allow it; --all shows them\n`] : []),
  ].join('')
}

/** What lacks least comes first; the order of the policy otherwise. */
function byDistance(one: ExplainedLine, other: ExplainedLine): number {
  const distance = ({ verdict, failed }: ExplainedLine): number => (verdict === 'inert' ? 1000 : failed.length)
  return distance(one) - distance(other)
}

const MARKS = { allows: 'allows', lacks: 'lacks ', inert: 'never ' } as const

function lineInText({ line, verdict, why, failed }: ExplainedLine): string {
  const more = failed.length > 1 ? ` (and ${failed.length - 1} more)` : ''
  return `  ${MARKS[verdict]}  ${line.name}  line ${line.policy.line}${why === undefined ? '' : `\n          ${why}${more}`}\n`
}

function asJson({ request, decision, outOfScope, lines, nearest }: Explanation, { user }: Attributes): string {
  const document = {
    request,
    user: user.username,
    decision: decision.kind,
    reason: decision.reason,
    ...(outOfScope === undefined ? {} : { outOfScope }),
    ...(nearest === undefined ? {} : { nearest: lineAsJson(nearest) }),
    lines: lines.map(lineAsJson),
  }
  return `${JSON.stringify(document, null, 2)}\n`
}

function lineAsJson({ line, verdict, why, failed }: ExplainedLine): object {
  const lacks = failed.map(({ place, dimension }) => ({ place, about: dimension }))
  return { rule: line.name, line: line.policy.line, verdict, ...(why === undefined ? {} : { why }), lacks }
}
