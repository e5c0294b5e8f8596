/**
 * The command line: which program was called. Owns the way to it; each program is loaded when it is called, as
 * kubectl starts the credential plugins with every command.
 *
 * @module
 */
import { type CommandIo, ExitError, processIo } from './io.ts'

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
    return await run(program, argv, io)
  } catch (thrown) {
    if (thrown instanceof ExitError) {
      if (thrown.message !== '') io.err(`${thrown.message}\n`)
      return thrown.status
    }
    throw thrown
  }
}

async function run(program: string, argv: readonly string[], io: CommandIo): Promise<number> {
  switch (program) {
    case 'k8s-keystone-auth':
      return (await import('./k8s-keystone-auth.ts')).keystoneAuth(argv, io)
    case 'client-keystone-auth':
      return (await import('./client-keystone-auth.ts')).clientKeystoneAuth(argv, io)
    default:
      // In front of the tree of commands, which takes its time to load.
      if (argv[0] === 'credential') return (await import('./credential.ts')).credential(argv.slice(1), io)
      return (await import('./archway.ts')).archway(argv, io)
  }
}
