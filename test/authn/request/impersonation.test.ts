import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { z } from 'zod'
import { readImpersonation } from '../../../src/authn/request/impersonation.ts'
import { policyRule, ruleAllows } from '../../../src/authz/rbac/policy-rule.ts'

const User = z.object({
  name: z.string(),
  uid: z.string().default(''),
  groups: z.array(z.string()),
  extra: z.record(z.string(), z.array(z.string())).default({}),
})
const Check = z.object({
  apiGroup: z.string(),
  apiVersion: z.string(),
  namespace: z.string(),
  resource: z.string(),
  resourceName: z.string(),
  subresource: z.string(),
  verb: z.literal('impersonate'),
})
const Vector = z.object({
  name: z.string(),
  requestor: User,
  grants: z.array(
    z.object({
      verbs: z.array(z.string()),
      apiGroups: z.array(z.string()),
      resources: z.array(z.string()),
      resourceNames: z.array(z.string()).optional(),
    }),
  ),
  headers: z.array(z.tuple([z.string(), z.string()])),
  expect: z.object({ status: z.number(), user: User.optional(), checks: z.array(Check).optional() }),
})

describe('impersonation as kube-apiserver reads it', () => {
  const { vectors } = z
    .object({ vectors: z.array(Vector) })
    .parse(JSON.parse(readFileSync(new URL('../../vectors/impersonation-vectors.json', import.meta.url), 'utf8')))
  test('are all there', () => assert.equal(vectors.length, 32))

  for (const { name, requestor, grants, headers, expect } of vectors) {
    test(name, () => {
      const read = readImpersonation(headers.map(([key, value]) => [key, Buffer.from(value).toString('latin1')]))
      if (read.kind === 'malformed') return assert.equal(expect.status, 500)
      if (read.kind === 'none') {
        assert.equal(expect.status, 200)
        return assert.equal(expect.user?.name, requestor.name)
      }
      const user = { username: requestor.name, uid: '', groups: requestor.groups, extra: new Map() }
      const rules = grants.map(({ resourceNames = [], ...grant }) => policyRule({ ...grant, resourceNames }))
      const allowed = read.checks.every((check) =>
        rules.some((rule) =>
          ruleAllows(rule, { user, extraPresent: false, kind: 'resource', verb: 'impersonate', ...check }),
        ),
      )
      assert.equal(allowed ? 200 : 403, expect.status)
      if (!allowed) return
      const { username, uid, groups, extra } = read.user
      assert.deepEqual({ name: username, uid, groups, extra: Object.fromEntries(extra) }, expect.user)
      const asked = read.checks.map(({ group, version, name: resourceName, ...rest }) => ({
        ...rest,
        apiGroup: group,
        apiVersion: version,
        resourceName,
        verb: 'impersonate',
      }))
      const sorted = (list: readonly object[]) => list.map((one) => JSON.stringify(Object.entries(one).sort())).sort()
      assert.deepEqual(sorted(asked), sorted(expect.checks ?? []))
    })
  }

  test('T-W15 everything that is taken on is asked for, whatever the headers are', () => {
    const name = fc.constantFrom(
      'Impersonate-User',
      'impersonate-group',
      'Impersonate-Uid',
      'Impersonate-Extra-%61',
      'x',
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(name, fc.string({ unit: 'binary' }))), (headers) => {
        const read = readImpersonation(headers)
        if (read.kind !== 'wanted') return
        const asked = new Set(read.checks.map(({ resource, name: of }) => `${resource} ${of}`))
        const given = read.user.groups.filter((group) => !group.startsWith('system:'))
        for (const group of given) assert.ok(asked.has(`groups ${group}`))
        for (const value of [...read.user.extra.values()].flat()) assert.ok(asked.has(`userextras ${value}`))
        if (read.user.uid !== '') assert.ok(asked.has(`uids ${read.user.uid}`))
        assert.ok(read.checks.length > 0 && read.user.username !== '')
      }),
    )
  })
})
