/**
 * The settings of a login, one row each: where a value may be given, and what help says of it. Owns the names; leaves
 * reading them to `flags.ts` and `layers.ts`, and what they come to to `resolve.ts`.
 *
 * @see https://docs.openstack.org/python-openstackclient/latest/cli/man/openstack.html
 * @module
 */

/** Something that can be given on the command line, for {@link parseFlags} and {@link flagsHelp}. */
export interface FlagRow {
  /** Long name without hyphens in front. Absent: not a flag (a secret that has no place on a command line). */
  readonly flag?: string
  /** Other names of the flag, one letter or long. */
  readonly aliases?: readonly string[]
  /** What help calls the value. Absent: a switch. */
  readonly value?: string
  readonly help: string
  /** Variables, the first one that is set counts. */
  readonly env?: readonly string[]
  /** Never printed; kept as {@link Secret} from the moment it is read. */
  readonly secret?: true
  /** Given several times, all count; otherwise the last one does. */
  readonly repeatable?: true
  /** Heading in the help text. */
  readonly group: string
}

/** A setting of a login. */
export interface SettingRow<Name extends string = string> extends FlagRow {
  readonly name: Name
  /** Keys in an entry of clouds.yaml, below `auth` or right in it; the first one that is set counts. */
  readonly cloud?: readonly string[]
  /** A file: made absolute when it is read, from the working directory or from the folder of clouds.yaml. */
  readonly path?: true
}

const KEYSTONE = 'Keystone'
const SCOPE = 'What the token is good for'
const CREDENTIALS = 'Application credential'
const TLS = 'Connection'
const OIDC = 'OpenID Connect'

