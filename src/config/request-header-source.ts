/**
 * A trusted front proxy as a source of identities: which proxies, and in which headers they say who it is.
 *
 * @module
 */
import { z } from 'zod'
import { option } from './option.ts'
import { filePath } from './values.ts'

function headers(names: readonly string[], description: string): z.ZodDefault<z.ZodArray<z.ZodString>> {
  const name = z.string().regex(/^[!#$%&'*+.^_`|~\w-]+$/, 'expected the name of a header, such as X-Remote-User')
  return option(z.array(name).default([...names]), description)
}

/** One kind of front proxy. */
export const requestHeaderSource = z
  .strictObject({
    caFile: option(
      filePath(),
      'CA of the front proxies, PEM, and of nothing else: whoever has a certificate of it can be anybody. Reloaded.',
    ),
    name: option(z.string().min(1).default('request-header'), 'Name of the source in logs and metrics.'),
    allowedNames: option(
      z.array(z.string().min(1)).min(1, 'name at least one: else every certificate of `caFile` could be anybody'),
      'Common names of the front proxies, exactly as written.',
    ),
    usernameHeaders: headers(['X-Remote-User'], 'Headers with the user name; the first that has a value counts.'),
    uidHeaders: headers(['X-Remote-Uid'], 'Headers with the uid; the first that has a value counts.'),
    groupHeaders: headers(['X-Remote-Group'], 'Headers with groups; all values of all of them.'),
    extraHeaderPrefixes: headers(['X-Remote-Extra-'], 'Beginnings of headers whose rest is a key of `extra`.'),
  })
  .describe('Identities that a front proxy vouches for, in headers, over mutual TLS.')

export type RequestHeaderSource = z.output<typeof requestHeaderSource>
