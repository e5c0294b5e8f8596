/**
 * An API server with certificate signing requests and nothing else, in memory: versions, conflicts, watches, the rules
 * about subresources. Only for faults that the real one cannot be made to show; that one is in test/e2e.
 */
import type { KubeClient, WatchOptions } from '../../src/kube/api-client/client.ts'
import { KubeApiError } from '../../src/kube/api-client/error.ts'
import type { WatchEvent } from '../../src/kube/api-client/watch-stream.ts'
import { type CertificateSigningRequest, parseCsr } from '../../src/kube/certificate-signing-request.ts'
import type { Fields } from '../../src/kube/fields.ts'

const PATH =
  /^\/apis\/certificates\.k8s\.io\/(v1|v1beta1)(?:\/certificatesigningrequests(?:\/([^/]+)(?:\/(approval|status))?)?)?$/

export interface FakeApi {
  readonly client: KubeClient
  /** Every PUT that was taken: `approval jane-1`. */
  readonly writes: string[]
  /** Called before each call is carried out; what it throws is the answer. */
  before: (method: string, path: string) => void | Promise<void>
  /** Puts one there, as `kubectl create` would. */
  add(csr: CertificateSigningRequest): void
  /** Adds a condition, as somebody else would. */
  decide(name: string, type: string): void
  remove(name: string): void
  get(name: string): CertificateSigningRequest
  watches(): number
}

export interface FakeApiOptions {
  readonly versions?: readonly string[]
}

export function fakeApi({ versions = ['v1'] }: FakeApiOptions = {}): FakeApi {
  const objects = new Map<string, Fields>()
  const watches = new Set<(event: WatchEvent) => void>()
  let version = 10

  const refuse = (status: number, reason: string): never => {
    throw new KubeApiError('status', `HTTP ${status} ${reason}`, { status, reason })
  }

  function store(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: Fields): Fields {
    version++
    const metadata = { ...(object['metadata'] as Fields), resourceVersion: String(version) }
    const stored = { ...object, metadata }
    const name = String(metadata['name' as keyof typeof metadata])
    if (type === 'DELETED') objects.delete(name)
    else objects.set(name, stored)
    for (const tell of watches) tell({ type, object: stored, resourceVersion: String(version) })
    return stored
  }

  function find(name: string): Fields {
    return objects.get(name) ?? refuse(404, 'NotFound')
  }

  async function parse(method: string, path: string) {
    await api.before(method, path)
    const [, served = '', name = '', subresource = ''] = PATH.exec(path) ?? []
    if (!versions.includes(served)) refuse(404, 'NotFound')
    return { name, subresource }
  }

  const selected = (fieldSelector: string | undefined) => (object: Fields) => {
    const [field = '', wanted = ''] = (fieldSelector ?? '').split('=')
    const { name, signerName } = parseCsr(object)
    return field === '' || (field === 'metadata.name' ? name : signerName) === wanted
  }

  async function* events({ fieldSelector, resourceVersion, signal }: WatchOptions): AsyncGenerator<WatchEvent> {
    const queue: WatchEvent[] = []
    let wake = (): void => {}
    const tell = (event: WatchEvent): void => {
      queue.push(event)
      wake()
    }
    for (const object of objects.values()) {
      const seen = (object['metadata'] as { readonly resourceVersion: string }).resourceVersion
      if (Number(seen) > Number(resourceVersion)) queue.push({ type: 'MODIFIED', object, resourceVersion: seen })
    }
    watches.add(tell)
    signal.addEventListener('abort', () => wake(), { once: true })
    try {
      for (;;) {
        if (signal.aborted) throw new KubeApiError('timeout', 'aborted')
        const event = queue.shift()
        if (event === undefined) await new Promise<void>((resolve) => (wake = resolve))
        else if (selected(fieldSelector)(event.object)) yield event
      }
    } finally {
      watches.delete(tell)
    }
  }

  const api: FakeApi = {
    writes: [],
    before: () => {},
    add: (csr) => void store('ADDED', csr.object),
    decide(name, type) {
      const object = find(name)
      const before = (object['status'] as { readonly conditions?: readonly object[] } | undefined)?.conditions ?? []
      store('MODIFIED', {
        ...object,
        status: { ...(object['status'] as object), conditions: [...before, { type, status: 'True' }] },
      })
    },
    remove: (name) => void store('DELETED', find(name)),
    get: (name) => parseCsr(find(name)),
    watches: () => watches.size,
    client: {
      async get(path) {
        const { name } = await parse('GET', path)
        return name === '' ? { kind: 'APIResourceList' } : find(name)
      },
      async list({ path, fieldSelector }) {
        await parse('LIST', path)
        return { items: [...objects.values()].filter(selected(fieldSelector)), resourceVersion: String(version) }
      },
      async watch(options) {
        await parse('WATCH', options.path)
        return events(options)
      },
      async create(path, object) {
        await parse('POST', path)
        const { metadata, ...rest } = object as Fields
        return store('ADDED', { ...rest, metadata: { name: 'made', uid: 'u', ...(metadata as object) } })
      },
      async replace(path, object) {
        const { name, subresource } = await parse('PUT', path)
        const current = find(name)
        const [old, wanted] = [parseCsr(current), parseCsr(object)]
        if (old.resourceVersion !== wanted.resourceVersion || old.uid !== wanted.uid) refuse(409, 'Conflict')
        if (subresource === 'status' && old.certificate !== undefined) refuse(422, 'Invalid')
        const { conditions, certificate } = (object as Fields)['status'] as Fields
        const status =
          subresource === 'status' ? { conditions, certificate } : { ...(current['status'] as object), conditions }
        api.writes.push(`${subresource} ${name}`)
        return store('MODIFIED', { ...current, status })
      },
      async remove(path) {
        const { name } = await parse('DELETE', path)
        store('DELETED', find(name))
      },
    },
  }
  return api
}
