/**
 * What a header line may be made of, in what is sent and in what is received (RFC 9110 sections 5.1, 5.5 and 5.6.2). Text
 * is latin1, one character a byte.
 *
 * @module
 */

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** No control characters, so no end of a line either; no character that is more than a byte. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

const TAB = 0x09
const SPACE = 0x20

/** A token: the name of a header or a method. */
export function isToken(text: string): boolean {
  return NAME.test(text)
}

/** Whether it may stand behind the colon of a header line. */
export function isFieldValue(text: string): boolean {
  return VALUE.test(text)
}

/** `text` from `begin` to `end` without blanks on either side. */
export function withoutBlanks(text: string, begin: number, end: number): string {
  let [from, to] = [begin, end]
  while (from < to && isBlank(text.charCodeAt(from))) from += 1
  while (to > from && isBlank(text.charCodeAt(to - 1))) to -= 1
  return text.slice(from, to)
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB
}

/** Whether a list such as that of `Connection` has this element; `element` in lower case. */
export function listHas(list: string, element: string): boolean {
  return list
    .toLowerCase()
    .split(',')
    .some((one) => withoutBlanks(one, 0, one.length) === element)
}
