/**
 * A command that reads its arguments itself, without the tree of commands.
 *
 * @module
 */
import type { CommandIo } from './io.ts'

export interface PlainCommand {
  /** A few words for the list of commands. */
  readonly description: string
  /** The whole of `--help`. */
  readonly help: () => string
  /** Runs it with the arguments after its name. Resolves to the exit status. */
  readonly run: (argv: readonly string[], io: CommandIo) => Promise<number>
}
