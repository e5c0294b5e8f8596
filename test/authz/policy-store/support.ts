/**
 * Policies in short, and an API server that has one ConfigMap and does what a test says.
 *
 * @module
 */
import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { type CompileOptions, decide, parsePolicy } from '../../../src/authz/keystone-policy/index.ts'
import { type PolicyStore, policyStore } from '../../../src/authz/policy-store/policy-store.ts'
import type { KubeClient, Selection } from '../../../src/kube/api-client/client.ts'
import { KubeApiError } from '../../../src/kube/api-client/error.ts'
import type { WatchEvent } from '../../../src/kube/api-client/watch-stream.ts'
import type { Fields } from '../../../src/kube/fields.ts'
import { asks } from '../keystone-policy/support.ts'

/** A policy by which members of demo may do these things to pods in `default`. */
export function rules(...verbs: readonly string[]): object[] {
  return [{ users: { roles: ['member'], projects: ['demo'] }, resource_permissions: { 'default/pods': verbs } }]
}

/** The text of a policy, with examples where there are some. */
export function text(policies: readonly object[], ...examples: readonly object[]): string {
  return JSON.stringify(examples.length === 0 ? policies : { policies, examples })
}

/** That jane of demo may, or may not, do something to pods in `default`. */
export function example(verb: string, expect: 'allow' | 'no-opinion', name?: string): object {
  const user = { name: 'jane', project: 'demo', roles: ['member'] }
  return { ...(name === undefined ? {} : { name }), user, verb, resource: 'pods', namespace: 'default', expect }
}

/** Which of these verbs the policy in force allows jane of demo. */
export function allowed(store: PolicyStore, ...verbs: readonly string[]): string {
  return verbs.filter((verb) => decide(store.current(), asks(`${verb} default/pods`)).kind === 'allow').join(' ')
}

export interface TestStore extends PolicyStore {
  /** Takes a text as a source would. */
  take(source: string, content: string): void
  /** Takes nothing, as a source whose object was deleted. */
  drop(source: string): void
}

export function testStore(
  sources: readonly string[],
  { compile = {}, now }: { readonly compile?: CompileOptions; readonly now?: () => Date } = {},
): TestStore {
  const store = policyStore({ sources, compile, ...(now === undefined ? {} : { now }) })
  return {
    ...store,
    take: (source, content) => store.admit(source, parsePolicy(content, { where: source }), content),
    drop: (source) =>
      store.admit(source, { where: source, policies: [], examples: [], warnings: [] }, '', { force: true }),
  }
}

/** Goes on as soon as it is so: what is waited for needs turns of the event loop, and no time. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  for (let turn = 0; turn < 1000; turn++) {
    if (holds()) return
    await setImmediate()
  }
  assert.fail(`never came: ${what}`)
}

/** Long enough for everything that is going to happen. */
export async function quiet(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await setImmediate()
}

export interface FakeApi {
  readonly client: Pick<KubeClient, 'get' | 'list' | 'watch' | 'create'>
  /** What was asked for by lists and watches. */
  readonly selections: Selection[]
  /** What was created. */
  readonly created: { readonly path: string; readonly object: object }[]
  /** The ConfigMap has this data from now on; as another object where it was removed before. */
  put(data: object | undefined, more?: { readonly metadata?: object }): void
  /** An object of another name, as no server with a field selector would send it. */
  putOther(data: object): void
  remove(): void
  /** The watch ends: by the server, or with an error. */
  cut(error?: Error): void
  /** Lists and watches fail with this until it is taken back. */
  refuse(error: Error | undefined): void
  /** Objects cannot be created any more. */
  refuseCreate(error: Error): void
  /** Watches that stand. */
  watches(): number
}

interface Stream {
  readonly queue: (WatchEvent | Error | 'end')[]
  wake(): void
}

/** An API server with, or without, `auth/policy`. */
export function fakeApi(): FakeApi {
  const objects = new Map<string, Fields>()
  const streams = new Set<Stream>()
  const selections: Selection[] = []
  const created: { readonly path: string; readonly object: object }[] = []
  let version = 1
  let incarnation = 0
  let failing: Error | undefined
  let createFailure: Error | undefined

  const tell = (item: WatchEvent | Error | 'end'): void => {
    for (const stream of streams) {
      stream.queue.push(item)
      stream.wake()
    }
  }
  const put = (name: string, data: object | undefined, more: { readonly metadata?: object } = {}): void => {
    const known = objects.has(name)
    if (!known) incarnation++
    version++
    const metadata = { namespace: 'auth', name, uid: `uid-${incarnation}`, resourceVersion: `${version}` }
    const object = { metadata: { ...metadata, ...more.metadata }, ...(data === undefined ? {} : { data }) }
    objects.set(name, object)
    tell({ type: known ? 'MODIFIED' : 'ADDED', object, resourceVersion: `${version}` })
  }

  async function* events(stream: Stream, signal: AbortSignal): AsyncGenerator<WatchEvent> {
    try {
      while (!signal.aborted) {
        const item = stream.queue.shift()
        if (item === 'end') return
        if (item instanceof Error) throw item
        if (item !== undefined) yield item
        else await new Promise<void>((resolve) => (stream.wake = resolve))
      }
    } finally {
      streams.delete(stream)
    }
  }

  return {
    selections,
    created,
    put: (data, more) => put('policy', data, more),
    putOther: (data) => put('another', data),
    remove() {
      version++
      const object = objects.get('policy')
      objects.delete('policy')
      if (object !== undefined) tell({ type: 'DELETED', object, resourceVersion: `${version}` })
    },
    cut: (error) => tell(error ?? 'end'),
    refuse: (error) => (failing = error),
    refuseCreate: (error) => (createFailure = error),
    watches: () => streams.size,
    client: {
      get: () => assert.fail('nothing is got by name: a Role for list and watch is enough'),
      async list(selection) {
        selections.push(selection)
        if (failing !== undefined) throw failing
        return { items: [...objects.values()], resourceVersion: `${version}` }
      },
      async watch({ path, fieldSelector = '', signal }) {
        selections.push({ path, fieldSelector })
        if (failing !== undefined) throw failing
        const stream: Stream = { queue: [], wake() {} }
        streams.add(stream)
        signal.addEventListener('abort', () => stream.wake())
        return events(stream, signal)
      },
      async create(path, object) {
        created.push({ path, object })
        if (createFailure !== undefined) throw createFailure
        return {}
      },
    },
  }
}

export const AWAY: Error = new KubeApiError('unreachable', 'connect ECONNREFUSED')
