/**
 * Which way a login goes: chosen once, from what is given. Owns the choice; what each way needs is in `keystone.ts` and
 * `oidc.ts`.
 *
 * The rule, from the top:
 *
 * 1. The auth type, where one is given in any layer. Only a flag that is a proof of another kind goes before an auth
 *    type from below the flags.
 * 2. Else the highest layer that has a proof. Of several in one layer, with a warning where they exclude each other:
 *
 *    | in the layer                                                        | way                                   |
 *    |---------------------------------------------------------------------|---------------------------------------|
 *    | application credential: id or name                                  | application credential: it can do less|
 *    | `--oidc-issuer`, and no identity provider anywhere                  | OpenID Connect, without Keystone      |
 *    | identity provider, or an access token for one                       | federation                            |
 *    | password or passcode, and a user anywhere                           | password, totp, or both               |
 *    | token                                                               | token                                 |
 *    | password or passcode                                                | password, totp, or both               |
 * 3. Else a password is asked for.
 *
 * @module
 */
import { ArchwayError } from '../../errors.ts'
import { given, type Layer, type Values } from './layers.ts'
import type { SettingName } from './table.ts'

/** A proof that Keystone is given directly. */
export type KeystoneMethod = 'password' | 'totp' | 'token' | 'application_credential'

/** How tokens of an issuer are got; `chosen`: as `--oidc-flow` says. */
type FlowKind = 'password' | 'access-token' | 'device' | 'code' | 'chosen'

export type Way =
  | { readonly provider: 'keystone'; readonly methods: readonly KeystoneMethod[] }
  | { readonly provider: 'keystone-federation'; readonly flow: FlowKind }
  | { readonly provider: 'oidc' }

/** The auth types of keystoneauth that can be gone, and `oidc`, which is ours. */
const AUTH_TYPES: Readonly<Record<string, Way>> = {
  password: { provider: 'keystone', methods: ['password'] },
  v3password: { provider: 'keystone', methods: ['password'] },
  token: { provider: 'keystone', methods: ['token'] },
  v3token: { provider: 'keystone', methods: ['token'] },
  v3totp: { provider: 'keystone', methods: ['totp'] },
  v3applicationcredential: { provider: 'keystone', methods: ['application_credential'] },
  v3multifactor: { provider: 'keystone', methods: [] },
  v3oidcpassword: { provider: 'keystone-federation', flow: 'password' },
  v3oidcaccesstoken: { provider: 'keystone-federation', flow: 'access-token' },
  v3oidcdeviceauthz: { provider: 'keystone-federation', flow: 'device' },
  v3oidcauthcode: { provider: 'keystone-federation', flow: 'code' },
  oidc: { provider: 'oidc' },
}

/** The proofs of {@link AUTH_TYPES} `v3multifactor`, in the order they are asked for. */
const FACTORS: ReadonlyMap<string, KeystoneMethod> = new Map([
  ['password', 'password'],
  ['v3password', 'password'],
  ['totp', 'totp'],
  ['v3totp', 'totp'],
  ['token', 'token'],
  ['v3token', 'token'],
])

type Proof = 'application credential' | 'OpenID Connect issuer' | 'identity provider' | 'password' | 'token'

/** @throws ArchwayError `credential_settings_invalid` for an auth type or a factor that cannot be gone. */
export function chooseWay(values: Values, warn: (line: string) => void): Way {
  const explicit = values.choose(['authType'])
  if (explicit !== undefined) {
    const way = wayOfType(explicit.text, explicit.source, values)
    const [top] = values.layers
    const proofs = top === undefined || explicit.layer === 0 ? [] : proofsIn(top, values)
    const [proof] = proofs
    const taken = takes(way)
    return proof === undefined || proofs.some((one) => taken.includes(one)) ? way : wayOfProof(proof, values)
  }
  for (const layer of values.layers) {
    const [proof, ...others] = proofsIn(layer, values)
    if (proof === undefined) continue
    if (others.length > 0) {
      warn(`the ${proof} is used, not the ${others.join(' or the ')} given beside it; --auth-type decides otherwise`)
    }
    return wayOfProof(proof, values)
  }
  return { provider: 'keystone', methods: ['password'] }
}

