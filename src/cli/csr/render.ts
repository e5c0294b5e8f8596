/**
 * Requests for people and for programs: what is asked for, by whom, and what is to be thought of it. Names that
 * strangers chose have no hold on the terminal.
 *
 * @module
 */
import { createHash, X509Certificate } from 'node:crypto'
import { conditionOf, stateOf } from '../../kube/certificate-signing-request.ts'
import { digestOf } from '../../signer/decision.ts'
import { type Finding, quoted } from '../../signer/finding.ts'
import type { Reviewed } from '../../signer/findings.ts'
import { hasForbiddenCharacters } from '../../user.ts'

/** One request, whole. */
export function described(reviewed: Reviewed, now: Date): string {
  const { csr, request } = reviewed
  const { requester, conditions } = csr
  const rows: (readonly [string, string])[] = [
    ['name', shown(csr.name)],
    ['state', stateOf(csr)],
    ['asked by', `${shown(requester.username)}${inGroups(requester.groups)}`],
    ['age', csr.created === undefined ? 'not created yet' : ageOf(csr.created, now)],
    ['signer', shown(csr.signerName)],
    ...(request === undefined
      ? ([['request', 'cannot be read, or is not signed by its own key']] as const)
      : ([
          ['becomes', `${shown(request.subject.commonName)}${inGroups(request.subject.organizations)}`],
          ['names', namesOf(reviewed).map(shown).join(', ') || 'none'],
          ['key', `${request.key.text}, ${keyDigest(request.publicKey.export({ type: 'spki', format: 'der' }))}`],
        ] as const)),
    ['usages', csr.usages.map(shown).join(', ')],
    ['lifetime', csr.expirationSeconds === undefined ? 'as the signer likes' : lifeOf(csr.expirationSeconds)],
    ['digest', digestOf(csr)],
    ...conditions.map(
      ({ type, status, reason, message }) =>
        [
          `${shown(type)}`,
          [status === 'True' ? '' : shown(status), shown(reason), shown(message)].filter(Boolean).join(', '),
        ] as const,
    ),
    ...certificateRows(csr.certificate),
  ]
  return `${rows.map(([title, text]) => `${title.padEnd(13)}${text}\n`).join('')}${findingsText(reviewed.findings)}`
}

/** The list of findings, empty where there are none. */
function findingsText(findings: readonly Finding[]): string {
  const width = Math.max(0, ...findings.map(({ code }) => code.length))
  return findings
    .map(({ code, severity, message }) => `${severity.padEnd(13)}${code.padEnd(width)}  ${message}\n`)
    .join('')
}

/** One request for programs. */
export function asDocument({ csr, request, findings }: Reviewed): object {
  const { requester } = csr
  return {
    name: csr.name,
    uid: csr.uid,
    state: stateOf(csr),
    created: csr.created?.toISOString() ?? null,
    digest: digestOf(csr),
    signerName: csr.signerName,
    usages: csr.usages,
    expirationSeconds: csr.expirationSeconds ?? null,
    requester: { username: requester.username, uid: requester.uid, groups: requester.groups },
    request:
      request === undefined
        ? null
        : {
            commonName: request.subject.commonName,
            organizations: request.subject.organizations,
            names: {
              dns: request.altNames.dns,
              ip: request.altNames.ip,
              email: request.altNames.email,
              uri: request.altNames.uri,
            },
            key: request.key.text,
            wantsAuthority: request.wantsAuthority,
          },
    conditions: csr.conditions,
    certificate: certificateOf(csr.certificate) ?? null,
    findings,
  }
}

/** The table of `csr list`. */
export function table(all: readonly Reviewed[], now: Date, isWide: boolean): string {
  const head = [
    'NAME',
    'AGE',
    'STATE',
    'ASKED BY',
    'BECOMES',
    'SIGNER',
    ...(isWide ? ['USAGES', 'LIFETIME', 'KEY'] : []),
    'FINDINGS',
  ]
  const rows = all.map(({ csr, request, findings }) => [
    shown(csr.name),
    csr.created === undefined ? '' : ageOf(csr.created, now),
    stateOf(csr),
    shown(csr.requester.username),
    request === undefined ? '?' : `${shown(request.subject.commonName)}${inGroups(request.subject.organizations)}`,
    shown(csr.signerName),
    ...(isWide
      ? [
          csr.usages.map(shown).join(', '),
          csr.expirationSeconds === undefined ? '' : lifeOf(csr.expirationSeconds),
          request?.key.text ?? '?',
        ]
      : []),
    summary(request === undefined, findings, conditionOf(csr, 'Denied') !== undefined),
  ])
  const lines = [head, ...rows]
  const widths = head.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)))
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, at) => cell.padEnd(widths[at] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}

function summary(isUnreadable: boolean, findings: readonly Finding[], isDenied: boolean): string {
  if (isUnreadable) return 'unreadable'
  const hostile = findings.filter(({ severity }) => severity === 'hostile').map(({ code }) => code)
  if (hostile.length === 0) return ''
  return isDenied ? `(${hostile.join(', ')})` : hostile.join(', ')
}

function namesOf({ request }: Reviewed): readonly string[] {
  if (request === undefined) return []
  const { dns, ip, email, uri, otherKinds } = request.altNames
  return [
    ...dns.map((name) => `DNS ${name}`),
    ...ip.map((name) => `IP ${name}`),
    ...email.map((name) => `mail ${name}`),
    ...uri.map((name) => `URI ${name}`),
    ...otherKinds.map((kind) => `a name of kind ${kind}`),
  ]
}

function inGroups(groups: readonly string[]): string {
  return groups.length === 0 ? '' : ` (${groups.map(shown).join(', ')})`
}

/** As it is, or quoted where it would do something to a terminal. */
function shown(text: string): string {
  return text === '' || hasForbiddenCharacters(text) || text.length > 300 ? quoted(text) : text
}

function certificateRows(pem: string | undefined): readonly (readonly [string, string])[] {
  if (pem === undefined) return []
  const certificate = certificateOf(pem)
  if (certificate === undefined) return [['certificate', 'cannot be read']]
  return [['certificate', `serial ${certificate.serial}, until ${certificate.notAfter}`]]
}

function certificateOf(pem: string | undefined): { readonly serial: string; readonly notAfter: string } | undefined {
  if (pem === undefined) return undefined
  try {
    const { serialNumber, validToDate } = new X509Certificate(pem)
    return { serial: serialNumber.toLowerCase(), notAfter: validToDate.toISOString() }
  } catch {
    return undefined
  }
}

function keyDigest(spki: Buffer): string {
  return `sha256:${createHash('sha256').update(spki).digest('hex').slice(0, 16)}…`
}

const UNITS = [
  ['d', 86_400],
  ['h', 3600],
  ['m', 60],
  ['s', 1],
] as const

/** The largest two units: `1d6h`. */
export function lifeOf(seconds: number): string {
  let rest = Math.max(0, Math.floor(seconds))
  const parts = UNITS.flatMap(([unit, size]) => {
    const count = Math.floor(rest / size)
    rest -= count * size
    return count === 0 ? [] : [`${count}${unit}`]
  })
  return parts.slice(0, 2).join('') || '0s'
}

function ageOf(created: Date, now: Date): string {
  return lifeOf((now.getTime() - created.getTime()) / 1000)
}
