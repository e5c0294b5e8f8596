/**
 * Field and label selectors, as far as a path needs them: the one name that a field selector asks for, and whether a
 * label selector is one (`k8s.io/apimachinery/pkg/fields` and `labels`).
 *
 * @module
 */

/** The value of `metadata.name=x`; undefined where there is no such term, or any term is malformed. */
export function exactName(fieldSelector: string): string | undefined {
  let found: string | undefined
  for (const term of terms(fieldSelector).sort()) {
    if (term === '') continue
    const at = term.search(/!=|=/)
    if (at === -1) return undefined
    const operator = term.startsWith('=', at + 1) ? term.slice(at, at + 2) : '='
    const value = unescaped(term.slice(at + operator.length))
    if (value === undefined) return undefined
    if (operator !== '!=' && term.slice(0, at) === 'metadata.name') found ??= value
  }
  return found
}

/** Split at commas, but for those behind a backslash. */
function terms(selector: string): string[] {
  if (!selector.includes('\\')) return selector.split(',')
  const found: string[] = []
  let start = 0
  for (let at = 0; at < selector.length; at++) {
    if (selector[at] === '\\') at++
    else if (selector[at] === ',') {
      found.push(selector.slice(start, at))
      start = at + 1
    }
  }
  return [...found, selector.slice(start)]
}

/** Backslash, comma and equals sign are escaped by a backslash, and nothing else is. */
function unescaped(value: string): string | undefined {
  if (!/[\\,=]/.test(value)) return value
  return /^(?:[^\\,=]|\\[\\,=])*$/.test(value) ? value.replace(/\\([\\,=])/g, '$1') : undefined
}

const LABEL = '[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?'
const DOMAIN = String.raw`[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)*`
const KEY = `(?:${DOMAIN}/)?${LABEL}`
const VALUE = `(?:${LABEL})?`
const SET = String.raw` (?:not)?in ?\( ?(?!\))${VALUE} ?(?:, ?${VALUE} ?)*\)`
const REQUIREMENT = `(?:! ?${KEY}|${KEY}(?: ?(?:==?|!=) ?${VALUE}| ?[<>] ?[0-9]{1,19}|${SET})?)`
const LABEL_SELECTOR = new RegExp(`^ ?(?:${REQUIREMENT} ?(?:, ?${REQUIREMENT} ?)*)?$`)

/** Whether every requirement of it is one; an empty selector is one too. */
export function isLabelSelector(text: string): boolean {
  return text === '' || LABEL_SELECTOR.test(text.replace(/[ \t\r\n]+/g, ' '))
}
