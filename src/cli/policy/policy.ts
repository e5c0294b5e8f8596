/**
 * `archway policy`: writing, testing and changing Keystone policies. One file for each command beside this one.
 *
 * @module
 */
import type { Command } from 'commander'
import type { CommandIo } from '../io.ts'
import { addCheckCommand } from './check.ts'
import { addConvertCommand } from './convert.ts'
import { addDiffCommand } from './diff.ts'
import { addExplainCommand } from './explain.ts'
import { addMatrixCommand } from './matrix.ts'
import { addReplayCommand } from './replay.ts'
import { addTestCommand } from './test.ts'

const EXAMPLES = `
Examples:
  archway policy check policy.json
  archway policy explain policy.json get pods/exec web-0 -n default --as jane --project-name demo --role member
  archway policy diff policy.json candidate.json
`

export function addPolicyCommands(program: Command, io: CommandIo, done: (status: number) => void): void {
  const policy = program
    .command('policy')
    .description('check, test, explain, convert and compare Keystone policies')
    .addHelpText('after', EXAMPLES)
  addCheckCommand(policy, io, done)
  addTestCommand(policy, io, done)
  addExplainCommand(policy, io, done)
  addMatrixCommand(policy, io, done)
  addDiffCommand(policy, io, done)
  addReplayCommand(policy, io, done)
  addConvertCommand(policy, io, done)
}
