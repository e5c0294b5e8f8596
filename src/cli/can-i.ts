/**
 * `archway can-i`: what the authorizers would say, to one question or to a stream of them.
 *
 * @module
 */
import { type Command, Option } from 'commander'
import type { Attributes, Authorizer, Decision } from '../authz/authorizer.ts'
import { DANGEROUS_SUBRESOURCES } from '../authz/keystone-policy/index.ts'
import type { ListedRule } from '../authz/rbac/policy-rule.ts'
import { ArchwayError } from '../errors.ts'
import {
  type AuthorizerSources,
  addSourceFlags,
  type ConfiguredSources,
  commandContext,
  openSources,
  type SourceFlags,
} from './authorizer-sources.ts'
import { type CommandIo, ExitError } from './io.ts'
import { addRequestFlags, namespaceAsked, type RequestFlags, requestOf, whoOf } from './policy/request-flags.ts'
import { decideLines, readChunks } from './policy/review-lines.ts'
import { ruleTable } from './policy/rule-table.ts'
import { HARMLESS } from './policy/rules-of-policy.ts'

const EXAMPLES = `
Examples:
  archway can-i get pods --as jane --project-name demo --role member -n default --keystone-policy-file policy.json
  archway can-i create pods/exec web-0 --as jane --role member --project-name demo --keystone-policy-file policy.json
  archway can-i create deployments.apps --as jane --as-group devs -n team --rbac-manifests rbac/ -o json
  archway can-i get /healthz --as system:anonymous --rbac-manifests rbac/
  archway can-i --list --as jane --project-name demo --role member -n default --keystone-policy-file policy.json
  archway can-i --reviews reviews.jsonl --keystone-policy-file policy.json --rbac-manifests rbac/
  archway can-i --reviews - --abac-file abac.jsonl < reviews.jsonl > answers.jsonl

RESOURCE is a plural, a singular or a short name (pods, pod, po); deployments.apps names its API group, pods/log its
subresource, pods/web-0 an object.
--reviews reads SubjectAccessReview objects (authorization.k8s.io/v1 and v1beta1), a line of JSON each, and writes for
each one line, in order: {"decision":"allow"|"deny"|"no-opinion","reason":"…"}, with "error" for a line that is none.
Blank lines are passed over.
Status 0: allowed, or every review was decided; 1: not allowed; 2: nobody could tell, or a wrong command line.
`

interface CanIFlags extends RequestFlags, SourceFlags {
  readonly list?: boolean
  readonly reviews?: string
  readonly quiet?: boolean
  readonly output: 'text' | 'json'
}

export function addCanICommand(
  program: Command,
  io: CommandIo,
  done: (status: number) => void,
  configured?: ConfiguredSources,
): void {
  const command = program
    .command('can-i')
    .description('ask whether somebody may do something')
    .argument('[verb]', 'get, list, create …; any is taken')
    .argument('[resource]', 'RESOURCE, RESOURCE/NAME, RESOURCE/SUBRESOURCE, or a PATH such as /healthz')
    .argument('[name]', 'name of the object')
    .option('--list', 'what the user may do in the namespace, instead')
    .option('--reviews <FILE>', 'decide on SubjectAccessReview objects, a line of JSON each; - for standard input')
    .addOption(new Option('-o, --output <FORMAT>', 'for people, or JSON').choices(['text', 'json']).default('text'))
    .option('-q, --quiet', 'print nothing: the status says it')
  addSourceFlags(addRequestFlags(command), configured)
    .addHelpText('after', EXAMPLES)
    .action(
      async (verb: string | undefined, resource: string | undefined, name: string | undefined, flags: CanIFlags) => {
        done(await canI([verb, resource, name], flags, io, configured))
      },
    )
}

async function canI(
  words: readonly (string | undefined)[],
  flags: CanIFlags,
  io: CommandIo,
  configured: ConfiguredSources | undefined,
): Promise<number> {
  const action = chosen(words, flags, io)
  const sources = await openSources(flags, io, configured)
  try {
    return await action(sources)
  } finally {
    await sources.close?.()
  }
}

/** What is to be done; a wrong command line is told before any file is opened. */
function chosen(
  words: readonly (string | undefined)[],
  flags: CanIFlags,
  io: CommandIo,
): (sources: AuthorizerSources) => Promise<number> {
  const { list = false, reviews } = flags
  if ((list || reviews !== undefined) && words.some((word) => word !== undefined)) {
    throw new ExitError(2, `archway: ${list ? '--list' : '--reviews'} goes without VERB and RESOURCE`)
  }
  if (list && reviews !== undefined) throw new ExitError(2, 'archway: either --list or --reviews')
  if (reviews !== undefined) return (sources) => answerReviews(reviews, sources, io)
  if (list) {
    const who = whoOf(flags)
    const namespace = namespaceAsked(flags)
    return async (sources) => printList(sources, who, namespace, flags, io)
  }
  const request = requestOf(words, flags)
  return (sources) => answer(sources, request, flags, io)
}

