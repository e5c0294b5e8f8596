/**
 * The device code flow (RFC 8628): the person logs in with any browser on any machine, and we ask until that is done.
 *
 * @module
 */
import * as client from 'openid-client'
import { ArchwayError } from '../errors.ts'
import { Secret } from '../secret.ts'
import { oauthError } from './failure.ts'
import { type Issuer, type Session, type TokenResponse, toTokens } from './issuer.ts'
import type { DeviceInstructions, OidcClient, OidcTokens } from './oidc-client.ts'
import { interrupted } from './transport.ts'
import { whileShown } from './waiting.ts'

const GRANT = 'urn:ietf:params:oauth:grant-type:device_code'

/** Seconds: what RFC 8628 has where the issuer names no interval, adds on `slow_down`, and what is never gone below. */
const DEFAULT_INTERVAL = 5
const SLOW_DOWN = 5
const SHORTEST_INTERVAL = 1
const LONGEST_INTERVAL = 60

/** Seconds a device code may live, whatever the issuer says. */
const LONGEST_LIFE = 86_400

/** Requests in a row that may fail before the flow does. */
const MOST_FAILURES = 5

/** Longest user code shown, in characters. */
const MAX_USER_CODE = 100

/** The clock of the flow; tests have their own. */
export interface Clock {
  readonly now: () => number
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
}

/** The flow, from asking for a code to the tokens. */
export async function deviceCode(
  issuer: Issuer,
  { show, signal }: Parameters<OidcClient['deviceCode']>[0],
  clock: Clock,
): Promise<OidcTokens> {
  const session = await issuer.session(signal)
  if (session.metadata.device_authorization_endpoint === undefined) {
    const fault = 'it offers no device code flow (no device_authorization_endpoint); log in with the browser flow'
    throw new ArchwayError('oidc_answer_invalid', `${session.metadata.issuer}: ${fault}`)
  }
  const askedAt = clock.now()
  const started = await session.ask('device authorization', [], () =>
    client.initiateDeviceAuthorization(session.config, { ...session.scope, ...session.audience }),
  )
  const deadline = askedAt + Math.min(started.expires_in, LONGEST_LIFE) * 1000
  const instructions = instructionsOf(session, started, deadline)
  return await whileShown(
    () => show(instructions),
    signal,
    async (either) => {
      const polled = await issuer.session(either)
      const secret = new Secret(started.device_code)
      return await poll(polled, {
        secret,
        interval: started.interval ?? DEFAULT_INTERVAL,
        deadline,
        signal: either,
        clock,
      })
    },
  )
}

/** What goes to a terminal: addresses a browser takes, and a code that is nothing but visible characters. */
function instructionsOf(
  session: Session,
  { user_code, verification_uri, verification_uri_complete }: client.DeviceAuthorizationResponse,
  deadline: number,
): DeviceInstructions {
  if (user_code.length > MAX_USER_CODE || !/^[\p{L}\p{N}\p{P}\p{S} ]+$/u.test(user_code)) {
    const fault = `user_code is longer than ${MAX_USER_CODE} characters, or has some that cannot be shown`
    throw new ArchwayError('oidc_answer_invalid', `${session.metadata.issuer}: ${fault}`)
  }
  return {
    userCode: user_code,
    verificationUri: session.forBrowser('verification_uri', verification_uri),
    ...(verification_uri_complete === undefined
      ? {}
      : { verificationUriComplete: session.forBrowser('verification_uri_complete', verification_uri_complete) }),
    expiresAt: new Date(deadline),
  }
}

interface Polling {
  readonly secret: Secret
  /** Seconds. */
  readonly interval: number
  readonly deadline: number
  readonly signal: AbortSignal
  readonly clock: Clock
}

async function poll(session: Session, polling: Polling): Promise<OidcTokens> {
  const { secret, deadline, signal, clock } = polling
  let interval = Math.max(polling.interval, SHORTEST_INTERVAL)
  let failures: ArchwayError[] = []
  for (;;) {
    await pause(Math.min(interval * 1000, deadline - clock.now()), { clock, signal })
    if (clock.now() >= deadline) throw failures[0] ?? tooLate(session)
    const askedAt = clock.now()
    try {
      const answer = await session.ask('token request', [secret], () => requestTokens(session, secret))
      if (typeof answer !== 'string') return toTokens(answer, askedAt)
      if (answer === 'slow_down') interval += SLOW_DOWN
      failures = []
    } catch (thrown) {
      if (!(thrown instanceof ArchwayError) || thrown.code !== 'oidc_unreachable') throw thrown
      failures = [thrown, ...failures]
      if (failures.length === MOST_FAILURES) throw thrown
      interval = Math.min(interval * 2, LONGEST_INTERVAL) // RFC 8628, section 3.5: ask less often
    }
  }
}

/** The tokens, or why there are none yet. */
async function requestTokens(
  { config, audience }: Session,
  deviceCode: Secret,
): Promise<TokenResponse | 'authorization_pending' | 'slow_down'> {
  try {
    return await client.genericGrantRequest(config, GRANT, { device_code: deviceCode.reveal(), ...audience })
  } catch (thrown) {
    const error = oauthError(thrown)
    if (error === 'authorization_pending' || error === 'slow_down') return error
    throw thrown
  }
}

async function pause(ms: number, { clock, signal }: Pick<Polling, 'clock' | 'signal'>): Promise<void> {
  try {
    await clock.sleep(Math.max(ms, 0), signal)
  } catch (thrown) {
    throw signal.aborted ? interrupted(signal) : thrown
  }
}

function tooLate({ metadata }: Session): ArchwayError {
  return new ArchwayError(
    'oidc_timeout',
    `${metadata.issuer}: the login was not finished before the device code expired`,
  )
}
