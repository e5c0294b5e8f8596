/**
 * Words of HTTP that the whole room uses. Text is as it was on the wire, one character a byte (latin1), as `node:http`
 * has it: nothing is decoded on the way through.
 *
 * @module
 */

/** Header lines in the order of the wire; a name may stand more than once. */
export type HeaderLines = readonly (readonly [name: string, value: string])[]

/** How the end of a body is known. */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }

/** What a connection may be turned into. Anything else is refused. */
export const UPGRADES = ['SPDY/3.1', 'websocket'] as const
export type Upgrade = (typeof UPGRADES)[number]
