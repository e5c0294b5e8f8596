/**
 * Client certificates as a source of identities: what can be set, and what the authenticator is given for it.
 *
 * @module
 */
import { z } from 'zod'
import type { X509Options } from '../authn/x509/x509.ts'
import { option } from './option.ts'
import { filePath } from './values.ts'

const authority = z.strictObject({
  caFile: option(
    filePath(),
    'CA bundle, PEM. Each certificate in it is trusted by itself, an intermediate too. Reloaded when it changes.',
    { flag: 'client-ca-file', env: 'ARCHWAY_CLIENT_CA_FILE', value: 'FILE', makes: true },
  ),
  usernamePrefix: option(
    z.string().default(''),
    'Put before the user names that these authorities certify: `corp:` keeps them apart from those of others.',
  ),
  groupPrefix: option(z.string().default(''), 'Put before the group names that these authorities certify.'),
  crlFile: option(
    filePath().optional(),
    'Revocation lists: PEM, one after the other, or one in DER. Reloaded when it changes; without it nothing is revoked.',
  ),
  requireCrl: option(
    z.boolean().optional(),
    'Goes with `crlFile`; default true: without a list of its issuer in force, a certificate is neither good nor bad (503). With false such a list is passed over.',
  ),
})

/** Client certificates of some authorities. */
export const x509Source = z
  .strictObject({
    name: option(z.string().min(1).default('x509'), 'Name of the source in logs and metrics.'),
    authorities: z.array(authority).min(1, 'expected at least one authority, with its `caFile`'),
    entries: option(
      z.int().min(1).max(1_000_000).default(10_000),
      'Certificates whose verdict is remembered, until the first of validity and list ends; as many refused ones.',
    ),
  })
  .superRefine(({ authorities }, ctx) => {
    const files = authorities.map(({ caFile }) => caFile)
    for (const [index, { caFile, crlFile, requireCrl }] of authorities.entries()) {
      const at = ['authorities', index]
      const isTwice = files.indexOf(caFile) < index
      if (isTwice) ctx.addIssue({ code: 'custom', path: [...at, 'caFile'], message: 'stands twice; one prefix a file' })
      if (requireCrl !== undefined && crlFile === undefined)
        ctx.addIssue({ code: 'custom', path: [...at, 'requireCrl'], message: 'goes with `crlFile`, which is missing' })
    }
  })
  .describe('X.509 client certificates: the common name is the user, the organizations are the groups.')

export type X509Source = z.output<typeof x509Source>

/** What the authenticator is given. */
export function x509Options({
  name,
  authorities,
  entries,
}: X509Source): Pick<X509Options, 'name' | 'authorities' | 'entries'> {
  return {
    name,
    authorities: authorities.map(({ crlFile, requireCrl = true, ...names }) => ({
      ...names,
      ...(crlFile === undefined ? {} : { crlFile }),
      requireCrl,
    })),
    entries,
  }
}
