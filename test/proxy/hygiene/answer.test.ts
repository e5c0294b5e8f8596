import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createHygiene } from '../../../src/proxy/hygiene/create.ts'
import type { HeaderLines } from '../../../src/proxy/wire.ts'
import { clean } from './support.ts'

const { clientHeaders } = createHygiene({ impersonation: 'refuse' })

function answer(status: number, headers: HeaderLines) {
  return clientHeaders({ status, headers }, clean([], { target: '/api/v1/namespaces/n/services/s/proxy/a?b' }))
}

function lines(headers: HeaderLines, status = 200): HeaderLines {
  const result = answer(status, headers)
  assert.ok(result.kind === 'lines')
  return result.lines
}

describe('an answer for the client', () => {
  test('has what the API server says, in its order and spelling', () => {
    const given = [
      ['Audit-Id', '1'],
      ['Cache-Control', 'no-cache, private'],
      ['Set-Cookie', 'a=b'],
      ['Set-Cookie', 'c=d'],
      ['strict-transport-security', 'max-age=31536000'],
      ['Warning', '299 - "old"'],
      ['X-Kubernetes-Pf-Flowschema-Uid', '2'],
      ['Location', 'https://elsewhere.example/created'],
    ] as const
    assert.deepEqual(lines(given, 201), given)
  })

  test('T-H1 has nothing of the connection it came on, and nothing that connection names', () => {
    const given = [
      ['Connection', 'Keep-Alive, x-private'],
      ['connection', 'X-Too'],
      ['Keep-Alive', 'timeout=5'],
      ['X-Private', 'x'],
      ['x-too', 'x'],
      ['Transfer-Encoding', 'chunked'],
      ['Content-Length', '5'],
      ['Trailer', 'X'],
      ['Upgrade', 'h2c'],
      ['Proxy-Authenticate', 'Basic'],
      ['Alt-Svc', 'h2="elsewhere:443"'],
      ['Date', 'today'],
    ] as const
    assert.deepEqual(lines(given), [['Date', 'today']])
  })

  test('never says who asked', () => {
    const names = ['X-Remote-User', 'x-remote-group', 'X_Remote_Extra_a']
    assert.deepEqual(lines(names.map((name) => [name, 'x'])), [])
  })

  const elsewhere = `https://evil.example/ http://proxy.example:6443/ https://proxy.example/ //evil.example/x /\\evil.example
    \\\\evil.example https:evil.example https://proxy.example:6443@evil.example/ javascript:alert(1) ///evil.example
    https://[/ https://proxy.example:6443.evil.example/`
  for (const location of [
    ...elsewhere.split(/\s+/),
    '/\t/evil.example',
    ' //evil.example',
    'https://proxy.example:6443\\@evil.example/',
  ]) {
    test(`T-H10 does not lead to ${JSON.stringify(location)}`, () => {
      for (const status of [300, 301, 302, 303, 307, 308]) {
        const result = answer(status, [['LOCATION', location]])
        assert.ok(result.kind === 'refused')
        assert.deepEqual([result.threat, result.status], ['H10', 502])
        assert.ok(!result.message.includes('evil'))
      }
    })
  }

  for (const location of [
    '/ui/',
    'a/',
    '../b',
    '?c',
    '',
    'https://proxy.example:6443/x',
    '//proxy.example:6443/x',
    'HTTPS://PROXY.example:6443/',
  ]) {
    test(`leads to ${JSON.stringify(location)}, which is here`, () => {
      assert.deepEqual(lines([['Location', location]], 302), [['Location', location]])
    })
  }

  test('T-H10 leads to one place', () => {
    const twice = [
      ['Location', '/a'],
      ['Location', '/b'],
    ] as const
    assert.equal(answer(302, twice).kind, 'refused')
  })
})
