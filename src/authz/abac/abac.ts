/**
 * ABAC as an authorizer: allows what a line of the policy file allows, has no opinion on anything else, never denies.
 * The file is followed while we run, which kube-apiserver does not do.
 *
 * @module
 */
import { basename } from 'node:path'
import type { CallLog } from '../../context.ts'
import { ArchwayError } from '../../errors.ts'
import type { FileReads } from '../../reload/file-set.ts'
import { type Reloading, type ReloadStatus, reloading } from '../../reload/reloading.ts'
import type { UserInfo } from '../../user.ts'
import type { Authorizer } from '../authorizer.ts'
import type { RuleListing } from '../rbac/policy-rule.ts'
import { type AbacFile, parseAbacFile } from './policy-file.ts'
import { type AbacIndex, abacIndex } from './policy-index.ts'

/** How many warnings of one load are logged in full. */
const LOGGED_WARNINGS = 20

/** What {@link abacFile} needs. */
export interface AbacOptions {
  readonly path: string
  readonly log: CallLog
  /** Default `abac`. */
  readonly name?: string
  /** Take a change that leaves no line where there were some. Without it that is a mistake: an empty volume. */
  readonly allowEmpty?: boolean
  /** See {@link reloading}. */
  readonly intervalMs?: number
  readonly onChange?: () => void
  readonly now?: () => Date
  readonly reads?: FileReads
}

/** The authorizer and the file behind it. */
export interface AbacAuthorizer extends Authorizer, Pick<Reloading<unknown>, 'check' | 'close'> {
  rulesFor(user: UserInfo, namespace: string): RuleListing
  status(): ReloadStatus
}

/**
 * Decides by a policy file. Throws `file_invalid` when the file cannot be used at start; later mistakes leave the last
 * good lines in force.
 */
export async function abacFile(options: AbacOptions): Promise<AbacAuthorizer> {
  const { path, log, name = 'abac', allowEmpty = false, onChange, intervalMs, now, reads } = options
  let lines = 0

  function load(files: ReadonlyMap<string, Buffer>): Loaded {
    const file = parseAbacFile(files.get(path) ?? Buffer.alloc(0), path)
    if (lines > 0 && file.policies.length === 0 && !allowEmpty) {
      throw new ArchwayError('file_invalid', `${path}: would take away every policy there is. Remove them on purpose`)
    }
    lines = file.policies.length
    return { file, index: abacIndex(file.policies) }
  }

  const file = await reloading<Loaded>({
    name,
    paths: [path],
    log,
    load,
    onChange: (loaded) => {
      report(loaded.file)
      onChange?.()
    },
    ...(intervalMs === undefined ? {} : { intervalMs }),
    ...(now === undefined ? {} : { now }),
    ...(reads === undefined ? {} : { reads }),
  })
  report(file.current().file)

  function report({ warnings }: AbacFile): void {
    if (warnings.length === 0) return
    const shown = warnings.slice(0, LOGGED_WARNINGS)
    log.warn({ file: name, path, count: warnings.length, warnings: shown }, 'ABAC policy file has doubtful lines')
  }

  return {
    name,
    async authorize(request) {
      const policy = file.current().index.find(request)
      if (policy === undefined) return { kind: 'no-opinion', reason: 'No policy matched.' }
      return { kind: 'allow', reason: `ABAC: allowed by line ${policy.line} of ${basename(path)}` }
    },
    rulesFor: (user, namespace) => file.current().index.rulesFor(user, namespace),
    check: file.check,
    status: file.status,
    close: file.close,
  }
}

interface Loaded {
  readonly file: AbacFile
  readonly index: AbacIndex
}
