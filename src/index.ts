/**
 * The library door: what other programs may build on, grouped by room. `compose.ts` shows the parts put together.
 *
 * @module
 */

// authn/: who is it?
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
export { type KeystoneTokenOptions, keystoneToken, type TokenScope } from './authn/keystone-token.ts'
export { type TokenFileAuthenticator, type TokenFileOptions, tokenFile } from './authn/token-file.ts'
export { union as unionOfAuthenticators } from './authn/union.ts'
export { type UsernameFormat, usernameFormat } from './authn/username-format.ts'
// authz/: may they?
export { type Attributes, type Authorizer, type Decision, toStatus } from './authz/authorizer.ts'
export { union as unionOfAuthorizers } from './authz/union.ts'
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
