/**
 * `archway pki`: the authorities and certificates of a cluster, without openssl. One file for each command beside this
 * one.
 *
 * @module
 */
import type { Command } from 'commander'
import type { CommandIo } from '../io.ts'
import { addCheckCommand } from './check.ts'
import { addInitCommand } from './init.ts'
import { addInspectCommand } from './inspect.ts'
import { addIssueCommand } from './issue.ts'
import { addRotateCommands } from './rotate.ts'
import type { PkiWorld } from './world.ts'

const EXAMPLES = `
Examples:
  archway pki init pki
  archway pki issue apiserver --dir pki --advertise-address 10.0.0.1 --node master-0
  archway pki issue user --dir pki --cn jane --group devs --kubeconfig jane.conf --server https://10.0.0.1:6443
  archway pki inspect 10.0.0.1:6443
  archway pki check pki
  archway pki rotate ca ca --dir pki
`

export function addPkiCommands(
  program: Command,
  io: CommandIo,
  done: (status: number) => void,
  now: () => Date = () => new Date(),
): void {
  const pki = program
    .command('pki')
    .description('make, issue, inspect, check and rotate the certificates of a cluster')
    .addHelpText('after', EXAMPLES)
  const world: PkiWorld = { io, done, now }
  addInitCommand(pki, world)
  addIssueCommand(pki, world)
  addInspectCommand(pki, world)
  addCheckCommand(pki, world)
  addRotateCommands(pki, world)
}
