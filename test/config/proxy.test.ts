import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { loadConfig } from '../../src/config/load.ts'
import { load, mistakes } from './support.ts'

const SOURCES = { authenticators: [{ tokenFile: { path: 'tokens.csv' } }] }
const PROXY = {
  tls: { certFile: 'tls.crt', keyFile: 'tls.key' },
  upstreams: ['https://10.0.0.1:6443'],
  upstream: { caFile: 'ca.crt', clientCertFile: 'front-proxy.crt', clientKeyFile: 'front-proxy.key' },
}
const WITH = { ...SOURCES, proxy: PROXY }
const door = 'proxy' as const

describe('the configuration of the proxy', () => {
  test('needs no certificate of the webhook, and the webhook none of the proxy', () => {
    assert.equal(load(WITH, { door }).proxy.listen, '0.0.0.0:6443')
    assert.ok(mistakes(WITH).some((mistake) => mistake.startsWith('server.tls.certFile: missing')))
    const server = { tls: { certFile: 'a', keyFile: 'b' } }
    assert.equal(load({ ...SOURCES, server }).proxy.upstreams.length, 0)
    assert.equal(load(WITH, { door: 'none' }).proxy.upstreams.length, 1)
  })

  test('everything it cannot be without is told at once, each with its flag', () => {
    assert.deepEqual(mistakes(SOURCES, { door }), [
      'proxy.tls.certFile: missing: set it or pass --tls-cert-file FILE',
      'proxy.tls.keyFile: missing: set it or pass --tls-private-key-file FILE',
      'proxy.upstream.caFile: missing: set it or pass --upstream-ca-file FILE: the CA of the API servers',
      'proxy.upstream.clientCertFile: missing: set it or pass --upstream-client-cert-file FILE: the front-proxy client certificate',
      'proxy.upstream.clientKeyFile: missing: set it or pass --upstream-client-key-file FILE: its key',
      'proxy.upstreams: no API server: name at least one, or pass --upstream https://HOST:PORT',
    ])
  })

  test('a flag that both doors have belongs to the one that is asked for', () => {
    const flags = { listen: '127.0.0.1:7', 'tls-cert-file': 'other.crt' }
    const proxy = load(WITH, { door, flags })
    assert.deepEqual([proxy.proxy.listen, proxy.proxy.tls.certFile], ['127.0.0.1:7', 'other.crt'])
    assert.deepEqual([proxy.server.listen, proxy.server.tls.certFile], ['0.0.0.0:8443', undefined])
    const server = { tls: { certFile: 'a', keyFile: 'b' } }
    const webhook = load({ ...WITH, server }, { flags })
    assert.deepEqual([webhook.server.listen, webhook.proxy.listen], ['127.0.0.1:7', '0.0.0.0:6443'])
  })

  test('API servers are given one flag each', () => {
    const config = loadConfig({
      file: { path: 'archway.yaml', text: JSON.stringify(WITH) },
      flags: new Map([['upstream', ['https://10.0.0.7:6443', 'https://10.0.0.8:6443']]]),
      door,
    })
    assert.deepEqual(config.proxy.upstreams, ['https://10.0.0.7:6443', 'https://10.0.0.8:6443'])
  })

  const wrong: readonly (readonly [url: string, message: RegExp])[] = [
    ['http://10.0.0.1:6443', /https/],
    ['10.0.0.1:6443', /https/],
    ['https://10.0.0.1:6443/prefix', /path/],
    ['https://user:word@10.0.0.1:6443', /user|credential|password/i],
    ['https://10.0.0.1:6443?x=1', /query/],
    ['https://10.0.0.1:99999', /./],
    ['', /./],
  ]
  for (const [url, message] of wrong) {
    test(`refuses ${JSON.stringify(url)} as an API server, and does not repeat a password`, () => {
      const [first = '', ...rest] = mistakes({ ...WITH, proxy: { ...PROXY, upstreams: [url] } }, { door })
      assert.match(first, /^proxy\.upstreams\[0\]: /)
      assert.match(first, message)
      assert.doesNotMatch(first, /word@/)
      assert.deepEqual(rest, [])
    })
  }

  test('the same API server twice, be it spelt otherwise, is a mistake', () => {
    const upstreams = ['https://api.example', 'https://API.example:443/']
    assert.deepEqual(mistakes({ ...WITH, proxy: { ...PROXY, upstreams } }, { door }), [
      'proxy.upstreams[1]: stands twice: name each server once',
    ])
  })
})
