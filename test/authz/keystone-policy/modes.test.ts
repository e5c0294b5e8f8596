import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { decide } from '../../../src/authz/keystone-policy/decide.ts'
import { InvalidDocumentError } from '../../../src/errors.ts'
import { asks, compiled } from './support.ts'

const MODES = ['compat', 'guarded', 'strict'] as const

function allowedIn(key: string, verbs: readonly string[], words: string): string {
  const policy = [{ users: { projects: ['demo'], roles: ['member'] }, resource_permissions: { [key]: verbs } }]
  return MODES.filter((subresources) => {
    return decide(compiled(policy, { subresources, failOpenKeys: 'allow' }), asks(words)).kind === 'allow'
  }).join(' ')
}

const ALL = 'compat guarded strict'
const NEW = 'guarded strict'

describe('T-W12 what guarded and strict change: key, verbs, request, modes that allow it', () => {
  const table: readonly [string, readonly string[], string, string][] = [
    // kubectl exec, attach and port-forward are a GET over WebSocket, a POST over SPDY.
    ['default/pods', ['get'], 'get default/pods', ALL],
    ['default/pods', ['get'], 'get default/pods/exec', 'compat'],
    ['default/pods', ['get'], 'get default/pods/attach', 'compat'],
    ['default/pods', ['get'], 'get default/pods/portforward', 'compat'],
    ['default/pods', ['get'], 'get default/pods/proxy', 'compat'],
    ['default/pods', ['create'], 'create default/pods/exec', 'compat'],
    ['default/pods', ['update'], 'update default/pods/ephemeralcontainers', 'compat'],
    ['default/serviceaccounts', ['create'], 'create default/serviceaccounts/token', 'compat'],
    ['*/nodes', ['get'], 'get -/nodes/proxy', 'compat'],
    ["default/['pods','services']", ['get'], 'get default/services/proxy', 'compat'],
    ['default/!secrets', ['get'], 'get default/pods/exec', 'compat'],
    // Harmless ones follow their resource, but in strict.
    ['default/pods', ['get'], 'get default/pods/log', 'compat guarded'],
    ['default/pods', ['get'], 'get default/pods/status', 'compat guarded'],
    ['default/!secrets', ['get'], 'get default/pods/log', 'compat guarded'],
    ['default/deployments', ['update'], 'update default/deployments/scale', 'compat guarded'],
    // The verb *, the resource *: who writes them means everything.
    ['default/pods', ['*'], 'get default/pods/exec', 'compat guarded'],
    ['default/!secrets', ['*'], 'get default/pods/exec', 'compat guarded'],
    ['default/*', ['get'], 'get default/pods/exec', 'compat guarded'],
    ["default/['*']", ['get'], 'get default/pods/exec', 'compat guarded'],
    ['*/*', ['*'], 'get default/pods/exec', 'compat guarded'],
    ['*/*', ['*'], 'get default/pods/log', 'compat guarded'],
    ['*/*', ['*'], 'delete default/pods', ALL],
    // Keys of three parts, which the predecessor ignores.
    ['default/pods/exec', ['get'], 'get default/pods/exec', NEW],
    ['default/pods/exec', ['get'], 'get default/pods', ''],
    ['default/pods/exec', ['get'], 'create default/pods/exec', ''],
    ['default/pods/exec', ['get'], 'get default/pods/attach', ''],
    ['default/pods/exec', ['get'], 'get kube-system/pods/exec', ''],
    ['Default / Pods / Exec', ['GET'], 'get default/pods/exec', NEW],
    ['default/pods/*', ['get'], 'get default/pods/exec', NEW],
    ['default/pods/*', ['get'], 'get default/pods/log', NEW],
    ['default/pods/*', ['get'], 'get default/pods', ''],
    ["default/pods/['log','exec']", ['get'], 'get default/pods/exec', NEW],
    ["default/pods/['log','exec']", ['get'], 'get default/pods/attach', ''],
    ["default/['pods','services']/proxy", ['get'], 'get default/services/proxy', NEW],
    ['*/*/log', ['get'], 'get default/pods/log', NEW],
    ['*/*/*', ['*'], 'get default/pods/exec', NEW],
    ['!kube-system/pods/log', ['get'], 'get default/pods/log', NEW],
    ['!kube-system/pods/log', ['get'], 'get kube-system/pods/log', ''],
    ['*/nodes/proxy', ['get'], 'get -/nodes/proxy', NEW],
    // Not negated, not empty, not four.
    ['default/pods/!exec', ['get'], 'get default/pods/log', ''],
    ['default/pods/', ['get'], 'get default/pods', ''],
    ['default/pods/', ['get'], 'get default/pods/log', ''],
    ['default/pods/exec/x', ['*'], 'get default/pods/exec', ''],
    // API groups.
    ['default/deployments@apps', ['get'], 'get default/apps:deployments', NEW],
    ['default/deployments@apps', ['get'], 'get default/extensions:deployments', ''],
    ['default/pods@core', ['get'], 'get default/pods', NEW],
    ['default/pods@core', ['get'], 'get default/metrics.k8s.io:pods', ''],
    ['default/pods@core', ['get'], 'get default/pods/log', 'guarded'],
    ['default/pods@core', ['get'], 'get default/pods/exec', ''],
    ['default/*@core', ['get'], 'get default/pods/exec', 'guarded'],
    ['default/*@apps', ['get'], 'get default/pods', ''],
    ["*/['deployments','daemonsets']@apps", ['get'], 'get default/apps:daemonsets', NEW],
    ["*/ingresses@['networking.k8s.io','extensions']", ['get'], 'get default/networking.k8s.io:ingresses', NEW],
    ["*/ingresses@['networking.k8s.io','core']", ['get'], 'get default/ingresses', NEW],
    ['default/deployments@*', ['get'], 'get default/apps:deployments', NEW],
    ['default/deployments@apps/scale', ['update'], 'update default/apps:deployments/scale', NEW],
    ['default/deployments@apps/scale', ['update'], 'update default/extensions:deployments/scale', ''],
    ['default/deployments@', ['get'], 'get default/deployments', ''],
    ['default/deployments@!apps', ['get'], 'get default/deployments', ''],
    ['default/!secrets@core', ['get'], 'get default/secrets', 'compat'], // to the predecessor a name that is none
    ['default/!secrets@core', ['get'], 'get default/configmaps', ALL],
    ['default/!secrets@core', ['get'], 'get default/apps:deployments', 'compat'],
  ]
  for (const [key, verbs, words, modes] of table) {
    test(`${JSON.stringify(key)}: ${JSON.stringify(verbs)} | ${words} | ${modes || 'none'}`, () => {
      assert.equal(allowedIn(key, verbs, words), modes)
    })
  }

  test('version 1 has its subresources by name, in every mode', () => {
    for (const subresources of MODES) {
      const rule = { verbs: ['*'], version: '*', namespace: '*' }
      const allows = (resources: string[], words: string): boolean =>
        decide(compiled([{ resource: { ...rule, resources } }], { subresources }), asks(words)).kind === 'allow'
      assert.ok(!allows(['pods'], 'get a/pods/log'))
      assert.ok(allows(['pods/exec'], 'get a/pods/exec'))
      assert.ok(allows(['pods/*'], 'get a/pods/exec'))
      assert.ok(allows(['*'], 'get a/pods/exec'))
    }
  })
})

describe('keys with negations that exclude nothing', () => {
  const policy = [{ resource_permissions: { '!kube-*/pods': ['get'], 'a/!b,c': ['get'], '!kube-system/*': ['get'] } }]
  test('are refused in strict, every one of them named', () => {
    assert.throws(
      () => compiled(policy, { subresources: 'strict' }),
      (thrown) => {
        assert.ok(thrown instanceof InvalidDocumentError)
        assert.deepEqual(
          thrown.problems.map(({ path }) => path),
          ['[0].resource_permissions["!kube-*/pods"]', '[0].resource_permissions["a/!b,c"]'],
        )
        return true
      },
    )
  })
  test('and taken as they are elsewhere, unless asked', () => {
    assert.equal(decide(compiled(policy), asks('get kube-system/pods')).kind, 'allow')
    assert.throws(() => compiled(policy, { failOpenKeys: 'refuse' }), InvalidDocumentError)
  })
})
