/**
 * A policy in a ConfigMap of the cluster, followed while we run: one object is watched, so that a Role in its namespace
 * is enough. What cannot be used leaves the last good policy in force, and an Event at the ConfigMap says why.
 *
 * @module
 */
import { createHash } from 'node:crypto'
import type { CallLog } from '../../context.ts'
import { messageOf } from '../../errors.ts'
import type { KubeClient } from '../../kube/api-client/client.ts'
import { createEvent } from '../../kube/api-client/events.ts'
import { type WatchedObjects, type WatchObjectsOptions, watchObjects } from '../../kube/api-client/watch-objects.ts'
import { asObject, type Fields, member, optionalString } from '../../kube/fields.ts'
import type { ReloadStatus } from '../../reload/reloading.ts'
import { parsePolicy } from '../keystone-policy/index.ts'
import type { PolicyStore } from './policy-store.ts'
import { reportWarnings } from './warnings.ts'

/** Where the predecessor keeps its policy in a ConfigMap. */
const POLICY_KEY = 'policies'

export interface ConfigMapSourceOptions extends Pick<WatchObjectsOptions<unknown>, 'timing'> {
  readonly namespace: string
  readonly name: string
  readonly client: Pick<KubeClient, 'list' | 'watch' | 'create'>
  readonly store: PolicyStore
  readonly log: CallLog
  /** Ends the watch. */
  readonly signal: AbortSignal
  /** Which of our instances speaks in Events: the pod's name. */
  readonly instance: string
  readonly now?: () => Date
}

export interface ConfigMapSource {
  /** `kube-system/k8s-auth-policy`. */
  readonly name: string
  status(): ReloadStatus
  readonly watched: WatchedObjects<PolicyText>
}

/** What is read of the ConfigMap; `text` is undefined where the key is missing or its data is not text. */
interface PolicyText {
  readonly text: string | undefined
  readonly uid: string
}

/** Begins to watch. Never throws: before the first answer the store has nothing from this source. */
export function configMapSource(options: ConfigMapSourceOptions): ConfigMapSource {
  const { namespace, name, client, store, log, signal, instance, now = () => new Date() } = options
  const where = `${namespace}/${name}`
  let state: State = { loadedAt: now(), taken: 0, failures: 0, text: '', error: 'not known yet' }
  /** What was refused, and may be good once another source has changed. */
  let refused: PolicyText | undefined
  /** What the last Event said, of which content. */
  let announced = ''

  const watched = watchObjects<PolicyText>({
    client,
    path: `/api/v1/namespaces/${namespace}/configmaps`,
    fieldSelector: `metadata.name=${name}`,
    parse: readConfigMap,
    log,
    signal,
    ...(options.timing === undefined ? {} : { timing: options.timing }),
    onChange: (_changes, objects) => take(objects.get(where)),
  })

  store.onTaken((source) => {
    if (refused !== undefined && source !== where) take(refused)
  })

  /** Deletion is the operator's word: from then on this source allows nothing. */
  function take(found: PolicyText | undefined): void {
    refused = undefined
    const text = found?.text ?? ''
    try {
      if (found === undefined) {
        store.admit(where, { where, policies: [], examples: [], warnings: [] }, '', { force: true })
        log.warn({ policy: where }, 'the ConfigMap does not exist: it allows nothing')
      } else {
        const document = parsePolicy(text, { where, trailing: 'refuse' })
        store.admit(where, document, text)
        reportWarnings(document, store.compileOptions, log)
        log.info({ policy: where, rules: document.policies.length, digest: store.digest() }, 'policy in force')
      }
      state = { ...state, loadedAt: now(), taken: state.taken + 1, text, error: undefined }
      announced = ''
    } catch (thrown) {
      const error = found?.text === undefined ? `${where}: the key ${POLICY_KEY} is missing` : messageOf(thrown)
      refused = found
      state = { ...state, failures: state.failures + 1, error }
      log.error({ policy: where, error }, 'policy refused, the last good one stays in force')
      const event = `${error}\n${text}`
      if (event !== announced) void announce(error, found?.uid ?? '')
      announced = event
    }
  }

  async function announce(message: string, uid: string): Promise<void> {
    const about = { apiVersion: 'v1', kind: 'ConfigMap', namespace, name, uid }
    try {
      await createEvent(client, { type: 'Warning', reason: 'PolicyRefused', message, about, instance }, { signal, now })
    } catch (thrown) {
      log.debug({ policy: where, error: messageOf(thrown) }, 'no Event could be made: it needs create on events')
    }
  }

  return {
    name: where,
    watched,
    status() {
      const { loadedAt, taken, failures, text, error } = state
      const cause = error ?? watched.status().error
      return {
        name: where,
        ok: cause === undefined,
        digest: createHash('sha256').update(text).digest('hex'),
        loadedAt,
        reloads: Math.max(taken - 1, 0),
        failures,
        ...(cause === undefined ? {} : { error: cause }),
      }
    },
  }
}

interface State {
  readonly loadedAt: Date
  /** Contents that were taken, the first and deletions included. */
  readonly taken: number
  readonly failures: number
  /** The text in force. */
  readonly text: string
  readonly error: string | undefined
}

/** Never throws for what is in it: an object that cannot be read would count as deleted. */
function readConfigMap(object: Fields): PolicyText {
  const metadata = asObject(member(object, 'metadata'), 'metadata')
  const data = member(object, 'data')
  const text = typeof data === 'object' && data !== null ? member(data as Fields, POLICY_KEY) : undefined
  return { text: typeof text === 'string' ? text : undefined, uid: optionalString(metadata, 'uid', 'metadata.uid') }
}
