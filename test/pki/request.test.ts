import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ArchwayError } from '../../src/errors.ts'
import { readCertificates } from '../../src/pki/certificate.ts'
import { generateKey, isSameKey, KEY_ALGORITHMS, publicOf } from '../../src/pki/keys.ts'
import { NO_ALT_NAMES } from '../../src/pki/names.ts'
import { readPem, writePem } from '../../src/pki/pem.ts'
import { createRequest, readRequest } from '../../src/pki/request.ts'
import { altNames, anyKey, client, subject, testAuthority } from './support.ts'

const { fixtures } = JSON.parse(readFileSync(new URL('../vectors/csr-vectors.json', import.meta.url), 'utf8')) as {
  fixtures: Record<string, string>
}
const JANE = { commonName: 'jane', organizations: ['devs'] }

describe('a certificate signing request', () => {
  test('is read as it was made', async () => {
    const key = await anyKey()
    await fc.assert(
      fc.asyncProperty(subject, altNames, async (wanted, names) => {
        const found = readRequest(await createRequest(key, wanted, names))
        assert.equal(found.subject.commonName, wanted.commonName)
        assert.deepEqual(found.subject.organizations, wanted.organizations)
        assert.deepEqual(found.altNames.dns, names.dns)
        assert.deepEqual(found.altNames.uri, names.uri)
        assert.ok(isSameKey(found.publicKey, key))
      }),
      { numRuns: 60 },
    )
  })

  for (const algorithm of KEY_ALGORITHMS) {
    test(`is made and read with a key of ${algorithm}`, async () => {
      const key = await generateKey(algorithm)
      const found = readRequest(await createRequest(key, JANE, NO_ALT_NAMES))
      assert.ok(isSameKey(found.publicKey, key))
      assert.equal(found.key.weakness, undefined)
    })
  }

  for (const name of ['jane-devs', 'jane-with-names', 'node', 'node-with-dns-and-email', 'node-with-ip', 'rsa']) {
    test(`${name} of Go is read`, () => {
      const { subject: found, wantsAuthority } = readRequest(fixtures[name] ?? '')
      assert.notEqual(found.commonName, '')
      assert.equal(wantsAuthority, false)
    })
  }

  for (const name of ['bad-signature', 'wrong-pem-type', 'not-pem']) {
    test(`T-S10 ${name} is refused`, () => {
      assert.throws(() => readRequest(fixtures[name] ?? ''), { code: 'certificate_request_invalid' })
    })
  }

  test('T-S10 a weak key is read, and judged weak', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
    const { key } = readRequest(await createRequest(privateKey, JANE, NO_ALT_NAMES))
    assert.match(key.weakness ?? '', /1024 bits is weak/)
  })

  test('T-S10 what follows the request is no part of it, and is refused', async () => {
    const [block] = readPem(await createRequest(await anyKey(), JANE, NO_ALT_NAMES))
    const longer = writePem('CERTIFICATE REQUEST', Buffer.concat([block?.der ?? Buffer.alloc(0), Buffer.from([5, 0])]))
    assert.throws(() => readRequest(longer), { code: 'certificate_request_invalid' })
  })

  test('T-S10 of two in one text none is taken: a signer might take the other', async () => {
    const [jane, boss] = await Promise.all(
      ['jane', 'system:kube-controller-manager'].map(async (commonName) =>
        createRequest(await anyKey(), { commonName, organizations: [] }, NO_ALT_NAMES),
      ),
    )
    for (const text of [`${jane}${boss}`, `x\r${jane?.replaceAll('\n', '\r')}\n${boss}`, `${jane} -----BEGIN`]) {
      assert.throws(() => readRequest(text), { code: 'certificate_request_invalid' })
    }
  })

  // Go passes over such a block and takes the next one.
  for (const [what, change] of [
    ['lines that end in a carriage return', (pem: string) => pem.replaceAll('\n', '\r')],
    ['a form feed before a line', (pem: string) => pem.replace('\n', '\n\f')],
    ['a space of Unicode before a line', (pem: string) => pem.replace('\n', '\n\u00a0')],
    ['a form feed after its end', (pem: string) => pem.replace(/\n$/, '\f\n')],
    ['two carriage returns after its beginning', (pem: string) => pem.replace('\n', '\r\r\n')],
  ] as const) {
    test(`T-S10 ${what}: what is no block to Kubernetes is none here`, async () => {
      const pem = await createRequest(await anyKey(), JANE, NO_ALT_NAMES)
      assert.throws(() => readRequest(change(pem)), { code: 'certificate_request_invalid' })
    })
  }

  for (const [what, change] of [
    ['lines of Windows', (pem: string) => pem.replaceAll('\n', '\r\n')],
    ['spaces and tabs around the lines', (pem: string) => pem.replace(/\n(?=[^-])/g, ' \t\n\t ')],
    ['text around it', (pem: string) => `jane's\n${pem}end\n`],
  ] as const) {
    test(`${what} are what Kubernetes takes too`, async () => {
      assert.equal(
        readRequest(change(await createRequest(await anyKey(), JANE, NO_ALT_NAMES))).subject.commonName,
        'jane',
      )
    })
  }

  test('T-S10 one bit of it changed, it is no longer signed by its key, or no request', async () => {
    const [block] = readPem(await createRequest(await anyKey(), JANE, { ...NO_ALT_NAMES, dns: ['a.example'] }))
    const der = block?.der ?? Buffer.alloc(0)
    for (let bit = 0; bit < der.length * 8; bit += 1) {
      const changed = Buffer.from(der)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const read = (): unknown => readRequest(writePem('CERTIFICATE REQUEST', changed))
      assert.throws(read, { code: 'certificate_request_invalid' }, `bit ${bit}`)
    }
  })
})

