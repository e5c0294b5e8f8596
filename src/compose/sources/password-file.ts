/**
 * Password files as sources.
 *
 * @module
 */
import { passwordFile } from '../../authn/password-file/password-file.ts'
import { type PasswordFileSource, passwordFileOptions } from '../../config/password-file-source.ts'
import type { Source, SourceOptions } from './source.ts'

/** Throws where the files cannot be used. */
export async function openPasswordFile(
  source: PasswordFileSource,
  { log, forgetPasswords }: SourceOptions,
): Promise<Source> {
  const file = await passwordFile({ ...passwordFileOptions(source), log, onChange: forgetPasswords })
  return {
    name: file.name,
    proofs: { password: file },
    caches: [],
    files: [file],
    checks: [],
    close: () => file.close(),
  }
}
