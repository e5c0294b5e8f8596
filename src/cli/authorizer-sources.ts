/**
 * Flags that name where decisions come from, and what they come to: one authorizer, asked as the server would ask it.
 * Policy files themselves are read in `policy/policy-files.ts`.
 *
 * @module
 */
import type { Command } from 'commander'
import { abacFile } from '../authz/abac/abac.ts'
import type { Attributes, Authorizer } from '../authz/authorizer.ts'
import {
  type CompiledPolicy,
  keystonePolicy,
  runExamples,
  type SubresourceMode,
} from '../authz/keystone-policy/index.ts'
import { manifestFolder } from '../authz/rbac/manifest-folder.ts'
import type { RuleListing } from '../authz/rbac/policy-rule.ts'
import { rbac } from '../authz/rbac/rbac.ts'
import { union } from '../authz/union.ts'
import type { CallContext, CallLog } from '../context.ts'
import { messageOf } from '../errors.ts'
import { type CommandIo, ExitError } from './io.ts'
import { addPolicyFlag, collect, compiledPolicy, orExit2, throwAll } from './policy/policy-files.ts'
import { rulesOfPolicy } from './policy/rules-of-policy.ts'

/** What the flags came to. */
export interface SourceFlags {
  readonly keystonePolicyFile: readonly string[]
  readonly policySubresources: SubresourceMode
  readonly rbacManifests?: string
  readonly abacFile?: string
  readonly config?: string
}

/** Somebody who decides, and what he can tell besides. */
export interface AuthorizerSources {
  readonly authorizer: Authorizer
  /** What a user may do, one list for each source that can tell. */
  readonly listings?: readonly RulesFor[]
  /** Sources that cannot tell what a user may do, by name. */
  readonly unlisted?: readonly string[]
  close?(): Promise<void> | void
}

/** What somebody may do in a namespace. The verb and the object of the request count for nothing. */
export type RulesFor = (who: Pick<Attributes, 'user' | 'extraPresent'>, namespace: string) => RuleListing

/** Opens the whole chain of a configuration file. */
export type ConfiguredSources = (path: string, io: CommandIo) => Promise<AuthorizerSources>

/** Adds the flags. `--config` is there where somebody can open a configuration. */
export function addSourceFlags(command: Command, configured?: ConfiguredSources): Command {
  command.optionsGroup('Who decides (asked in this order):')
  addPolicyFlag(
    command.option('--keystone-policy-file <FILE>', 'Keystone policy, JSON or YAML; repeatable', collect, []),
  )
  command
    .option('--rbac-manifests <DIR>', 'folder of RBAC manifests: roles and bindings')
    .option('--abac-file <FILE>', 'ABAC policy file of kube-apiserver')
  if (configured !== undefined) command.option('--config <FILE>', 'the chain of a configuration file, instead')
  return command.optionsGroup('Options:')
}

/**
 * Opens what the flags name. Mistakes in any of the files end the command with status 2, each on a line with its
 * place.
 */
export async function openSources(
  flags: SourceFlags,
  io: CommandIo,
  configured?: ConfiguredSources,
): Promise<AuthorizerSources> {
  const { keystonePolicyFile: policies, rbacManifests, abacFile: abac } = flags
  const files = [...policies, rbacManifests, abac].filter((path) => path !== undefined)
  if (flags.config !== undefined && configured !== undefined) {
    if (files.length > 0) throw new ExitError(2, 'archway: --config is a whole chain: leave out the other sources')
    return configured(flags.config, io)
  }
  if (files.length === 0) {
    const config = configured === undefined ? '' : ', or --config'
    throw new ExitError(
      2,
      `archway: nobody to ask: name --keystone-policy-file, --rbac-manifests, --abac-file${config}`,
    )
  }
  const opened = await everyMistake([
    ...(policies.length === 0 ? [] : [() => policySource(policies, flags.policySubresources, io)]),
    ...(rbacManifests === undefined ? [] : [() => rbacSource(rbacManifests, io)]),
    ...(abac === undefined ? [] : [() => abacSource(abac, io)]),
  ])
  const [only] = opened
  return {
    authorizer:
      opened.length === 1 && only !== undefined ? only.authorizer : union(opened.map(({ authorizer }) => authorizer)),
    listings: opened.map(({ rulesFor }) => rulesFor),
  }
}

interface Source {
  readonly authorizer: Authorizer
  readonly rulesFor: RulesFor
}

function policySource(paths: readonly string[], mode: SubresourceMode, io: CommandIo): Source {
  const policy = compiledPolicy(paths, mode)
  warnOfFailures(policy, io)
  return {
    authorizer: keystonePolicy({ policy: () => policy }),
    rulesFor: (who, namespace) => rulesOfPolicy(policy, who, namespace),
  }
}

/** The server would not take such a policy; whoever asks about it ought to know. */
function warnOfFailures(policy: CompiledPolicy, io: CommandIo): void {
  for (const { where, examples } of policy.documents) {
    const failed = runExamples(policy, examples).filter(({ passed }) => !passed).length
    if (failed > 0) io.err(`archway: ${where}: ${failed} of its examples fail: see archway policy test\n`)
  }
}

async function rbacSource(path: string, io: CommandIo): Promise<Source> {
  const source = await manifestFolder({ path, log: errorLog(io), intervalMs: 0 })
  const authorizer = rbac({ source })
  return { authorizer, rulesFor: ({ user }, namespace) => authorizer.rulesFor(user, namespace) }
}

async function abacSource(path: string, io: CommandIo): Promise<Source> {
  const authorizer = await abacFile({ path, log: errorLog(io), intervalMs: 0 })
  return { authorizer, rulesFor: ({ user }, namespace) => authorizer.rulesFor(user, namespace) }
}

/** Opens all of them, so that the mistakes of all are told together. */
async function everyMistake<T>(open: readonly (() => T | Promise<T>)[]): Promise<readonly T[]> {
  const opened: T[] = []
  const mistakes: unknown[] = []
  for (const one of open) {
    try {
      opened.push(await one())
    } catch (thrown) {
      mistakes.push(thrown)
    }
  }
  if (mistakes.length > 0) orExit2(() => throwAll(mistakes))
  return opened
}

// --- context ---------------------------------------------------------------------------------------------------

/** Only what went wrong is for whoever sits at the terminal. */
function errorLog(io: CommandIo): CallLog {
  return {
    ...SILENT,
    error(fields, message) {
      io.err(`archway: ${message}${'error' in fields ? `: ${messageOf(fields.error)}` : ''}\n`)
    },
  }
}

const SILENT: CallLog = { debug() {}, info() {}, warn() {}, error() {} }

/** For calls from the command line. Authorizers that ask others have deadlines of their own. */
export function commandContext(io: CommandIo): CallContext {
  return { requestId: 'command-line', signal: new AbortController().signal, log: errorLog(io), audiences: [] }
}
