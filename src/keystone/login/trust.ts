/**
 * Whom a login trusts, and as whom it appears: the files of an endpoint, read.
 *
 * @module
 */
import { readFile } from 'node:fs/promises'
import type { SecureContext } from 'node:tls'
import { ArchwayError, messageOf } from '../../errors.ts'
import { secureContext } from '../tls.ts'
import type { LoginEndpoint } from './login-request.ts'

/** TLS of a login. */
export interface LoginTrust {
  /** Made when asked for: reading the authorities of the system takes a tenth of a second. */
  context(): SecureContext
  /** `false`: any certificate will do. */
  readonly verify: boolean
}

/**
 * Reads the files and checks them.
 *
 * @throws ArchwayError `credential_settings_invalid` for a certificate without key or a key without certificate,
 *   `file_invalid` naming the file that cannot be used.
 */
export async function readTrust(endpoint: LoginEndpoint): Promise<LoginTrust> {
  const { caFile, certFile, keyFile, verify = true } = endpoint
  if (certFile !== undefined && keyFile === undefined) throw half('certFile', 'keyFile', 'OS_KEY')
  if (keyFile !== undefined && certFile === undefined) throw half('keyFile', 'certFile', 'OS_CERT')
  const ca = caFile === undefined ? {} : { ca: await read('caFile', caFile) }
  if (caFile !== undefined) checked(`caFile ${caFile}`, () => secureContext(ca))
  if (certFile === undefined || keyFile === undefined) {
    return { context: secureContext(ca), verify }
  }
  const pair = { cert: await read('certFile', certFile), key: await read('keyFile', keyFile) }
  checked(`certFile ${certFile}, keyFile ${keyFile}`, () => secureContext(pair))
  return { context: secureContext({ ...ca, ...pair }), verify }
}

async function read(field: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (cause) {
    throw new ArchwayError('file_invalid', `${field} ${path} cannot be read: ${messageOf(cause)}`, { cause })
  }
}

/** Says which files it was about. */
function checked(files: string, check: () => void): void {
  try {
    check()
  } catch (thrown) {
    throw new ArchwayError('file_invalid', `${files}: ${messageOf(thrown)}`)
  }
}

function half(given: string, missing: string, variable: string): ArchwayError {
  const message = `TLS towards Keystone: ${given} is set and ${missing} is not; set ${missing} (${variable}) as well, or neither`
  return new ArchwayError('credential_settings_invalid', message)
}