const ROWS = [
  {
    name: 'authUrl',
    flag: 'keystone-url',
    value: 'URL',
    env: ['OS_AUTH_URL'],
    cloud: ['auth_url'],
    help: 'Identity v3 URL, with or without /v3',
    group: KEYSTONE,
  },
  {
    name: 'cloud',
    flag: 'os-cloud',
    value: 'NAME',
    env: ['OS_CLOUD'],
    help: 'entry of clouds.yaml; it fills in what flags and environment leave open',
    group: KEYSTONE,
  },
  {
    name: 'authType',
    flag: 'auth-type',
    value: 'TYPE',
    env: ['OS_AUTH_TYPE', 'OS_AUTH_PLUGIN'],
    cloud: ['auth_type', 'auth_plugin'],
    help: 'how to log in, in the words of openstackclient (v3password, v3totp …), or oidc; default: by what is given',
    group: KEYSTONE,
  },
  {
    name: 'authMethods',
    flag: 'auth-methods',
    value: 'LIST',
    env: ['OS_AUTH_METHODS'],
    cloud: ['auth_methods'],
    repeatable: true,
    help: 'proofs of v3multifactor: v3password,v3totp',
    group: KEYSTONE,
  },
  {
    name: 'username',
    flag: 'user-name',
    aliases: ['username'],
    value: 'NAME',
    env: ['OS_USERNAME', 'OS_USER_NAME'],
    cloud: ['username', 'user_name'],
    help: 'user',
    group: KEYSTONE,
  },
  {
    name: 'userId',
    flag: 'user-id',
    value: 'ID',
    env: ['OS_USER_ID', 'OS_USERID'],
    cloud: ['user_id'],
    help: 'user by id; needs no domain',
    group: KEYSTONE,
  },
  {
    name: 'password',
    flag: 'password',
    value: 'PASSWORD',
    env: ['OS_PASSWORD'],
    cloud: ['password'],
    secret: true,
    help: 'password; other users of the machine can see it here: better by environment, or asked for',
    group: KEYSTONE,
  },
  {
    name: 'passcode',
    flag: 'passcode',
    value: 'CODE',
    env: ['OS_PASSCODE'],
    cloud: ['passcode'],
    secret: true,
    help: 'one-time passcode (TOTP); beside a password: both are proved',
    group: KEYSTONE,
  },
  {
    name: 'token',
    env: ['OS_TOKEN', 'OS_AUTH_TOKEN'],
    cloud: ['token', 'auth_token'],
    secret: true,
    help: 'Keystone token that is exchanged for a new one',
    group: KEYSTONE,
  },
  {
    name: 'domainName',
    flag: 'domain-name',
    value: 'NAME',
    env: ['OS_DOMAIN_NAME'],
    cloud: ['domain_name'],
    help: 'domain of both user and project; without a project: the domain the token is good for',
    group: KEYSTONE,
  },
  {
    name: 'domainId',
    flag: 'domain-id',
    value: 'ID',
    env: ['OS_DOMAIN_ID'],
    cloud: ['domain_id'],
    help: 'the same by id',
    group: KEYSTONE,
  },
  {
    name: 'userDomainName',
    flag: 'user-domain-name',
    value: 'NAME',
    env: ['OS_USER_DOMAIN_NAME'],
    cloud: ['user_domain_name'],
    help: 'domain of the user',
    group: KEYSTONE,
  },
  {
    name: 'userDomainId',
    flag: 'user-domain-id',
    value: 'ID',
    env: ['OS_USER_DOMAIN_ID'],
    cloud: ['user_domain_id'],
    help: 'the same by id',
    group: KEYSTONE,
  },
  {
    name: 'defaultDomainId',
    env: ['OS_DEFAULT_DOMAIN', 'OS_DEFAULT_DOMAIN_ID'],
    cloud: ['default_domain', 'default_domain_id'],
    help: 'id of the domain where none is named (default)',
    group: KEYSTONE,
  },
  {
    name: 'defaultDomainName',
    env: ['OS_DEFAULT_DOMAIN_NAME'],
    cloud: ['default_domain_name'],
    help: 'the same by name',
    group: KEYSTONE,
  },
  {
    name: 'identityProvider',
    flag: 'identity-provider',
    value: 'NAME',
    env: ['OS_IDENTITY_PROVIDER'],
    cloud: ['identity_provider'],
    help: 'identity provider in Keystone: log in through it (with --protocol and the OpenID Connect settings)',
    group: KEYSTONE,
  },
  {
    name: 'protocol',
    flag: 'protocol',
    value: 'NAME',
    env: ['OS_PROTOCOL'],
    cloud: ['protocol'],
    help: 'its federation protocol in Keystone',
    group: KEYSTONE,
  },
  {
    name: 'accessToken',
    env: ['OS_ACCESS_TOKEN'],
    cloud: ['access_token'],
    secret: true,
    help: 'access token of the identity provider, in place of a login there',
    group: KEYSTONE,
  },
  {
    name: 'regionName',
    env: ['OS_REGION_NAME'],
    cloud: ['region_name'],
    help: 'stands in for {region_name} in the URL of a cloud',
    group: KEYSTONE,
  },
  {
    name: 'projectName',
    flag: 'project-name',
    value: 'NAME',
    env: ['OS_PROJECT_NAME', 'OS_TENANT_NAME'],
    cloud: ['project_name', 'tenant_name'],
    help: 'project',
    group: SCOPE,
  },
  {
    name: 'projectId',
    flag: 'project-id',
    value: 'ID',
    env: ['OS_PROJECT_ID', 'OS_TENANT_ID'],
    cloud: ['project_id', 'tenant_id'],
    help: 'project by id; needs no domain',
    group: SCOPE,
  },
  {
    name: 'projectDomainName',
    flag: 'project-domain-name',
    value: 'NAME',
    env: ['OS_PROJECT_DOMAIN_NAME'],
    cloud: ['project_domain_name'],
    help: 'domain of the project',
    group: SCOPE,
  },
  {
    name: 'projectDomainId',
    flag: 'project-domain-id',
    value: 'ID',
    env: ['OS_PROJECT_DOMAIN_ID'],
    cloud: ['project_domain_id'],
    help: 'the same by id',
    group: SCOPE,
  },
  {
    name: 'trustId',
    flag: 'trust-id',
    value: 'ID',
    env: ['OS_TRUST_ID'],
    cloud: ['trust_id'],
    help: 'trust',
    group: SCOPE,
  },
  {
    name: 'systemScope',
    flag: 'system-scope',
    value: 'all',
    env: ['OS_SYSTEM_SCOPE'],
    cloud: ['system_scope'],
    help: 'the whole system',
    group: SCOPE,
  },
  {
    name: 'applicationCredentialId',
    flag: 'application-credential-id',
    value: 'ID',
    env: ['OS_APPLICATION_CREDENTIAL_ID'],
    cloud: ['application_credential_id'],
    help: 'with its secret all that is needed; it brings its own project',
    group: CREDENTIALS,
  },
  {
    name: 'applicationCredentialName',
    flag: 'application-credential-name',
    value: 'NAME',
    env: ['OS_APPLICATION_CREDENTIAL_NAME'],
    cloud: ['application_credential_name'],
    help: 'with its secret and its user',
    group: CREDENTIALS,
  },
  {
    name: 'applicationCredentialSecret',
    flag: 'application-credential-secret',
    value: 'SECRET',
    env: ['OS_APPLICATION_CREDENTIAL_SECRET'],
    cloud: ['application_credential_secret'],
    secret: true,
    help: 'its secret; other users of the machine can see it here',
    group: CREDENTIALS,
  },
  {
    name: 'cert',
    flag: 'cert',
    value: 'FILE',
    env: ['OS_CERT'],
    cloud: ['cert'],
    path: true,
    help: 'client certificate for Keystone, PEM; with --key',
    group: TLS,
  },
  {
    name: 'key',
    flag: 'key',
    value: 'FILE',
    env: ['OS_KEY'],
    cloud: ['key'],
    path: true,
    help: 'its private key, PEM',
    group: TLS,
  },
  {
    name: 'cacert',
    flag: 'cacert',
    value: 'FILE',
    env: ['OS_CACERT'],
    cloud: ['cacert'],
    path: true,
    help: 'CA bundle for Keystone, PEM; replaces the system roots',
    group: TLS,
  },
  {
    name: 'insecure',
    flag: 'insecure',
    env: ['OS_INSECURE'],
    cloud: ['insecure'],
    help: 'accept any certificate: whoever is on the network between can read the password',
    group: TLS,
  },
  {
    name: 'verify',
    cloud: ['verify'],
    help: 'false: as insecure',
    group: TLS,
  },
  {
    name: 'oidcIssuer',
    flag: 'oidc-issuer',
    value: 'URL',
    env: ['ARCHWAY_OIDC_ISSUER'],
    help: 'issuer, or its discovery document; without --identity-provider its token itself goes to Kubernetes',
    group: OIDC,
  },
  {
    name: 'discoveryEndpoint',
    env: ['OS_DISCOVERY_ENDPOINT'],
    cloud: ['discovery_endpoint'],
    help: 'discovery document of the identity provider, for logins through Keystone',
    group: OIDC,
  },
  {
    name: 'oidcClientId',
    flag: 'oidc-client-id',
    value: 'ID',
    env: ['ARCHWAY_OIDC_CLIENT_ID', 'OS_CLIENT_ID'],
    cloud: ['client_id'],
    help: 'client id at the issuer',
    group: OIDC,
  },
  {
    name: 'oidcClientSecret',
    env: ['ARCHWAY_OIDC_CLIENT_SECRET', 'OS_CLIENT_SECRET'],
    cloud: ['client_secret'],
    secret: true,
    help: 'client secret; none: a public client',
    group: OIDC,
  },
  {
    name: 'oidcClientSecretFile',
    flag: 'oidc-client-secret-file',
    value: 'FILE',
    env: ['ARCHWAY_OIDC_CLIENT_SECRET_FILE'],
    path: true,
    help: 'file with the client secret',
    group: OIDC,
  },
  {
    name: 'oidcScope',
    flag: 'oidc-scope',
    value: 'SCOPES',
    env: ['ARCHWAY_OIDC_SCOPE', 'OS_OPENID_SCOPE'],
    cloud: ['openid_scope'],
    repeatable: true,
    help: 'scopes beside openid; repeatable, or with commas or blanks between',
    group: OIDC,
  },
  {
    name: 'oidcFlow',
    flag: 'oidc-flow',
    value: 'FLOW',
    env: ['ARCHWAY_OIDC_FLOW'],
    help: 'code: in the browser of this machine (default); device: a code to type in elsewhere',
    group: OIDC,
  },
  {
    name: 'oidcRedirectPort',
    flag: 'oidc-redirect-port',
    value: 'PORT',
    env: ['ARCHWAY_OIDC_REDIRECT_PORT'],
    repeatable: true,
    help: 'loopback port the browser comes back to; repeatable, the first free one is taken (default: any)',
    group: OIDC,
  },
  {
    name: 'redirectUri',
    env: ['OS_REDIRECT_URI'],
    cloud: ['redirect_uri'],
    help: 'names that port as openstackclient does, e.g. http://localhost:8080/',
    group: OIDC,
  },
  {
    name: 'oidcToken',
    flag: 'oidc-token',
    value: 'KIND',
    env: ['ARCHWAY_OIDC_TOKEN'],
    help: 'id_token (default) or access_token: which one goes to Kubernetes',
    group: OIDC,
  },
  {
    name: 'oidcAudience',
    flag: 'oidc-audience',
    value: 'AUDIENCE',
    env: ['ARCHWAY_OIDC_AUDIENCE'],
    help: 'audience to ask the issuer for, where it wants one',
    group: OIDC,
  },
  {
    name: 'oidcCaFile',
    flag: 'oidc-ca-file',
    value: 'FILE',
    env: ['ARCHWAY_OIDC_CA_FILE'],
    path: true,
    help: 'CA bundle for the issuer, PEM; replaces the system roots',
    group: OIDC,
  },
] as const satisfies readonly SettingRow[]

