/**
 * `archway login`: logs in now and keeps the token, so that kubectl finds it.
 *
 * @module
 */
import type { CachedCredential } from '../credential/cache/store.ts'
import { describeAccount } from '../credential/obtain.ts'
import { ArchwayError } from '../errors.ts'
import { type CommandIo, ExitError } from './io.ts'
import {
  isSet,
  LOGIN_FLAGS,
  type LoginCommandOptions,
  loginHelp,
  NOBODY_ASKS,
  runLoginCommand,
  withSession,
} from './login-session.ts'
import type { PlainCommand } from './plain-command.ts'

const COMMAND: LoginCommandOptions = {
  name: 'archway login',
  description: 'Logs in and keeps the token for kubectl. Asks for what no setting gives; passwords are not shown.',
  flags: [
    ...LOGIN_FLAGS,
    { flag: 'no-browser', help: 'print the address to open instead of opening it', group: 'Program' },
  ],
  examples: [
    '  archway login --os-cloud demo',
    '  archway login --keystone-url https://keystone.example:5000/v3 --user-name alice --project-name demo',
    '  archway login --oidc-issuer https://issuer.example --oidc-client-id kubernetes --no-browser',
  ].join('\n'),
}

export const loginCommand: PlainCommand = {
  description: 'log in now, and keep the token for kubectl',
  help: () => loginHelp(COMMAND),
  run: login,
}

function login(argv: readonly string[], io: CommandIo): Promise<number> {
  return runLoginCommand(COMMAND, argv, io, (flags) => {
    const options = {
      flags,
      io,
      exec: NOBODY_ASKS,
      verbose: isSet(flags, 'verbose'),
      browser: !isSet(flags, 'no-browser'),
    }
    return withSession(options, async ({ store, obtain }) => {
      if (store.kind === 'none') {
        throw new ArchwayError(
          'credential_settings_invalid',
          '--cache none keeps no token, so there is nothing to log in for',
        )
      }
      const credential = await obtain({ force: true })
      io.out(`logged in as ${describeCredential(credential)}\n`)
      const problem = store.problem()
      if (problem !== undefined) throw new ExitError(1, `archway: the token is not kept: ${problem}`)
      return 0
    })
  })
}

/** `alice (domain Default), project demo, until 2026-05-01T11:00:00Z`. */
function describeCredential(credential: CachedCredential): string {
  return `${describeAccount(credential)}, until ${credential.expiresAt.toISOString().replace(/\.\d+Z$/, 'Z')}`
}
