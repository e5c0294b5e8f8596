/**
 * The library door: what other programs may build on, grouped by room. `compose.ts` shows the parts put together.
 *
 * @module
 */

// authn/: who is it?
export { type ApiserverTokenOptions, apiserverToken } from './authn/apiserver-token.ts'
export { audienceBound } from './authn/audiences.ts'
export type {
  Authenticator,
  AuthnResult,
  PasswordAuthenticator,
  RejectionCode,
  TokenAuthenticator,
} from './authn/authenticator.ts'
export { type CachedAuthenticator, type CachedOptions, cached } from './authn/cached.ts'
export { type IdentityRules, identityGate } from './authn/identity-gate.ts'
export type { TokenScope } from './authn/keystone-identity.ts'
export { type KeystonePasswordOptions, keystonePassword } from './authn/keystone-password.ts'
export { type KeystoneTokenOptions, keystoneToken } from './authn/keystone-token.ts'
export { type LdapAuthenticator, type LdapAuthenticatorOptions, ldapAuthenticator } from './authn/ldap/ldap.ts'
export { type MappedOptions, mapped } from './authn/mapping/mapped.ts'
export {
  type PasswordFileAuthenticator,
  type PasswordFileOptions,
  passwordFile,
} from './authn/password-file/password-file.ts'
export { anonymous } from './authn/request/anonymous.ts'
export type { ClientCertificate, RequestCredentials } from './authn/request/credentials.ts'
export { identityHeaders } from './authn/request/identity-headers.ts'
export { type Impersonation, type ImpersonationCheck, readImpersonation } from './authn/request/impersonation.ts'
export { type RequestSources, requestAuthenticator } from './authn/request/request-authenticator.ts'
export { type RequestHeaderOptions, requestHeader } from './authn/request/request-header.ts'
export { type TokenFileAuthenticator, type TokenFileOptions, tokenFile } from './authn/token-file.ts'
export { union as unionOfAuthenticators } from './authn/union.ts'
export { type UsernameFormat, usernameFormat } from './authn/username-format.ts'
export { type X509Authenticator, type X509Options, x509 } from './authn/x509/x509.ts'
export { type AbacAuthorizer, abacFile } from './authz/abac/abac.ts'
export { alwaysAllow, alwaysDeny } from './authz/always.ts'
// authz/: may they?
export { type Attributes, type Authorizer, type Decision, toStatus } from './authz/authorizer.ts'
export {
  type CompiledPolicy,
  type CompileOptions,
  type ConvertOptions,
  compilePolicy,
  decide,
  diffPolicies,
  type Example,
  type ExampleResult,
  type Explanation,
  explain,
  type Finding,
  type FindingCode,
  type GenerateOptions,
  generateRequests,
  type KeystonePolicyOptions,
  keystonePolicy,
  lint,
  type Matrix,
  type MatrixCell,
  matrix,
  matrixHtml,
  type ParseOptions,
  type Policy,
  type PolicyDocument,
  type PolicyJson,
  type PolicyWarning,
  parsePolicy,
  type RbacConversion,
  type RbacManifest,
  requestsOf,
  runExamples,
  type Severity,
  type SubresourceMode,
  toRbac,
  toVersion2,
  type Version2,
} from './authz/keystone-policy/index.ts'
export { type NodeAuthorizer, nodeAuthorizer, nodeIdentity } from './authz/node/node.ts'
export { type RbacAuthorizer, type RbacSource, rbac } from './authz/rbac/rbac.ts'
export { union as unionOfAuthorizers } from './authz/union.ts'
export { type WebhookAuthorizer, webhookAuthorizer } from './authz/webhook/webhook.ts'
// The whole service from a configuration
export { type ComposeOptions, type Service, startService } from './compose/service.ts'
export { type ConfigSources, loadConfig } from './config/load.ts'
export type { Config, ConfigInput } from './config/schema.ts'
// Words everybody uses
export type { CallContext, CallLog } from './context.ts'
export { ArchwayError, ERROR_CODES, type ErrorCode, InvalidDocumentError, type Problem } from './errors.ts'
export type { Handler, HttpAnswer, HttpRequest } from './http.ts'
// keystone/: Identity v3
export { type IdentityClient, type KeystoneClientOptions, keystoneClient } from './keystone/identity-client.ts'
export type { KeystoneToken } from './keystone/token.ts'
export { Secret } from './secret.ts'
// The webhook door, and a server for any door
export { type ArchwayServer, createServer, type ServerOptions } from './server/listener.ts'
export { createLogger, type Logger } from './telemetry/logger.ts'
export { hasForbiddenCharacters, isReservedName, type UserInfo } from './user.ts'
export { type WebhookOptions, webhook } from './webhook/webhook.ts'
