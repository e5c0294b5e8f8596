/**
 * `archway pki inspect`: what is in any file, folder or server that holds certificates.
 *
 * @module
 */
import { type Command, Option } from 'commander'
import { ExitError } from '../io.ts'
import { asJson, printable } from '../terminal.ts'
import { count, refusing } from './flags.ts'
import { documentOf, textOf } from './report.ts'
import { type Found, foundIn } from './sources.ts'
import type { PkiWorld } from './world.ts'

const EXAMPLES = `
Examples:
  archway pki inspect apiserver.crt
  archway pki inspect ~/.kube/config
  archway pki inspect 10.0.0.1:6443
  kubectl get secret -n kube-system tls -o yaml | archway pki inspect -
  archway pki inspect /etc/kubernetes/pki -o json

Takes PEM and DER, kubeconfigs, Secrets and whatever else of Kubernetes has certificates in it (YAML or JSON), folders of
those, signing requests, and HOST:PORT, where a TLS handshake is made and nothing verified. Says who Kubernetes would
take the bearer for, if it trusts the authority. Private keys are not looked into.
Status 0: something was found; 1: nothing, or it could not be read; 2: a wrong command line.
`

interface InspectFlags {
  readonly output: 'text' | 'json'
  readonly timeout: number
}

export function addInspectCommand(pki: Command, world: PkiWorld): void {
  pki
    .command('inspect')
    .description('show certificates: of files, kubeconfigs, manifests, folders, servers')
    .argument('<what...>', 'file, folder, HOST:PORT, or "-" for standard input')
    .addOption(new Option('-o, --output <FORMAT>', 'for people, or JSON').choices(['text', 'json']).default('text'))
    .addOption(new Option('--timeout <SECONDS>', 'how long a server may take').argParser(count).default(10))
    .addHelpText('after', EXAMPLES)
    .action((what: readonly string[], flags: InspectFlags) => refusing(() => inspect(what, flags, world)))
}

async function inspect(what: readonly string[], flags: InspectFlags, { io, now, done }: PkiWorld): Promise<void> {
  const options = { timeoutMs: Math.max(1, flags.timeout) * 1000, readInput: io.readInput }
  const found: Found[] = []
  for (const argument of what) found.push(...(await foundIn(argument, options)))
  if (found.length === 0)
    throw new ExitError(1, `archway: ${printable(what.join(', '))}: no certificate, request or key`)
  const at = now()
  if (flags.output === 'json') {
    io.out(asJson(found.map((one) => documentOf(one, found, at))))
  } else {
    io.out(found.map((one) => textOf(one, found, at)).join(''))
  }
  done(found.every(({ kind }) => kind === 'unreadable') ? 1 : 0)
}
