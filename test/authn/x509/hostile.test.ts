/** What strangers can send: nothing of it throws, and nothing of it is anybody. */

import assert from 'node:assert/strict'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { z } from 'zod'
import type { ClientCertificate } from '../../../src/authn/request/credentials.ts'
import { certificateVerifier } from '../../../src/authn/x509/certificate-verifier.ts'
import { parseDer } from '../../../src/authn/x509/der.ts'
import { nameOf } from '../../../src/authn/x509/name.ts'
import { publicKeyOf } from '../../../src/authn/x509/signature.ts'
import { callContext } from '../../support/context.ts'
import { authenticatorOf } from './support.ts'

const { vectors, fixtures } = z
  .object({
    fixtures: z.record(z.string(), z.string()),
    vectors: z.array(
      z.object({
        roots: z.array(z.string()),
        presented: z.array(z.string()),
        expect: z.object({ outcome: z.string() }),
      }),
    ),
  })
  .parse(JSON.parse(readFileSync(new URL('../../vectors/x509-vectors.json', import.meta.url), 'utf8')))
const CA = ['root', 'other'].map((name) => fixtures[name] ?? assert.fail()).join('')

/** All chains of the vectors that end at these authorities, as DER. */
const CHAINS = vectors
  .map(({ presented }) => presented.map((pem) => new X509Certificate(pem).raw))
  .filter((chain) => chain.length > 0)

/** Bytes with some of them changed, put in or taken out. */
const edits = fc.array(
  fc.record({
    at: fc.nat(),
    kind: fc.constantFrom('set', 'insert', 'delete'),
    octet: fc.integer({ min: 0, max: 255 }),
  }),
  { minLength: 1, maxLength: 4 },
)
function edited(bytes: Uint8Array, changes: typeof edits extends fc.Arbitrary<infer T> ? T : never): Uint8Array {
  const octets = [...bytes]
  for (const { at, kind, octet } of changes) {
    const where = at % Math.max(1, octets.length)
    octets.splice(where, kind === 'insert' ? 0 : 1, ...(kind === 'delete' ? [] : [octet]))
  }
  return Uint8Array.from(octets)
}

async function outcomeOf(certificate: ClientCertificate): Promise<string> {
  const { authenticator } = await under
  return (await authenticator.authenticate(certificate, callContext())).kind
}
const under = authenticatorOf({ ca: CA })

describe('T-W15: hostile certificates', () => {
  test('random bytes are refused', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 400 }),
        fc.array(fc.uint8Array({ maxLength: 200 })),
        async (leaf, more) => {
          assert.equal(await outcomeOf({ leaf, intermediates: more }), 'rejected')
        },
      ),
      { numRuns: 300 },
    )
  })

  test('good ones with something changed are refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...CHAINS), edits, async ([leaf, ...intermediates], changes) => {
        assert(leaf !== undefined)
        const changed = edited(leaf, changes)
        fc.pre(!Buffer.from(changed).equals(leaf))
        assert.equal(await outcomeOf({ leaf: changed, intermediates }), 'rejected')
      }),
      { numRuns: 2000 },
    )
  })

  test('a changed intermediate carries nobody', async () => {
    const chain = vectors.find(({ presented, expect }) => presented.length > 1 && expect.outcome === 'authenticated')
    const [leaf, middle] = (chain?.presented ?? []).map((pem) => new X509Certificate(pem).raw)
    assert(leaf !== undefined && middle !== undefined)
    assert.equal(await outcomeOf({ leaf, intermediates: [middle] }), 'authenticated')
    await fc.assert(
      fc.asyncProperty(edits, async (changes) => {
        const changed = edited(middle, changes)
        fc.pre(!Buffer.from(changed).equals(middle))
        assert.equal(await outcomeOf({ leaf, intermediates: [changed] }), 'rejected')
        assert.equal(await outcomeOf({ leaf, intermediates: [changed, middle] }), 'authenticated')
      }),
      { numRuns: 200 },
    )
  })

  test('deep, wide and endless values are refused', async () => {
    const nested = (depth: number): Buffer => {
      let value = Buffer.alloc(0)
      for (let at = 0; at < depth; at += 1) {
        const length = value.length < 128 ? [value.length] : [0x82, value.length >> 8, value.length & 0xff]
        value = Buffer.concat([Buffer.from([0x30, ...length]), value])
      }
      return value
    }
    const wide = Buffer.concat([Buffer.from([0x30, 0x82, 0xea, 0x60]), Buffer.alloc(60_000, Buffer.from([5, 0]))])
    const endless = Buffer.alloc(60_000, Buffer.from([0x30, 0x80]))
    for (const leaf of [nested(20), nested(10_000), wide, endless, Buffer.alloc(70_000, 0x30)]) {
      assert.equal(await outcomeOf({ leaf, intermediates: [] }), 'rejected')
    }
  })

  test('files of an operator fail as file_invalid, whatever is in them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, isDer) => {
        const body = isDer ? Buffer.from([0x30, ...bytes]) : Buffer.from(bytes)
        const pem = (label: string) =>
          Buffer.from(`-----BEGIN ${label}-----\n${body.toString('base64')}\n-----END ${label}-----\n`)
        for (const ca of [body, pem('CERTIFICATE')]) {
          assert.throws(() => certificateVerifier({ ca }), { code: 'file_invalid' })
        }
        for (const crl of [body, pem('X509 CRL')]) {
          assert.throws(() => certificateVerifier({ ca: Buffer.from(CA), crl }), { code: 'file_invalid' })
        }
      }),
      { numRuns: 300 },
    )
  })

  test('keys made to keep a server busy do not count', () => {
    const spki = (options: { modulusLength: number; publicExponent: number }): Buffer =>
      generateKeyPairSync('rsa', options).publicKey.export({ type: 'spki', format: 'der' })
    assert.notEqual(publicKeyOf(spki({ modulusLength: 1024, publicExponent: 3 })), undefined)
    assert.equal(publicKeyOf(spki({ modulusLength: 1023, publicExponent: 65_537 })), undefined)
    assert.equal(publicKeyOf(spki({ modulusLength: 1024, publicExponent: 2 ** 31 + 1 })), undefined)
  })
})

