/**
 * `client-keystone-auth`: the predecessor's plugin. Takes its flags and variables, prints what it printed, byte for byte,
 * and fails in its words; whatever goes wrong, the status is 1.
 *
 * @module
 */
import { expiryAsWritten, renderExecCredential } from '../credential/exec-credential.ts'
import { readExecInfo } from '../credential/exec-info.ts'
import { flagsHelp, lastText, type ParsedFlags, parseFlags } from '../credential/settings/flags.ts'
import { type FlagRow, PROGRAM_FLAGS, SETTINGS } from '../credential/settings/table.ts'
import { ArchwayError } from '../errors.ts'
import { type CommandIo, ExitError } from './io.ts'
import { CACHE_FLAG, describeFailure, FORCE_FLAG, isSet, type LoginSession, withSession } from './login-session.ts'

const NAME = 'client-keystone-auth'

const FLAGS: readonly FlagRow[] = [...SETTINGS, CACHE_FLAG, FORCE_FLAG, ...PROGRAM_FLAGS]

/** Runs the drop-in plugin. Resolves to the exit status. */
export async function clientKeystoneAuth(argv: readonly string[], io: CommandIo): Promise<number> {
  const flags = parse(argv)
  if (isSet(flags, 'help')) {
    io.out(usage())
    return 0
  }
  if (isSet(flags, 'version')) {
    const { version } = await import('./version.ts')
    io.out(`${NAME} (Archway) ${version()}\n`)
    return 0
  }
  let session: LoginSession | undefined
  try {
    const exec = readExecInfo(io.env)
    const verbose = verbosity(flags) > 0
    const { token, ...life } = await withSession({ flags, io, exec, verbose, label: NAME }, (opened) => {
      session = opened
      return opened.obtain({ force: isSet(flags, 'force') })
    })
    const deliver = io.deliver ?? io.out
    deliver(renderExecCredential({ apiVersion: exec.apiVersion, token, expirationTimestamp: expiryAsWritten(life) }))
    return 0
  } catch (thrown) {
    if (thrown instanceof ArchwayError && thrown.code === 'credential_interrupted')
      throw new ExitError(130, 'interrupted')
    throw new ExitError(1, inItsWords(thrown, { asked: session?.asked === true, detailed: verbosity(flags) > 0 }))
  }
}

function parse(argv: readonly string[]): ParsedFlags {
  try {
    const flags = parseFlags(argv, FLAGS)
    verbosity(flags)
    return flags
  } catch (thrown) {
    throw new ExitError(1, `${usage()}Error: ${describeFailure(thrown)}`)
  }
}

function verbosity(flags: ParsedFlags): number {
  const text = lastText(flags, 'v') ?? '0'
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new ArchwayError('credential_settings_invalid', 'invalid argument for "-v, --v" flag: expected a number')
}

/** The lines scripts look for. That of a refusal has always stood alone; `-v 1` says what is known beside it. */
function inItsWords(
  thrown: unknown,
  { asked, detailed }: { readonly asked: boolean; readonly detailed: boolean },
): string {
  const text = describeFailure(thrown)
  const code = thrown instanceof ArchwayError ? thrown.code : undefined
  switch (code) {
    case 'login_refused':
    case 'oidc_refused':
      return `Invalid user credentials were provided${detailed ? `\n${text}` : ''}`
    case 'credential_settings_invalid':
      return `Failed to read openstack env vars: ${text}`
    case 'credential_input_needed':
      return asked ? `Failed to read data from console: ${text}` : `Failed to read openstack env vars: ${text}`
    case 'file_invalid':
      return `An error occurred: failed: Cannot read ${text}`
    default:
      return `An error occurred: ${text}`
  }
}

function usage(): string {
  return [
    `${NAME}: credential plugin of kubectl for OpenStack Keystone, by Archway. archway credential is the same with`,
    'statuses that tell why.',
    '',
    'Usage:',
    `  ${NAME} [flags]`,
    '',
    flagsHelp(FLAGS),
  ].join('\n')
}
