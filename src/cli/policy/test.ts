/**
 * `archway policy test`: the examples beside a policy, run.
 *
 * @module
 */
import { writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import {
  type CompiledPolicy,
  compilePolicy,
  type ExampleResult,
  explain,
  type SubresourceMode,
} from '../../authz/keystone-policy/index.ts'
import { messageOf } from '../../errors.ts'
import { type CommandIo, ExitError } from '../io.ts'
import { examplesOf } from './check.ts'
import { junitXml, type TestedCase, type TestedGroup } from './junit.ts'
import { addPolicyFlag, counted, orExit2, readPolicies } from './policy-files.ts'

const EXAMPLES = `
Examples:
  archway policy test policy.yaml
  archway policy test policies/*.yaml --junit results.xml
  archway policy test base.json more.yaml --together --junit -

Examples stand beside the policies:
  policies: [...]
  examples:
    - name: members look, and do not touch
      user: { name: jane, project: demo, roles: [member] }
      verb: [create, delete]
      resource: pods
      namespace: default
      expect: no-opinion
Status 0: all pass, or there are none; 1: some fail; 2: mistakes in the policy, or a wrong command line.
`

interface TestFlags {
  readonly policySubresources: SubresourceMode
  readonly junit?: string
  readonly together?: boolean
}

export function addTestCommand(policy: Command, io: CommandIo, done: (status: number) => void): void {
  addPolicyFlag(
    policy
      .command('test')
      .description('run the examples beside a policy')
      .argument('<file...>', 'policies with examples, JSON or YAML'),
  )
    .option('--junit <FILE>', 'write the results as JUnit XML; - for standard output, instead of the text')
    .option('--together', 'as one policy, as a server takes several; else each by itself')
    .addHelpText('after', EXAMPLES)
    .action((files: readonly string[], flags: TestFlags) => {
      const groups = flags.together === true ? [files] : files.map((file) => [file])
      const tested = orExit2(() => groups.map((group) => testGroup(group, flags)))
      if (flags.junit !== '-') io.out(inText(tested))
      if (flags.junit !== undefined) writeReport(flags.junit, tested, io)
      done(tested.some(({ cases }) => cases.some(({ failure }) => failure !== undefined)) ? 1 : 0)
    })
}

function testGroup(files: readonly string[], { policySubresources: subresources }: TestFlags): TestedGroup {
  const policy = compilePolicy(readPolicies(files), { subresources })
  return {
    name: files.join(', '),
    cases: examplesOf(policy).map((result) => ({
      file: result.where,
      line: result.example.line,
      title: result.title,
      ...(result.passed ? {} : { failure: failureOf(policy, result) }),
    })),
  }
}

/** What went wrong: which rule allowed it, or which one nearly did. */
function failureOf(policy: CompiledPolicy, result: ExampleResult): NonNullable<TestedCase['failure']> {
  const { expected, decision, attributes } = result
  const what = `expected ${expected}, got ${decision.kind}`
  if (decision.kind === 'allow') return { what, why: decision.reason }
  const { outOfScope, nearest } = explain(policy, attributes)
  if (outOfScope !== undefined) return { what, why: outOfScope }
  if (nearest === undefined) return { what, why: decision.reason ?? '' }
  return { what, why: `nearest: ${nearest.line.name}: ${nearest.why ?? ''}` }
}

function inText(tested: readonly TestedGroup[]): string {
  const cases = tested.flatMap((group) => group.cases)
  const failed = cases.filter(({ failure }) => failure !== undefined).length
  return `${tested.map(groupInText).join('')}${cases.length - failed} passed, ${failed} failed\n`
}

function groupInText({ name, cases }: TestedGroup): string {
  if (cases.length === 0) return `${name}: no examples\n`
  const lines = cases.map(({ file, line, title, failure }) =>
    failure === undefined
      ? `  ok    ${title}\n`
      : `  FAIL  ${title}\n        ${file}:${line}: ${failure.what}\n        ${failure.why}\n`,
  )
  return `${name}: ${counted(cases.length, 'example')}\n${lines.join('')}`
}

function writeReport(path: string, tested: readonly TestedGroup[], io: CommandIo): void {
  const xml = junitXml(tested)
  if (path === '-') {
    io.out(xml)
    return
  }
  try {
    writeFileSync(path, xml)
  } catch (thrown) {
    throw new ExitError(2, `archway: cannot write ${path}: ${messageOf(thrown)}`)
  }
}
