/**
 * Whether an API server takes a credential, and as whom. Owns what its answers mean and what is to be done about them.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/authentication/#self-subject-review
 * @module
 */
import { messageOf } from '../../errors.ts'
import { askServer, type ServerAnswer, type ServerToAsk } from './ask-server.ts'
import type { PluginCredential } from './run-plugin.ts'

/** What {@link checkAccess} needs. */
export interface CheckAccessOptions {
  readonly server: ServerToAsk
  readonly credential: Pick<PluginCredential, 'token'> & Partial<PluginCredential>
}

/** A part of a report: does it hold, and in words. */
export interface Finding {
  readonly ok: boolean
  /** The first line is the finding, the others what to do. */
  readonly lines: readonly string[]
  /** The name by which the credential was taken, where it was told. */
  readonly user?: string
  /** The credential was not taken; `ok: false` without it: it could not be told. */
  readonly refused?: true
}

/** Newest first; 1.20 to 1.25 know none of them. */
const REVIEW_VERSIONS = ['v1', 'v1beta1', 'v1alpha1'] as const

const ANONYMOUS = 'system:anonymous'

/** Asks who we are. A right that is missing is no fault: whoever is refused as somebody has been recognised. */
export async function checkAccess(options: CheckAccessOptions): Promise<Finding> {
  try {
    for (const version of REVIEW_VERSIONS) {
      const apiVersion = `authentication.k8s.io/${version}`
      const body = { kind: 'SelfSubjectReview', apiVersion }
      const answer = await ask(options, 'POST', `/apis/${apiVersion}/selfsubjectreviews`, body)
      if (answer.status !== 404) return judge(answer)
    }
    // No such review there. `/` is not for everybody, and whoever may not see it is told by which name.
    return judge(await ask(options, 'GET', '/'))
  } catch (thrown) {
    return {
      ok: false,
      lines: [`the API server gave no answer: ${messageOf(thrown)}`, 'Try again; then look at its log.'],
    }
  }
}

/** Whether the server answers as a Kubernetes API does; its version where it tells. */
export async function serverVersion(server: ServerToAsk): Promise<string | undefined> {
  try {
    const { status, text } = await askServer({ ...server, method: 'GET', path: '/version' })
    const [, version] = status === 200 ? (/"gitVersion":\s*"(v[\w.+-]{1,60})"/.exec(text) ?? []) : []
    return version
  } catch {
    return undefined
  }
}

function ask(
  { server, credential }: CheckAccessOptions,
  method: 'GET' | 'POST',
  path: string,
  body?: object,
): Promise<ServerAnswer> {
  const { token, certificate, key } = credential
  return askServer({ ...server, method, path, ...(body === undefined ? {} : { body }), token, certificate, key })
}

function judge({ status, text }: ServerAnswer): Finding {
  if (status === 401) return refused()
  if (status === 200 || status === 201) return accepted(text)
  if (status === 403) return recognised(text)
  const lines = [
    `the API server answered ${status}, which says nothing about the credential`,
    'Try again; then look at its log.',
  ]
  return { ok: false, lines }
}

function refused(): Finding {
  const lines = [
    '401: the API server does not take this credential.',
    'It may not know the kind of token: is --authentication-token-webhook-config-file (or its own OIDC setting) there?',
    'Or its webhook cannot be reached, or cannot reach Keystone: its log says so, and "archway review token" asks the webhook itself.',
    'Or the credential is for another Keystone than the one the webhook asks.',
  ]
  return { ok: false, refused: true, lines }
}

/** The review itself, or the list of paths that stands at `/`; any other server may answer 200 to anything. */
function accepted(text: string): Finding {
  const document = parsed(text)
  if (at(document, 'kind') !== 'SelfSubjectReview' && !Array.isArray(at(document, 'paths'))) return noKubernetes()
  const info = userInfoIn(document)
  if (info === undefined) return { ok: true, lines: ['accepted (the API server does not say as whom)'] }
  if (info.username === ANONYMOUS) return anonymous()
  const groups = info.groups.length === 0 ? '' : `, groups ${info.groups.slice(0, 20).map(printable).join(', ')}`
  return { ok: true, user: info.username, lines: [`accepted: ${printable(info.username)}${groups}`] }
}

function recognised(text: string): Finding {
  const document = parsed(text)
  if (at(document, 'kind') !== 'Status') return noKubernetes()
  const [, name] = /User \\?"(.*?)\\?" cannot/.exec(messageIn(document)) ?? []
  if (name === ANONYMOUS) return anonymous()
  if (name === undefined) return { ok: true, lines: ['accepted (the API server does not say as whom)'] }
  return { ok: true, user: name, lines: [`accepted: ${printable(name)}`] }
}

function noKubernetes(): Finding {
  const lines = [
    'what answers is not a Kubernetes API',
    'Compare the address, path included, with "kubectl cluster-info".',
  ]
  return { ok: false, lines }
}

function anonymous(): Finding {
  const lines = [
    'the API server takes this for nobody (system:anonymous).',
    'A client certificate has to be by the CA that it names in --client-ca-file.',
  ]
  return { ok: false, refused: true, lines }
}

function userInfoIn(document: unknown): { readonly username: string; readonly groups: readonly string[] } | undefined {
  const info = at(at(document, 'status'), 'userInfo')
  const [username, groups] = [at(info, 'username'), at(info, 'groups')]
  if (typeof username !== 'string') return undefined
  return { username, groups: Array.isArray(groups) ? groups.filter((group) => typeof group === 'string') : [] }
}

function messageIn(document: unknown): string {
  const message = at(document, 'message')
  return typeof message === 'string' ? message : ''
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function at(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined
}

/** The server's text, on one line of a terminal. */
function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, '?').slice(0, 200)
}
