/** Requests that kube-apiserver and kube-controller-manager 1.20 have judged: what came out there comes out here. */
import 'reflect-metadata'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509Certificate,
} from '@peculiar/x509'
import { z } from 'zod'
import { type CertificateSigningRequest, parseCsr } from '../../src/kube/certificate-signing-request.ts'
import { isSignerName } from '../../src/kube/signer-name.ts'
import { readAltNames, readSubject } from '../../src/pki/names.ts'
import { readUsages } from '../../src/pki/usages.ts'
import { withDefaults } from '../../src/signer/built-in-signers.ts'
import { creationProblems } from '../../src/signer/creation.ts'
import { signAsBuiltIn } from '../../src/signer/signing.ts'
import { testAuthority } from './support.ts'

const usages = z.array(z.string()).nullable()
const Vectors = z.object({
  count: z.number(),
  fixtures: z.record(z.string(), z.string()),
  vectors: z.array(
    z.discriminatedUnion('kind', [
      z.object({
        kind: z.literal('sign'),
        name: z.string(),
        csr: z.string(),
        signerName: z.string(),
        usages,
        ttlSeconds: z.number(),
        now: z.string(),
        caNotAfter: z.string(),
        expect: z.looseObject({ result: z.enum(['issued', 'failed', 'ignored', 'error']) }),
      }),
      z.object({
        kind: z.literal('create'),
        name: z.string(),
        csr: z.string(),
        signerName: z.string(),
        usages,
        apiVersion: z.enum(['v1', 'v1beta1']),
        expect: z.object({ valid: z.boolean(), badFields: z.array(z.string()) }),
      }),
      z.object({
        kind: z.literal('signerName'),
        name: z.string(),
        signerName: z.string(),
        expect: z.object({ valid: z.boolean() }),
      }),
      z.object({
        kind: z.literal('defaultSigner'),
        name: z.string(),
        csr: z.string(),
        usages,
        expect: z.object({ signerName: z.string(), usages: z.array(z.string()) }),
      }),
    ]),
  ),
})

const FILE = new URL('../vectors/csr-vectors.json', import.meta.url)
const { count, fixtures, vectors } = Vectors.parse(JSON.parse(readFileSync(FILE, 'utf8')))

function csrOf(vector: { csr: string; signerName?: string; usages: string[] | null }): CertificateSigningRequest {
  const request = Buffer.from(fixtures[vector.csr] ?? assert.fail(vector.csr)).toString('base64')
  const { signerName, usages: asked } = vector
  return parseCsr({ metadata: { name: 'vector' }, spec: { request, signerName, usages: asked, username: 'test' } })
}

/** Usage → the word of the vectors. */
const KEY_USAGE: ReadonlyMap<string, string> = new Map([
  ['digital signature', 'digitalSignature'],
  ['key encipherment', 'keyEncipherment'],
  ['key agreement', 'keyAgreement'],
  ['data encipherment', 'dataEncipherment'],
  ['cert sign', 'keyCertSign'],
  ['crl sign', 'cRLSign'],
  ['decipher only', 'decipherOnly'],
])
const EXTENDED_KEY_USAGE: ReadonlyMap<string, string> = new Map([
  ['1.3.6.1.5.5.7.3.1', 'serverAuth'],
  ['1.3.6.1.5.5.7.3.2', 'clientAuth'],
  ['1.3.6.1.5.5.7.3.3', 'codeSigning'],
  ['1.3.6.1.5.5.7.3.4', 'emailProtection'],
  ['1.3.6.1.5.5.7.3.5', 'ipsecEndSystem'],
  ['1.3.6.1.5.5.7.3.6', 'ipsecTunnel'],
  ['1.3.6.1.5.5.7.3.7', 'ipsecUser'],
  ['1.3.6.1.5.5.7.3.8', 'timeStamping'],
  ['1.3.6.1.5.5.7.3.9', 'OCSPSigning'],
  ['1.3.6.1.4.1.311.10.3.3', 'msSGC'],
])

function described(pem: string): Readonly<Record<string, unknown>> {
  const certificate = new X509Certificate(pem)
  const subject = readSubject(certificate.subjectName)
  const constraints = certificate.getExtension(BasicConstraintsExtension)
  const extended = certificate.getExtension(ExtendedKeyUsageExtension)
  const read = readUsages(certificate.getExtension(KeyUsagesExtension) ?? undefined, extended ?? undefined)
  const { dns, ip, email, uri } = readAltNames(certificate.getExtension(SubjectAlternativeNameExtension) ?? undefined)
  return {
    result: 'issued',
    basicConstraints: constraints !== null,
    isCA: constraints?.ca,
    commonName: subject.commonName,
    organizations: subject.organizations,
    keyUsage: read.keyUsages.map((name) => KEY_USAGE.get(name)),
    extKeyUsage: [...(extended?.usages ?? [])].map((oid) => EXTENDED_KEY_USAGE.get(String(oid))),
    notBefore: certificate.notBefore.toISOString().replace('.000Z', 'Z'),
    notAfter: certificate.notAfter.toISOString().replace('.000Z', 'Z'),
    subjectAltNames: [
      ...dns.map((name) => `dns:${name}`),
      ...ip.map((name) => `ip:${name}`),
      ...email.map((name) => `email:${name}`),
      ...uri.map((name) => `uri:${name}`),
    ],
  }
}

describe('vectors', () => {
  test('all of them are here', () => assert.equal(vectors.length, count))

  for (const vector of vectors) {
    test(`${vector.kind}: ${vector.name}`, async () => {
      switch (vector.kind) {
        case 'signerName':
          assert.equal(isSignerName(vector.signerName), vector.expect.valid)
          return
        case 'create': {
          const fields = creationProblems(csrOf(vector), vector.apiVersion).map(({ path }) => path)
          assert.deepEqual(fields, vector.expect.badFields)
          return
        }
        case 'defaultSigner': {
          const { signerName, usages: filled } = withDefaults(csrOf(vector), vector.usages !== null)
          assert.deepEqual({ signerName, usages: filled }, vector.expect)
          return
        }
        case 'sign': {
          const now = (): Date => new Date(vector.now)
          const authority = await testAuthority({ notAfter: new Date(vector.caNotAfter), now })
          const signing = signAsBuiltIn(csrOf(vector), vector.ttlSeconds, { authority, now })
          if (vector.expect.result === 'error') {
            await assert.rejects(signing, { code: 'certificate_not_issued' })
            return
          }
          const signed = await signing
          assert.equal(signed.kind, vector.expect.result)
          if (signed.kind === 'issued') assert.deepEqual(described(signed.issued.certificatePem), vector.expect)
          return
        }
        default:
          assert.fail(vector satisfies never)
      }
    })
  }
})
