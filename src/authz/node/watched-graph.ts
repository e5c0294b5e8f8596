/**
 * The graph of nodes and what they need, fed by watching the cluster.
 *
 * @module
 */
import { type WatchedObjects, type WatchObjectsOptions, watchObjects } from '../../kube/api-client/watch-objects.ts'
import type { Fields } from '../../kube/fields.ts'
import { type NodeGraph, nodeGraph } from './graph.ts'
import { assignment, nodeConfig, podReferences, volumeReferences } from './references.ts'
import type { NodeFeatures } from './rules.ts'

/** What {@link watchedGraph} needs. */
export interface WatchedGraphOptions
  extends Pick<WatchObjectsOptions<unknown>, 'client' | 'log' | 'signal' | 'timing'> {
  readonly features: NodeFeatures
}

/** The graph as it is now. */
export interface WatchedGraph {
  readonly graph: Pick<NodeGraph, 'needs'>
  /** Whether every list has been had, for `nodeAuthorizer`. */
  ready(): boolean
  readonly watches: readonly WatchedObjects<unknown>[]
  /** Settles when everything is known, or has ended. */
  readonly synced: Promise<void>
}

/** An API a cluster may have switched off. */
const SLICES = '/apis/resource.k8s.io/v1/resourceslices'

/** Begins at once. Of each object only what it refers to is kept. */
export function watchedGraph({ features, ...options }: WatchedGraphOptions): WatchedGraph {
  const graph = nodeGraph(features)
  const watch = <T>(
    path: string,
    parse: (object: Fields) => T,
    set: (object: T) => void,
    remove: (object: T) => void,
  ): WatchedObjects<unknown> =>
    watchObjects<T>({
      ...options,
      path,
      parse,
      optional: path === SLICES,
      onChange(changes) {
        for (const { kind, object } of changes) (kind === 'set' ? set : remove)(object)
      },
    })
  const watches = [
    watch('/api/v1/pods', podReferences, graph.setPod, graph.deletePod),
    watch('/api/v1/persistentvolumes', volumeReferences, graph.setVolume, ({ name }) => graph.deleteVolume(name)),
    watch('/apis/storage.k8s.io/v1/volumeattachments', assignment, graph.setAttachment, ({ name }) =>
      graph.deleteAttachment(name),
    ),
    ...(features.dynamicConfig
      ? [watch('/api/v1/nodes', nodeConfig, graph.setNodeConfig, ({ name }) => graph.deleteNodeConfig(name))]
      : []),
    ...(features.resourceClaims
      ? [watch(SLICES, assignment, graph.setSlice, ({ name }) => graph.deleteSlice(name))]
      : []),
  ]
  return {
    graph,
    ready: () => watches.every((each) => each.status().synced),
    watches,
    synced: Promise.all(watches.map(({ synced }) => synced)).then(() => undefined),
  }
}
