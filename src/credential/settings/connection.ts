/**
 * How Keystone and an issuer are reached: address, authorities, client certificate, proxies.
 *
 * @module
 */
import { ArchwayError } from '../../errors.ts'
import type { LoginEndpoint } from '../../keystone/login/login-request.ts'
import { type Address, identityAddress } from './addresses.ts'
import { readBoolean } from './flags.ts'
import type { Values } from './layers.ts'

/** The connection of a login. */
export interface Connection {
  /** `undefined`: it has to be asked for. */
  readonly address: Address | undefined
  readonly certFile: string | undefined
  readonly caFile: string | undefined
  /** `false`: any certificate is accepted. */
  readonly verify: boolean
  /** The endpoint, at the address that was given, or else at the one entered. */
  endpoint(entered: string | undefined): LoginEndpoint
}

export interface ConnectionOptions {
  readonly values: Values
  readonly env: Readonly<Record<string, string | undefined>>
  readonly warn: (line: string) => void
}

const PROXIES = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY']

/** @throws ArchwayError `credential_settings_invalid` for a certificate without its key, and the reverse (C-15). */
export function keystoneConnection({ values, env, warn }: ConnectionOptions): Connection {
  const url = values.text('authUrl')
  const region = values.text('regionName')
  const address =
    url === undefined
      ? undefined
      : identityAddress(region === undefined ? url : url.replaceAll('{region_name}', region), values.source('authUrl'))
  if (address?.readable === true)
    warn(`${values.source('authUrl')} is plain http: whoever is on the network between can read the password`)
  const [certFile, keyFile, caFile] = [values.text('cert'), values.text('key'), values.text('cacert')]
  if ((certFile === undefined) !== (keyFile === undefined)) {
    const [there, lacking] =
      certFile === undefined ? ([values.source('key'), '--cert'] as const) : ([values.source('cert'), '--key'] as const)
    throw new ArchwayError(
      'credential_settings_invalid',
      `${there} needs its other half: give ${lacking} too, or neither`,
    )
  }
  const verify = verifies(values, warn)
  return {
    address,
    certFile,
    caFile,
    verify,
    endpoint: (entered = '') => ({
      url: (address ?? identityAddress(entered.trim(), 'the address entered')).text,
      ...(caFile === undefined ? {} : { caFile }),
      ...(certFile === undefined || keyFile === undefined ? {} : { certFile, keyFile }),
      ...(verify ? {} : { verify }),
      env: proxyVariables(env),
    }),
  }
}

/** Whether certificates are checked: yes, unless the highest layer that speaks of it says otherwise. */
export function verifies(values: Values, warn: (line: string) => void): boolean {
  const chosen = values.choose(['insecure', 'verify'])
  if (chosen === undefined) return true
  const { texts } = values.layers[chosen.layer] ?? { texts: new Map() }
  const insecure = flagOf(texts.get('insecure'), false)
  const verify = flagOf(texts.get('verify'), true)
  if (verify && !insecure) return true
  const source = (insecure ? texts.get('insecure') : texts.get('verify'))?.source ?? chosen.source
  warn(`certificates are not checked (${source}): whoever is on the network between can read the password`)
  return false
}

function flagOf(given: { readonly value: string; readonly source: string } | undefined, absent: boolean): boolean {
  if (given === undefined) return absent
  const value = readBoolean(given.value)
  if (value === undefined)
    throw new ArchwayError('credential_settings_invalid', `${given.source}: expected true or false`)
  return value
}

/** The rest of the environment holds passwords, and is nobody's business. */
function proxyVariables(env: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const name of PROXIES.flatMap((upper) => [upper, upper.toLowerCase()])) {
    const value = env[name]
    if (value !== undefined) found[name] = value
  }
  return found
}