describe('text of a name', () => {
  /** One attribute, CN, with a value of this type. */
  function read(tag: number, hex: string): string | undefined {
    const value = Buffer.from(hex, 'hex')
    const wrap = (outer: number, ...parts: Uint8Array[]): Buffer => {
      const content = Buffer.concat(parts)
      return Buffer.concat([Buffer.from([outer, content.length]), content])
    }
    const der = wrap(0x30, wrap(0x31, wrap(0x30, Buffer.from('0603550403', 'hex'), wrap(tag, value))))
    try {
      return nameOf(parseDer(der, 'name'), 'name')[0]?.[0]?.value
    } catch {
      return undefined
    }
  }

  for (const [what, tag, hex, expected] of [
    ['UTF8String', 0x0c, '5a6fc3ab', 'Zoë'],
    ['UTF8String with a byte order mark', 0x0c, 'efbbbf61', '\ufeffa'],
    ['UTF8String that is none', 0x0c, 'ff', undefined],
    ['UTF8String with a surrogate', 0x0c, 'eda080', undefined],
    ['UTF8String, overlong', 0x0c, 'c1a1', undefined],
    ['UTF8String with NUL', 0x0c, '6100', 'a\0'],
    ['PrintableString', 0x13, '6a616e652a26', 'jane*&'],
    ['PrintableString with @', 0x13, '6140', undefined],
    ['PrintableString with high bytes', 0x13, 'eb', undefined],
    ['IA5String', 0x16, '6140', 'a@'],
    ['IA5String with high bytes', 0x16, 'eb', undefined],
    ['NumericString', 0x12, '312032', '1 2'],
    ['NumericString with letters', 0x12, '61', undefined],
    ['TeletexString, as Latin-1', 0x14, '5a6feb', 'Zoë'],
    ['BMPString', 0x1e, '005a00eb4eca', 'Zë今'],
    ['BMPString with its end', 0x1e, '005a0000', 'Z'],
    ['BMPString of odd length', 0x1e, '005a00', undefined],
    ['BMPString with surrogates', 0x1e, 'd83dde00', undefined],
    ['BMPString with a noncharacter', 0x1e, 'fffe', undefined],
    ['UniversalString', 0x1c, '0000005a', undefined],
    ['OCTET STRING', 0x04, '5a', undefined],
    ['BOOLEAN', 0x01, 'ff', undefined],
  ] as const) {
    test(what, () => assert.equal(read(tag, hex), expected))
  }
})
