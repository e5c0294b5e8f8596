/**
 * `archway login`: logs in now and keeps the token, so that kubectl finds it.
 *
 * @module
 */
import type { CachedCredential } from '../credential/cache/store.ts'
import { describeAccount } from '../credential/obtain.ts'
import type { ParsedFlags } from '../credential/settings/flags.ts'
import { ArchwayError } from '../errors.ts'
import { type CommandIo, ExitError } from './io.ts'
import {
  isSet,
  LOGIN_FLAGS,
  type LoginCommandOptions,
  type LoginSession,
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
  return runLoginCommand(COMMAND, argv, io, (flags) => loginWith(flags, io))
}

async function loginWith(flags: ParsedFlags, io: CommandIo): Promise<number> {
  const options = {
    flags,
    io,
    exec: NOBODY_ASKS,
    verbose: isSet(flags, 'verbose'),
    browser: !isSet(flags, 'no-browser'),
  }
  const outcome = await withSession(options, async (session) => {
    const { store, obtain } = session
    if (store.kind === 'none') {
      throw new ArchwayError(
        'credential_settings_invalid',
        '--cache none keeps no token, so there is nothing to log in for',
      )
    }
    if (!session.keeps) return askAddress(session)
    const credential = await obtain({ force: true })
    io.out(`logged in as ${describeCredential(credential)}\n`)
    const problem = store.problem()
    if (problem !== undefined) throw new ExitError(1, `archway: the token is not kept: ${problem}`)
    return undefined
  })
  if (outcome === undefined) return 0
  return loginWith({ ...flags, texts: new Map([...flags.texts, ['keystone-url', [outcome]]]) }, io)
}

/** The token is kept under its address, so that is asked for before anything else. */
async function askAddress({ settings, openTerminal }: LoginSession): Promise<string> {
  const [question] = settings.questions
  const terminal = await openTerminal()
  if (terminal === undefined || question === undefined) {
    throw new ArchwayError(
      'credential_input_needed',
      'the address of Keystone is missing: give --keystone-url, OS_AUTH_URL or a cloud',
    )
  }
  try {
    const address = await terminal.ask(question)
    if (address.trim() !== '') return address
  } finally {
    terminal.close()
  }
  throw new ArchwayError('credential_settings_invalid', 'the address of Keystone was left empty')
}

/** `alice (domain Default), project demo, until 2026-05-01T11:00:00Z`. */
function describeCredential(credential: CachedCredential): string {
  return `${describeAccount(credential)}, until ${credential.expiresAt.toISOString().replace(/\.\d+Z$/, 'Z')}`
}
