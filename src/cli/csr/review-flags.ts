/**
 * Flags of what counts as usual in a request, shared by the commands that judge one.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { isSignerName } from '../../kube/signer-name.ts'
import { FINDINGS, type FindingCode } from '../../signer/finding.ts'
import type { FindingsOptions, Reviewed } from '../../signer/findings.ts'
import { parseLifetime } from '../../signer/policy-schema.ts'

export interface ReviewFlags {
  readonly knownSigner: readonly string[]
  readonly mostLife: number
}

/** Adds `--known-signer` and `--most-life`. */
export function addReviewFlags(command: Command): Command {
  return command
    .addOption(
      new Option('--known-signer <NAME>', "a signer of the cluster's own that is to be expected; repeatable")
        .argParser(asSigner)
        .default([], 'none'),
    )
    .addOption(
      new Option('--most-life <TIME>', 'longest life that is nothing unusual, such as 8h or 30d')
        .argParser(asLifetime)
        .default(7 * 86_400, '7d'),
    )
}

export function findingsOptions({ knownSigner, mostLife }: ReviewFlags): FindingsOptions {
  return { signers: knownSigner, mostSeconds: mostLife }
}

/** Adds `--i-know`. */
export function addKnownFlag(command: Command): Command {
  return command.addOption(
    new Option('--i-know <FINDING>', 'go on in spite of this finding; repeatable, one for each')
      .argParser(asFinding)
      .default([], 'none'),
  )
}

/** Hostile findings that nobody has said to know of. */
export function unknownFindings({ findings }: Reviewed, iKnow: readonly FindingCode[]): readonly FindingCode[] {
  const hostile = findings.filter(({ severity }) => severity === 'hostile').map(({ code }) => code)
  return [...new Set(hostile)].filter((code) => !iKnow.includes(code))
}

function asFinding(text: string, before: readonly FindingCode[]): readonly FindingCode[] {
  const found = FINDINGS.find((code) => code === text)
  if (found === undefined) throw new InvalidArgumentError(`expected one of ${FINDINGS.join(', ')}.`)
  return [...before, found]
}

function asSigner(text: string, before: readonly string[]): readonly string[] {
  if (!isSignerName(text)) throw new InvalidArgumentError('expected a name such as example.com/people.')
  return [...before, text]
}

/** Seconds. */
export function asLifetime(text: string): number {
  const seconds = parseLifetime(text)
  if (seconds === undefined) throw new InvalidArgumentError('expected a time such as 8h, 1h30m or 30d.')
  return seconds
}

/** For options that may be given several times. */
export function collect(text: string, before: readonly string[]): readonly string[] {
  return [...before, text]
}
