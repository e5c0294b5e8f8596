import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ArchwayError } from '../../src/errors.ts'
import { conditionOf, newCsr, parseCsr, stateOf, withStatus } from '../../src/kube/certificate-signing-request.ts'

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const SPEC = { request: base64('PEM'), signerName: 'example.com/people', usages: ['client auth'] }

function csr(over: object = {}) {
  return parseCsr({ metadata: { name: 'a', uid: 'u', resourceVersion: '7' }, spec: SPEC, ...over })
}

const condition = (type: string, status?: string) => ({ type, ...(status === undefined ? {} : { status }) })

describe('what the API returns', () => {
  test('is read with everything that is decided by', () => {
    const found = csr({
      metadata: { name: 'a', uid: 'u', resourceVersion: '7', creationTimestamp: '2030-01-01T00:00:00Z' },
      spec: {
        ...SPEC,
        expirationSeconds: 600,
        username: 'jane',
        uid: '1',
        groups: ['people'],
        extra: { __proto__x: ['1'], ['__proto__']: ['2'] },
      },
    })
    assert.equal(found.request, 'PEM')
    assert.equal(found.expirationSeconds, 600)
    assert.equal(found.created?.toISOString(), '2030-01-01T00:00:00.000Z')
    assert.deepEqual(
      [...found.requester.extra],
      [
        ['__proto__x', ['1']],
        ['__proto__', ['2']],
      ],
    )
    assert.equal(found.certificate, undefined)
  })

  test('null is absent, as everywhere in the API', () => {
    const found = csr({ spec: { ...SPEC, groups: null, extra: null, expirationSeconds: null }, status: null })
    assert.deepEqual([found.requester.groups, found.expirationSeconds, found.conditions], [[], undefined, []])
  })

  test('a condition without a status holds, as v1beta1 has it', () => {
    assert.ok(conditionOf(csr({ status: { conditions: [condition('Approved')] } }), 'Approved'))
    assert.equal(conditionOf(csr({ status: { conditions: [condition('Approved', 'False')] } }), 'Approved'), undefined)
  })

  test('what is not base64 is told in no more time than it takes to read it', () => {
    const request = `${' '.repeat(1_000_000)}!`
    assert.throws(() => csr({ spec: { ...SPEC, request } }), /spec\.request is not base64/)
    assert.equal(csr({ spec: { ...SPEC, request: ' UE\nVN ' } }).request, 'PEM')
  })

  const WRONG: readonly (readonly [string, object])[] = [
    ['metadata is missing or not an object', { metadata: undefined }],
    ['spec is missing or not an object', { spec: [] }],
    ['spec.request is not base64', { spec: { ...SPEC, request: '-----BEGIN' } }],
    ['spec.usages is not a list of strings', { spec: { ...SPEC, usages: [1] } }],
    ['spec.expirationSeconds is not a whole number', { spec: { ...SPEC, expirationSeconds: '600' } }],
    ['status.conditions is not a list', { status: { conditions: {} } }],
    ['status.conditions[0].type is missing or not a string', { status: { conditions: [{}] } }],
    ['metadata.creationTimestamp is not a time', { metadata: { creationTimestamp: 'yesterday' } }],
  ]
  for (const [message, over] of WRONG) {
    test(message, () => assert.throws(() => csr(over), { code: 'body_invalid', message }))
  }

  test('whatever it is, it is read or refused', () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), fc.anything(), (metadata, spec, status) => {
        try {
          parseCsr({ metadata, spec, status })
        } catch (thrown) {
          assert.ok(thrown instanceof ArchwayError && thrown.code === 'body_invalid', String(thrown))
        }
      }),
    )
  })
})

describe('states, as kubectl shows them', () => {
  const STATES: readonly (readonly [string, readonly string[], boolean])[] = [
    ['Pending', [], false],
    ['Pending', ['SomethingElse'], false],
    ['Approved', ['Approved'], false],
    ['Approved,Issued', ['Approved'], true],
    ['Denied', ['Denied'], false],
    ['Approved,Failed', ['Approved', 'Failed'], false],
    ['Pending,Failed', ['Failed'], false],
  ]
  for (const [state, types, issued] of STATES) {
    test(`${types.join(' and ') || 'no condition'}${issued ? ' with a certificate' : ''}: ${state}`, () => {
      const status = {
        conditions: types.map((type) => condition(type, 'True')),
        ...(issued ? { certificate: base64('x') } : {}),
      }
      assert.equal(stateOf(csr({ status })), state)
    })
  }
})

describe('what is sent', () => {
  test('an object to create, without what was not asked for', () => {
    assert.deepEqual(
      newCsr('v1', { name: { generateName: 'jane-' }, request: 'PEM', signerName: 's.x/y', usages: ['any'] }),
      {
        apiVersion: 'certificates.k8s.io/v1',
        kind: 'CertificateSigningRequest',
        metadata: { generateName: 'jane-' },
        spec: { request: base64('PEM'), signerName: 's.x/y', usages: ['any'] },
      },
    )
  })

  test('what others have written to the status stays, and so does the version it was read in', () => {
    const theirs = { type: 'Theirs', status: 'Unknown', lastUpdateTime: '2030-01-01T00:00:00Z' }
    const found = csr({ status: { conditions: [theirs], other: 1 } })
    const sent = withStatus(found, { condition: { type: 'Approved', reason: 'r', message: 'm' }, certificate: 'PEM' })
    assert.deepEqual(sent, {
      metadata: { name: 'a', uid: 'u', resourceVersion: '7' },
      spec: SPEC,
      status: {
        conditions: [theirs, { type: 'Approved', reason: 'r', message: 'm', status: 'True' }],
        other: 1,
        certificate: base64('PEM'),
      },
    })
  })
})
