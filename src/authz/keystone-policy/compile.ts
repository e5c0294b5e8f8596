/**
 * Documents → one compiled policy: every meaning settled, every line indexed. Made once for a policy; decisions only
 * read it.
 *
 * @module
 */
import { InvalidDocumentError } from '../../errors.ts'
import { conditionPool, isUnsatisfiable } from './condition.ts'
import { type Grant, isGrant, type Line, linesOf, type Meaning } from './grant.ts'
import { buildIndex, type Index } from './index-build.ts'
import { parseKey, type SubresourceMode } from './key.ts'
import type { Policy, PolicyDocument } from './model.ts'
import { excludesNothing } from './pattern.ts'

/** What an operator can say about the meaning of policies. */
export interface CompileOptions {
  /** Default `guarded`. `compat` also sets the other defaults to what the predecessor does. */
  readonly subresources?: SubresourceMode
  /**
   * Rules apply only to identities that came by way of Keystone, not to service accounts and certificates that happen
   * to have an `extra`. Default: yes, but in `compat`.
   */
  readonly requireKeystoneIdentity?: boolean
  /** `match` guards version 2 maps as well. Default: yes, but in `compat`. */
  readonly matchGuardsVersion2?: boolean
  /**
   * Negations that exclude nothing, such as `!kube-*`, which covers `kube-system`: taken as they are, or refused.
   * Default: refused in `strict` only. The linter reports them always.
   */
  readonly failOpenKeys?: 'allow' | 'refuse'
}

/** A policy that is ready to decide. Immutable. */
export interface CompiledPolicy {
  readonly meaning: Meaning & { readonly requireKeystoneIdentity: boolean }
  readonly documents: readonly PolicyDocument[]
  /** Every line, in the order of the documents; for explaining and linting. */
  readonly lines: readonly Line[]
  readonly resources: Index
  readonly paths: Index
}

/**
 * Compiles one document, or several in the order in which they are to be named: rules only ever add, so that the order
 * changes no decision. Throws {@link InvalidDocumentError} where a key is refused.
 */
export function compilePolicy(
  documents: PolicyDocument | readonly PolicyDocument[],
  options: CompileOptions = {},
): CompiledPolicy {
  const { subresources = 'guarded' } = options
  const { requireKeystoneIdentity = subresources !== 'compat', matchGuardsVersion2 = subresources !== 'compat' } =
    options
  const { failOpenKeys = subresources === 'strict' ? 'refuse' : 'allow' } = options
  const meaning = { subresources, requireKeystoneIdentity, matchGuardsVersion2 }
  const all = 'policies' in documents ? [documents] : documents
  if (failOpenKeys === 'refuse') for (const document of all) refuseFailOpen(document, subresources)

  const pooled = conditionPool()
  const lines = all
    .flatMap(({ where, policies }) => policies.flatMap((policy) => linesOf(where, policy, meaning)))
    .map((line): Line => (isGrant(line) ? { ...line, conditions: line.conditions.map(pooled) } : line))
  const grants = lines.filter(isGrant).filter(({ conditions }) => !conditions.some(isUnsatisfiable))
  const of = (half: Grant['half']): Index => buildIndex(grants.filter((grant) => grant.half === half))
  return { meaning, documents: all, lines, resources: of('resource'), paths: of('path') }
}

function refuseFailOpen({ where, policies }: PolicyDocument, mode: SubresourceMode): void {
  const problems = policies.flatMap((policy) =>
    failOpenKeysOf(policy, mode).map((key) => ({
      path: `${policy.path}.resource_permissions[${JSON.stringify(key)}]`,
      message: 'has a negation that excludes nothing. Name what is meant: !name or !["a","b"], without wildcards',
      line: policy.line,
    })),
  )
  if (problems.length > 0) throw new InvalidDocumentError('file_invalid', where, problems)
}

/** The version 2 keys of a policy with a negation that covers what its author most likely meant to leave out. */
function failOpenKeysOf(policy: Policy, mode: SubresourceMode): readonly string[] {
  return [...(policy.resourcePermissions?.keys() ?? [])].filter((text) => {
    const key = parseKey(text, mode)
    return key.kind === 'key' && (excludesNothing(key.namespace) || excludesNothing(key.resource))
  })
}
