/**
 * Puts the flows together as an {@link OidcClient}. openid-client comes with this file: what seldom logs in imports it
 * when it does.
 *
 * @module
 */
import * as client from 'openid-client'
import { authorizationCode } from './authorization-code.ts'
import { type Clock, deviceCode } from './device-code.ts'
import { oauthError } from './failure.ts'
import { createIssuer } from './issuer.ts'
import type { OidcClient, OidcClientOptions } from './oidc-client.ts'
import { sleep } from './waiting.ts'

const SYSTEM_CLOCK: Clock = { now: Date.now, sleep }

/**
 * A client of one issuer. Nothing is opened or read before the first call; the discovery document is fetched once.
 *
 * @throws ArchwayError `credential_settings_invalid` for options that cannot be meant; the message names the field.
 */
export function createOidcClient(options: OidcClientOptions, clock: Clock = SYSTEM_CLOCK): OidcClient {
  const issuer = createIssuer(options)
  return {
    deviceCode: (flow) => deviceCode(issuer, flow, clock),
    authorizationCode: (flow) => authorizationCode(issuer, flow),

    async password(username, password) {
      const { config, scope, audience, tokens } = await issuer.session()
      return await tokens('token request', [password], () =>
        client.genericGrantRequest(config, 'password', {
          username,
          password: password.reveal(),
          ...scope,
          ...audience,
        }),
      )
    },

    async refresh(refreshToken) {
      const { config, audience, tokens } = await issuer.session()
      const renewed = await tokens('refresh', [refreshToken], () =>
        client.refreshTokenGrant(config, refreshToken.reveal(), { ...audience }),
      )
      return { refreshToken, ...renewed }
    },

    async revoke(token) {
      const { config, metadata, ask } = await issuer.session()
      if (metadata.revocation_endpoint === undefined) return false
      return await ask('revocation', [token], async () => {
        try {
          await client.tokenRevocation(config, token.reveal())
          return true
        } catch (thrown) {
          if (oauthError(thrown) === 'unsupported_token_type') return false
          throw thrown
        }
      })
    },
  }
}
