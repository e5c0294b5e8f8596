/**
 * Whom an address stands for when guesses are counted. One subscriber has a whole IPv6 network, so that each guess
 * could come from another address of it: networks are counted, not addresses.
 *
 * @module
 */
import { isIPv4, isIPv6 } from 'node:net'

/** Bits of an IPv6 address that name one subscriber, at the least. */
const DEFAULT_PREFIX = 64

/**
 * `203.0.113.7` → itself, also where it is written as IPv6 (`::ffff:203.0.113.7`); `2001:db8::1` → `2001:db8:0:0::/64`.
 * Whatever is no address is one group, and so is none at all.
 */
export function addressGroup(address: string | undefined, ipv6Prefix: number = DEFAULT_PREFIX): string {
  if (address === undefined) return 'none'
  if (isIPv4(address)) return address
  if (!isIPv6(address)) return 'unknown'
  const words = wordsOf(address)
  const mapped = words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff
  if (mapped)
    return words
      .slice(6)
      .flatMap((word) => [word >> 8, word & 0xff])
      .join('.')
  const network = words.map((word, index) => word & maskOf(ipv6Prefix - 16 * index))
  return `${network.map((word) => word.toString(16)).join(':')}/${ipv6Prefix}`
}

/** The eight words of an address that {@link isIPv6} takes; a zone (`%eth0`) is not part of it. */
function wordsOf(address: string): number[] {
  const [plain = ''] = address.split('%')
  const [head = [], tail] = plain.split('::').map((part) => part.split(':').filter(Boolean).flatMap(wordsOfPart))
  if (tail === undefined) return head
  return [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => 0), ...tail]
}

function wordsOfPart(part: string): number[] {
  if (!part.includes('.')) return [Number.parseInt(part, 16)]
  const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number)
  return [(a << 8) | b, (c << 8) | d]
}

/** Of a word of which the first `bits` count. */
function maskOf(bits: number): number {
  const kept = Math.min(Math.max(bits, 0), 16)
  return (0xffff << (16 - kept)) & 0xffff
}