type Row = (typeof ROWS)[number]

export type SettingName = Row['name']
/** Settings whose values are {@link Secret}. */
export type SecretName = Extract<Row, { readonly secret: true }>['name']
/** Settings whose values are text. */
export type TextName = Exclude<SettingName, SecretName>

/** Every setting of a login, in the order help shows them. */
export const SETTINGS: readonly SettingRow<SettingName>[] = ROWS

/** Flags of the program itself, as the drop-in has them. */
export const PROGRAM_FLAGS: readonly FlagRow[] = [
  { flag: 'v', value: 'LEVEL', help: 'log verbosity; no level shows a secret', group: 'Program' },
  { flag: 'vmodule', value: 'SETTINGS', help: 'accepted, without effect', group: 'Program' },
  { flag: 'log-flush-frequency', value: 'DURATION', help: 'accepted, without effect', group: 'Program' },
  { flag: 'version', help: 'print the version', group: 'Program' },
  { flag: 'help', aliases: ['h'], help: 'print this help', group: 'Program' },
]

export function isSecretName(name: SettingName): name is SecretName {
  return SECRETS.has(name)
}

const SECRETS: ReadonlySet<string> = new Set(SETTINGS.filter(({ secret }) => secret).map(({ name }) => name))

/** `--password or OS_PASSWORD`: where a setting can be given; a secret's variable comes first. */
export function whereToGive(name: SettingName): string {
  const row = SETTINGS.find((candidate) => candidate.name === name)
  const flag = row?.flag === undefined ? [] : [`--${row.flag}`]
  const env = row?.env?.slice(0, 1) ?? []
  return (row?.secret === true ? [...env, ...flag] : [...flag, ...env]).join(' or ')
}
