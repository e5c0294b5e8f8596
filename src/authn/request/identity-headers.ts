/**
 * An identity as the headers of a front proxy, the way kube-apiserver reads them back. Owns the writing; the reading is
 * in `request-header.ts`.
 *
 * @module
 */
import { ArchwayError } from '../../errors.ts'
import type { UserInfo } from '../../user.ts'

/**
 * Names and values for the wire, one line for each group and each value of `extra`; values are UTF-8, one character a
 * byte, as `node:http` takes them. Upper-case letters of extra keys do not survive the way.
 *
 * @throws ArchwayError `internal` for an identity that cannot be written: without a name, which the server would take
 *   for no identity at all, or with a control character, which would end the line.
 */
export function identityHeaders({ username, uid, groups, extra }: UserInfo): [name: string, value: string][] {
  if (username === '') throw new ArchwayError('internal', 'an identity without a name cannot be handed on in headers')
  return [
    ['X-Remote-User', onWire(username)],
    ...(uid === '' ? [] : [['X-Remote-Uid', onWire(uid)] as [string, string]]),
    ...groups.map((group): [string, string] => ['X-Remote-Group', onWire(group)]),
    ...[...extra].flatMap(([key, values]) =>
      values.map((value): [string, string] => [`X-Remote-Extra-${escaped(key)}`, onWire(value)]),
    ),
  ]
}

/** The key that the rest of a header's name stands for, its letters folded: a malformed escape leaves it as it is. */
export function extraKey(rest: string): string {
  try {
    return decodeURIComponent(rest)
  } catch {
    return rest
  }
}

/** Every byte that is none of an HTTP token, and `%` itself, as `%XX`. */
function escaped(key: string): string {
  return Buffer.from(key)
    .toString('latin1')
    .replace(
      /[^A-Za-z0-9!#$&'*+.^_`|~-]/g,
      (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
    )
}

function onWire(text: string): string {
  if (/(?!\t)\p{Cc}/u.test(text)) {
    throw new ArchwayError('internal', 'an identity with a control character cannot be handed on in headers')
  }
  return Buffer.from(text).toString('latin1')
}
