/**
 * Logins that go by way of an OpenID Connect issuer: its token itself, or one of Keystone's in exchange (federation).
 *
 * @module
 */
import { ArchwayError, messageOf } from '../../errors.ts'
import type { OidcClientOptions } from '../../oidc/oidc-client.ts'
import { Secret } from '../../secret.ts'
import type { LoginSubject, OidcFlow } from '../plan.ts'
import { issuerAddress, redirectAddress } from './addresses.ts'
import type { Answers, Askable } from './asking.ts'
import { type Connection, verifies } from './connection.ts'
import type { Draft, DraftOptions } from './keystone.ts'
import type { Values } from './layers.ts'
import type { ReadSettingsFile } from './read-file.ts'
import { scopeOf } from './scope.ts'
import { ASKED, describeScope } from './subject.ts'
import type { TextName } from './table.ts'
import type { Way } from './way.ts'

export interface OidcDraftOptions {
  readonly values: Values
  readonly readText: ReadSettingsFile
  readonly warn: (line: string) => void
}

/** The issuer's own token goes to Kubernetes. */
export function oidcDraft({ values, readText, warn }: OidcDraftOptions): Draft {
  const settings = clientSettings({ values, readText, warn }, ['openid'])
  const oidc = client(settings, { caFile: settings.caFile, verify: verifies(values, warn) })
  const oidcFlow = browserFlow(values)
  const present = oneOf(values, 'oidcToken', ['id_token', 'access_token']) ?? 'id_token'
  return {
    subject: { provider: 'oidc', ...describeClient(oidc), present },
    lacking: { required: new Set(), optional: new Set() },
    complete: () => ({ provider: 'oidc', oidc, oidcFlow, present }),
  }
}

type Federation = Extract<Way, { provider: 'keystone-federation' }>

/** Keystone's token, in exchange for the issuer's access token. */
export function federationDraft(options: DraftOptions & OidcDraftOptions, way: Federation): Draft {
  const { values, connection, digest } = options
  const [identityProvider, protocol] = [must(values, 'identityProvider'), must(values, 'protocol')]
  const flow = way.flow === 'chosen' ? browserFlow(values).flow : way.flow
  const redirect = flow === 'code' ? redirectOf(values) : { ports: [] }
  const scope = scopeOf(values, undefined)
  const accessToken = flow === 'access-token' ? values.secret('accessToken') : undefined
  const username = flow === 'password' ? values.text('username') : undefined
  const password = flow === 'password' ? values.secret('password') : undefined
  const oidc = flow === 'access-token' ? undefined : federatedClient(options, connection)

  const required = new Set<Askable>()
  if (connection.address === undefined) required.add('url')
  if (flow === 'access-token' && accessToken === undefined) required.add('accessToken')
  if (flow === 'password' && username === undefined) required.add('user')
  if (flow === 'password' && password === undefined) required.add('password')
  const flowAnswered = (answers: Answers): OidcFlow => {
    switch (flow) {
      case 'device':
        return { flow }
      case 'code':
        return { flow, ...redirect }
      case 'password':
        return {
          flow,
          username: username ?? answers.text('user') ?? '',
          password: secretOf(password ?? answers.secret('password')),
        }
      case 'access-token':
        return { flow, accessToken: secretOf(accessToken ?? answers.secret('accessToken')) }
    }
  }
  return {
    subject: {
      provider: 'keystone-federation',
      url: connection.address?.canonical ?? ASKED,
      identity_provider: identityProvider,
      protocol,
      ...(oidc === undefined ? {} : describeClient(oidc)),
      ...(flow === 'password' ? (username === undefined ? { user: ASKED } : { user_name: username }) : {}),
      ...(flow === 'access-token' ? { access_token: accessToken === undefined ? ASKED : digest(accessToken) } : {}),
      ...describeScope(scope, { project: false, domain: false }),
      ...(connection.certFile === undefined ? {} : { cert: connection.certFile }),
    },
    lacking: { required, optional: new Set() },
    complete: (answers) => ({
      provider: 'keystone-federation',
      endpoint: connection.endpoint(answers.text('url')),
      identityProvider,
      protocol,
      oidc,
      oidcFlow: flowAnswered(answers),
      scope,
    }),
  }
}

function secretOf(secret: Secret | undefined): Secret {
  if (secret === undefined) throw new ArchwayError('internal', 'a federated login was completed without its proof')
  return secret
}

// --- the client --------------------------------------------------------------------------------------------------

type ClientSettings = Pick<OidcClientOptions, 'issuer' | 'clientId'> & {
  readonly clientSecret: Secret | undefined
  readonly scopes: readonly string[]
  readonly audience: string | undefined
  readonly caFile: string | undefined
}

/** As keystoneauth has it, what is said of the connection to Keystone counts for the issuer too. */
function federatedClient(options: OidcDraftOptions, { caFile, verify }: Connection): OidcClientOptions {
  const settings = clientSettings(options, ['openid', 'profile'])
  return client(settings, { caFile: settings.caFile ?? caFile, verify })
}

