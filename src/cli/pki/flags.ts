/**
 * What the flags of the `pki` commands mean: lifetimes, passphrases, lists; and how what is refused ends a command.
 *
 * @module
 */
import { InvalidArgumentError, Option } from 'commander'
import { ArchwayError } from '../../errors.ts'
import { readSecretFile } from '../../pki/files.ts'
import { KEY_ALGORITHMS, type KeyAlgorithm } from '../../pki/keys.ts'
import { Secret } from '../../secret.ts'
import { ExitError } from '../io.ts'
import { printableLines } from '../terminal.ts'

export const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
/** Clocks differ: what is issued now is to be good on a machine that is behind. */
const BACKDATED_MS = 300_000

/** Runs a command; what could not be done ends it with this status. */
export async function refusing(act: () => Promise<void> | void, status = 1): Promise<void> {
  try {
    await act()
  } catch (thrown) {
    if (thrown instanceof ArchwayError) throw new ExitError(status, `archway: ${printableLines(thrown.message)}`)
    throw thrown
  }
}

export function usage(message: string): ExitError {
  return new ExitError(2, `archway: ${message}`)
}

/** For flags that may stand several times; commas separate as well. */
export function collect(value: string, previous: readonly string[]): readonly string[] {
  return [...previous, ...value.split(',').filter((part) => part !== '')]
}

/** For flags whose values may hold commas. */
export function collectWhole(value: string, previous: readonly string[]): readonly string[] {
  return [...previous, value]
}

/** A whole number, zero or more. */
export function count(value: string): number {
  if (!/^\d{1,6}$/.test(value)) throw new InvalidArgumentError('expected a whole number.')
  return Number(value)
}

export function keyAlgorithmOption(byDefault: KeyAlgorithm | undefined): Option {
  const option = new Option('--key-algorithm <NAME>', 'kind of key').choices(KEY_ALGORITHMS)
  return byDefault === undefined ? option : option.default(byDefault)
}

export function passphraseOption(): Option {
  return new Option('--passphrase-file <FILE>', "passphrase of the authorities' keys; the first line counts")
}

/** A passphrase is never an argument, which every user of the machine could see. */
export function passphraseOf(path: string | undefined): Secret | undefined {
  if (path === undefined) return undefined
  const [line = ''] = readSecretFile(path).reveal().split(/\r?\n/)
  if (line === '') throw usage(`--passphrase-file ${path}: its first line is empty`)
  return new Secret(line)
}

export interface Lifetime {
  readonly notBefore: Date
  readonly notAfter: Date
}

/** From a moment ago for so long. */
export function lifetime(
  now: Date,
  { days = 0, hours = 0 }: { readonly days?: number; readonly hours?: number },
): Lifetime {
  const ms = days * DAY_MS + hours * HOUR_MS
  if (ms <= 0) throw usage('--days or --hours: expected more than nothing')
  return { notBefore: new Date(now.getTime() - BACKDATED_MS), notAfter: new Date(now.getTime() + ms) }
}
