/**
 * `archway csr`: certificates through the certificates API of a cluster, from the key to the kubeconfig. One file for
 * each command beside this one.
 *
 * @module
 */
import type { Command } from 'commander'
import type { CommandIo } from '../io.ts'
import type { PasswordPrompt } from '../passwd.ts'
import { addDecisionCommands } from './decide.ts'
import { addFetchCommand } from './fetch.ts'
import { addListCommand } from './list.ts'
import { addNewCommand } from './new.ts'
import { addShowCommand } from './show.ts'
import { addSignCommand } from './sign.ts'

const EXAMPLES = `
Examples:
  archway csr new --user jane --key jane.key --expiration 8h --submit
  archway csr list
  archway csr approve jane-x7k2p
  archway csr fetch jane-x7k2p --key jane.key --write-kubeconfig jane.kubeconfig
`

/** @param openPrompt gives undefined where nobody can be asked; absent: nobody ever can */
export function addCsrCommands(
  program: Command,
  io: CommandIo,
  done: (status: number) => void,
  openPrompt: () => PasswordPrompt | undefined = () => undefined,
): void {
  const csr = program
    .command('csr')
    .description('ask for certificates through the Kubernetes API, review, approve, sign and fetch them')
    .addHelpText('after', EXAMPLES)
  addNewCommand(csr, io, done)
  addListCommand(csr, io, done)
  addShowCommand(csr, io, done)
  addDecisionCommands(csr, io, done, openPrompt)
  addFetchCommand(csr, io, done)
  addSignCommand(csr, io, done)
}
