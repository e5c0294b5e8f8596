/**
 * What a real Keystone was recorded to answer, and what the client makes of each answer. Every sample has an
 * expectation; one without fails.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { KeystoneScope } from '../../src/keystone/token.ts'
import { keystoneSamples, sample } from '../support/fake-keystone.ts'
import { assertNoCanary, CANARY, failure, newCall, setUp } from './support.ts'

const samples = keystoneSamples()

/** Recorded answers to `GET /v3/auth/tokens`: the scope of a good token, or that it is not good. */
const VALIDATIONS: Readonly<Record<string, KeystoneScope['kind'] | 'refused' | 'reset'>> = {
  'validate-project': 'project',
  'validate-project-nocatalog': 'project',
  'validate-project-admin-role': 'project',
  'validate-project-reader': 'project',
  'validate-project-other-domain': 'project',
  'validate-app-credential': 'project',
  'validate-rescoped': 'project',
  'validate-by-admin': 'project',
  'validate-by-own-other-token': 'project',
  'validate-unscoped': 'unscoped',
  'validate-no-role-no-scope': 'unscoped',
  'validate-domain': 'domain',
  'validate-system': 'system',
  'validate-by-other-user': 'refused',
  'validate-app-credential-unrestricted': 'project',
  'validate-access-rules': 'refused',
  'validate-trust': 'project',
  'validate-trust-impersonating': 'refused',

  'after-added-to-group-own': 'project',
  'after-added-to-group-by-admin': 'project',
  'after-app-credential-deleted-own': 'refused',
  'after-app-credential-deleted-by-admin': 'refused',
  'after-app-credential-user-password-changed-own': 'refused',
  'after-app-credential-user-password-changed-by-admin': 'refused',
  'after-child-revoked-own': 'unscoped',
  'after-child-revoked-by-admin': 'unscoped',
  'after-domain-deleted-own': 'refused',
  'after-domain-deleted-by-admin': 'refused',
  'after-domain-disabled-own': 'refused',
  'after-domain-disabled-by-admin': 'refused',
  'after-expired-own': 'refused',
  'after-expired-by-admin': 'refused',
  'after-expired-by-admin-allow-expired': 'project',
  'after-last-role-unassigned-own': 'refused',
  'after-last-role-unassigned-by-admin': 'refused',
  'after-one-of-two-roles-unassigned-own': 'project',
  'after-one-of-two-roles-unassigned-by-admin': 'project',
  'after-parent-revoked-own': 'project',
  'after-parent-revoked-by-admin': 'project',
  'after-password-changed-by-admin-own': 'refused',
  'after-password-changed-by-admin-by-admin': 'refused',
  'after-password-changed-by-user-own': 'refused',
  'after-password-changed-by-user-by-admin': 'refused',
  'after-project-deleted-own': 'refused',
  'after-project-deleted-by-admin': 'refused',
  'after-project-disabled-own': 'refused',
  'after-project-disabled-by-admin': 'refused',
  'after-project-enabled-again-own': 'project',
  'after-project-enabled-again-by-admin': 'project',
  'after-project-renamed-own': 'project',
  'after-project-renamed-by-admin': 'project',
  'after-removed-from-group-own': 'refused',
  'after-removed-from-group-by-admin': 'refused',
  'after-revoked-own': 'refused',
  'after-revoked-by-admin': 'refused',
  'after-role-added-own': 'project',
  'after-role-added-by-admin': 'project',
  'after-role-assigned-again-own': 'project',
  'after-role-assigned-again-by-admin': 'project',
  'after-user-deleted-own': 'refused',
  'after-user-deleted-by-admin': 'refused',
  'after-user-disabled-own': 'refused',
  'after-user-disabled-by-admin': 'refused',
  'after-user-enabled-again-own': 'refused',
  'after-user-enabled-again-by-admin': 'refused',
  'after-user-renamed-own': 'project',
  'after-user-renamed-by-admin': 'project',

  'bad-empty-both': 'refused',
  'bad-empty-subject': 'refused',
  'bad-garbage-both': 'refused',
  'bad-garbage-subject': 'refused',
  'bad-garbage-subject-by-admin': 'refused',
  'bad-no-auth': 'refused',
  'bad-no-headers': 'refused',
  'bad-no-subject': 'refused',
  'bad-no-subject-by-admin': 'refused',
  'bad-non-latin-both': 'refused',
  'bad-oversized-255-both': 'refused',
  'bad-oversized-256-both': 'refused',
  'bad-oversized-1024-both': 'refused',
  'bad-oversized-8192-both': 'refused',
  'bad-oversized-8192-subject-by-admin': 'refused',
  'bad-oversized-24000-both': 'refused',
  'bad-oversized-33000-both': 'reset',
  'bad-oversized-70000-both': 'reset',
  'bad-spaces-around-both': 'refused',
  'bad-tampered-both': 'refused',
  'bad-tampered-subject-by-admin': 'refused',
  'bad-truncated-both': 'refused',
  'bad-uuid-both': 'refused',
}

/** Recorded answers to `GET /v3/users/{id}/groups`: the names, or why there are none. */
const LISTINGS: Readonly<Record<string, readonly string[] | 'refused' | 'forbidden'>> = {
  'groups-own': ['k8s-devs'],
  'groups-own-unscoped': ['k8s-devs'],
  'groups-own-app-credential': ['k8s-devs'],
  'groups-access-rules': ['k8s-devs'], // so a list of groups is no proof of a good token
  'groups-own-admin-role': ['k8s-ops'],
  'groups-own-none': [],
  'groups-of-other-user': 'forbidden',
  'groups-of-unknown-user': 'forbidden',
  'groups-of-unknown-user-by-admin': 'refused',
  'bad-groups-garbage': 'refused',
  'bad-groups-oversized': 'refused',
  'after-added-to-group-groups': ['k8s-devs'],
  'after-app-credential-deleted-groups': 'refused',
  'after-domain-disabled-groups': 'refused',
  'after-expired-groups': 'refused',
  'after-last-role-unassigned-groups': 'refused',
  'after-password-changed-by-user-groups': 'refused',
  'after-project-disabled-groups': 'refused',
  'after-removed-from-group-groups': 'refused',
  'after-revoked-groups': 'refused',
  'after-user-deleted-groups': 'refused',
  'after-user-disabled-groups': 'refused',
}

