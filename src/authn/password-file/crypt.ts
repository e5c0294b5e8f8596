/**
 * Passwords under the hashes of crypt(3) that no native library here computes: SHA-crypt (`$5$`, `$6$`, after Ulrich
 * Drepper's "Unix crypt using SHA-256 and SHA-512") and Apache's MD5 (`$apr1$`). Owns the arithmetic, which is
 * synchronous and can take seconds; leaves running it beside the event loop to `crypt-thread.ts`, and what a stored hash
 * may look like to `stored-hash.ts`.
 *
 * SHA-crypt is written out: the library for it goes wrong for passwords as long as the digest, or a multiple of that.
 *
 * @module
 */
import { hash, timingSafeEqual } from 'node:crypto'
import { createRequire } from 'node:module'
import type { CryptHash } from './stored-hash.ts'

// Not imported: its types describe an ES module, and it is none.
const require = createRequire(import.meta.url)
const apacheMd5: (password: string, salt: string) => string = require('apache-md5')

/** Whether the password is the one of the hash. */
export function matchesCrypt(stored: CryptHash, password: string): boolean {
  const computed = Buffer.from(computedFor(stored, password))
  const kept = Buffer.from(stored.digest)
  return computed.length === kept.length && timingSafeEqual(computed, kept)
}

function computedFor({ scheme, rounds, salt }: CryptHash, password: string): string {
  const key = Buffer.from(password)
  switch (scheme) {
    case 'sha256-crypt':
      return encoded(shaCrypt('sha256', key, Buffer.from(salt), rounds), SHA256_ORDER)
    case 'sha512-crypt':
      return encoded(shaCrypt('sha512', key, Buffer.from(salt), rounds), SHA512_ORDER)
    case 'apr1': {
      // The library takes one byte of each character.
      const whole = apacheMd5(key.toString('latin1'), `$apr1$${salt}$`)
      return whole.slice(whole.lastIndexOf('$') + 1)
    }
  }
}

function shaCrypt(algorithm: 'sha256' | 'sha512', key: Buffer, salt: Buffer, rounds: number): Buffer {
  const digest = (...parts: readonly Buffer[]): Buffer => hash(algorithm, Buffer.concat(parts), 'buffer')
  const b = digest(key, salt, key)
  const bits: Buffer[] = []
  for (let rest = key.length; rest > 0; rest >>>= 1) bits.push((rest & 1) === 1 ? b : key)
  const a = digest(key, salt, stretched(b, key.length), ...bits)
  const p = stretched(digest(...repeated(key, key.length)), key.length)
  const s = stretched(digest(...repeated(salt, 16 + a.readUInt8(0))), salt.length)

  // One buffer for all rounds: to make a new one each time costs as much as the hash.
  const message = Buffer.alloc(2 * p.length + s.length + a.length)
  let c = a
  for (let round = 0; round < rounds; round++) {
    const odd = round % 2 === 1
    let end = (odd ? p : c).copy(message)
    if (round % 3 !== 0) end += s.copy(message, end)
    if (round % 7 !== 0) end += p.copy(message, end)
    end += (odd ? c : p).copy(message, end)
    c = hash(algorithm, message.subarray(0, end), 'buffer')
  }
  return c
}

/** The bytes over and over, up to a length. */
function stretched(bytes: Buffer, length: number): Buffer {
  return Buffer.alloc(length, bytes)
}

function repeated(bytes: Buffer, times: number): readonly Buffer[] {
  return Array.from({ length: times }, () => bytes)
}

const ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

type Triple = readonly [high: number, middle: number, low: number]

/** Which bytes of the digest make each group of four characters: each group follows from the one before. */
const SHA256_ORDER = orderOf([0, 10, 20], 10, ([high, middle, low]) => [low + 1, high + 1, middle + 1])
const SHA512_ORDER = orderOf([0, 21, 42], 21, ([high, middle, low]) => [middle + 1, low + 1, high + 1])

function orderOf(first: Triple, groups: number, next: (triple: Triple) => Triple): readonly Triple[] {
  const order: Triple[] = []
  for (let triple = first; order.length < groups; triple = next(triple)) order.push(triple)
  return order
}

/** Six bits a character, low ones first. What three bytes do not divide (32 and 64 bytes) comes last, from its end. */
function encoded(digest: Buffer, order: readonly Triple[]): string {
  const groups = order.map(([high, middle, low]) => characters(at(high), at(middle), at(low), 4))
  const last = digest.length === 32 ? characters(0, at(31), at(30), 3) : characters(0, 0, at(63), 2)
  return groups.join('') + last

  function at(index: number): number {
    return digest.readUInt8(index)
  }
}

function characters(high: number, middle: number, low: number, count: number): string {
  const word = (high << 16) | (middle << 8) | low
  return Array.from({ length: count }, (_, index) => ALPHABET.charAt((word >>> (6 * index)) & 0x3f)).join('')
}
