/**
 * Where certificates are found: in PEM and DER files, in whatever Kubernetes keeps them in (kubeconfigs, Secrets,
 * ConfigMaps, signing requests, webhook configurations), in folders of those, and at servers. Owns finding them; leaves
 * what they are worth to others.
 *
 * @module
 */
import { statSync } from 'node:fs'
import { dirname, relative, resolve } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { ArchwayError, messageOf } from '../../errors.ts'
import { type CertificateFacts, readCertificate } from '../../pki/certificate.ts'
import { readFile } from '../../pki/files.ts'
import { filesOf } from '../../pki/holdings.ts'
import { type PemBlock, readPem } from '../../pki/pem.ts'
import { type CertificateRequest, readRequest } from '../../pki/request.ts'
import { dial } from './dial.ts'

/** One thing that was found. `where` says at which place: a file, a line, a field. */
export type Found =
  | { readonly kind: 'certificate'; readonly where: string; readonly certificate: CertificateFacts }
  | { readonly kind: 'request'; readonly where: string; readonly request: CertificateRequest }
  | { readonly kind: 'key'; readonly where: string; readonly label: string }
  | { readonly kind: 'unreadable'; readonly where: string; readonly why: string }

export interface SourceOptions {
  readonly timeoutMs: number
  /** What `-` is. */
  readonly readInput: () => string
}

/** Everything an argument holds. Throws `file_invalid` where it is nothing that could hold any. */
export async function foundIn(argument: string, options: SourceOptions): Promise<readonly Found[]> {
  if (argument === '-') return inContent(Buffer.from(options.readInput(), 'utf8'), 'standard input')
  const stats = statSync(argument, { throwIfNoEntry: false })
  if (stats?.isDirectory() === true)
    return filesOf(argument).flatMap((path) => inFolderFile(path, relative(argument, path)))
  if (stats !== undefined) {
    const { content } = readFile(argument)
    return [...inContent(content, argument), ...inNamedFiles(content, argument)]
  }
  const [, host, port] = /^(?:https:\/\/)?(\[[\da-f:.]+\]|[^/:@\s]+):(\d{1,5})\/?$/i.exec(argument) ?? []
  if (host === undefined || Number(port) > 65_535) {
    throw new ArchwayError('file_invalid', `${argument}: is no file, no folder, and no HOST:PORT`)
  }
  const chain = await dial({ host: host.replace(/^\[|\]$/g, ''), port: Number(port), timeoutMs: options.timeoutMs })
  return chain.map((der, at) => asCertificate(der, chain.length === 1 ? argument : `${argument} #${at + 1}`))
}

/** What lies in a folder and is nothing of ours does not matter. */
function inFolderFile(path: string, where: string): readonly Found[] {
  try {
    return inContent(readFile(path).content, where)
  } catch (thrown) {
    return [{ kind: 'unreadable', where, why: messageOf(thrown) }]
  }
}

function inContent(content: Buffer, where: string): readonly Found[] {
  if (content[0] === 0x30) return [asCertificate(content, where)]
  const text = content.toString('utf8')
  const isDocument = /^[ \t]*(\{|(apiVersion|kind|metadata|data|items|clusters)[ \t]*:|---|%YAML)/m.test(text)
  const inFields = isDocument ? inDocuments(text, where) : []
  return inFields.length > 0 ? inFields : inPem(text, where)
}

/** Certificates that a kubeconfig names by their file. */
const NAMING =
  /^[ \t]*"?(certificate-authority|client-certificate)"?[ \t]*:[ \t]*(?:"([^"\n]+)"|'([^'\n]+)'|([^\s#"',}]+))/gm

function inNamedFiles(content: Buffer, path: string): readonly Found[] {
  const text = content.toString('utf8')
  if (!/^[ \t]*"?kind"?[ \t]*:[ \t]*"?Config\b/m.test(text)) return []
  return [...text.matchAll(NAMING)].flatMap(([, key = '', ...values]) => {
    const named = resolve(dirname(path), values.find((value) => value !== undefined) ?? '')
    return inFolderFile(named, `${path} ${key} ${named}`)
  })
}

function inPem(text: string, where: string): readonly Found[] {
  const blocks = readPem(text).filter(({ label }) => /CERTIFICATE|KEY/.test(label))
  return blocks.map((block) => inBlock(block, blocks.length === 1 ? where : `${where}:${block.line}`))
}

function inBlock({ label, der, line }: PemBlock, where: string): Found {
  if (der === undefined)
    return { kind: 'unreadable', where, why: `line ${line}: the ${label} is cut off, or not base64` }
  if (/KEY$/.test(label)) return { kind: 'key', where, label }
  return /REQUEST$/.test(label) ? asRequest(label, der, where) : asCertificate(der, where)
}

function asCertificate(der: Buffer, where: string): Found {
  try {
    return { kind: 'certificate', where, certificate: readCertificate(der, where) }
  } catch (thrown) {
    return { kind: 'unreadable', where, why: messageOf(thrown) }
  }
}

function asRequest(label: string, der: Buffer, where: string): Found {
  const pem = `-----BEGIN ${label}-----\n${der.toString('base64')}\n-----END ${label}-----\n`
  try {
    return { kind: 'request', where, request: readRequest(pem) }
  } catch (thrown) {
    return { kind: 'unreadable', where, why: messageOf(thrown) }
  }
}

const MOST_ALIASES = 100
const MOST_DEPTH = 32

/** Every text in a YAML or JSON document that is PEM, or base64 of it. */
function inDocuments(text: string, where: string): readonly Found[] {
  try {
    return parseAllDocuments(text, { prettyErrors: false, logLevel: 'error', uniqueKeys: false }).flatMap((document) =>
      document.errors.length > 0 ? [] : inValue(document.toJS({ maxAliasCount: MOST_ALIASES }), [], where),
    )
  } catch {
    return [] // aliases of aliases, or nested too deep: no document of Kubernetes
  }
}

function inValue(value: unknown, path: readonly string[], where: string): readonly Found[] {
  if (path.length > MOST_DEPTH) return []
  if (typeof value === 'string') {
    const pem = asPem(value)
    return pem === undefined ? [] : inPem(pem, `${where} ${path.join('.')}`)
  }
  if (Array.isArray(value))
    return value.flatMap((item, at) => inValue(item, [...path, nameOf(item) ?? String(at)], where))
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, item]) => inValue(item, [...path, key], where))
}

/** Items of lists are called by their name, as people do. */
function nameOf(item: unknown): string | undefined {
  if (typeof item !== 'object' || item === null || !('name' in item)) return undefined
  return typeof item.name === 'string' ? `[${item.name}]` : undefined
}

function asPem(text: string): string | undefined {
  if (text.includes('-----BEGIN ')) return text
  // `LS0tLS1` is base64 of five dashes.
  return text.startsWith('LS0tLS1') ? Buffer.from(text, 'base64').toString('utf8') : undefined
}