/** Not answers to questions of a token; tested with the versions and the faults. */
const OTHERS = ['version-root', 'version-v3', 'not-found']

test('every recorded answer has an expectation', () => {
  const expected = [...Object.keys(VALIDATIONS), ...Object.keys(LISTINGS), ...OTHERS]
  assert.deepEqual([...samples.keys()].sort(), expected.sort())
})

describe('what Keystone answers about a token (T-W3)', () => {
  for (const [name, expected] of Object.entries(VALIDATIONS)) {
    test(`${name}: ${expected}`, async (t) => {
      const { keystone, client, observed } = await setUp(t)
      keystone.script(sample(found(name)))
      const call = newCall()
      const asked = client.validateToken(CANARY, call)
      if (expected === 'reset') {
        await failure(asked, 'keystone_unreachable')
      } else {
        const token = await asked
        assert.equal(token?.scope.kind ?? 'refused', expected)
        assert.equal(observed[0]?.outcome, expected === 'refused' ? 'refused' : 'ok')
      }
      assert.equal(observed.length, 1)
      assertNoCanary(call.lines)
    })
  }
})

describe('what Keystone answers about groups', () => {
  for (const [name, expected] of Object.entries(LISTINGS)) {
    test(`${name}: ${typeof expected === 'string' ? expected : `[${expected.join()}]`}`, async (t) => {
      const { keystone, client } = await setUp(t)
      keystone.script(sample(found(name)))
      const listing = await client.listGroups(CANARY, 'somebody', newCall())
      const got = listing.kind === 'listed' ? listing.groups.map((group) => group.name) : listing.kind
      assert.deepEqual(got, expected)
    })
  }
})

describe('the parsed token (T-W9)', () => {
  const parsed = async (t: Parameters<typeof setUp>[0], name: string) => {
    const { keystone, client } = await setUp(t)
    keystone.script(sample(found(name)))
    const token = await client.validateToken(CANARY, newCall())
    assert(token !== undefined)
    return token
  }

  test('has all of a project-scoped answer', async (t) => {
    assert.deepEqual(await parsed(t, 'validate-project-nocatalog'), {
      user: { id: '0db6239632034bb3a434c1d3ef0f2468', name: 'alice', domain: { id: 'default', name: 'Default' } },
      scope: {
        kind: 'project',
        id: '33827a10ef37443db6cb0f0967030fd0',
        name: 'demo',
        domain: { id: 'default', name: 'Default' },
        isDomain: false,
      },
      roles: ['member', 'load-balancer_member', 'reader'],
      methods: ['password'],
      auditIds: ['Rvl-KoTaRtunHn4yd3l_bA'],
      expiresAt: new Date('2026-11-21T18:50:25Z'),
      issuedAt: new Date('2026-11-21T17:50:25Z'),
      federated: false,
    })
  })

  test('keeps two domains apart', async (t) => {
    const { user, scope } = await parsed(t, 'validate-project-other-domain')
    assert.equal(user.name, 'bob')
    assert.equal(user.domain.name, 'heat')
    assert.equal(scope.kind === 'project' && scope.domain.name, 'heat')
  })

  test('tells of an application credential', async (t) => {
    const { applicationCredential, methods } = await parsed(t, 'validate-app-credential')
    assert.deepEqual(applicationCredential, {
      id: '558316b7e4844fbeac3f9e9d8bbd3960',
      name: 'alice-k8s',
      restricted: true,
    })
    assert.deepEqual(methods, ['application_credential'])
  })

  test('tells an unrestricted one apart', async (t) => {
    const { applicationCredential, roles } = await parsed(t, 'validate-app-credential-unrestricted')
    assert.equal(applicationCredential?.restricted, false)
    assert.deepEqual(roles, ['reader'])
  })

  test('tells of a trust', async (t) => {
    const { user, trust } = await parsed(t, 'validate-trust')
    assert.equal(user.name, 'bob')
    assert.equal(trust?.impersonation, false)
    assert.equal(trust.trusteeUserId, user.id)
    assert.notEqual(trust.trustorUserId, user.id)
  })

  test('tells of a chain by its audit ids and methods', async (t) => {
    const { auditIds, methods } = await parsed(t, 'validate-rescoped')
    assert.equal(auditIds.length, 2)
    assert.deepEqual([...methods].sort(), ['password', 'token'])
  })

  test('has roles and no project for a domain and for the system', async (t) => {
    const domain = await parsed(t, 'validate-domain')
    assert.deepEqual(domain.scope, { kind: 'domain', id: 'default', name: 'Default' })
    assert.deepEqual(domain.roles, ['member', 'admin', 'reader'])
    const system = await parsed(t, 'validate-system')
    assert.deepEqual(system.scope, { kind: 'system' })
    assert.deepEqual(system.roles, ['admin', 'member', 'reader'])
  })

  test('has no roles without a scope', async (t) => {
    assert.deepEqual((await parsed(t, 'validate-unscoped')).roles, [])
  })
})

function found(name: string) {
  const answer = samples.get(name)
  assert(answer !== undefined, name)
  return answer
}
