/**
 * Which node needs what: the graph of kube-apiserver's node authorizer, kept up to date object by object. A question
 * is one or two look-ups, however large the cluster is.
 *
 * ```
 * node ← pod ← secret, config map, claim, service account, resource claim
 *        pod ←                     claim ← volume ← secret
 * node ← volume attachment, resource slice, config map of the kubelet
 * ```
 *
 * Secrets, config maps, accounts and claims count by being named; the objects themselves are not looked at, so their
 * watching is not needed, and neither is that of leases and CSINodes, which a node owns by their name.
 *
 * @see https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-authorizer.md
 * @module
 */
import { counts } from './counts.ts'
import type { Assignment, NodeConfig, ObjectName, PodReferences, VolumeReferences } from './references.ts'

/** Kinds of objects a node can be asked about. */
export type Target =
  | 'secret'
  | 'configmap'
  | 'claim'
  | 'volume'
  | 'volumeattachment'
  | 'serviceaccount'
  | 'pod'
  | 'resourceclaim'
  | 'resourceslice'

/** The graph. `set…` takes a new or changed object, `delete…` one that is gone; both may come in any order. */
export interface NodeGraph {
  setPod(pod: PodReferences): void
  deletePod(pod: ObjectName): void
  setVolume(volume: VolumeReferences): void
  deleteVolume(name: string): void
  setAttachment(attachment: Assignment): void
  deleteAttachment(name: string): void
  setSlice(slice: Assignment): void
  deleteSlice(name: string): void
  setNodeConfig(node: NodeConfig): void
  deleteNodeConfig(name: string): void
  /** Whether a node needs an object. `namespace` is empty for objects of the cluster. */
  needs(node: string, target: Target, namespace: string, name: string): boolean
}

/** What {@link nodeGraph} needs. */
export interface NodeGraphOptions {
  /** See `NodeFeatures`. */
  readonly ephemeralVolumes: boolean
}

/** An empty graph. */
export function nodeGraph({ ephemeralVolumes }: NodeGraphOptions): NodeGraph {
  /** What each object that belongs to a node makes that node need. */
  const owners = new Map<string, { readonly node: string; readonly targets: readonly string[] }>()
  /** Who needs a target, and because of how many owners. */
  const needed = counts()
  /** Claims a node needs: what `needed` says of claims, the other way round. */
  const claimsOf = counts()
  const volumes = new Map<string, { readonly claim: string; readonly secrets: readonly string[] }>()
  const volumesOf = counts()
  /** Secrets that some volume names: any other need not be looked for behind claims. */
  const volumeSecrets = counts()

  function setOwner(owner: string, node: string, targets: readonly string[]): void {
    deleteOwner(owner)
    if (node === '') return
    owners.set(owner, { node, targets })
    for (const target of targets) {
      needed.add(target, node)
      if (isClaim(target)) claimsOf.add(node, target)
    }
  }

  function deleteOwner(owner: string): void {
    const known = owners.get(owner)
    if (known === undefined) return
    owners.delete(owner)
    for (const target of known.targets) {
      needed.remove(target, known.node)
      if (isClaim(target)) claimsOf.remove(known.node, target)
    }
  }

  function deleteVolume(name: string): void {
    const known = volumes.get(name)
    if (known === undefined) return
    volumes.delete(name)
    volumesOf.remove(known.claim, name)
    for (const secret of known.secrets) volumeSecrets.remove(secret, name)
  }

  /** Looks through the claims of the node, of which there are few, not through the volumes that name the secret. */
  function mounts(node: string, secret: string): boolean {
    if (!volumeSecrets.any(secret)) return false
    for (const claim of claimsOf.of(node)) {
      for (const volume of volumesOf.of(claim)) {
        if (volumes.get(volume)?.secrets.includes(secret) === true) return true
      }
    }
    return false
  }

  return {
    setPod(pod) {
      setOwner(key('pod', pod.namespace, pod.name), pod.node, targetsOf(pod, ephemeralVolumes))
    },
    deletePod: ({ namespace, name }) => deleteOwner(key('pod', namespace, name)),
    setVolume({ name, claim, secrets }) {
      deleteVolume(name)
      if (claim === undefined) return
      const volume = {
        claim: key('claim', claim.namespace, claim.name),
        secrets: secrets.map((secret) => key('secret', secret.namespace, secret.name)),
      }
      volumes.set(name, volume)
      volumesOf.add(volume.claim, name)
      for (const secret of volume.secrets) volumeSecrets.add(secret, name)
    },
    deleteVolume,
    setAttachment: ({ name, node }) =>
      setOwner(key('volumeattachment', '', name), node, [key('volumeattachment', '', name)]),
    deleteAttachment: (name) => deleteOwner(key('volumeattachment', '', name)),
    setSlice: ({ name, node }) => setOwner(key('resourceslice', '', name), node, [key('resourceslice', '', name)]),
    deleteSlice: (name) => deleteOwner(key('resourceslice', '', name)),
    setNodeConfig({ name, configMap }) {
      setOwner(
        nodeKey(name),
        configMap === undefined ? '' : name,
        configMap === undefined ? [] : [key('configmap', configMap.namespace, configMap.name)],
      )
    },
    deleteNodeConfig: (name) => deleteOwner(nodeKey(name)),
    needs(node, target, namespace, name) {
      if (target === 'volume') {
        const volume = volumes.get(name)
        return volume !== undefined && namespace === '' && needed.has(volume.claim, node)
      }
      const wanted = key(target, namespace, name)
      return needed.has(wanted, node) || (target === 'secret' && mounts(node, wanted))
    },
  }
}

function targetsOf(pod: PodReferences, ephemeralVolumes: boolean): readonly string[] {
  const { namespace, name, mirror, serviceAccount } = pod
  const itself = key('pod', namespace, name)
  // Without this a node could write itself a pod that names any secret of the namespace.
  if (mirror) return [itself]
  const all = (target: Target, names: readonly string[]): readonly string[] =>
    names.map((each) => key(target, namespace, each))
  return [
    itself,
    ...(serviceAccount === '' ? [] : [key('serviceaccount', namespace, serviceAccount)]),
    ...all('secret', pod.secrets),
    ...all('configmap', pod.configMaps),
    ...all('claim', pod.claims),
    ...all('claim', ephemeralVolumes ? pod.ephemeralClaims : []),
    ...all('resourceclaim', pod.resourceClaims),
  ]
}

/** No name holds a slash: the API takes names that can be a segment of a path. */
function key(target: Target, namespace: string, name: string): string {
  return `${target}/${namespace}/${name}`
}

function nodeKey(name: string): string {
  return `node//${name}`
}

function isClaim(target: string): boolean {
  return target.startsWith('claim/')
}
