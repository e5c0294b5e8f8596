import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { x509 } from '../../src/authn/x509/x509.ts'
import { optionRegistry } from '../../src/config/option.ts'
import { x509Options, x509Source } from '../../src/config/x509-source.ts'
import { recordingLog } from '../reload/support.ts'

const LEAST = { authorities: [{ caFile: 'ca.pem' }] }

/** `path: message` of each mistake. */
function mistakes(source: object): readonly string[] {
  const { error } = x509Source.safeParse(source)
  return (error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`)
}

describe('a source of client certificates', () => {
  test('has these defaults', () => {
    assert.deepEqual(x509Source.parse(LEAST), {
      name: 'x509',
      authorities: [{ caFile: 'ca.pem', usernamePrefix: '', groupPrefix: '' }],
      entries: 10_000,
    })
  })

  test('becomes what the authenticator takes', async () => {
    const whole = { caFile: 'b.pem', crlFile: 'b.crl', requireCrl: false, usernamePrefix: 'b:', groupPrefix: 'gb:' }
    const options = x509Options(x509Source.parse({ authorities: [{ caFile: 'a.pem', crlFile: 'a.crl' }, whole] }))
    assert.deepEqual(options, {
      name: 'x509',
      authorities: [
        { caFile: 'a.pem', usernamePrefix: '', groupPrefix: '', crlFile: 'a.crl', requireCrl: true },
        whole,
      ],
      entries: 10_000,
    })
    await assert.rejects(x509({ ...options, log: recordingLog(), intervalMs: 0 }), {
      code: 'file_invalid',
      message: /a\.pem/,
    })
  })

  test('names every mistake', () => {
    assert.deepEqual(mistakes({ authorities: [] }), ['authorities: expected at least one authority, with its `caFile`'])
    assert.deepEqual(mistakes({ authorities: [{ caFile: '' }] }), ['authorities.0.caFile: expected the path of a file'])
    assert.deepEqual(
      mistakes({
        authorities: [
          { caFile: 'a', requireCrl: false },
          { caFile: 'a', usernamePrefix: 'x:' },
        ],
      }),
      [
        'authorities.0.requireCrl: goes with `crlFile`, which is missing',
        'authorities.1.caFile: stands twice; one prefix a file',
      ],
    )
    assert.equal(mistakes({ authorities: [{ caFile: 'a', crlfile: 'b' }] }).length, 1)
  })

  test('says of every option what it is', () => {
    const { name, authorities, entries } = x509Source.shape
    for (const schema of [name, entries, ...Object.values(authorities.element.shape)]) {
      assert(optionRegistry.has(schema))
      assert((schema.description ?? '').length > 20)
    }
  })
})