describe('hostile bytes', () => {
  /** Anything, and DER that is nearly right. */
  async function mutations(): Promise<fc.Arbitrary<Uint8Array>> {
    const { authority } = await testAuthority()
    const { certificatePem } = await authority.issue(publicOf(await anyKey()), client())
    const samples = [...readPem(fixtures['jane-with-names'] ?? ''), ...readPem(certificatePem)].flatMap(
      ({ der }) => der ?? [],
    )
    return fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc
        .tuple(fc.constantFrom(...samples), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }))
        .map(([der, edits]) => {
          const bytes = Uint8Array.from(der)
          for (const [at, value] of edits) bytes[at % bytes.length] = value
          return bytes
        }),
      fc
        .tuple(fc.constantFrom(...samples), fc.nat())
        .map(([der, length]) => Uint8Array.from(der.subarray(0, length % der.length))),
    )
  }

  test('never come to more than a refusal, as a request or a certificate', async () => {
    fc.assert(
      fc.property(await mutations(), (bytes) => {
        for (const read of [
          () => readRequest(writePem('CERTIFICATE REQUEST', bytes)),
          () => readCertificates(writePem('CERTIFICATE', bytes), 'test'),
        ]) {
          try {
            read()
          } catch (thrown) {
            assert.ok(thrown instanceof ArchwayError, String(thrown))
          }
        }
      }),
      { numRuns: 1000 },
    )
  })

  test('nested without end are refused', () => {
    const deep = Buffer.alloc(20_000, Buffer.from([0x30, 0x80]))
    assert.throws(() => readRequest(writePem('CERTIFICATE REQUEST', deep)), { code: 'certificate_request_invalid' })
    assert.throws(() => readCertificates(writePem('CERTIFICATE', deep), 'test'), { code: 'file_invalid' })
  })

  test('of any text there are PEM blocks or none, and what is written is read again', () => {
    fc.assert(
      fc.property(fc.string(), fc.uint8Array({ minLength: 1 }), (text, bytes) => {
        readPem(`-----BEGIN ${text}`)
        const around = text.replaceAll('-', '')
        const [block] = readPem(`${around}\n${writePem('X', bytes)}${around}`)
        assert.deepEqual(block?.der, Buffer.from(bytes))
      }),
    )
  })

  test('many BEGIN lines cost no more than their number', () => {
    const text = '-----BEGIN CERTIFICATE-----\n'.repeat(50_000)
    assert.equal(readPem(text).length, 50_000)
  })
})