function clientSettings(
  { values, readText, warn }: OidcDraftOptions,
  defaultScopes: readonly string[],
): ClientSettings {
  const issuer = values.choose(['oidcIssuer', 'discoveryEndpoint'])
  if (issuer === undefined) throw invalid('the issuer is missing: give --oidc-issuer or ARCHWAY_OIDC_ISSUER')
  const given =
    values
      .text('oidcScope')
      ?.split(/[\s,]+/)
      .filter((scope) => scope !== '') ?? []
  return {
    issuer: issuerAddress(issuer.text, issuer.source),
    clientId: must(values, 'oidcClientId'),
    clientSecret: clientSecret(values, readText, warn),
    scopes: given.length === 0 ? defaultScopes : [...new Set(['openid', ...given])],
    audience: values.text('oidcAudience'),
    caFile: values.text('oidcCaFile'),
  }
}

function client(
  { issuer, clientId, clientSecret: secret, scopes, audience }: ClientSettings,
  { caFile, verify }: { readonly caFile: string | undefined; readonly verify: boolean },
): OidcClientOptions {
  return {
    issuer,
    clientId,
    ...(secret === undefined ? {} : { clientSecret: secret }),
    scopes: scopes.filter((scope) => scope !== OFFLINE),
    ...(scopes.includes(OFFLINE) ? { refreshable: true } : {}),
    ...(audience === undefined ? {} : { audience }),
    ...(caFile === undefined ? {} : { caFile }),
    ...(verify ? {} : { verify }),
  }
}

const OFFLINE = 'offline_access'

/** The order of scopes means nothing, and a refresh token is not part of who somebody is. */
function describeClient({ issuer, clientId, scopes = [], audience }: OidcClientOptions): LoginSubject {
  return {
    issuer,
    client_id: clientId,
    scopes: [...scopes].sort().join(' '),
    ...(audience === undefined ? {} : { audience }),
  }
}

function clientSecret(values: Values, readText: ReadSettingsFile, warn: (line: string) => void): Secret | undefined {
  const secret = values.secret('oidcClientSecret')
  const path = values.text('oidcClientSecretFile')
  if (secret !== undefined || path === undefined) return secret
  const source = values.source('oidcClientSecretFile')
  let file: ReturnType<ReadSettingsFile>
  try {
    file = readText(path)
  } catch (thrown) {
    throw invalid(`${source}: ${path} cannot be read: ${messageOf(thrown)}`)
  }
  if (file === undefined) throw invalid(`${source}: ${path} does not exist`)
  if (file.readableByOthers) warn(`${path} can be read by other users: chmod 600 ${path}`)
  const text = file.text.replace(/\r?\n$/, '')
  if (text === '') throw invalid(`${source}: ${path} is empty`)
  return new Secret(text)
}

// --- the flow ----------------------------------------------------------------------------------------------------

type BrowserFlow = Extract<OidcFlow, { flow: 'device' | 'code' }>

function browserFlow(values: Values): BrowserFlow {
  const flow = oneOf(values, 'oidcFlow', ['device', 'code']) ?? 'code'
  return flow === 'device' ? { flow } : { flow, ...redirectOf(values) }
}

function redirectOf(values: Values): Omit<Extract<OidcFlow, { flow: 'code' }>, 'flow'> {
  const chosen = values.choose(['oidcRedirectPort', 'redirectUri'])
  if (chosen === undefined) return { ports: [0] }
  if (chosen.name === 'redirectUri') {
    const { port, host, path } = redirectAddress(chosen.text, chosen.source)
    return { ports: [port], redirectHost: host, redirectPath: path }
  }
  const ports = chosen.text
    .split(/[\s,]+/)
    .filter((word) => word !== '')
    .map((word) => {
      const port = /^\d{1,5}$/.test(word) ? Number(word) : Number.NaN
      if (port <= 65_535) return port
      throw invalid(`${chosen.source}: expected a port from 0 to 65535`)
    })
  return { ports }
}

function oneOf<Value extends string>(values: Values, name: TextName, known: readonly Value[]): Value | undefined {
  const text = values.text(name)
  if (text === undefined) return undefined
  const found = known.find((value) => value === text)
  if (found === undefined) throw invalid(`${values.source(name)}: expected ${known.join(' or ')}`)
  return found
}

const NEEDED = {
  identityProvider: 'the identity provider is missing: give --identity-provider or OS_IDENTITY_PROVIDER',
  protocol: 'the federation protocol is missing: give --protocol or OS_PROTOCOL',
  oidcClientId: 'the client id at the issuer is missing: give --oidc-client-id or ARCHWAY_OIDC_CLIENT_ID',
} as const

function must(values: Values, name: keyof typeof NEEDED): string {
  const text = values.text(name)
  if (text === undefined) throw invalid(NEEDED[name])
  return text
}

function invalid(message: string): ArchwayError {
  return new ArchwayError('credential_settings_invalid', message)
}
