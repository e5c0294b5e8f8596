/**
 * A 403 in kube-apiserver's own wording, so that people and scripts that know one know the other.
 *
 * @see k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go
 * @module
 */
import type { Attributes } from '../authz/authorizer.ts'
import { statusAnswer } from '../kube/status.ts'
import { type Refused, refused } from './refused.ts'

export function forbidden(attributes: Attributes, reason: string): Refused {
  const message = harmless(sentence(attributes)) + (reason === '' ? '' : `: ${reason}`)
  if (attributes.kind === 'non-resource') {
    return refused('forbidden', 'forbidden', statusAnswer(403, `forbidden: ${message}`, { details: {} }))
  }
  const { group, resource: kind, name } = attributes
  const subject = `${kind}${group === '' ? '' : `.${group}`}${name === '' ? '' : ` ${quoted(name)}`}`
  const answer = statusAnswer(403, `${subject} is forbidden: ${message}`, { details: { name, group, kind } })
  return refused('forbidden', 'forbidden', answer)
}

function sentence(attributes: Attributes): string {
  const who = `User ${quoted(attributes.user.username)} cannot ${attributes.verb}`
  if (attributes.kind === 'non-resource') return `${who} path ${quoted(attributes.path)}`
  const { group, resource, subresource, namespace } = attributes
  const what = quoted(subresource === '' ? resource : `${resource}/${subresource}`)
  const where = namespace === '' ? 'at the cluster scope' : `in the namespace ${quoted(namespace)}`
  return `${who} resource ${what} in API group ${quoted(group)} ${where}`
}

/** Nothing that looks like HTML, where somebody's browser shows it. */
function harmless(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

const UNPRINTABLE = /["\\]|[^\P{C}]|[^\P{Z} ]/gu

/** As Go's `%q`. */
function quoted(text: string): string {
  return `"${text.replace(UNPRINTABLE, escaped)}"`
}

const SHORT: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ['\\', '\\\\'],
  ['\x07', '\\a'],
  ['\b', '\\b'],
  ['\f', '\\f'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\v', '\\v'],
])

function escaped(char: string): string {
  const code = char.codePointAt(0) ?? 0
  const hex = code.toString(16)
  const long = code > 0xffff ? `\\U${hex.padStart(8, '0')}` : `\\u${hex.padStart(4, '0')}`
  return SHORT.get(char) ?? (code < 0x20 || code === 0x7f ? `\\x${hex.padStart(2, '0')}` : long)
}
