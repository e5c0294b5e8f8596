/** Runs the corpus against a proxy that has the recorder behind it. */

import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { bytesOf, type HygieneCase, readCorpus, type Values } from './corpus.ts'
import { failureOf } from './judge.ts'
import { bodyOf, exchange, type Target } from './raw-client.ts'
import { CASES, RECORDER, REPORT } from './recorder.ts'

export interface HygieneOptions {
  readonly target: Target
  /** Value of `Authorization`. */
  readonly authorization: string
  /** Who that is, as the API server has to be told. */
  readonly user: string
  readonly cases?: readonly HygieneCase[]
  /** Called after each case. */
  readonly done?: (result: CaseResult) => void
}

export interface CaseResult {
  readonly id: string
  readonly threat: string
  readonly title: string
  readonly held: boolean
  /** Status of the answer; undefined where there was none. */
  readonly status: number | undefined
  /** What went wrong. */
  readonly failure?: string
}

/** Runs all cases, one after the other. Throws where the proxy cannot be asked, or something else stands behind it. */
export async function runHygiene(options: HygieneOptions): Promise<readonly CaseResult[]> {
  const { cases = readCorpus(), done } = options
  const run = randomBytes(6).toString('hex')
  await reportOf(`${run}.none`, options)
  const results: CaseResult[] = []
  for (const one of cases) {
    const result = await runCase(one, `${run}.${one.id}`, options)
    results.push(result)
    done?.(result)
  }
  return results
}

async function runCase(one: HygieneCase, token: string, options: HygieneOptions): Promise<CaseResult> {
  const values = valuesOf(token, options)
  const answer = await exchange(options.target, bytesOf(one, values), one.untilClose)
  const heads = await reportOf(token, options)
  const failure = failureOf(one, values, options.user, heads, answer)
  const { id, threat, title } = one
  return { id, threat, title, held: failure === undefined, status: answer.status, ...(failure && { failure }) }
}

function valuesOf(token: string, { target, authorization }: HygieneOptions): Values {
  return {
    path: `${CASES}${token}`,
    host: authorityOf(target),
    credential: `Authorization: ${authorization}`,
    subprotocol: Buffer.from(authorization.replace(/^\S+ /, '')).toString('base64url'),
  }
}

function authorityOf({ host, port }: Target): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

const Report = z.object({ recorder: z.literal(RECORDER), heads: z.array(z.string()) })

/** The heads that arrived of a case, asked for through the proxy. */
async function reportOf(token: string, { target, authorization }: HygieneOptions): Promise<readonly string[]> {
  const lines = [
    `GET ${REPORT}${token} HTTP/1.1`,
    `Host: ${authorityOf(target)}`,
    `Authorization: ${authorization}`,
    'Connection: close',
  ]
  const { text, status } = await exchange(target, Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), false)
  const report = Report.safeParse(parsed(bodyOf(text)))
  if (report.success) return report.data.heads.map((head) => Buffer.from(head, 'base64').toString('latin1'))
  if (status === 401 || status === 403)
    throw new Error(`the proxy answers ${status}: check the credential, and that its user may GET ${REPORT}`)
  throw new Error(
    `the recorder does not answer through the proxy (status ${status ?? 'none'}): point its API server at it`,
  )
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
