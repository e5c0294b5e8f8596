/**
 * User name format: what of a Keystone user becomes the Kubernetes user name. `%n` is the user's name, `%i` the
 * user's id, `%d` the name of the user's domain, `%%` a percent sign.
 *
 * User names are unique within a domain only. Where a format has `%n` and `%d`, two users never share a name: a
 * domain name that holds the text between the two is refused.
 *
 * @module
 */

/** The parts of a Keystone user a format can use. */
export interface FormattedUser {
  readonly id: string
  readonly name: string
  readonly domain: { readonly id: string; readonly name: string }
}

/** Gives the user name, or `undefined` where the user cannot be named without doubt. */
export type UsernameFormat = (user: FormattedUser) => string | undefined

/** Compiles a format. Throws a `TypeError` that says what is wrong with it. */
export function usernameFormat(format: string): UsernameFormat {
  const parts = format.match(/%.?|[^%]+/gsu) ?? []
  const placeholders = parts.filter((part) => part.startsWith('%') && part !== '%%')
  const unknown = placeholders.find((part) => !['%n', '%i', '%d'].includes(part))
  if (unknown !== undefined) throw new TypeError(`unknown placeholder ${unknown}: %n, %i, %d and %% are known`)
  if (!placeholders.includes('%n') && !placeholders.includes('%i')) {
    throw new TypeError('the format needs %n (name) or %i (id), or every user would have the same name')
  }
  if (new Set(placeholders).size < placeholders.length) throw new TypeError('a placeholder stands twice')
  const separators = placeholders.includes('%d') ? separatorsOf(parts) : []
  if (separators.includes('')) throw new TypeError('two placeholders need some text between them, such as %n@%d')

  return (user) => {
    if (user.name === '' || user.id === '') return undefined
    if (separators.some((separator) => user.domain.name === '' || blurs(user.domain.name, separator))) return undefined
    return parts.map((part) => substitute(part, user)).join('')
  }
}

/** Whether a domain name beside the separator could be read as ending, or beginning, somewhere else. */
function blurs(domain: string, separator: string): boolean {
  return (domain + separator).indexOf(separator) < domain.length || (separator + domain).lastIndexOf(separator) > 0
}

function substitute(part: string, user: FormattedUser): string {
  switch (part) {
    case '%n':
      return user.name
    case '%i':
      return user.id
    case '%d':
      return user.domain.name
    case '%%':
      return '%'
    default:
      return part
  }
}

/** The literal texts between neighbouring placeholders. */
function separatorsOf(parts: readonly string[]): readonly string[] {
  const separators: string[] = []
  let between: string | undefined
  for (const part of parts) {
    if (part.startsWith('%') && part !== '%%') {
      if (between !== undefined) separators.push(between)
      between = ''
    } else if (between !== undefined) {
      between += part === '%%' ? '%' : part
    }
  }
  return separators
}
