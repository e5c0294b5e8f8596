/**
 * Password files as sources of identities: what can be set, and what the authenticator is given for it.
 *
 * @module
 */
import { z } from 'zod'
import type { PasswordFileOptions } from '../authn/password-file/password-file.ts'
import { option } from './option.ts'
import { filePath } from './values.ts'

/** One file. */
export const passwordFileSource = z
  .strictObject({
    path: option(
      filePath(),
      'The file: htpasswd, or CSV as of `--basic-auth-file` (`password,user,uid,"group1,group2"`). Reloaded.',
      { flag: 'password-file', env: 'ARCHWAY_PASSWORD_FILE', value: 'FILE', makes: true },
    ),
    name: option(z.string().min(1).default('password-file'), 'Name of the source in logs and metrics.'),
    format: option(
      z.enum(['auto', 'htpasswd', 'csv']).default('auto'),
      'Format of the file; auto tells by its lines. A CSV has passwords in clear, which is warned of.',
      { flag: 'password-file-format', env: 'ARCHWAY_PASSWORD_FILE_FORMAT', value: 'FORMAT' },
    ),
    groupsFile: option(
      filePath().optional(),
      'Uids and groups of the users of an htpasswd file: CSV, `user,uid,"group1,group2"`. Reloaded.',
      { flag: 'password-groups-file', env: 'ARCHWAY_PASSWORD_GROUPS_FILE', value: 'FILE' },
    ),
  })
  .superRefine(({ path, format, groupsFile }, ctx) => {
    const complain = (message: string) => ctx.addIssue({ code: 'custom', path: ['groupsFile'], message })
    if (groupsFile !== undefined && format === 'csv') {
      complain('goes with htpasswd files; a CSV has uids and groups itself. Leave it out')
    }
    if (groupsFile === path) complain('is the password file. Name another')
  })
  .describe('Users with passwords from a file.')

export type PasswordFileSource = z.output<typeof passwordFileSource>

/** What the authenticator is given. */
export function passwordFileOptions(
  source: PasswordFileSource,
): Pick<PasswordFileOptions, 'path' | 'name' | 'format' | 'groupsFile'> {
  const { groupsFile, ...rest } = source
  return { ...rest, ...(groupsFile === undefined ? {} : { groupsFile }) }
}
