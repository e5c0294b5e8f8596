/**
 * Where the v3 API is below a URL that does not say so. Identity API v3, "List versions".
 *
 * @module
 */
import { z } from 'zod'
import type { CallLog } from '../context.ts'
import { ArchwayError } from '../errors.ts'
import { readJson, undecided } from './answer.ts'
import type { RawAnswer } from './connection.ts'
import type { Target } from './failure.ts'
import type { KeystoneUrl } from './url.ts'

/** Statuses of a version one can use. */
const USABLE: ReadonlySet<string> = new Set(['current', 'supported', 'stable'])

const version = z.object({
  id: z.string(),
  status: z.string(),
  links: z.array(z.object({ rel: z.string(), href: z.string() })).optional(),
})
const versionDocument = z.union([
  z.object({ version }).transform((document) => [document.version]),
  z.object({ versions: z.object({ values: z.array(version) }) }).transform((document) => document.versions.values),
])

type Version = z.output<typeof version>

export interface VersionOptions {
  readonly url: KeystoneUrl
  /** Asks for the document of versions, without credentials. */
  readonly get: (path: string) => Promise<RawAnswer>
  readonly target: Target
  readonly now: () => Date
}

/** Path of the v3 API, without a slash at its end. */
export interface VersionFinder {
  /**
   * The path; asks Keystone once and remembers what it said. A failure is not remembered, nor is a guess before
   * {@link VersionFinder.confirm}.
   *
   * @throws ArchwayError when Keystone cannot be asked, or has no v3 (`keystone_answer_invalid`).
   */
  find(log: CallLog): Promise<string>
  /** Keystone has answered at this path. */
  confirm(path: string): void
}

/** Finds the v3 API below a URL; callers at the same time share one request. */
export function findVersion(options: VersionOptions): VersionFinder {
  const { url } = options
  let known = url.versioned ? url.path : undefined
  let asking: Promise<string> | undefined
  let told = false

  async function ask(log: CallLog): Promise<string> {
    const raw = await options.get(`${url.path}/`)
    const versions = readVersions(raw)
    if (versions === undefined) {
      if (isOutage(raw.status)) throw undecided(raw, options.target, options.now)
      return `${url.path}/v3` // a front that publishes /v3 and hides the root; remembered once Keystone answers there
    }
    const v3 = versions.find(isUsableV3)
    if (v3 === undefined) throw noV3(options.target)
    const link = selfLink(v3, url)
    if (link !== undefined && link.origin !== url.origin && !told) {
      told = true
      log.warn(
        { configured: url.origin, advertised: link.origin },
        'keystone advertises another address; the configured one is used',
      )
    }
    known = pathBelow(link, url) ?? `${url.path}/v3`
    return known
  }

  return {
    async find(log) {
      if (known !== undefined) return known
      asking ??= ask(log).finally(() => {
        asking = undefined
      })
      return asking
    },
    confirm(path) {
      known ??= path
    },
  }
}

/**
 * Checks the answer of the v3 root: the document of that version.
 *
 * @throws ArchwayError when it is not one.
 */
export function checkVersion(raw: RawAnswer, target: Target, now: () => Date): void {
  const versions = readVersions(raw)
  if (versions === undefined) throw undecided(raw, target, now)
  if (!versions.some(isUsableV3)) throw noV3(target)
}

function readVersions(raw: RawAnswer): readonly Version[] | undefined {
  if (raw.status !== 200 && raw.status !== 300) return undefined
  const parsed = versionDocument.safeParse(readJson(raw))
  return parsed.success ? parsed.data : undefined
}

function isUsableV3({ id, status }: Version): boolean {
  return /^v3(\.|$)/i.test(id) && USABLE.has(status.toLowerCase())
}

/** Whether a status says that Keystone cannot be asked now, or not here, rather than that this is no such document. */
function isOutage(status: number): boolean {
  return status === 408 || status === 429 || status >= 500 || (status > 300 && status < 400)
}

function selfLink({ links }: Version, url: KeystoneUrl): URL | undefined {
  const href = links?.find((link) => link.rel === 'self')?.href
  const from = `${url.origin}${url.path}/`
  return href !== undefined && URL.canParse(href, from) ? new URL(href, from) : undefined
}

/**
 * The path of the link, if it is below the configured one. A Keystone behind a front that adds a prefix does not know
 * its own path, and a path elsewhere on the same host may be another service.
 */
function pathBelow(link: URL | undefined, url: KeystoneUrl): string | undefined {
  if (link === undefined || link.search !== '' || link.hash !== '') return undefined
  const path = link.pathname.replace(/\/+$/, '')
  return path.startsWith(`${url.path}/`) && !/%2f|%5c/i.test(path) ? path : undefined
}

function noV3(target: Target): ArchwayError {
  const message = `${target.name}: Keystone lists its versions, and v3 is not among those in use; is it the URL of the Identity service?`
  return new ArchwayError('keystone_answer_invalid', message, { retryAfter: 1 })
}
