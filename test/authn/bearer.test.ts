import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bearerToken } from '../../src/authn/bearer.ts'

const wire = (text: string): string => Buffer.from(text).toString('latin1')

const accepted: readonly [string, string][] = [
  ['Bearer abc', 'abc'],
  ['bEARER abc', 'abc'],
  ['  Bearer abc  ', 'abc'],
  ['\t\r\n\v\fBearer abc\t', 'abc'],
  ['Bearer abc def ghi', 'abc'],
  ['Bearer a=b,c;d"e"', 'a=b,c;d"e"'],
  ['Bearer a\tb', 'a\tb'],
  ['Bearer \tabc', '\tabc'],
  ['Bearer __proto__', '__proto__'],
  [wire('Bearer größe-团队'), 'größe-团队'],
  [wire('\u0085\u2003Bearer voilà\u3000\u00a0'), 'voilà'],
  [wire('Bearer \ufeffabc'), '\ufeffabc'],
  [wire('Bearer abc\ufeff'), 'abc\ufeff'],
  ['Bearer caf\xe9', 'caf\xe9'],
  ['Bearer 团队', '团队'],
]
for (const [header, token] of accepted) {
  test(`${JSON.stringify(header)} holds the token ${JSON.stringify(token)}`, () => {
    assert.equal(bearerToken(header), token)
  })
}

const without = [
  '',
  ' ',
  'Bearer',
  'Bearer ',
  'Bearer  abc',
  'Bearer\tabc',
  'Bearerabc',
  'Basic abc',
  'bear abc',
  'abc',
  '"Bearer" abc',
  wire('\ufeffBearer abc'),
]
for (const header of without) {
  test(`${JSON.stringify(header)} holds no token`, () => {
    assert.equal(bearerToken(header), undefined)
  })
}
