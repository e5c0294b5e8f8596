/**
 * Access by a kubeconfig: its current context, or one that is named. Owns which entries are used and which are
 * refused; whatever a program would have to be run for, or would weaken the connection, is refused with the reason.
 *
 * @see https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
 * @module
 */
import { dirname, resolve } from 'node:path'
import { LineCounter, parseDocument } from 'yaml'
import { z } from 'zod'
import { InvalidDocumentError, type Problem } from '../../errors.ts'
import { Secret } from '../../secret.ts'
import type { ClusterAccess } from './access.ts'
import { type ReadText, readSmallFile } from './small-file.ts'

/** What {@link kubeconfigAccess} needs. */
export interface KubeconfigOptions {
  readonly path: string
  /** Default: `current-context` of the file. */
  readonly context?: string
  readonly read?: ReadText
}

const text = z.string().min(1).nullish()
const schema = z.object({
  'current-context': z.string().nullish(),
  contexts: z
    .array(z.object({ name: z.string(), context: z.object({ cluster: z.string(), user: text, namespace: text }) }))
    .nullish(),
  clusters: z
    .array(
      z.object({
        name: z.string(),
        cluster: z.object({
          server: z.string(),
          'certificate-authority': text,
          'certificate-authority-data': text,
          'tls-server-name': text,
          'insecure-skip-tls-verify': z.boolean().nullish(),
          'proxy-url': text,
        }),
      }),
    )
    .nullish(),
  users: z
    .array(
      z.object({
        name: z.string(),
        user: z.looseObject({
          'client-certificate': text,
          'client-certificate-data': text,
          'client-key': text,
          'client-key-data': text,
          token: text,
          tokenFile: text,
        }),
      }),
    )
    .nullish(),
})

type Kubeconfig = z.infer<typeof schema>
type Cluster = NonNullable<Kubeconfig['clusters']>[number]['cluster']
type User = NonNullable<Kubeconfig['users']>[number]['user']

/** Entries of a user that are refused, and why. */
const REFUSED_OF_USER: Readonly<Record<string, string>> = {
  exec: 'is a program to run, which Archway does not do. Give a client certificate, a token or a tokenFile',
  'auth-provider': 'is gone from Kubernetes. Give a client certificate, a token or a tokenFile',
  username: 'is basic authentication, gone from Kubernetes. Give a client certificate, a token or a tokenFile',
  as: 'is impersonation. Give the credentials of the account itself',
}

/** Reads the access of a kubeconfig, for {@link accessSource}: the file, and the files it names. */
export async function kubeconfigAccess(options: KubeconfigOptions): Promise<ClusterAccess> {
  const { path, read = readSmallFile } = options
  const config = parse(await read(path), path)
  const name = options.context ?? config['current-context'] ?? ''
  const refuse = (where: string, message: string): never => {
    throw new InvalidDocumentError('file_invalid', path, [{ path: where, message }])
  }
  if (name === '') refuse('current-context', 'is empty, and no context was named')
  const context = named(config.contexts, name)?.context ?? refuse('contexts', `none is called "${name}"`)
  const cluster =
    named(config.clusters, context.cluster)?.cluster ?? refuse('clusters', `none is called "${context.cluster}"`)
  const user =
    context.user == null
      ? {}
      : (named(config.users, context.user)?.user ?? refuse('users', `none is called "${context.user}"`))
  const problems = [...problemsOfCluster(cluster), ...problemsOfUser(user)]
  if (problems.length > 0) throw new InvalidDocumentError('file_invalid', path, problems)

  const content = async (data: string | null | undefined, file: string | null | undefined) => {
    if (data) return Buffer.from(data, 'base64').toString('utf8')
    return file ? read(resolve(dirname(path), file)) : undefined
  }
  const token = user.tokenFile ? await content(undefined, user.tokenFile) : user.token
  if (user.tokenFile && token?.trim() === '') refuse('tokenFile', `${user.tokenFile} is empty`)
  return {
    server: cluster.server,
    tls: {
      ca: await content(cluster['certificate-authority-data'], cluster['certificate-authority']),
      cert: await content(user['client-certificate-data'], user['client-certificate']),
      key: await content(user['client-key-data'], user['client-key']),
      serverName: cluster['tls-server-name'] ?? undefined,
    },
    token: token ? new Secret(token.trim()) : undefined,
    namespace: context.namespace ?? 'default',
  }
}

/** Messages name places and never quote: the file holds keys and tokens. */
function parse(content: string, path: string): Kubeconfig {
  const lines = new LineCounter()
  const document = parseDocument(content, { lineCounter: lines, prettyErrors: false })
  const [broken] = document.errors
  if (broken !== undefined) {
    const { line, col } = lines.linePos(broken.pos[0])
    throw new InvalidDocumentError('file_invalid', path, [{ path: '', message: 'is not YAML', line, column: col }])
  }
  const found = schema.safeParse(document.toJS({ maxAliasCount: 100 }))
  if (found.success) return found.data
  const problems = found.error.issues.map(
    (issue): Problem => ({
      path: z.core.toDotPath(issue.path),
      message: issue.message,
    }),
  )
  throw new InvalidDocumentError('file_invalid', path, problems)
}

function named<T extends { readonly name: string }>(
  list: readonly T[] | null | undefined,
  name: string,
): T | undefined {
  return list?.find((entry) => entry.name === name)
}

function problemsOfCluster(cluster: Cluster): readonly Problem[] {
  return [
    ...when(!isHttps(cluster.server), 'cluster.server', 'is not an https:// address'),
    ...when(
      cluster['insecure-skip-tls-verify'] === true,
      'cluster.insecure-skip-tls-verify',
      'lets anybody be the API server. Name its CA in certificate-authority',
    ),
    ...when(Boolean(cluster['proxy-url']), 'cluster.proxy-url', 'is not supported'),
  ]
}

function problemsOfUser(user: User): readonly Problem[] {
  const refused = Object.entries(REFUSED_OF_USER).flatMap(([key, message]) =>
    when(user[key] !== undefined && user[key] !== null, `user.${key}`, message),
  )
  const certificate = Boolean(user['client-certificate'] || user['client-certificate-data'])
  const key = Boolean(user['client-key'] || user['client-key-data'])
  return [...refused, ...when(certificate !== key, 'user', 'client certificate and client key come together')]
}

function isHttps(server: string): boolean {
  return URL.parse(server)?.protocol === 'https:'
}

function when(holds: boolean, path: string, message: string): readonly Problem[] {
  return holds ? [{ path, message }] : []
}
