/**
 * RequestInfo: what a request to the Kubernetes API is about, read from its method and target as kube-apiserver reads
 * them (`k8s.io/apiserver/pkg/endpoints/request.RequestInfoFactory`). Owns the path; what the query says of a list is
 * in `list-options.ts`.
 *
 * @module
 */
import { readListOptions } from './list-options.ts'

/** What a request is about. */
export interface RequestInfo {
  readonly isResourceRequest: boolean
  /** `get`, `list`, `watch`, `create` …; of other requests the method in lower case. */
  readonly verb: string
  /** The path as kube-apiserver sees it: decoded once. */
  readonly path: string
  /** `api`, `apis`; empty where it is no request for a resource. */
  readonly apiPrefix: string
  readonly apiGroup: string
  readonly apiVersion: string
  readonly namespace: string
  readonly resource: string
  readonly subresource: string
  readonly name: string
  readonly parts: readonly string[]
  readonly fieldSelector: string
  readonly labelSelector: string
}

/**
 * What was read, and why it is not to be acted on where there is a problem; `info` then holds what was read before:
 * - `path-malformed`: an escape that is none; kube-apiserver answers 400
 * - `resource-missing`: `/api/v1/watch` and nothing behind it; kube-apiserver answers 500
 * - `query-ambiguous`: a bare `;`, which parts parameters for API servers before 1.22 and spoils one for later ones
 */
export interface ParsedRequestInfo {
  readonly info: RequestInfo
  readonly problem?: 'path-malformed' | 'resource-missing' | 'query-ambiguous'
}

/** First segments of paths that lead to resources, and those of them behind which no API group stands. */
export interface ApiPrefixes {
  readonly all: readonly string[]
  readonly groupless: readonly string[]
}

const USUAL: ApiPrefixes = { all: ['api', 'apis'], groupless: ['api'] }

const VERBS: ReadonlyMap<string, string> = new Map([
  ['GET', 'get'],
  ['HEAD', 'get'],
  ['POST', 'create'],
  ['PUT', 'update'],
  ['PATCH', 'patch'],
  ['DELETE', 'delete'],
])

/** Reads method and target, the latter in origin form (`/path?query`) and byte for byte as it came. */
export function parseRequestInfo(method: string, target: string, prefixes: ApiPrefixes = USUAL): ParsedRequestInfo {
  const mark = target.indexOf('?')
  const raw = mark === -1 ? target : target.slice(0, mark)
  const path = raw.includes('%') ? decodedPath(raw) : raw
  if (path === undefined) return { info: about(method, raw), problem: 'path-malformed' }
  const parts = segments(path)
  const [prefix = ''] = parts
  if (parts.length < 3 || !prefixes.all.includes(prefix)) return { info: about(method, path) }
  const start = prefixes.groupless.includes(prefix) ? 1 : 2
  if (parts.length < start + 2) return { info: { ...about(method, path), apiPrefix: prefix } }
  const group = start === 1 ? '' : (parts[1] ?? '')
  const query = mark === -1 ? '' : target.slice(mark + 1)
  return resource({ method, path, query, prefix, group, version: parts[start] ?? '' }, parts.slice(start + 1))
}

interface Place {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly prefix: string
  readonly group: string
  readonly version: string
}

/** `rest` is what stands behind the version: at least one segment. */
function resource(place: Place, rest: readonly string[]): ParsedRequestInfo {
  const [first = ''] = rest
  const named = first === 'watch' || first === 'proxy' // before there was `?watch=true`
  const verb = named ? first : (VERBS.get(place.method) ?? '')
  const from = named ? rest.slice(1) : rest
  if (from.length === 0) {
    const info = filled(place, { verb: place.method.toLowerCase(), namespace: '', parts: [] })
    return { info, problem: 'resource-missing' }
  }
  const isInNamespace = from[0] === 'namespaces' && from.length > 1
  const namespace = isInNamespace ? (from[1] ?? '') : ''
  const parts = isInNamespace && from.length > 2 && !isOfNamespace(from[2]) ? from.slice(2) : from
  const info = filled(place, { verb, namespace, parts })
  return info.name === '' && (verb === 'get' || verb === 'delete') ? collection(info, place.query) : { info }
}

/** What belongs to the namespace itself and is no resource in it. */
function isOfNamespace(part: string | undefined): boolean {
  return part === 'status' || part === 'finalize'
}

/** A request without a name is for a collection, or for what the query narrows it to. */
function collection(info: RequestInfo, query: string): ParsedRequestInfo {
  const { watch, name, fieldSelector, labelSelector, isAmbiguous } = readListOptions(query)
  const narrowed =
    info.verb === 'get'
      ? { ...info, verb: watch ? 'watch' : 'list', name, fieldSelector, labelSelector }
      : { ...info, verb: 'deletecollection', fieldSelector, labelSelector }
  return isAmbiguous ? { info: narrowed, problem: 'query-ambiguous' } : { info: narrowed }
}

function about(method: string, path: string): RequestInfo {
  return {
    isResourceRequest: false,
    verb: method.toLowerCase(),
    path,
    apiPrefix: '',
    apiGroup: '',
    apiVersion: '',
    namespace: '',
    resource: '',
    subresource: '',
    name: '',
    parts: [],
    fieldSelector: '',
    labelSelector: '',
  }
}

function filled(place: Place, { verb, namespace, parts }: Pick<RequestInfo, 'verb' | 'namespace' | 'parts'>) {
  return {
    isResourceRequest: true,
    verb,
    path: place.path,
    apiPrefix: place.prefix,
    apiGroup: place.group,
    apiVersion: place.version,
    namespace,
    resource: parts[0] ?? '',
    subresource: verb === 'proxy' ? '' : (parts[2] ?? ''),
    name: parts[1] ?? '',
    parts,
    fieldSelector: '',
    labelSelector: '',
  }
}

/** Split at slashes, those at both ends left out; empty segments in between are segments. */
function segments(path: string): string[] {
  let [begin, end] = [0, path.length]
  while (begin < end && path.charCodeAt(begin) === 0x2f) begin++
  while (end > begin && path.charCodeAt(end - 1) === 0x2f) end--
  return begin === end ? [] : path.slice(begin, end).split('/')
}

/** Escapes resolved once; bytes that are not UTF-8 become U+FFFD, as in whatever kube-apiserver writes of them. */
function decodedPath(path: string): string | undefined {
  try {
    return decodeURIComponent(path)
  } catch {
    if (/%(?![0-9a-fA-F]{2})/.test(path)) return undefined
    return Buffer.from(path.replace(ESCAPE, byteOf), 'latin1').toString('utf8')
  }
}

const ESCAPE = /%([0-9a-fA-F]{2})/g

function byteOf(_: string, hex: string): string {
  return String.fromCharCode(Number.parseInt(hex, 16))
}
