/**
 * `archway`: its commands, in groups. A command is loaded when it is called, all of them to list them; one file for each
 * beside this one.
 *
 * @module
 */
import { Command } from 'commander'
import { type CommandIo, ExitError } from './io.ts'
import type { PlainCommand } from './plain-command.ts'
import { version } from './version.ts'

type AddCommand = (program: Command, io: CommandIo, done: (status: number) => void) => void

/** Loads a command: one of the tree, or one that reads its arguments itself. */
type Load =
  | { readonly tree: () => Promise<AddCommand>; readonly plain?: never }
  | { readonly plain: () => Promise<PlainCommand>; readonly tree?: never }

/** Group → command → how it is loaded. */
const COMMANDS: Readonly<Record<string, Readonly<Record<string, Load>>>> = {
  'Doors:': {
    serve: { tree: async () => (await import('./serve.ts')).addServeCommand },
    proxy: { tree: async () => (await import('./proxy.ts')).addProxyCommand },
    credential: { plain: async () => (await import('./credential.ts')).credentialCommand },
  },
  'Your own login:': {
    login: { plain: async () => (await import('./login.ts')).loginCommand },
    logout: { plain: async () => (await import('./logout.ts')).logoutCommand },
    kubeconfig: { tree: async () => (await import('./kubeconfig.ts')).addKubeconfigCommand },
    whoami: { plain: async () => (await import('./whoami.ts')).whoamiCommand },
  },
  'Policy:': {
    'can-i': {
      tree: async () => {
        const [{ addCanICommand }, { configuredAuthorizers }] = await Promise.all([
          import('./can-i.ts'),
          import('./configured-authorizers.ts'),
        ])
        return (program, io, done) => addCanICommand(program, io, done, configuredAuthorizers)
      },
    },
    policy: { tree: async () => (await import('./policy/policy.ts')).addPolicyCommands },
  },
  'Looking at things:': {
    review: { tree: async () => (await import('./review.ts')).addReviewCommands },
    identify: {
      tree: async () => {
        const [{ addIdentifyCommand }, { openTerminal }] = await Promise.all([
          import('./identify.ts'),
          import('../credential/terminal.ts'),
        ])
        return (program, io, done) => addIdentifyCommand(program, io, done, openTerminal)
      },
    },
    config: { tree: async () => (await import('./config.ts')).addConfigCommands },
  },
  'Certificates:': {
    pki: { tree: async () => (await import('./pki/pki.ts')).addPkiCommands },
    csr: {
      tree: async () => {
        const [{ addCsrCommands }, { openTerminal }] = await Promise.all([
          import('./csr/csr.ts'),
          import('../credential/terminal.ts'),
        ])
        return (program, io, done) => addCsrCommands(program, io, done, openTerminal)
      },
    },
    signer: { tree: async () => (await import('./signer.ts')).addSignerCommand },
  },
  'Keeping files:': {
    passwd: {
      tree: async () => {
        const [{ addPasswdCommand }, { openTerminal }] = await Promise.all([
          import('./passwd.ts'),
          import('../credential/terminal.ts'),
        ])
        return (program, io, done) => addPasswdCommand(program, io, done, openTerminal)
      },
    },
  },
  'Trying it out:': {
    demo: { tree: async () => (await import('./demo.ts')).addDemoCommand },
  },
}

/** Runs one command of `archway`. Resolves to the exit status. */
export async function archway(argv: readonly string[], io: CommandIo): Promise<number> {
  const [name = ''] = argv
  const called = Object.values(COMMANDS).flatMap((group) => (Object.hasOwn(group, name) ? [group[name]] : []))[0]
  if (called?.plain !== undefined) return (await called.plain()).run(argv.slice(1), io)
  let status = 0
  const done = (code: number): void => {
    status = code
  }
  const program = emptyProgram(io)
  if (called !== undefined) (await called.tree())(program, io, done)
  else if (name !== '--version') await addAll(program, io, done)
  if (argv.length === 0) {
    program.outputHelp()
    return 0
  }
  await program.parseAsync(argv, { from: 'user' })
  return status
}

function emptyProgram(io: CommandIo): Command {
  return new Command('archway')
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
}

/** For the list, and to suggest what was meant. */
async function addAll(program: Command, io: CommandIo, done: (status: number) => void): Promise<void> {
  for (const [title, group] of Object.entries(COMMANDS)) {
    program.commandsGroup(title)
    for (const [name, load] of Object.entries(group)) {
      if (load.tree !== undefined) (await load.tree())(program, io, done)
      else {
        const { description, help } = await load.plain()
        program.command(name).description(description).configureHelp({ formatHelp: help })
      }
    }
  }
  program.commandsGroup('')
  program.helpCommand(true)
}
