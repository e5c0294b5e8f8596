/** What would change, without anything that might be secret. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { differences, sameSettings } from '../../../src/kube/kubeconfig-file/compare.ts'

const isHarmlessFlag = (name: string): boolean => name === 'keystone-url'

function lines(existing: Readonly<Record<string, unknown>>, wanted: object): readonly string[] {
  return differences({ existing, wanted, isHarmlessFlag }).map(({ sign, text }) => `${sign} ${text}`)
}

describe('differences of an entry', () => {
  test('T-S1 shows what is harmless and no secret', () => {
    const existing = {
      server: 'https://old',
      'certificate-authority-data': 'CANARY',
      'proxy-url': 'http://CANARY:CANARY@proxy:3128',
      token: 'CANARY',
      password: 'CANARY',
      username: 'CANARY',
      'client-key-data': 'CANARY',
      'client-certificate-data': 'CANARY',
      'auth-provider': { name: 'oidc', config: { 'refresh-token': 'CANARY' } },
      extensions: [{ name: 'CANARY', extension: { secret: 'CANARY' } }],
      exec: {
        command: 'old',
        args: [
          'get-token',
          '--password=CANARY',
          '--password',
          'CANARY-9',
          '--keystone-url=https://u:CANARY@k/v3',
          '-pCANARY',
          '--password',
          'canary',
        ],
        env: [{ name: 'OS_PASSWORD', value: 'CANARY' }],
      },
      'as-user-extra': { CANARY: ['CANARY'] },
    }
    const shown = lines(existing, { server: 'https://new', exec: { command: 'archway', args: ['credential'] } })
    assert.ok(shown.includes('- server: "https://old"') && shown.includes('+ server: "https://new"'))
    assert.ok(shown.includes('- token: [redacted]'))
    assert.ok(shown.includes('- proxy-url: "http://[redacted]@proxy:3128"'))
    assert.ok(shown.includes('- exec.args[1]: "--password=[redacted]"'))
    assert.ok(shown.includes('- exec.args[3]: "[redacted]"'))
    assert.ok(shown.includes('- exec.args[4]: "--keystone-url=https://[redacted]@k/v3"'))
    assert.ok(shown.includes('- exec.env[0].name: "OS_PASSWORD"') && shown.includes('- exec.env[0].value: [redacted]'))
    assert.doesNotMatch(shown.join('\n').replaceAll(/^- as-user-extra\.CANARY.*$/gm, ''), /CANARY|canary/)
  })

  test('control characters do not reach the terminal', () => {
    const [line = ''] = lines({ server: 'https://a\u001b[2J\u202e\u009b' }, {})
    const [key = ''] = lines({ 'a\u001b\u202e': 'b' }, {})
    assert.equal(key, '- a??: [redacted]')
    assert.doesNotMatch(line, /[\u0000-\u001f\u007f-\u009f\u202e]/)
  })

  test('there is one if and only if the two are not the same', () => {
    const value = fc.dictionary(
      fc.stringMatching(/^[a-z]{1,3}$/),
      fc.oneof(fc.string(), fc.boolean(), fc.constant(null), fc.array(fc.string())),
    )
    fc.assert(
      fc.property(value, value, (one, other) => {
        assert.deepEqual(lines(one, one), [])
        if (lines(one, other).length === 0) assert.ok(sameSettings(one, other))
      }),
    )
    assert.ok(sameSettings({ a: null, b: [], c: false, d: 1 }, { d: 1 }))
    assert.ok(!sameSettings({ a: true }, {}))
    assert.ok(!sameSettings({ a: '' }, {}))
  })
})
