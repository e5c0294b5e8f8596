/**
 * The authorization code flow with PKCE (RFC 6749, 7636, 8252): the person logs in with a browser on this machine,
 * which comes back to a page of ours with a code.
 *
 * @module
 */
import * as client from 'openid-client'
import { ArchwayError } from '../errors.ts'
import { Secret } from '../secret.ts'
import type { Issuer, Session } from './issuer.ts'
import { openLoopbackPage } from './loopback-page.ts'
import type { CodeFlowOptions, OidcTokens } from './oidc-client.ts'
import { interrupted } from './transport.ts'
import { sleep, whileShown } from './waiting.ts'

/** Default of {@link CodeFlowOptions.waitMs}. */
const WAIT_MS = 5 * 60_000

/** RFC 3986 path characters: what a request target repeats as it is. */
const PATH = /^\/(?!\/)[A-Za-z0-9\-._~!$&'()*+,;=:@/]*$/

/** What binds the browser's answer to this flow, and the code to this process. */
interface Proof {
  readonly state: Secret
  readonly nonce: Secret
  readonly verifier: Secret
}

/** The flow, from the page that is listened on to the tokens. Nothing listens once it is over, however it ends. */
export async function authorizationCode(issuer: Issuer, options: CodeFlowOptions): Promise<OidcTokens> {
  const { signal, waitMs = WAIT_MS, ports = [], redirectHost = '127.0.0.1', redirectPath = '/callback' } = options
  checkSettings(options)
  const session = await issuer.session(signal)
  if (session.metadata.authorization_endpoint === undefined) {
    const fault = 'it offers no login with a browser (no authorization_endpoint); use the device code flow'
    throw new ArchwayError('oidc_answer_invalid', `${session.metadata.issuer}: ${fault}`)
  }
  const proof: Proof = {
    state: new Secret(client.randomState()),
    nonce: new Secret(client.randomNonce()),
    verifier: new Secret(client.randomPKCECodeVerifier()),
  }
  const page = await openLoopbackPage({
    host: redirectHost,
    ports: ports.length === 0 ? [0] : ports,
    path: redirectPath,
    state: proof.state,
  })
  let answer: URL
  try {
    const url = await authorizationUrl(session, page.redirectUri, proof)
    answer = await whileShown(
      () => options.show(url),
      signal,
      (either) => inTime(page.answer, waitMs, either),
    )
  } finally {
    await page.close()
  }
  return await redeem(session, answer, proof)
}

function checkSettings({ redirectPath = '/', ports = [], waitMs = WAIT_MS }: CodeFlowOptions): void {
  if (!(waitMs > 0)) throw new ArchwayError('credential_settings_invalid', 'waitMs: it has to be more than 0')
  if (!PATH.test(redirectPath)) {
    const fault = 'it has to begin with / and be a plain path, without query or fragment'
    throw new ArchwayError('credential_settings_invalid', `redirectPath: ${fault}`)
  }
  const wrong = ports.find((port) => !Number.isInteger(port) || port < 0 || port > 65_535)
  if (wrong !== undefined) {
    throw new ArchwayError('credential_settings_invalid', `ports: ${wrong} is no port; a port is 0 to 65535`)
  }
}

async function authorizationUrl(session: Session, redirectUri: string, proof: Proof): Promise<string> {
  const challenge = await client.calculatePKCECodeChallenge(proof.verifier.reveal())
  const url = await session.ask('authorization request', [], async () =>
    client.buildAuthorizationUrl(session.config, {
      redirect_uri: redirectUri,
      ...session.scope,
      ...session.audience,
      state: proof.state.reveal(),
      code_challenge: challenge,
      code_challenge_method: 'S256',
      ...(session.openid ? { nonce: proof.nonce.reveal() } : {}),
      // OpenID Connect Core, section 11: offline_access counts with consent only.
      ...(session.offline ? { prompt: 'consent' } : {}),
    }),
  )
  return session.forBrowser('authorization_endpoint', url.href)
}

async function inTime(answer: Promise<URL>, waitMs: number, signal: AbortSignal): Promise<URL> {
  const stop = new AbortController()
  const late = sleep(waitMs, AbortSignal.any([signal, stop.signal])).then(
    () => {
      throw new ArchwayError('oidc_timeout', `the browser did not come back within ${Math.ceil(waitMs / 1000)} s`)
    },
    () => {
      throw interrupted(signal)
    },
  )
  try {
    return await Promise.race([answer, late])
  } finally {
    stop.abort()
  }
}

async function redeem(session: Session, answer: URL, { state, nonce, verifier }: Proof): Promise<OidcTokens> {
  const code = new Secret(answer.searchParams.get('code') ?? '')
  const checks = {
    expectedState: state.reveal(),
    pkceCodeVerifier: verifier.reveal(),
    ...(session.openid ? { expectedNonce: nonce.reveal(), idTokenExpected: true } : {}),
  }
  return await session.tokens('login', [code, state, nonce, verifier], () =>
    client.authorizationCodeGrant(session.config, answer, checks, { ...session.audience }),
  )
}
