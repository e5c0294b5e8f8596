/** The groups of a user: pages, limits, and links that lead away. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { html, keystoneError, reply, type Script, startFakeKeystone } from '../support/fake-keystone.ts'
import { CANARY, failure, newCall, setUp } from './support.ts'

const group = (name: string) => ({ id: `id-${name}`, name, domain_id: 'default', description: '', links: {} })
function page(names: readonly string[], next?: string | null, more: object = {}): Script {
  return reply(200, { groups: names.map(group), links: { next, previous: null }, ...more })
}

describe('the groups', () => {
  test("come in Keystone's order, with names as they are", async (t) => {
    const { keystone, client } = await setUp(t)
    const names = ['z', 'a', 'system:masters', ' A ', 'é', '__proto__', 'a']
    keystone.script(page(names, null))
    const listing = await client.listGroups(CANARY, 'u1', newCall())
    assert.deepEqual(listing, {
      kind: 'listed',
      groups: names.map((name) => ({ id: `id-${name}`, name, domainId: 'default' })),
    })
  })

  test('of a user with an odd id are asked for with that id', async (t) => {
    const { keystone, client } = await setUp(t)
    keystone.always(page([]))
    for (const id of ['a/b', '../admin', 'ü ?#', '%2e']) await client.listGroups(CANARY, id, newCall())
    assert.deepEqual(
      keystone.requests.map(({ path }) => path),
      ['a%2Fb', '..%2Fadmin', '%C3%BC%20%3F%23', '%252e'].map((id) => `/v3/users/${id}/groups`),
    )
  })

  test('may come without links', async (t) => {
    const { keystone, client } = await setUp(t)
    keystone.script(reply(200, { groups: [{ id: 'g', name: 'x' }] }), reply(200, { groups: [], links: null }))
    assert.deepEqual(await client.listGroups(CANARY, 'u1', newCall()), {
      kind: 'listed',
      groups: [{ id: 'g', name: 'x' }],
    })
    assert.deepEqual(await client.listGroups(CANARY, 'u1', newCall()), { kind: 'listed', groups: [] })
  })

  test('come over several pages, in order, with the token each time', async (t) => {
    const { keystone, client } = await setUp(t)
    keystone.script(
      page(['a', 'b'], `${keystone.url}/users/u1/groups?marker=b`),
      page(['c'], '?marker=c'),
      page(['d'], '/v3/users/u1/groups?marker=d#x'),
      page(['e'], null),
    )
    const listing = await client.listGroups(CANARY, 'u1', newCall())
    assert.deepEqual(listing.kind === 'listed' && listing.groups.map(({ name }) => name), ['a', 'b', 'c', 'd', 'e'])
    assert.deepEqual(
      keystone.requests.map(({ path }) => path.replace('/v3/users/u1/groups', '')),
      ['', '?marker=b', '?marker=c', '?marker=d'],
    )
    assert(keystone.requests.every(({ headers }) => headers['x-auth-token'] === CANARY))
  })

  test('whose second page is refused are refused', async (t) => {
    const { keystone, client } = await setUp(t)
    keystone.script(page(['a'], '?marker=a'), reply(401, keystoneError(401)))
    assert.deepEqual(await client.listGroups(CANARY, 'u1', newCall()), { kind: 'refused' })
  })

  test('whose second page fails are not told by the first', async (t) => {
    const { keystone, client } = await setUp(t)
    keystone.script(page(['a'], '?marker=a'), html(502))
    await failure(client.listGroups(CANARY, 'u1', newCall()), 'keystone_unreachable', /502/)
  })
})

describe('the limit of groups', () => {
  const names = Array.from({ length: 1001 }, (_, n) => `g${n}`)

  test('is 1000, and beyond it none are returned', async (t) => {
    const { keystone, client, observed } = await setUp(t)
    keystone.script(page(names.slice(0, 1000)), page(names))
    const listing = await client.listGroups(CANARY, 'u1', newCall())
    assert.equal(listing.kind === 'listed' && listing.groups.length, 1000)
    assert.deepEqual(await client.listGroups(CANARY, 'u1', newCall()), { kind: 'limit_exceeded', by: 'archway' })
    assert.deepEqual(
      observed.map(({ outcome }) => outcome),
      ['ok', 'limit_exceeded'],
    )
  })

  test('counts all pages', async (t) => {
    const { keystone, client } = await setUp(t, { maxGroups: 3 })
    keystone.script(page(['a', 'b'], '?marker=b'), page(['c', 'd']))
    assert.deepEqual(await client.listGroups(CANARY, 'u1', newCall()), { kind: 'limit_exceeded', by: 'archway' })
  })

  test('of Keystone itself is no silent cut: it says that the list is `truncated`', async (t) => {
    const { keystone, client } = await setUp(t)
    keystone.script(page(['a'], null, { truncated: true }))
    assert.deepEqual(await client.listGroups(CANARY, 'u1', newCall()), { kind: 'limit_exceeded', by: 'keystone' })
  })
})

describe('a next page', () => {
  test('elsewhere is not asked for: the token would go along (T-H11)', async (t) => {
    const elsewhere = await startFakeKeystone()
    t.after(() => elsewhere.close())
    const { keystone, client } = await setUp(t)
    const { host, port } = new URL(keystone.url)
    const links = [
      `${elsewhere.url}/users/u1/groups`,
      `//${new URL(elsewhere.url).host}/v3/users/u1/groups`,
      `http://localhost:${port}/v3/users/u1/groups`,
      `https://${host}/v3/users/u1/groups`,
      `http://user@${host}/v3/users/u1/groups?x`,
      `http://user:secret@${host}/v3/users/u1/groups?x`,
      '/v2.0/tokens',
      '/v3',
      '/v3x/users/u1/groups',
      '/',
      '../../../../nova/v2.1',
      '/v3/../nova',
      '/v3/%2e%2e/nova',
      '/v3/..%2fnova',
      '/v3/..%5cnova',
      '\\\\evil.example\\v3\\users',
      'javascript:alert(1)',
      'file:///etc/passwd',
      'http://[',
    ]
    for (const link of links) {
      keystone.script(page(['a'], link))
      await failure(
        client.listGroups(CANARY, 'u1', newCall()),
        'keystone_answer_invalid',
        /leads away from the configured/,
      )
    }
    assert.equal(keystone.requests.length, links.length)
    assert.equal(elsewhere.connections, 0)
  })

  test('that was there before ends it', async (t) => {
    const { keystone, client } = await setUp(t)
    keystone.script(page(['a'], '?marker=a'), page(['b'], '?marker=b'))
    keystone.always(page(['c'], '?marker=a'))
    await failure(client.listGroups(CANARY, 'u1', newCall()), 'keystone_answer_invalid', /in circles/)
    assert.equal(keystone.requests.length, 3)
  })

  test('always another one ends too', async (t) => {
    const { keystone, client } = await setUp(t)
    let n = 0
    keystone.always((request, response) => page([], `?marker=${n++}`)(request, response))
    await failure(client.listGroups(CANARY, 'u1', newCall()), 'keystone_answer_invalid', /more than 50 pages/)
    assert.equal(keystone.requests.length, 50)
  })
})

describe('an answer that is no list of groups is refused by its place', () => {
  const wrong: readonly (readonly [unknown, string])[] = [
    [{}, 'groups'],
    [{ groups: null }, 'groups'],
    [{ groups: { canary: 1 } }, 'groups'],
    [{ groups: ['canary'] }, 'groups.0'],
    [{ groups: [group('a'), { id: 'canary' }] }, 'groups.1.name'],
    [{ groups: [{ id: 'canary', name: '' }] }, 'groups.0.name'],
    [{ groups: [{ id: 'canary', name: 7 }] }, 'groups.0.name'],
    [{ groups: [], links: 'canary' }, 'links'],
    [{ groups: [], links: { next: 7 } }, 'links.next'],
    [{ groups: [], truncated: 'canary' }, 'truncated'],
  ]
  for (const [document, path] of wrong) {
    test(JSON.stringify(document), async (t) => {
      const { keystone, client } = await setUp(t)
      keystone.script(reply(200, document))
      const error = await failure(client.listGroups(CANARY, 'u1', newCall()), 'keystone_answer_invalid')
      assert(error.message.includes(`: ${path} is missing or of the wrong type`), error.message)
    })
  }
})
