/**
 * `archway credential`: the plugin a Kubernetes client runs for a token.
 *
 * @module
 */
import { expiryWithMargin, renderExecCredential } from '../credential/exec-credential.ts'
import { readExecInfo } from '../credential/exec-info.ts'
import type { CommandIo } from './io.ts'
import {
  FORCE_FLAG,
  isSet,
  LOGIN_FLAGS,
  type LoginCommandOptions,
  loginHelp,
  runLoginCommand,
  withSession,
} from './login-session.ts'
import type { PlainCommand } from './plain-command.ts'

const COMMAND: LoginCommandOptions = {
  name: 'archway credential',
  description: 'Prints a token as an ExecCredential, for kubectl and other programs that run credential plugins.',
  flags: [...LOGIN_FLAGS, FORCE_FLAG],
  examples: [
    '  archway credential --keystone-url https://keystone.example:5000/v3 --user-name alice --project-name demo',
    '  archway credential --os-cloud demo',
    '  archway credential --oidc-issuer https://issuer.example --oidc-client-id kubernetes --oidc-flow device',
    '  archway kubeconfig --server https://kubernetes.example:6443 --os-cloud demo   # writes the entry that runs it',
  ].join('\n'),
  notes: [
    'Settings come from flags, then the environment, then the extension client.authentication.k8s.io/exec of the',
    "kubeconfig's cluster, then clouds.yaml; what is still missing is asked for where the client allows it and standard",
    'input is a terminal. The answer is in the version KUBERNETES_EXEC_INFO asks for, v1beta1 without that variable.',
    '',
    'A kept token is given out until a tenth of its life is left, at most a minute, and the expiry that is printed is',
    'earlier by as much. A client that asks for it a second time has met a 401 with it, and gets a new one.',
    '',
  ].join('\n'),
}

export const credentialCommand: PlainCommand = {
  description: 'credential plugin of kubectl: a token as an ExecCredential',
  help: () => loginHelp(COMMAND),
  run: credential,
}

/** Runs the plugin. Resolves to the exit status; on stdout is the whole credential or nothing. */
export function credential(argv: readonly string[], io: CommandIo): Promise<number> {
  return runLoginCommand(COMMAND, argv, io, async (flags) => {
    const exec = readExecInfo(io.env)
    const verbose = isSet(flags, 'verbose')
    const { token, ...life } = await withSession({ flags, io, exec, verbose }, (session) =>
      session.obtain({ force: isSet(flags, 'force') }),
    )
    const deliver = io.deliver ?? io.out
    deliver(renderExecCredential({ apiVersion: exec.apiVersion, token, expirationTimestamp: expiryWithMargin(life) }))
    return 0
  })
}
