/**
 * What `archway identify` prints: lines for people, a document for programs. Holds names and causes, never a secret.
 *
 * @module
 */
import { type Identification, provenBy, type SourceStep } from '../compose/identify.ts'
import { messageOf } from '../errors.ts'
import { redact } from '../telemetry/logger.ts'
import { hasForbiddenCharacters, type UserInfo } from '../user.ts'

/** A line of the log, without its time. */
export interface Note {
  readonly message: string
  readonly [field: string]: unknown
}

export interface IdentificationReport extends Identification {
  readonly notes: readonly Note[]
  /** What was not looked at. */
  readonly caveats: readonly string[]
}

/** Lines for people. */
export function describeIdentification(report: IdentificationReport): string {
  const { steps, result, dropped, notes, caveats } = report
  const proven = provenBy(steps)
  const width = Math.max(0, ...steps.map(({ source }) => source.length))
  const lines = [
    verdictLine(report),
    ...steps.map((step) => `  ${step.source.padEnd(width)}  ${stepWords(step)}`),
    ...(proven === undefined ? [] : [`as ${proven.source} has it`, ...userLines(proven.user)]),
    ...(proven?.mapped === undefined ? [] : ['as its mapping has it', ...userLines(proven.mapped)]),
    ...(result.kind === 'authenticated' ? ['in the cluster', ...userLines(result.user), ...validity(result)] : []),
    ...(dropped.groups.length + dropped.extra.length === 0
      ? []
      : [
          'left out by the identity gate',
          ...listed('group', dropped.groups.map(visible)),
          ...listed('extra', dropped.extra.map(visible)),
        ]),
    ...(notes.length === 0 ? [] : ['notes', ...notes.map((note) => `  ${noteLine(note)}`)]),
    ...caveats.map((caveat) => `note: ${caveat}`),
  ]
  return `${lines.join('\n')}\n`
}

/** The same for programs. */
export function documentOf({ steps, result, dropped, notes, caveats }: IdentificationReport): object {
  const proven = provenBy(steps)
  return {
    verdict: VERDICTS[result.kind],
    ...(result.kind === 'rejected' ? { code: result.code, source: result.source } : {}),
    ...(result.kind === 'failed' ? { cause: causeOf(result.cause) } : {}),
    sources: steps.map(({ source, said, mapped }) => ({
      name: source,
      outcome: OUTCOMES[said.kind],
      ...(said.kind === 'rejected' ? { code: said.code } : {}),
      ...(said.kind === 'failed' ? { cause: causeOf(said.cause) } : {}),
      ...(said.kind === 'not_asked' ? { reason: said.reason } : {}),
      ...(mapped?.kind === 'rejected' ? { mapping: mapped.code } : {}),
    })),
    ...(proven === undefined ? {} : { provenBy: proven.source, proven: userDocument(proven.user) }),
    ...(proven?.mapped === undefined ? {} : { mapped: userDocument(proven.mapped) }),
    ...(result.kind === 'authenticated'
      ? {
          user: userDocument(result.user),
          dropped,
          ...(result.audiences === undefined ? {} : { audiences: result.audiences }),
          ...(result.expiresAt === undefined ? {} : { expiresAt: result.expiresAt.toISOString() }),
        }
      : {}),
    notes,
    caveats,
  }
}

const VERDICTS = {
  authenticated: 'authenticated',
  rejected: 'refused',
  skipped: 'nobody',
  failed: 'undecided',
} as const
const OUTCOMES = {
  authenticated: 'authenticated',
  rejected: 'rejected',
  skipped: 'skipped',
  failed: 'could_not_tell',
  not_asked: 'not_asked',
} as const

function verdictLine({ result, steps }: IdentificationReport): string {
  switch (result.kind) {
    case 'authenticated':
      return `authenticated, by ${provenBy(steps)?.source ?? result.source}`
    case 'rejected':
      return `refused: ${result.code}`
    case 'skipped':
      return 'nobody: no source took a credential'
    case 'failed':
      return `could not tell: ${causeOf(result.cause)}`
  }
}

const NOT_ASKED = {
  other_credential: 'not asked: judges other credentials',
  not_needed: 'not asked: not needed',
} as const

function stepWords({ said, mapped }: SourceStep): string {
  switch (said.kind) {
    case 'authenticated':
      return mapped?.kind === 'rejected'
        ? `authenticated, then refused by its mapping: ${mapped.code}`
        : 'authenticated'
    case 'rejected':
      return `rejected: ${said.code}`
    case 'skipped':
      return 'skipped: not one of its credentials'
    case 'failed':
      return `could not tell: ${causeOf(said.cause)}`
    case 'not_asked':
      return NOT_ASKED[said.reason]
  }
}

/** A source may quote what it was sent: the last redaction goes over it as over every line of the log. */
function causeOf(cause: unknown): string {
  return visible(redact(messageOf(cause)))
}

function userLines({ username, uid, groups, extra }: UserInfo): readonly string[] {
  return [
    ...listed('user', [visible(username)]),
    ...listed('uid', uid === '' ? [] : [visible(uid)]),
    ...listed('groups', groups.map(visible)),
    ...listed(
      'extra',
      [...extra].map(([key, values]) => `${visible(key)}: ${values.map(visible).join(', ')}`),
    ),
  ]
}

function validity({ audiences, expiresAt }: { readonly audiences?: readonly string[]; readonly expiresAt?: Date }) {
  return [
    ...listed('for', audiences === undefined ? [] : [audiences.map(visible).join(', ')]),
    ...listed('until', expiresAt === undefined ? [] : [expiresAt.toISOString()]),
  ]
}

function listed(title: string, values: readonly string[]): readonly string[] {
  return values.map((value, index) => `  ${(index === 0 ? title : '').padEnd(7)} ${value}`)
}

function noteLine({ message, ...fields }: Note): string {
  const words = Object.entries(fields).map(([key, value]) => `${key} ${JSON.stringify(value)}`)
  return words.length === 0 ? message : `${message} (${visible(words.join(', '))})`
}

function userDocument({ username, uid, groups, extra }: UserInfo): object {
  return { username, uid, groups, extra: Object.fromEntries(extra) }
}

/** A name must not move the cursor of a terminal, nor turn the line around. */
function visible(text: string): string {
  if (!hasForbiddenCharacters(text)) return text
  return [...text].map((c) => (hasForbiddenCharacters(c) ? `\\u{${c.codePointAt(0)?.toString(16)}}` : c)).join('')
}
