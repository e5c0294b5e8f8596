import type { RequestInfo } from '../../../src/kube/request-info.ts'
import type { ProxyObservation } from '../../../src/proxy/observation.ts'
import type { AccessLog } from '../../../src/proxy/observe/access-log.ts'

export function info(fields: Partial<RequestInfo> = {}): RequestInfo {
  return {
    isResourceRequest: true,
    verb: 'list',
    path: '/api/v1/namespaces/default/pods',
    apiPrefix: 'api',
    apiGroup: '',
    apiVersion: 'v1',
    namespace: 'default',
    resource: 'pods',
    subresource: '',
    name: '',
    parts: ['pods'],
    fieldSelector: '',
    labelSelector: '',
    ...fields,
  }
}

/** A list of pods that went well. */
export function observation(fields: Partial<ProxyObservation> = {}): ProxyObservation {
  return {
    requestId: 'r-1',
    outcome: 'forwarded',
    status: 200,
    method: 'GET',
    protocol: 'HTTP/1.1',
    path: '/api/v1/namespaces/default/pods',
    info: info(),
    user: 'jane',
    source: 'keystone',
    upstream: '10.0.0.1:6443',
    auditId: '7f3e',
    long: false,
    remoteAddress: '192.0.2.7',
    bytesIn: 0,
    bytesOut: 856,
    seconds: 0.0123456,
    secondsToHead: 0.01,
    ...fields,
  }
}

/** What came of a request before there was a user or a server. */
export function early(fields: Partial<ProxyObservation>): ProxyObservation {
  const { user, source, upstream, auditId, secondsToHead, ...rest } = observation(fields)
  return rest
}

/** What came of a request that hygiene refused. */
export function unfit(fields: Partial<ProxyObservation> = {}): ProxyObservation {
  const { info, ...rest } = early({ outcome: 'refused', status: 400, cause: 'H8', ...fields })
  return rest
}

export interface Line {
  readonly level: string
  readonly fields: Readonly<Record<string, unknown>>
  readonly message: string
}

export function recordingLog(): AccessLog & { readonly lines: Line[] } {
  const lines: Line[] = []
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ level, fields: JSON.parse(JSON.stringify(fields)), message })
  }
  return {
    lines,
    debug: at('debug'),
    decision: at('decision'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  }
}
