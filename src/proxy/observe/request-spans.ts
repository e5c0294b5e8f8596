/**
 * The span of a request to the proxy: what it says, by the semantic conventions of OpenTelemetry for HTTP servers, and
 * by `archway.*` names where these have none.
 *
 * @module
 */
import type { SpanAttributes, TraceLines, Tracing } from '../../telemetry/spans.ts'
import type { ProxyObservation, ProxyOutcome, RequestSpan } from '../observation.ts'
import { provesResource, resourceName } from './labels.ts'

export interface RequestTracing {
  readonly tracing: Pick<Tracing, 'begin'>
  /** Whether spans carry the name of the user: those who read traces may be others than those who read the log. */
  readonly userNames: boolean
}

/** Methods that the conventions know; any other is `_OTHER`. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** Outcomes that nobody but us or a server is to blame for. */
const FAILURES: ReadonlySet<ProxyOutcome> = new Set<ProxyOutcome>(['undecided', 'unavailable', 'failed'])

export function requestSpans({
  tracing,
  userNames,
}: RequestTracing): (lines: TraceLines, method: string) => RequestSpan {
  return (lines, method) => {
    const span = tracing.begin(methodOf(method), lines)
    return {
      traceId: span.traceId,
      headers: span.headers,
      end(seen) {
        if (!span.recording) return span.end()
        span.end({ name: nameOf(seen), attributes: attributesOf(seen, userNames), error: errorOf(seen) })
      },
    }
  }
}

function methodOf(method: string): string {
  return METHODS.has(method) ? method : '_OTHER'
}

/** Few names: a resource is in it once the API server has shown that there is one. */
function nameOf({ method, info, status }: ProxyObservation): string {
  const name = methodOf(method) === method ? method : 'HTTP'
  return info?.isResourceRequest === true && provesResource(status) ? `${name} ${resourceName(info)}` : name
}

function attributesOf(seen: ProxyObservation, userNames: boolean): SpanAttributes {
  const { info } = seen
  const object = info?.isResourceRequest === true ? info : undefined
  const method = methodOf(seen.method)
  return {
    'http.request.method': method,
    'http.request.method_original': method === seen.method ? undefined : seen.method,
    'url.scheme': 'https',
    'url.path': seen.path,
    'network.protocol.name': 'http',
    'network.protocol.version': seen.protocol.slice('HTTP/'.length),
    'client.address': seen.remoteAddress,
    'http.response.status_code': seen.status === 0 ? undefined : seen.status,
    'http.request.body.size': seen.bytesIn,
    'http.response.body.size': seen.bytesOut,
    'user.name': userNames ? seen.user : undefined,
    'k8s.namespace.name': object?.namespace || undefined,
    'archway.verb': info?.verb,
    'archway.resource': object && resourceName(object),
    'archway.subresource': object?.subresource || undefined,
    'archway.outcome': seen.outcome,
    'archway.cause': seen.cause,
    'archway.source': seen.source,
    'archway.upstream': seen.upstream,
    'archway.audit_id': seen.auditId,
    'archway.request_id': seen.requestId,
  }
}

function errorOf({ outcome, status, cause }: ProxyObservation): string | undefined {
  if (FAILURES.has(outcome)) return cause ?? outcome
  return status >= 500 ? String(status) : undefined
}
