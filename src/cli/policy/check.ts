/**
 * `archway policy check`: everything that can be found wrong with a policy without a request.
 *
 * @module
 */
import { type Command, Option } from 'commander'
import {
  type CompiledPolicy,
  compilePolicy,
  type ExampleResult,
  type Finding,
  type LintOptions,
  lint,
  runExamples,
  type SubresourceMode,
} from '../../authz/keystone-policy/index.ts'
import type { CommandIo } from '../io.ts'
import { addPolicyFlag, counted, mistakesIn, readPolicies } from './policy-files.ts'

const EXAMPLES = `
Examples:
  archway policy check policy.json
  archway policy check policies/*.yaml --roles admin,member,reader --fail-on warning
  archway policy check base.json more.json --together -o json

Finds mistakes (syntax, types), examples that fail, and what the linter knows: ways to a shell, to credentials or to
more rights; rules for everybody; negations that exclude nothing; rules that do nothing. Each with its place and what
to write instead.
Status 0: nothing that fails; 1: mistakes, failing examples, or findings that --fail-on names.
`

interface CheckFlags {
  readonly policySubresources: SubresourceMode
  readonly roles?: string
  readonly projects?: string
  readonly failOn: 'error' | 'warning' | 'never'
  readonly together?: boolean
  readonly output: 'text' | 'json'
}

export function addCheckCommand(policy: Command, io: CommandIo, done: (status: number) => void): void {
  addPolicyFlag(
    policy
      .command('check')
      .description('find mistakes, failing examples and dangerous rules')
      .argument('<file...>', 'policies, JSON or YAML'),
  )
    .option('--roles <LIST>', 'roles there are in Keystone, with commas; other names are reported')
    .option('--projects <LIST>', 'names and ids of projects there are, with commas')
    .addOption(
      new Option('--fail-on <SEVERITY>', 'least finding that makes the status 1')
        .choices(['error', 'warning', 'never'])
        .default('error'),
    )
    .option('--together', 'as one policy, as a server takes several; else each by itself')
    .addOption(new Option('-o, --output <FORMAT>', 'for people, or JSON').choices(['text', 'json']).default('text'))
    .addHelpText('after', EXAMPLES)
    .action((files: readonly string[], flags: CheckFlags) => {
      const groups = flags.together === true ? [files] : files.map((file) => [file])
      const checked = groups.map((group) => checkGroup(group, flags))
      io.out(flags.output === 'json' ? asJson(checked) : checked.map(inText).join(''))
      done(checked.some((one) => fails(one, flags)) ? 1 : 0)
    })
}

/** What was found in files that are one policy. */
interface Checked {
  readonly files: readonly string[]
  /** As lines; where there are any there is nothing else. */
  readonly mistakes: readonly string[]
  readonly rules: number
  readonly findings: readonly Finding[]
  readonly examples: readonly (ExampleResult & { readonly where: string })[]
}

function checkGroup(files: readonly string[], flags: CheckFlags): Checked {
  const { roles, projects, policySubresources: subresources } = flags
  try {
    const policy = compilePolicy(readPolicies(files), { subresources })
    const known: LintOptions = {
      ...(roles === undefined ? {} : { roles: listed(roles) }),
      ...(projects === undefined ? {} : { projects: listed(projects) }),
    }
    const findings = lint(policy, known)
    return { files, mistakes: [], rules: policy.lines.length, findings, examples: examplesOf(policy) }
  } catch (thrown) {
    const mistakes = mistakesIn(thrown)
    if (mistakes === undefined) throw thrown
    return { files, mistakes, rules: 0, findings: [], examples: [] }
  }
}

/** The examples of every document, run against all of them together. */
export function examplesOf(policy: CompiledPolicy): Checked['examples'] {
  return policy.documents.flatMap(({ where, examples }) =>
    runExamples(policy, examples).map((result) => ({ ...result, where })),
  )
}

function listed(text: string): readonly string[] {
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
}

function fails({ mistakes, findings, examples }: Checked, { failOn }: CheckFlags): boolean {
  if (mistakes.length > 0 || examples.some(({ passed }) => !passed)) return true
  const counts = { error: ['error'], warning: ['error', 'warning'], never: [] as string[] }[failOn]
  return findings.some(({ severity }) => counts.includes(severity))
}

function inText({ files, mistakes, rules, findings, examples }: Checked): string {
  const failed = examples.filter(({ passed }) => !passed)
  const lines = [
    ...mistakes.map((mistake) => `${mistake}\n`),
    ...findings.map(findingInText),
    ...failed.map(failureInText),
  ]
  const of = (severity: Finding['severity']): number => findings.filter((each) => each.severity === severity).length
  const counts = [
    ...(mistakes.length > 0 ? [counted(mistakes.length, 'mistake')] : [counted(rules, 'rule')]),
    ...(of('error') > 0 ? [counted(of('error'), 'error')] : []),
    ...(of('warning') > 0 ? [counted(of('warning'), 'warning')] : []),
    ...(of('info') > 0 ? [counted(of('info'), 'note')] : []),
    ...(findings.length === 0 && mistakes.length === 0 ? ['nothing to say against them'] : []),
    ...(examples.length > 0 ? [`${counted(examples.length, 'example')}, ${failed.length} failed`] : []),
  ]
  return `${lines.join('')}${files.join(', ')}: ${counts.join(', ')}\n`
}

const WORDS = { error: 'error', warning: 'warning', info: 'note' } as const

function findingInText({ where, line, severity, code, path, message }: Finding): string {
  return `${where}:${line}: ${WORDS[severity]}: ${path === '' ? '' : `${path} `}${message} (${code})\n`
}

/** `policy.json:40: example: members look: expected allow, got no-opinion (why)`. */
function failureInText({ where, example, title, expected, decision }: Checked['examples'][number]): string {
  return `${where}:${example.line}: example: ${title}: expected ${expected}, got ${decision.kind} (${decision.reason ?? 'no reason'})\n`
}

function asJson(checked: readonly Checked[]): string {
  const documents = checked.map(({ files, mistakes, rules, findings, examples }) => ({
    files,
    rules,
    mistakes,
    findings,
    examples: {
      passed: examples.filter(({ passed }) => passed).length,
      failed: examples
        .filter(({ passed }) => !passed)
        .map(({ where, example, title, expected, decision }) => {
          return { where, line: example.line, title, expected, got: decision.kind, reason: decision.reason }
        }),
    },
  }))
  return `${JSON.stringify(documents, null, 2)}\n`
}
