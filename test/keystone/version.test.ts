/** From a URL that may say no version to the address of v3. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ErrorCode } from '../../src/errors.ts'
import {
  closing,
  hang,
  html,
  keystoneError,
  keystoneSamples,
  redirect,
  reply,
  reset,
  type Script,
  sample,
} from '../support/fake-keystone.ts'
import { assertNoCanary, CANARY, failure, newCall, setUp, until } from './support.ts'

const root = keystoneSamples().get('version-root') ?? assert.fail()
const v3 = keystoneSamples().get('version-v3') ?? assert.fail()
const REFUSED = reply(401, keystoneError(401))

function listed(...versions: readonly object[]): Script {
  return reply(300, { versions: { values: versions } })
}
function version(id: string, status: string, href?: string): object {
  return { id, status, updated: 'x', links: href === undefined ? [] : [{ rel: 'self', href }] }
}

describe('where the calls go, after what Keystone says of its versions', () => {
  const table: readonly (readonly [string, string, Script | undefined, string])[] = [
    // name, path of the URL, answer to it, path that is then asked
    ['a URL with /v3 is not asked', '/v3', undefined, '/v3'],
    ['nor one with /v3/', '/v3/', undefined, '/v3'],
    ['nor one with a prefix', '/identity/v3', undefined, '/identity/v3'],
    ['as recorded, list', '', sample(root), '/v3'],
    ['as recorded, one', '/', sample(v3), '/v3'],
    ['200 for a list', '', reply(200, { versions: { values: [version('v3.14', 'stable', '/v3/')] } }), '/v3'],
    ['status current', '', listed(version('v3', 'CURRENT', '/v3/')), '/v3'],
    ['status supported', '', listed(version('v3.0', 'supported', '/v3/')), '/v3'],
    ['v2.0 besides', '', listed(version('v2.0', 'deprecated', '/v2.0/'), version('v3.8', 'stable', '/v3/')), '/v3'],
    ['a prefix', '/identity', listed(version('v3.14', 'stable', '/identity/v3/')), '/identity/v3'],
    ['a prefix that the URL lacks', '', listed(version('v3.14', 'stable', '/identity/v3/')), '/identity/v3'],
    ['an uncommon path', '', listed(version('v3.14', 'stable', '/keystone/main')), '/keystone/main'],
    ['a link without the prefix of the URL', '/identity', listed(version('v3.14', 'stable', '/v3/')), '/identity/v3'],
    [
      'a link that leaves the prefix',
      '/identity',
      listed(version('v3', 'stable', '/identity/../nova/v3')),
      '/identity/v3',
    ],
    [
      'a link with a coded slash',
      '/identity',
      listed(version('v3', 'stable', '/identity/..%2fnova/v3')),
      '/identity/v3',
    ],
    ['a link with a query', '', listed(version('v3', 'stable', '/v3/?x=')), '/v3'],
    ['no link', '', listed(version('v3.14', 'stable')), '/v3'],
    ['a link that is none', '', listed(version('v3.14', 'stable', 'http://[')), '/v3'],
    ['404 of a web server', '', html(404), '/v3'],
    ['403 of a web server', '', html(403), '/v3'],
    ['401 of Keystone', '/identity', REFUSED, '/identity/v3'],
    ['a web page', '', html(200), '/v3'],
    ['other JSON', '', reply(200, { name: 'canary' }), '/v3'],
    ['versions of another service', '', reply(300, { versions: [version('v2.1', 'CURRENT', '/v2.1/')] }), '/v3'],
    ['broken JSON', '', reply(300, '{"versions":'), '/v3'],
  ]
  for (const [name, path, script, expected] of table) {
    test(name, async (t) => {
      const { keystone, client } = await withPath(t, path)
      if (script !== undefined) keystone.script(script)
      keystone.always(REFUSED)
      const call = newCall()
      for (let n = 0; n < 3; n++) assert.equal(await client.validateToken(CANARY, call), undefined)
      const asked = script === undefined ? [] : [`${path.replace(/\/$/, '')}/`]
      assert.deepEqual(
        keystone.requests.map((request) => request.path),
        [...asked, ...Array.from({ length: 3 }, () => `${expected}/auth/tokens?nocatalog`)],
      )
      if (script !== undefined) assert.equal(keystone.requests[0]?.headers['x-auth-token'], undefined)
    })
  }
})

describe('an origin that is not configured gets nothing', () => {
  test('only the path of an advertised address is used, and it is said once', async (t) => {
    const { keystone, client } = await withPath(t, '')
    keystone.script(listed(version('v3.14', 'stable', 'https://public.example:13000/v3/')))
    keystone.always(REFUSED)
    const call = newCall()
    await client.validateToken(CANARY, call)
    await client.validateToken(CANARY, call)
    assert.equal(keystone.requests.length, 3)
    assert.deepEqual(call.lines, [
      {
        level: 'warn',
        fields: { configured: keystone.root, advertised: 'https://public.example:13000' },
        message: 'keystone advertises another address; the configured one is used',
      },
    ])
    assertNoCanary(call.lines)
  })
})

describe('a version that cannot be found', () => {
  const table: readonly (readonly [string, Script, ErrorCode, RegExp])[] = [
    [
      'only v2.0',
      listed(version('v2.0', 'stable', '/v2.0/')),
      'keystone_answer_invalid',
      /v3 is not among those in use/,
    ],
    ['none', listed(), 'keystone_answer_invalid', /v3 is not among/],
    ['v3 that is not in use', listed(version('v3.14', 'experimental', '/v3/')), 'keystone_answer_invalid', /v3 is not/],
    ['v30', listed(version('v30', 'stable', '/v30/')), 'keystone_answer_invalid', /v3 is not/],
    [
      'a redirect',
      redirect('https://elsewhere.example/v3/'),
      'keystone_answer_invalid',
      /redirects to elsewhere\.example/,
    ],
    ['429', html(429), 'keystone_busy', /429/],
    ['500', html(500), 'keystone_unreachable', /500/],
    ['503', html(503), 'keystone_unreachable', /503/],
    ['a reset', reset, 'keystone_unreachable', /lost/],
    ['silence', hang, 'keystone_timeout', /./],
  ]
  for (const [name, script, code, text] of table) {
    test(`${name}: ${code}, and is looked for again`, async (t) => {
      const { keystone, client, observed } = await withPath(t, '', code === 'keystone_timeout' ? 200 : 5000)
      keystone.script(script)
      await failure(client.validateToken(CANARY, newCall()), code, text)
      await until(() => observed.some(({ call }) => call === 'version')) // shared, it has a deadline of its own
      assert.notEqual(await client.validateToken(keystone.issue(), newCall()), undefined)
      assert.deepEqual(
        keystone.requests.map(({ path }) => path),
        ['/', '/', '/v3/auth/tokens?nocatalog'],
      )
    })
  }

  test('Keystone may be down at the start', async (t) => {
    const { keystone, client } = await withPath(t, '')
    keystone.always((request) => request.socket.destroy())
    await failure(client.validateToken(CANARY, newCall()), 'keystone_unreachable')
    keystone.always(undefined)
    assert.notEqual(await client.validateToken(keystone.issue(), newCall()), undefined)
  })

  test('a guess is not remembered before Keystone has answered there', async (t) => {
    const { keystone, client } = await withPath(t, '')
    keystone.always(html(404)) // a front whose Keystone is not up yet
    await failure(
      client.validateToken(CANARY, newCall()),
      'keystone_answer_invalid',
      /\/v3\/auth\/tokens: answered 404/,
    )
    keystone.script(listed(version('v3.14', 'stable', '/keystone/v3/')))
    keystone.always(REFUSED)
    await client.validateToken(CANARY, newCall())
    assert.equal(keystone.requests.at(-1)?.path, '/keystone/v3/auth/tokens?nocatalog')
  })
})

test('calls at the same time share one question', async (t) => {
  const { keystone, client, observed } = await withPath(t, '')
  const token = keystone.issue()
  await Promise.all(Array.from({ length: 20 }, () => client.validateToken(token, newCall())))
  assert.equal(keystone.requests.filter(({ path }) => path === '/').length, 1)
  assert.equal(observed.filter(({ call }) => call === 'version').length, 1)
})

test('a caller that goes leaves the question to the others', async (t) => {
  const { keystone, client } = await withPath(t, '')
  let answer = () => {}
  keystone.script((request, response) => {
    answer = () => sample(root)(request, response)
  })
  const caller = new AbortController()
  const gone = client.validateToken(CANARY, newCall(caller.signal))
  const other = client.validateToken(keystone.issue(), newCall())
  await until(() => keystone.inFlight.now === 1)
  caller.abort()
  await failure(gone, 'keystone_timeout', /caller/)
  answer()
  assert.notEqual(await other, undefined)
  assert.equal(keystone.requests.length, 2)
})

describe('ping', () => {
  test('asks for the document of v3, without credentials', async (t) => {
    const { keystone, client, observed } = await setUp(t)
    keystone.script(closing(sample(v3)))
    await client.ping(newCall())
    assert.deepEqual(
      keystone.requests.map(({ path, headers }) => [path, headers['x-auth-token']]),
      [['/v3/', undefined]],
    )
    assert.deepEqual(
      observed.map(({ call, outcome }) => [call, outcome]),
      [['version', 'ok']],
    )
  })

  test('works without a version in the URL', async (t) => {
    const { keystone, client } = await withPath(t, '')
    await client.ping(newCall())
    assert.deepEqual(
      keystone.requests.map(({ path }) => path),
      ['/', '/v3/'],
    )
  })

  const bad: readonly (readonly [string, Script, ErrorCode])[] = [
    ['a web page', html(200), 'keystone_answer_invalid'],
    ['404', html(404), 'keystone_answer_invalid'],
    ['another version', reply(200, { version: version('v2.0', 'stable') }), 'keystone_answer_invalid'],
    ['503', html(503), 'keystone_unreachable'],
  ]
  for (const [name, script, code] of bad) {
    test(`is not content with ${name}`, async (t) => {
      const { keystone, client } = await setUp(t)
      keystone.script(script)
      await failure(client.ping(newCall()), code)
    })
  }
})

async function withPath(t: Parameters<typeof setUp>[0], path: string, timeoutMs = 5000) {
  const { keystone, client: unused } = await setUp(t)
  await unused.close()
  const { client, observed } = await setUp(t, { url: `${keystone.root}${path}`, timeoutMs })
  return { keystone, client, observed }
}
