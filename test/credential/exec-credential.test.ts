/** What a client reads: its form byte for byte, and client-go's word on it. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { before, describe, test } from 'node:test'
import fc from 'fast-check'
import {
  checkToken,
  expiryAsWritten,
  expiryWithMargin,
  marginMs,
  renderExecCredential,
} from '../../src/credential/exec-credential.ts'
import { EXEC_VERSIONS, readExecInfo } from '../../src/credential/exec-info.ts'
import { Secret } from '../../src/secret.ts'
import { createAuthority, type Issued } from '../support/tls.ts'
import { type ClientLine, type Cluster, execInfo, judge, playSequence, type Run, type Stanza } from './client-go.ts'

interface Vector {
  readonly name: string
  readonly kind: 'single' | 'sequence'
  readonly exec: Stanza & { readonly command?: string }
  readonly cluster?: Cluster
  readonly plugin: readonly { readonly stdout: string; readonly exit: number }[]
  readonly replies?: readonly number[]
  readonly expect: Readonly<Record<ClientLine, string | Expected>>
}

interface Expected {
  readonly ok?: boolean
  readonly error?: string
  readonly token?: string
  readonly clientCertificate?: boolean
  readonly expires?: string
  readonly info?: object
  readonly pluginRuns?: number
  readonly authorizationSeen?: readonly string[]
  readonly clientSees?: readonly (number | string)[]
}

const file = new URL('../vectors/execcredential-vectors.json', import.meta.url)
const { count, vectors } = JSON.parse(readFileSync(file, 'utf8')) as {
  readonly count: number
  readonly vectors: readonly Vector[]
}
const LINES: readonly ClientLine[] = ['1.20', '1.24']

describe('the model of client-go', () => {
  let pair: Issued
  let other: Issued
  before(async () => {
    const authority = await createAuthority('client CA')
    pair = await authority.client({ commonName: 'somebody' })
    other = await authority.client({ commonName: 'somebody else' })
  })

  function runOf(vector: Vector, index: number): Run {
    if (vector.exec.command !== undefined) return undefined
    const run = vector.plugin[Math.min(index, vector.plugin.length - 1)]
    if (run === undefined) throw new Error(`${vector.name}: no run`)
    const pem = (text: string): string => JSON.stringify(text).slice(1, -1)
    const stdout = run.stdout
      .replace('@cert@', pem(pair.cert))
      .replace('@key@', pem(pair.key))
      .replace('@otherkey@', pem(other.key))
    return { ...run, stdout }
  }

  test('has every vector to answer to', () => assert.equal(vectors.length, count))

  for (const vector of vectors) {
    for (const line of LINES) {
      test(`${vector.name}, as client-go ${line} has it`, async () => {
        const expected = vector.expect[line]
        const { exec, cluster } = vector
        if (typeof expected === 'string') {
          assert.deepEqual(judge(line, exec, runOf(vector, 0)), { ok: false, error: expected })
        } else if (vector.kind === 'sequence') {
          let runs = 0
          const found = await playSequence(line, exec, () => runOf(vector, runs++), vector.replies ?? [])
          assert.deepEqual(found, expected)
        } else if (expected.ok === true) {
          const { token, clientCertificate = false, expires } = expected
          assert.deepEqual(judge(line, exec, runOf(vector, 0)), { ok: true, token, clientCertificate, expires })
        } else {
          assert.deepEqual(judge(line, exec, runOf(vector, 0)), { ok: false, error: expected.error })
        }
        if (typeof expected !== 'string' && expected.info !== undefined) {
          assert.deepEqual(execInfo(line, exec, cluster), expected.info)
          const read = readExecInfo({ KUBERNETES_EXEC_INFO: JSON.stringify(expected.info) })
          assert.equal(read.apiVersion, exec.apiVersion)
          assert.equal(read.asked, true)
          assert.equal(read.cluster?.server, exec.provideClusterInfo ? cluster?.server : undefined)
        }
      })
    }
  }
})

const token = new Secret('gAAAAABf-token_with.every~character+/=')

describe('renderExecCredential', () => {
  test('is byte for byte what client-keystone-auth prints', () => {
    assert.equal(
      renderExecCredential({
        apiVersion: 'client.authentication.k8s.io/v1beta1',
        token: new Secret('gAAAAABf'),
        expirationTimestamp: '2026-01-02T03:04:05.678901Z',
      }),
      `{
	"apiVersion": "client.authentication.k8s.io/v1beta1",
	"kind": "ExecCredential",
	"status": {
		"token": "gAAAAABf",
		"expirationTimestamp": "2026-01-02T03:04:05.678901Z"
	}
}
`,
    )
  })

  for (const apiVersion of EXEC_VERSIONS) {
    for (const line of LINES) {
      test(`in ${apiVersion} it is accepted by client-go ${line}, unless that knows no such version`, () => {
        const stanza = { apiVersion, interactiveMode: 'IfAvailable' }
        for (const expirationTimestamp of ['2030-01-02T03:04:05Z', '2030-01-02T03:04:05.678901Z']) {
          const stdout = renderExecCredential({ apiVersion, token, expirationTimestamp })
          const judged = judge(line, stanza, { stdout, exit: 0 })
          const known = apiVersion.endsWith('v1beta1') || apiVersion.endsWith(line === '1.20' ? 'v1alpha1' : '/v1')
          assert.deepEqual(
            judged,
            known
              ? { ok: true, token: token.reveal(), clientCertificate: false, expires: '2030-01-02T03:04:05Z' }
              : { ok: false, error: 'unsupported-api-version' },
          )
        }
      })
    }
  }

  test('[C-14] whatever a token holds, it is one JSON object with that very token', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => {
        const text = renderExecCredential({
          apiVersion: 'client.authentication.k8s.io/v1',
          token: new Secret(value),
          expirationTimestamp: '2030-01-02T03:04:05Z',
        })
        assert.equal(JSON.parse(text).status.token, value)
        assert.equal(text.split('\n').length, 9)
      }),
    )
  })
})

describe('checkToken', () => {
  test('[C-14] refuses what is empty or no header could carry, and does not quote it', () => {
    for (const bad of [
      '',
      'secret canary',
      'secret-canary\n',
      '\tsecret-canary',
      'secret-canary\0',
      'secret-canaryé',
    ]) {
      assert.throws(
        () => checkToken(new Secret(bad)),
        ({ code, message }) => code === 'credential_unusable' && !message.includes('canary'),
      )
    }
    checkToken(token)
  })
})

describe('the expiry', () => {
  const expiresAt = new Date('2026-01-02T03:04:05.678Z')

  test('of the drop-in is as Keystone wrote it, with up to nine digits and no zeros at the end', () => {
    const cases: Readonly<Record<string, string>> = {
      '2026-01-02T03:04:05.678901Z': '2026-01-02T03:04:05.678901Z',
      '2026-01-02T03:04:05.000000Z': '2026-01-02T03:04:05Z',
      '2026-01-02T03:04:05.500000Z': '2026-01-02T03:04:05.5Z',
      '2026-01-02T03:04:05Z': '2026-01-02T03:04:05Z',
      '2026-01-02T03:04:05.1234567891Z': '2026-01-02T03:04:05.123456789Z',
      '2026-01-02T03:04:05.000000+00:00': '2026-01-02T03:04:05.678Z',
      'Friday "\n': '2026-01-02T03:04:05.678Z',
    }
    for (const [expiresAtText, expected] of Object.entries(cases)) {
      assert.equal(expiryAsWritten({ expiresAtText, expiresAt }), expected)
    }
  })

  test('of archway credential comes a margin earlier: a tenth of the life, at most a minute', () => {
    const life = (seconds: number) => ({ issuedAt: new Date(expiresAt.getTime() - seconds * 1000), expiresAt })
    assert.equal(marginMs(life(3600)), 60_000)
    assert.equal(marginMs(life(100)), 10_000)
    assert.equal(marginMs(life(-5)), 0)
    assert.equal(expiryWithMargin(life(3600)), '2026-01-02T03:03:05Z')
    assert.equal(expiryWithMargin(life(100)), '2026-01-02T03:03:55Z')
  })

  test('is never said to be later than it is', () => {
    fc.assert(
      fc.property(fc.date({ noInvalidDate: true, max: new Date('9999-01-01') }), fc.nat(), (issuedAt, life) => {
        const end = new Date(issuedAt.getTime() + life)
        if (issuedAt.getUTCFullYear() < 1 || end.getUTCFullYear() > 9998) return
        assert.ok(new Date(expiryWithMargin({ issuedAt, expiresAt: end })) <= end)
        assert.ok(new Date(expiryAsWritten({ expiresAtText: end.toISOString(), expiresAt: end })) <= end)
      }),
    )
  })
})
