/**
 * Whether an API server and the front-proxy certificate go together: the certificate alone is nobody (T-H7), and
 * identities in headers are believed. Found by asking the server as we do, so it needs no rights and works with any
 * version. Owns the questions and what the answers mean; leaves what follows from a finding to whoever asked.
 *
 * Every question is the same POST of a SelfSubjectReview. From 1.28 on it is answered with the identity (201). Older
 * servers, and those that let nobody ask, refuse it in a sentence that begins with the user they saw (403), and who may
 * do everything is told that there is no such thing (404).
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/authentication/#self-subject-review
 * @module
 */
import { identityHeaders } from '../../authn/request/identity-headers.ts'
import { messageOf } from '../../errors.ts'
import type { UserInfo } from '../../user.ts'
import { type ServerPool, UpstreamFailure } from '../upstream/upstream.ts'
import type { HeaderLines } from '../wire.ts'
import { ask } from './ask.ts'
import { explained } from './connect-failure.ts'
import { distrust } from './distrust.ts'
import { type SeenAs, seenIn } from './seen-as.ts'

/** What was looked at. */
export const SELF_CHECKS = ['bare-certificate', 'identity-headers', 'uid', 'groups', 'extra'] as const
export type SelfCheckName = (typeof SELF_CHECKS)[number]

/**
 * - `ok`: as it should be
 * - `info`: could not be seen with this version, or worth knowing
 * - `warning`: it works, and something is lost
 * - `error`: set up wrongly; the message says how to set it right
 * - `undecided`: the server could not be asked; that is no fault of the set-up
 */
export type FindingLevel = 'ok' | 'info' | 'warning' | 'error' | 'undecided'

export interface Finding {
  /** `host:port`. */
  readonly server: string
  readonly check: SelfCheckName
  readonly level: FindingLevel
  readonly message: string
}

export interface SelfCheckOptions {
  /** `host:port`. */
  readonly name: string
  readonly pool: ServerPool
  /** Of the front-proxy certificate. */
  readonly commonName: () => string
}

/** The made-up user. Nobody should give it rights, nor its group. */
const PROBE: UserInfo = {
  username: 'archway-self-check',
  uid: 'archway-self-check-uid',
  groups: ['archway:self-check'],
  extra: new Map([['archway-self-check', ['yes']]]),
}

type Verdict = Omit<Finding, 'server'>

/** Asks one server. Never throws. */
export async function selfCheck(options: SelfCheckOptions, signal: AbortSignal): Promise<readonly Finding[]> {
  const commonName = options.commonName()
  const bare = await seen(options, [], signal)
  const named = await seen(options, identityHeaders(PROBE), signal)
  const verdicts = [judgeBare(bare, commonName), judgeNamed(named, commonName), ...judgeDetails(named)]
  return verdicts.map((verdict) => ({ server: options.name, ...verdict }))
}

const REVIEW = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
const REVIEW_BODY = JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' })

/** Who the server takes a request with these lines to be from. */
async function seen({ name, pool }: SelfCheckOptions, identity: HeaderLines, signal: AbortSignal): Promise<SeenAs> {
  const common: HeaderLines = [['Host', name], ['User-Agent', 'archway'], ['Accept', 'application/json'], ...identity]
  const headers: HeaderLines = [...common, ['Content-Type', 'application/json']]
  try {
    const review = seenIn(await ask(pool, { method: 'POST', target: REVIEW, headers, body: REVIEW_BODY }, signal))
    if (review.kind !== 'almighty') return review
    // A version that lets everybody ask and has no answer; a path of nobody's tells those apart that may do everything.
    return seenIn(await ask(pool, { method: 'GET', target: '/archway-self-check', headers: common }, signal))
  } catch (thrown) {
    const lost = thrown instanceof UpstreamFailure && thrown.kind !== 'unreachable'
    return { kind: 'undecided', reason: lost ? explained(thrown.cause ?? thrown) : messageOf(thrown) }
  }
}

function judgeBare(bare: SeenAs, commonName: string): Verdict {
  const check = 'bare-certificate'
  switch (bare.kind) {
    case 'refused':
      return { check, level: 'ok', message: 'the front-proxy certificate alone is refused' }
    case 'anonymous':
      return { check, level: 'ok', message: 'the front-proxy certificate alone is anonymous' }
    case 'user':
      return { check, level: 'error', message: byItself(commonName, `user "${bare.username}"`) }
    case 'almighty':
      return { check, level: 'error', message: byItself(commonName, 'somebody who may do everything') }
    case 'undecided':
      return { check, level: 'undecided', message: bare.reason }
  }
}

function byItself(commonName: string, who: string): string {
  return (
    `the front-proxy certificate is a user by itself (CN=${commonName}, seen as ${who}): give request headers a CA of ` +
    'their own, which is not in --client-ca-file of the API server'
  )
}

function judgeNamed(named: SeenAs, commonName: string): Verdict {
  const check = 'identity-headers'
  switch (named.kind) {
    case 'refused':
      return { check, level: 'error', message: distrust(commonName) }
    case 'anonymous':
      return { check, level: 'error', message: unread('sees nobody') }
    case 'user':
      return named.username === PROBE.username
        ? { check, level: 'ok', message: 'identities in headers are believed' }
        : { check, level: 'error', message: unread(`sees user "${named.username}"`) }
    case 'almighty':
      return { check, level: 'warning', message: MAY_EVERYTHING }
    case 'undecided':
      return { check, level: 'undecided', message: named.reason }
  }
}

const MAY_EVERYTHING =
  'a made-up user without rights may do everything: the API server authorizes all requests ' +
  '(--authorization-mode=AlwaysAllow), or takes the front-proxy certificate for an administrator'

const GROUP_FLAG = '--requestheader-group-headers=X-Remote-Group'
const EXTRA_FLAG = '--requestheader-extra-headers-prefix=X-Remote-Extra-'

function unread(instead: string): string {
  return (
    `the API server does not read the identity headers, it ${instead}: set --requestheader-client-ca-file, ` +
    `--requestheader-username-headers=X-Remote-User, ${GROUP_FLAG}, ${EXTRA_FLAG}`
  )
}

/** Uid, groups and extra can be lost one by one, and only a review shows them. */
function judgeDetails(named: SeenAs): readonly Verdict[] {
  if (named.kind !== 'user' || named.username !== PROBE.username) return []
  const { review } = named
  if (review === undefined) {
    const message = 'this API server does not show it (SelfSubjectReview is there from 1.28 on)'
    return (['uid', 'groups', 'extra'] as const).map((check) => ({ check, level: 'info', message }))
  }
  const extra = review.extra.get('archway-self-check') ?? []
  return [
    arrival('uid', review.uid === PROBE.uid, 'info', '--requestheader-uid-headers=X-Remote-Uid (1.33 and later)'),
    arrival('groups', review.groups.includes('archway:self-check'), 'warning', GROUP_FLAG),
    arrival('extra', extra.includes('yes'), 'warning', EXTRA_FLAG),
  ]
}

/** `lost`: how bad it is where it does not arrive. */
function arrival(check: 'uid' | 'groups' | 'extra', arrives: boolean, lost: FindingLevel, flag: string): Verdict {
  return arrives
    ? { check, level: 'ok', message: `${check} in headers: read` }
    : { check, level: lost, message: `${check} in headers: not read; the API server needs ${flag}` }
}