function wayOfType(type: string, source: string, values: Values): Way {
  const way = Object.hasOwn(AUTH_TYPES, type) ? AUTH_TYPES[type] : undefined
  if (way === undefined) {
    throw invalid(
      `${source}: ${JSON.stringify(type.slice(0, 40))} is not supported; ${Object.keys(AUTH_TYPES).join(', ')} are`,
    )
  }
  if (way.provider !== 'keystone' || way.methods.length > 0) return way
  return { provider: 'keystone', methods: factors(values) }
}

function factors(values: Values): readonly KeystoneMethod[] {
  const names =
    values
      .text('authMethods')
      ?.split(/[\s,]+/)
      .filter((name) => name !== '') ?? []
  const methods = names.map((name) => {
    const method = FACTORS.get(name)
    if (method === undefined) {
      throw invalid(
        `${values.source('authMethods')}: ${JSON.stringify(name.slice(0, 40))} cannot be one of several proofs; ` +
          'v3password, v3totp and v3token can',
      )
    }
    return method
  })
  if (methods.length === 0) {
    throw invalid('the auth type v3multifactor needs the proofs to give: --auth-methods v3password,v3totp')
  }
  return [...new Set(methods)]
}

/** The proofs of a layer, the one that counts first. */
function proofsIn(layer: Layer, values: Values): readonly Proof[] {
  const has = (...names: SettingName[]): boolean => names.some((name) => given(layer, name) !== undefined)
  const anywhere = (...names: SettingName[]): boolean => names.some((name) => values.has(name))
  const federated = anywhere('identityProvider')
  const credential =
    has('applicationCredentialId', 'applicationCredentialName') ||
    (has('applicationCredentialSecret') && anywhere('applicationCredentialId', 'applicationCredentialName'))
  const password: readonly Proof[] = has('password', 'passcode') ? ['password'] : []
  const token: readonly Proof[] = has('token') ? ['token'] : []
  return [
    ...(credential ? (['application credential'] as const) : []),
    ...(has('oidcIssuer') && !federated ? (['OpenID Connect issuer'] as const) : []),
    ...(has('identityProvider') || (has('accessToken') && federated) ? (['identity provider'] as const) : []),
    ...(anywhere('username', 'userId') ? [...password, ...token] : [...token, ...password]),
  ]
}

function wayOfProof(proof: Proof, values: Values): Way {
  switch (proof) {
    case 'application credential':
      return { provider: 'keystone', methods: ['application_credential'] }
    case 'OpenID Connect issuer':
      return { provider: 'oidc' }
    case 'identity provider':
      return { provider: 'keystone-federation', flow: values.has('accessToken') ? 'access-token' : 'chosen' }
    case 'token':
      return { provider: 'keystone', methods: ['token'] }
    case 'password': {
      const methods: readonly KeystoneMethod[] = [
        ...(values.has('password') ? (['password'] as const) : []),
        ...(values.has('passcode') ? (['totp'] as const) : []),
      ]
      return { provider: 'keystone', methods }
    }
  }
}

/** The proofs a way has use for. */
function takes(way: Way): readonly Proof[] {
  if (way.provider === 'oidc') return ['OpenID Connect issuer']
  if (way.provider === 'keystone-federation') {
    return way.flow === 'password' ? ['identity provider', 'password'] : ['identity provider']
  }
  return way.methods.map((method) => {
    if (method === 'application_credential') return 'application credential'
    return method === 'token' ? 'token' : 'password'
  })
}

function invalid(message: string): ArchwayError {
  return new ArchwayError('credential_settings_invalid', message)
}
