/**
 * The command line: which program was called, and which command of it. Owns argv, stdout and exit codes; one file
 * for each command beside this one.
 *
 * @module
 */
import { Command } from 'commander'
import { addCanICommand } from './can-i.ts'
import { addConfigCommands } from './config.ts'
import { configuredAuthorizers } from './configured-authorizers.ts'
import { addDemoCommand } from './demo.ts'
import { addIdentifyCommand } from './identify.ts'
import { type CommandIo, ExitError, processIo } from './io.ts'
import { keystoneAuth } from './k8s-keystone-auth.ts'
import { addPasswdCommand } from './passwd.ts'
import { addPolicyCommands } from './policy/policy.ts'
import { addReviewCommands } from './review.ts'
import { addServeCommand } from './serve.ts'
import { version } from './version.ts'

export interface MainOptions {
  /** Name the program was called by: `archway` or one of the drop-in names. */
  readonly program: string
  /** Arguments after the program's name. */
  readonly argv: readonly string[]
  readonly io?: CommandIo
}

/** Runs one command. Resolves to the exit status. */
export async function main({ program, argv, io = processIo() }: MainOptions): Promise<number> {
  try {
    switch (program) {
      case 'k8s-keystone-auth':
        return await keystoneAuth(argv, io)
      case 'client-keystone-auth':
        throw new ExitError(1, 'client-keystone-auth: getting credentials is not part of this version of Archway')
      default:
        return await archway(argv, io)
    }
  } catch (thrown) {
    if (thrown instanceof ExitError) {
      if (thrown.message !== '') io.err(`${thrown.message}\n`)
      return thrown.status
    }
    throw thrown
  }
}

async function archway(argv: readonly string[], io: CommandIo): Promise<number> {
  let status = 0
  const program = new Command('archway')
    .description('Lets people into Kubernetes with the identity they already have, OpenStack Keystone first.')
    .version(version(), '--version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .configureOutput({ writeOut: io.out, writeErr: io.err })
    .configureHelp({ showGlobalOptions: false })
    .showSuggestionAfterError()
    .exitOverride((exit) => {
      throw new ExitError(exit.exitCode === 0 ? 0 : 2, '')
    })
    .addHelpText('after', '\nEvery command has examples: archway COMMAND --help\n')
  const done = (code: number): void => {
    status = code
  }
  program.commandsGroup('Doors:')
  addServeCommand(program, io, done)
  program.commandsGroup('Policy:')
  addCanICommand(program, io, done, configuredAuthorizers)
  addPolicyCommands(program, io, done)
  program.commandsGroup('Looking at things:')
  addReviewCommands(program, io, done)
  addIdentifyCommand(program, io, done)
  addConfigCommands(program, io, done)
  program.commandsGroup('Keeping files:')
  addPasswdCommand(program, io, done)
  program.commandsGroup('Trying it out:')
  addDemoCommand(program, io, done)
  program.commandsGroup('')
  program.helpCommand(true)
  if (argv.length === 0) {
    program.outputHelp()
    return 0
  }
  await program.parseAsync(argv, { from: 'user' })
  return status
}
