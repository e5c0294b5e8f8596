/**
 * LDAP directories as sources.
 *
 * @module
 */
import { ldapAuthenticator } from '../../authn/ldap/ldap.ts'
import { type LdapSource, ldapOptions } from '../../config/ldap-source.ts'
import { reloading } from '../../reload/reloading.ts'
import { Secret } from '../../secret.ts'
import type { Source, SourceOptions } from './source.ts'

/** Contents of the files a directory is asked with. */
interface Contents {
  readonly ca?: Buffer
  readonly password?: Secret
}

/** Throws where its files cannot be used. The directory itself need not be up. */
export async function openLdap(source: LdapSource, { log }: SourceOptions): Promise<Source> {
  const { name, timeout } = source
  const file = await contentsOf(source, log, (contents) => directory.reload(contents))
  const directory = ldapAuthenticator(ldapOptions(source, file?.current() ?? {}))
  if (directory.insecure) {
    log.warn({ source: name }, 'LDAP is asked without TLS: passwords can be read on the way')
  }
  return {
    name,
    proofs: { password: directory },
    caches: [],
    files: file === undefined ? [] : [file],
    checks: [
      {
        name,
        async check() {
          await directory.ping({ signal: AbortSignal.timeout(timeout) })
          return { ok: true, detail: 'a server answers' }
        },
      },
    ],
    async close() {
      file?.close()
      await directory.close()
    },
  }
}

async function contentsOf(
  { name, caFile, bindPasswordFile }: LdapSource,
  log: SourceOptions['log'],
  onChange: (contents: Contents) => void,
) {
  const paths = [caFile, bindPasswordFile].filter((path) => path !== undefined)
  if (paths.length === 0) return undefined
  return reloading<Contents>({
    name: `${name}-files`,
    paths,
    secret: bindPasswordFile !== undefined,
    log,
    onChange,
    load(files) {
      const ca = caFile === undefined ? undefined : files.get(caFile)
      const password = bindPasswordFile === undefined ? undefined : files.get(bindPasswordFile)
      return {
        ...(ca === undefined ? {} : { ca }),
        ...(password === undefined ? {} : { password: new Secret(password.toString('utf8').replace(/\r?\n$/, '')) }),
      }
    },
  })
}