async function answer(
  { authorizer }: AuthorizerSources,
  request: Attributes,
  { output, quiet = false }: CanIFlags,
  io: CommandIo,
): Promise<number> {
  const decision = await decided(authorizer, request, io)
  if (!quiet) io.out(output === 'json' ? asJson(request, decision) : inText(decision))
  return statusOf(decision)
}

/** Whoever cannot decide leaves no answer, and that is one here. */
async function decided(authorizer: Authorizer, request: Attributes, io: CommandIo): Promise<Decision> {
  try {
    return await authorizer.authorize(request, commandContext(io))
  } catch (thrown) {
    if (!(thrown instanceof ArchwayError)) throw thrown
    return { kind: 'no-opinion', evaluationError: thrown.message }
  }
}

function statusOf(decision: Decision): 0 | 1 | 2 {
  if (decision.kind === 'allow') return 0
  return decision.kind === 'no-opinion' && decision.evaluationError !== undefined ? 2 : 1
}

/** As kubectl has it: `yes`, or `no - why`. */
function inText(decision: Decision): string {
  const error = decision.kind === 'no-opinion' ? decision.evaluationError : undefined
  const word = { allow: 'yes', deny: 'no, denied', 'no-opinion': error === undefined ? 'no' : 'could not tell' }
  const why = [decision.reason?.replaceAll('\n', '; '), error].filter((part) => part !== undefined && part !== '')
  return `${[word[decision.kind], ...why].join(' - ')}\n`
}

function asJson(request: Attributes, decision: Decision): string {
  const { user, extraPresent, ...asked } = request
  const { username, uid, groups, extra } = user
  const { kind, reason = '' } = decision
  const error = kind === 'no-opinion' ? decision.evaluationError : undefined
  const document = {
    decision: kind,
    allowed: kind === 'allow',
    reason,
    ...(error === undefined ? {} : { error }),
    request: { user: username, uid, groups, ...(extraPresent ? { extra: Object.fromEntries(extra) } : {}), ...asked },
  }
  return `${JSON.stringify(document, null, 2)}\n`
}

async function answerReviews(path: string, { authorizer }: AuthorizerSources, io: CommandIo): Promise<number> {
  const all = await decideLines(readChunks(path, io), authorizer, commandContext(io), io)
  return all ? 0 : 2
}

// --- list ------------------------------------------------------------------------------------------------------

function printList(
  { listings = [], unlisted = [] }: AuthorizerSources,
  who: Pick<Attributes, 'user' | 'extraPresent'>,
  namespace: string,
  { output, quiet = false }: CanIFlags,
  io: CommandIo,
): number {
  const lists = listings.map((rulesFor) => rulesFor(who, namespace))
  const rules = lists.flatMap((list) => list.rules)
  const errors = [...lists.flatMap((list) => list.errors), ...unlisted.map((name) => `${name} cannot tell`)]
  const incomplete = unlisted.length > 0 || lists.some((list) => list.incomplete)
  if (quiet) return 0
  if (output === 'json') io.out(listAsJson(rules, namespace, incomplete, errors))
  else {
    io.out(rules.length === 0 ? 'nothing\n' : ruleTable(rules))
    if (rules.some(({ rule }) => rule.resources.some((name) => name.endsWith(HARMLESS)))) io.out(HARMLESS_NOTE)
  }
  if (incomplete) io.err(`archway: the list is incomplete: ${errors.join('; ')}\n`)
  return 0
}

const HARMLESS_NOTE = `\n${HARMLESS}: every subresource but ${[...DANGEROUS_SUBRESOURCES].join(', ')}\n`

function listAsJson(
  rules: readonly ListedRule[],
  namespace: string,
  incomplete: boolean,
  errors: readonly string[],
): string {
  const document = {
    namespace,
    incomplete,
    errors,
    resourceRules: rules
      .filter(({ rule }) => rule.resources.length > 0)
      .map(({ rule: { verbs, apiGroups, resources, resourceNames }, source }) => {
        return { verbs, apiGroups, resources, resourceNames, source }
      }),
    nonResourceRules: rules
      .filter(({ rule }) => rule.nonResourceURLs.length > 0)
      .map(({ rule: { verbs, nonResourceURLs }, source }) => ({ verbs, nonResourceURLs, source })),
  }
  return `${JSON.stringify(document, null, 2)}\n`
}
