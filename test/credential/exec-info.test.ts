/** KUBERNETES_EXEC_INFO: what clients send, and what is no such thing. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { EXEC_VERSIONS, readExecInfo } from '../../src/credential/exec-info.ts'
import { ArchwayError } from '../../src/errors.ts'

const read = (document: unknown) => readExecInfo({ KUBERNETES_EXEC_INFO: JSON.stringify(document) })
const V1 = 'client.authentication.k8s.io/v1'

describe('readExecInfo', () => {
  test('without the variable, and with an empty one, v1beta1 is answered and nobody is known to ask', () => {
    for (const env of [{}, { KUBERNETES_EXEC_INFO: '' }]) {
      assert.deepEqual(readExecInfo(env), {
        apiVersion: 'client.authentication.k8s.io/v1beta1',
        asked: false,
        interactive: undefined,
        cluster: undefined,
        refused: false,
      })
    }
  })

  for (const apiVersion of EXEC_VERSIONS) {
    test(`${apiVersion} is answered in itself`, () => {
      assert.equal(read({ kind: 'ExecCredential', apiVersion, spec: {} }).apiVersion, apiVersion)
    })
  }

  test('a missing spec.interactive is not known, but in v1alpha1, which leaves it out when it is false', () => {
    const interactive = (apiVersion: string, spec: object) => read({ apiVersion, spec }).interactive
    assert.equal(interactive(V1, { interactive: true }), true)
    assert.equal(interactive(V1, { interactive: false }), false)
    assert.equal(interactive(`${V1}beta1`, {}), undefined)
    assert.equal(interactive(`${V1}alpha1`, {}), false)
    assert.equal(interactive(`${V1}alpha1`, { interactive: true }), true)
  })

  test('the cluster comes with its server and its own settings; what is not known is passed over', () => {
    const { cluster } = read({
      kind: 'ExecCredential',
      apiVersion: V1,
      metadata: { creationTimestamp: null },
      spec: {
        cluster: {
          server: 'https://10.0.0.1:6443',
          'tls-server-name': 'api.internal',
          'certificate-authority-data': 'AAAA',
          'proxy-url': 'http://p:3128',
          'disable-compression': true,
          'some-day': [1],
          config: { audience: 'prod', anything: 'goes' },
        },
        interactive: true,
        futureField: {},
      },
    })
    assert.equal(cluster?.server, 'https://10.0.0.1:6443')
    assert.deepEqual(cluster?.config, { audience: 'prod', anything: 'goes' })
  })

  test('a cluster without settings of its own has none', () => {
    const { cluster } = read({ apiVersion: V1, spec: { cluster: { server: 'https://k', config: null } } })
    assert.deepEqual(cluster, { server: 'https://k', config: undefined })
  })

  test('v1alpha1 says that the API server has refused the last credential', () => {
    const refused = (response: unknown) => read({ apiVersion: `${V1}alpha1`, spec: { response } }).refused
    assert.equal(refused({ header: { 'Www-Authenticate': ['Bearer'] }, code: 401 }), true)
    assert.equal(refused({ code: 403 }), false)
    assert.equal(refused(undefined), false)
  })

  test('what is malformed is refused by name, and not quoted', () => {
    const cases: readonly (readonly [string, RegExp])[] = [
      ['{"secret-canary', /is not JSON/],
      ['"secret-canary"', /is not a JSON object/],
      ['[]', /is not a JSON object/],
      ['null', /is not a JSON object/],
      ['{}', /apiVersion is not one of .*v1, .*v1beta1, .*v1alpha1.*kubeconfig/],
      ['{"apiVersion":"secret-canary"}', /apiVersion is not one of/],
      ['{"apiVersion":7}', /apiVersion is not one of/],
      [`{"apiVersion":"${V1}","kind":"secret-canary"}`, /kind is not ExecCredential/],
      [`{"apiVersion":"${V1}","spec":"secret-canary"}`, /spec is not a JSON object/],
      [`{"apiVersion":"${V1}","spec":{"interactive":"secret-canary"}}`, /spec\.interactive is not true or false/],
      [`{"apiVersion":"${V1}","spec":{"cluster":["secret-canary"]}}`, /spec\.cluster is not a JSON object/],
      [`{"apiVersion":"${V1}","spec":{"cluster":{"server":{}}}}`, /spec\.cluster\.server is not a string/],
      [`{"apiVersion":"${V1}","spec":{"cluster":{"config":"secret-canary"}}}`, /config is not a JSON object/],
      [`{"apiVersion":"${V1}","apiVersion":"${V1}"}`, /a key stands twice/],
      [`{"apiVersion":"${V1}alpha1","spec":{"response":401}}`, /spec\.response is not a JSON object/],
    ]
    for (const [text, message] of cases) {
      assert.throws(
        () => readExecInfo({ KUBERNETES_EXEC_INFO: text }),
        (thrown) =>
          thrown instanceof ArchwayError &&
          thrown.code === 'credential_settings_invalid' &&
          message.test(thrown.message) &&
          thrown.message.startsWith('KUBERNETES_EXEC_INFO: ') &&
          !thrown.message.includes('canary'),
        text,
      )
    }
  })

  test('T-H13 names that every object has are no settings', () => {
    const text = `{"apiVersion":"${V1}","spec":{"cluster":{"server":"s","config":{"__proto__":{"audience":"x"}}}}}`
    const { cluster } = readExecInfo({ KUBERNETES_EXEC_INFO: text })
    assert.deepEqual(Object.entries(cluster?.config ?? {}), [['__proto__', { audience: 'x' }]])
    assert.equal(Object.getPrototypeOf(cluster?.config), Object.prototype)
  })

  test('any text is read or refused, and nothing else', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        try {
          const { apiVersion } = readExecInfo({ KUBERNETES_EXEC_INFO: text })
          assert.ok(EXEC_VERSIONS.includes(apiVersion))
        } catch (thrown) {
          assert.ok(thrown instanceof ArchwayError && thrown.code === 'credential_settings_invalid')
        }
      }),
    )
  })
})
