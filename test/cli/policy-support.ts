/** Policies, manifests and requests as files, for the tests of `can-i` and `policy`. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after } from 'node:test'
import { type Ran, run, testIo } from './support.ts'

const folder = await mkdtemp(join(tmpdir(), 'policy-commands-'))
after(() => rm(folder, { recursive: true, force: true }))

/** Writes a file and gives its path. What is no text is written as JSON. */
export async function file(name: string, content: unknown): Promise<string> {
  const path = join(folder, name)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

/** `archway` with words that may hold lists. */
export function archway(...words: readonly (string | readonly string[])[]): Promise<Ran> {
  return run('archway', words.flat())
}

/** The same with standard input. */
export function archwayWith(input: string, ...words: readonly (string | readonly string[])[]): Promise<Ran> {
  return run('archway', words.flat(), testIo({}, input))
}

/** Jane, a member of demo. */
export const JANE: readonly string[] = ['--as', 'jane', '--project-name', 'demo', '--role', 'member']

/** Members of demo look at pods of default; admins of demo do everything. */
export const MEMBERS: string = await file('members.yaml', {
  policies: [
    {
      users: { projects: ['demo'], roles: ['member'] },
      resource_permissions: { 'default/pods': ['get', 'list'], '*/nodes': ['get'] },
      nonresource_permissions: { '/healthz': ['get'] },
    },
    { users: { projects: ['demo'], roles: ['admin'] }, resource_permissions: { '*/*': ['*'] } },
  ],
  examples: [
    {
      name: 'members look',
      user: { name: 'jane', project: 'demo', roles: ['member'] },
      verb: ['get', 'list'],
      resource: 'pods',
      namespace: 'default',
      expect: 'allow',
    },
  ],
})

/** Two types that are wrong, each on a line of its own. */
export const BROKEN: string = await file(
  'broken.json',
  '[{"users": ["x"],\n "resource_permissions": [{"a/b": ["get"]}]}]\n',
)

const RBAC_GROUP = 'rbac.authorization.k8s.io'

await file(
  'rbac/roles.yaml',
  `apiVersion: ${RBAC_GROUP}/v1
kind: Role
metadata: { name: deployer, namespace: team }
rules:
  - { apiGroups: [apps], resources: [deployments, deployments/scale], resourceNames: [web], verbs: [get, update] }
  - { apiGroups: [apps], resources: [deployments], verbs: [create] }
---
apiVersion: ${RBAC_GROUP}/v1
kind: RoleBinding
metadata: { name: deployers, namespace: team }
roleRef: { apiGroup: ${RBAC_GROUP}, kind: Role, name: deployer }
subjects: [{ kind: Group, apiGroup: ${RBAC_GROUP}, name: devs }]
---
apiVersion: ${RBAC_GROUP}/v1
kind: ClusterRole
metadata: { name: health }
rules: [{ nonResourceURLs: [/livez], verbs: [get] }]
---
apiVersion: ${RBAC_GROUP}/v1
kind: ClusterRoleBinding
metadata: { name: health }
roleRef: { apiGroup: ${RBAC_GROUP}, kind: ClusterRole, name: health }
subjects: [{ kind: Group, apiGroup: ${RBAC_GROUP}, name: system:authenticated }]
`,
)

/** Members of devs deploy in team; everybody who is logged in gets /livez. */
export const RBAC: string = join(folder, 'rbac')

/** Alice does everything. */
export const ABAC: string = await file('abac.jsonl', {
  apiVersion: 'abac.authorization.kubernetes.io/v1beta1',
  kind: 'Policy',
  spec: { user: 'alice', namespace: '*', resource: '*', apiGroup: '*', nonResourcePath: '*' },
})

/** A review of jane, member of demo, as kube-apiserver sends it. */
export function review(asked: object, version: 'v1' | 'v1beta1' = 'v1'): object {
  return {
    apiVersion: `authorization.k8s.io/${version}`,
    kind: 'SubjectAccessReview',
    metadata: { creationTimestamp: null },
    spec: {
      user: 'jane',
      [version === 'v1' ? 'groups' : 'group']: ['devs', 'system:authenticated'],
      extra: {
        'alpha.kubernetes.io/identity/project/name': ['demo'],
        'alpha.kubernetes.io/identity/roles': ['member'],
      },
      resourceAttributes: asked,
    },
  }
}
