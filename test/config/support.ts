/**
 * Configurations for tests, and what is wrong with them.
 *
 * @module
 */
import assert from 'node:assert/strict'
import { type ConfigSources, loadConfig } from '../../src/config/load.ts'
import type { Config } from '../../src/config/schema.ts'
import { InvalidDocumentError, type Problem } from '../../src/errors.ts'

/** The least that is valid, with one source of each kind. */
export const VALID = {
  server: { tls: { certFile: 'tls.crt', keyFile: 'tls.key' } },
  authenticators: [
    { tokenFile: { path: 'tokens.csv' } },
    { passwordFile: { path: 'users.htpasswd' } },
    { x509: { authorities: [{ caFile: 'clients.crt' }] } },
    { keystone: { url: 'https://keystone.example:5000/v3' } },
    {
      ldap: {
        urls: ['ldaps://ldap.example'],
        anonymous: true,
        user: { base: 'ou=people,dc=example', filter: '(uid={username})' },
        groups: { base: 'ou=groups,dc=example' },
      },
    },
    { oidc: { issuer: 'https://issuer.example', audiences: ['kubernetes'] } },
    { authenticationConfiguration: { path: 'authentication.yaml' } },
    { apiserver: { audiences: ['archway'] } },
    { requestHeader: { caFile: 'front-proxy.crt', allowedNames: ['front-proxy'] } },
    { anonymous: {} },
  ],
} as const

/** The same with one authorizer of each kind, and shared counters: every option has a place in it. */
export const WHOLE = {
  ...VALID,
  loginProtection: { valkey: { url: 'rediss://valkey.example', keyFile: 'login.key' } },
  authorizers: [
    { keystonePolicy: { files: ['policy.json'] } },
    { rbac: {} },
    { abac: { path: 'abac.jsonl' } },
    { node: { kubernetesMinor: 33 } },
    { webhook: { kubeconfig: 'authz.kubeconfig' } },
    { alwaysAllow: {} },
    { alwaysDeny: {} },
  ],
} as const

/** Where the one item of an option's kind stands in {@link WHOLE}; of an option outside lists, its path. */
export function placeOf(path: readonly string[]): readonly (string | number)[] {
  const [list = '', , kind = ''] = path
  const items: readonly object[] = list === 'authorizers' ? WHOLE.authorizers : WHOLE.authenticators
  const index = items.findIndex((item) => kind in item)
  // A mapping stands beside any kind; of a list within an item, its first item is as good as any.
  return path.map((part, at) => (part !== '[]' ? part : at === 1 && index >= 0 ? index : 0))
}

/** Sets a value, and makes what has to be around it. */
export function setAt(root: unknown, path: readonly (string | number)[], value: unknown): void {
  let node = root as Record<string | number, unknown>
  for (const [index, part] of path.slice(0, -1).entries()) {
    node[part] ??= typeof path[index + 1] === 'number' ? [] : {}
    node = node[part] as typeof node
  }
  node[path.at(-1) ?? ''] = value
}

export interface Given extends Omit<ConfigSources, 'file' | 'flags'> {
  readonly flags?: Readonly<Record<string, string>>
}

export function load(file: string | object | undefined, { flags = {}, ...given }: Given = {}): Config {
  const text = typeof file === 'string' ? file : JSON.stringify(file, null, 2)
  return loadConfig({
    file: file === undefined ? undefined : { path: 'archway.yaml', text },
    flags: new Map(Object.entries(flags)),
    ...given,
  })
}

/** Everything that is wrong; fails where nothing is, or where it is told as anything but one InvalidDocumentError. */
export function problemsOf(file: string | object | undefined, given: Given = {}): readonly Problem[] {
  try {
    load(file, given)
  } catch (thrown) {
    assert.ok(thrown instanceof InvalidDocumentError, String(thrown))
    assert.equal(thrown.code, 'config_invalid')
    assert.equal(thrown.where, file === undefined ? 'configuration' : 'archway.yaml')
    assert.ok(thrown.problems.length > 0)
    return thrown.problems
  }
  assert.fail('the configuration was accepted')
}

/** `path: message` of each. */
export function mistakes(file: string | object | undefined, given: Given = {}): readonly string[] {
  return problemsOf(file, given).map(({ path, message }) => `${path}: ${message}`)
}

/** The value at a path; `undefined` where the path leads nowhere. */
export function valueAt(root: unknown, path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>((node, part) => (node as Record<string | number, unknown> | undefined)?.[part], root)
}
