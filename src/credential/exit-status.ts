/**
 * How the commands of the credential door end. One table: the code uses it, `--help` prints it.
 *
 * @module
 */
import { ArchwayError, type ErrorCode } from '../errors.ts'

interface ExitRow {
  readonly status: number
  /** When, in a few words. */
  readonly meaning: string
  readonly codes: readonly ErrorCode[]
}

/** Every status but those of other signals (128 + number). A status, once released, keeps its meaning. */
const EXIT_STATUS: readonly ExitRow[] = [
  { status: 0, meaning: 'done', codes: [] },
  { status: 1, meaning: 'anything else', codes: [] },
  {
    status: 2,
    meaning: 'wrong command line or settings',
    codes: ['credential_settings_invalid', 'config_invalid', 'file_invalid'],
  },
  { status: 3, meaning: 'the credentials were refused', codes: ['login_refused', 'oidc_refused'] },
  {
    status: 4,
    meaning: 'something has to be asked, and nobody can be',
    codes: ['credential_input_needed', 'login_incomplete'],
  },
  {
    status: 5,
    meaning: 'could not tell: unreachable, too slow, or no usable answer',
    codes: [
      'keystone_answer_invalid',
      'keystone_busy',
      'keystone_timeout',
      'keystone_unreachable',
      'oidc_answer_invalid',
      'oidc_timeout',
      'oidc_unreachable',
      'credential_unusable',
    ],
  },
  { status: 6, meaning: 'another process is logging in, and takes too long', codes: ['credential_locked'] },
  { status: 130, meaning: 'interrupted (Ctrl-C)', codes: ['credential_interrupted'] },
]

/** The status for anything that was thrown. */
export function exitStatusOf(thrown: unknown): number {
  if (!(thrown instanceof ArchwayError)) return 1
  return EXIT_STATUS.find(({ codes }) => codes.includes(thrown.code))?.status ?? 1
}

/** The table for `--help`. */
export function exitStatusHelp(): string {
  return EXIT_STATUS.map(({ status, meaning }) => `  ${String(status).padEnd(4)} ${meaning}\n`).join('')
}
