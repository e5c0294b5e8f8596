/**
 * `archway policy replay`: what a candidate policy would have decided otherwise.
 *
 * @module
 */
import { type Command, Option } from 'commander'
import { inWords, type SubresourceMode } from '../../authz/keystone-policy/index.ts'
import { readRecording } from '../../authz/recording/reader.ts'
import { type ReplayedChange, type ReplayReport, replay } from '../../authz/recording/replay.ts'
import { type AuthorizerSources, commandContext, openSources } from '../authorizer-sources.ts'
import { type CommandIo, ExitError } from '../io.ts'
import { addPolicyFlag, mistakesIn } from './policy-files.ts'
import { readChunks } from './review-lines.ts'

const EXAMPLES = `
Examples:
  archway policy replay reviews.jsonl candidate.json
  archway policy replay reviews.jsonl candidate.json --rbac-manifests rbac/ --examples 100
  zcat reviews.jsonl.gz | archway policy replay - candidate.json -o json

A recording holds what was decided by whatever was in force. If that was more than the policy, name the rest as well,
so that like is compared with like. User ids are not recorded: a rule that matches users by id matches nobody here.
Status 0: nothing would be decided otherwise; 1: something would; 2: no recording, mistakes, or a wrong command line.
`

interface ReplayFlags {
  readonly policySubresources: SubresourceMode
  readonly rbacManifests?: string
  readonly abacFile?: string
  readonly examples: string
  readonly output: 'text' | 'json'
}

export function addReplayCommand(policy: Command, io: CommandIo, done: (status: number) => void): void {
  addPolicyFlag(
    policy
      .command('replay')
      .description('decide on recorded reviews with a candidate policy')
      .argument('<recording>', 'file of the recorder; - for standard input')
      .argument('<candidate>', 'policy, JSON or YAML'),
  )
    .option('--rbac-manifests <DIR>', 'RBAC manifests that are asked after the candidate')
    .option('--abac-file <FILE>', 'ABAC policy file that is asked after those')
    .option('--examples <COUNT>', 'most requests that are shown', '20')
    .addOption(new Option('-o, --output <FORMAT>', 'for people, or JSON').choices(['text', 'json']).default('text'))
    .addHelpText('after', EXAMPLES)
    .action(async (path: string, candidate: string, flags: ReplayFlags) => {
      const sources = await openSources({ ...flags, keystonePolicyFile: [candidate] }, io)
      const { hashed, report } = await replayed(path, sources, wholeNumber('--examples', flags.examples), io)
      io.out(flags.output === 'json' ? asJson(report) : inText(report))
      for (const { line, why } of report.unreadable.first) io.err(`archway: ${path}:${line}: passed over: ${why}\n`)
      if (hashed) io.err('archway: the recording has stand-ins for user names: rules about users match nobody\n')
      done(report.changedReviews > 0 ? 1 : 0)
    })
}

async function replayed(
  path: string,
  { authorizer }: AuthorizerSources,
  examples: number,
  io: CommandIo,
): Promise<{ readonly hashed: boolean; readonly report: ReplayReport }> {
  try {
    const recording = await readRecording(readChunks(path, io), path === '-' ? 'standard input' : path)
    const report = await replay(recording, authorizer, commandContext(io), { examples })
    return { hashed: recording.header.users === 'hashed', report }
  } catch (thrown) {
    const mistakes = mistakesIn(thrown)
    if (mistakes === undefined) throw thrown
    throw new ExitError(2, mistakes.map((mistake) => `archway: ${mistake}`).join('\n'))
  }
}

/** A count on the command line. */
export function wholeNumber(flag: string, text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new ExitError(2, `archway: ${flag} ${text}: expected a whole number`)
}

function inText({ reviews, changes, changedReviews, examples, unreadable, from, to }: ReplayReport): string {
  const span = from === undefined ? '' : `, ${from} to ${to}`
  return [
    `${reviews} reviews replayed${span}: ${changedReviews} would be decided otherwise\n`,
    ...[...changes].map(([how, count]) => `  ${String(count).padStart(8)}  ${how}\n`),
    ...(unreadable.count > 0 ? [`  ${String(unreadable.count).padStart(8)}  lines were no reviews\n`] : []),
    ...examples.map(exampleInText),
  ].join('')
}

function exampleInText({ attributes, before, after, reasons, reviews }: ReplayedChange): string {
  const { username, groups } = attributes.user
  return [
    `\n${username === '' ? 'somebody' : username}: ${inWords(attributes)}${reviews > 1 ? ` (${reviews} times)` : ''}\n`,
    `  ${before} → ${after}\n`,
    ...(reasons.before === '' ? [] : [`  was:      ${reasons.before}\n`]),
    ...(reasons.after === '' ? [] : [`  would be: ${reasons.after}\n`]),
    ...(groups.length === 0 ? [] : [`  groups:   ${groups.slice(0, 5).join(', ')}${groups.length > 5 ? ', …' : ''}\n`]),
  ].join('')
}

function asJson({ changes, examples, unreadable, ...rest }: ReplayReport): string {
  const document = {
    ...rest,
    changes: Object.fromEntries(changes),
    unreadable: unreadable.count,
    examples: examples.map(({ attributes: { user, extraPresent, ...asked }, ...change }) => ({
      ...change,
      user: user.username,
      groups: user.groups,
      ...(extraPresent ? { extra: Object.fromEntries(user.extra) } : {}),
      request: asked,
    })),
  }
  return `${JSON.stringify(document, null, 2)}\n`
}
