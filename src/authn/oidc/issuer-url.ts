/**
 * Addresses of an issuer: which may be configured, and which an issuer may lead to.
 *
 * @module
 */

/** Reads an address that is asked. Throws a `TypeError` that says what is wrong; it never repeats the text. */
export function parseIssuerUrl(text: string, { allowHttpLoopback }: { readonly allowHttpLoopback: boolean }): URL {
  if (!/^https?:\/\/[^/\\\s]/i.test(text) || /[\s\\]/.test(text) || !URL.canParse(text)) {
    throw new TypeError('expected an address such as https://issuer.example')
  }
  const url = new URL(text)
  if (url.username !== '' || url.password !== '') throw new TypeError('has a user name or password in it; leave it out')
  if (/[?#]/.test(text)) throw new TypeError('has a query or a fragment; leave it out')
  checkScheme(url, allowHttpLoopback)
  return url
}

/** Whether a text is an address that {@link parseIssuerUrl} takes. */
export function isIssuerUrl(text: string, options: { readonly allowHttpLoopback: boolean }): boolean {
  try {
    parseIssuerUrl(text, options)
    return true
  } catch {
    return false
  }
}

function checkScheme(url: URL, allowHttpLoopback: boolean): void {
  if (url.protocol === 'https:') return
  if (allowHttpLoopback && isLoopback(url.hostname)) return
  throw new TypeError(
    allowHttpLoopback ? 'is plain http to another machine; write https' : 'is plain http; write https',
  )
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}
