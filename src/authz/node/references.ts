/**
 * What the objects of the API refer to that a node then needs: read out of what the API server sends, the rest of
 * which is not kept. Owns the fields; leaves what may be concluded to `graph.ts`.
 *
 * @see https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
 * @module
 */
import { asObject, type Fields, member, optionalString } from '../../kube/fields.ts'

/** The name of an object; `namespace` is empty for one of the cluster. */
export interface ObjectName {
  readonly namespace: string
  readonly name: string
}

/** A pod, as far as its node needs to know. */
export interface PodReferences extends ObjectName {
  /** Empty while the pod is not scheduled. */
  readonly node: string
  /** Written by the node itself (a static pod): whatever it names must not open anything to that node. */
  readonly mirror: boolean
  /** Empty where the pod has none. */
  readonly serviceAccount: string
  /** Names in the pod's own namespace. */
  readonly secrets: readonly string[]
  readonly configMaps: readonly string[]
  readonly claims: readonly string[]
  /** Claims that will be made for generic ephemeral volumes. */
  readonly ephemeralClaims: readonly string[]
  readonly resourceClaims: readonly string[]
}

/** A persistent volume: its claim, and the secrets a node needs to mount it. */
export interface VolumeReferences {
  readonly name: string
  /** `undefined` while the volume is not bound. */
  readonly claim: ObjectName | undefined
  readonly secrets: readonly ObjectName[]
}

/** Something that belongs to one node: a volume attachment, a resource slice. */
export interface Assignment {
  readonly name: string
  /** Empty where it belongs to none. */
  readonly node: string
}

/** A node and the config map its kubelet is configured from; only releases before 1.24 have such. */
export interface NodeConfig {
  readonly name: string
  readonly configMap: ObjectName | undefined
}

const MIRROR = 'kubernetes.io/config.mirror'

/** Reads a pod. Throws `body_invalid` for what is none. */
export function podReferences(value: unknown): PodReferences {
  const pod = asObject(value, 'the pod')
  const { namespace, name } = nameOf(pod)
  const spec = child(pod, 'spec')
  const containers = ['initContainers', 'containers', 'ephemeralContainers'].flatMap((kind) => children(spec, kind))
  const volumes = children(spec, 'volumes')
  const environment = containers.flatMap((container) => [
    ...children(container, 'envFrom').map((from) => ({
      secret: child(from, 'secretRef'),
      map: child(from, 'configMapRef'),
    })),
    ...children(container, 'env').map((variable) => {
      const from = child(variable, 'valueFrom')
      return { secret: child(from, 'secretKeyRef'), map: child(from, 'configMapKeyRef') }
    }),
  ])
  const projected = volumes.flatMap((volume) => children(child(volume, 'projected'), 'sources'))
  return {
    namespace,
    name,
    node: text(spec, 'nodeName'),
    mirror: member(child(child(pod, 'metadata'), 'annotations'), MIRROR) !== undefined,
    serviceAccount: text(spec, 'serviceAccountName'),
    secrets: named([
      ...children(spec, 'imagePullSecrets').map((secret) => text(secret, 'name')),
      ...environment.map(({ secret }) => text(secret, 'name')),
      ...volumes.flatMap(secretsOfVolume),
      ...projected.map((source) => text(child(source, 'secret'), 'name')),
    ]),
    configMaps: named([
      ...environment.map(({ map }) => text(map, 'name')),
      ...volumes.map((volume) => text(child(volume, 'configMap'), 'name')),
      ...projected.map((source) => text(child(source, 'configMap'), 'name')),
    ]),
    claims: named(volumes.map((volume) => text(child(volume, 'persistentVolumeClaim'), 'claimName'))),
    ephemeralClaims: volumes
      .filter((volume) => member(volume, 'ephemeral') !== undefined)
      .map((volume) => `${name}-${text(volume, 'name')}`),
    resourceClaims: resourceClaims(spec, child(pod, 'status')),
  }
}

/** Volumes that name a secret under `secretRef`. */
const WITH_SECRET_REF = ['cephfs', 'cinder', 'flexVolume', 'rbd', 'scaleIO', 'iscsi', 'storageos']

function secretsOfVolume(volume: Fields): readonly string[] {
  return [
    text(child(volume, 'secret'), 'secretName'),
    text(child(volume, 'azureFile'), 'secretName'),
    text(child(child(volume, 'csi'), 'nodePublishSecretRef'), 'name'),
    ...WITH_SECRET_REF.map((kind) => text(child(child(volume, kind), 'secretRef'), 'name')),
  ]
}

/** Claims of `resource.k8s.io` by name; of those made from a template, the status tells the name. */
function resourceClaims(spec: Fields, status: Fields): readonly string[] {
  return named([
    ...children(spec, 'resourceClaims').map((claim) => text(claim, 'resourceClaimName')),
    ...children(status, 'resourceClaimStatuses').map((claim) => text(claim, 'resourceClaimName')),
    text(child(status, 'extendedResourceClaimStatus'), 'resourceClaimName'),
  ])
}

/** Volumes whose secret, unless it says where it is, is in the namespace of the claim. */
const SECRET_BESIDE_CLAIM = ['cephfs', 'flexVolume', 'rbd', 'scaleIO', 'iscsi']
/** Volumes whose secret says where it is. */
const SECRET_ELSEWHERE = ['cinder', 'storageos']
/** Secrets for mounting. Those for the controller (`controllerPublishSecretRef` …) are none of a node's business. */
const NODE_SECRETS = ['nodePublishSecretRef', 'nodeStageSecretRef']

/** Reads a persistent volume. Throws `body_invalid` for what is none. */
export function volumeReferences(value: unknown): VolumeReferences {
  const volume = asObject(value, 'the volume')
  const spec = child(volume, 'spec')
  const bound = member(spec, 'claimRef') !== undefined
  const claimRef = child(spec, 'claimRef')
  const beside = text(claimRef, 'namespace')
  const secret = (reference: Fields, otherwise: string): ObjectName => ({
    namespace: text(reference, 'namespace') || otherwise,
    name: text(reference, 'name'),
  })
  const azure = child(spec, 'azureFile')
  const secrets = [
    { namespace: text(azure, 'secretNamespace') || beside, name: text(azure, 'secretName') },
    ...SECRET_BESIDE_CLAIM.map((kind) => secret(child(child(spec, kind), 'secretRef'), beside)),
    ...SECRET_ELSEWHERE.map((kind) => secret(child(child(spec, kind), 'secretRef'), '')),
    ...NODE_SECRETS.map((key) => secret(child(child(spec, 'csi'), key), '')),
  ]
  return {
    name: nameOf(volume).name,
    claim: bound ? { namespace: beside, name: text(claimRef, 'name') } : undefined,
    secrets: secrets.filter(({ name }) => name !== ''),
  }
}

/** A `VolumeAttachment` or a `ResourceSlice`: both have `spec.nodeName`. */
export function assignment(value: unknown): Assignment {
  const object = asObject(value, 'the object')
  return { name: nameOf(object).name, node: text(child(object, 'spec'), 'nodeName') }
}

/** Reads a node. Throws `body_invalid` for what is none. */
export function nodeConfig(value: unknown): NodeConfig {
  const node = asObject(value, 'the node')
  const reference = child(child(child(node, 'spec'), 'configSource'), 'configMap')
  const configMap = { namespace: text(reference, 'namespace'), name: text(reference, 'name') }
  const complete = configMap.namespace !== '' && configMap.name !== ''
  return { name: nameOf(node).name, configMap: complete ? configMap : undefined }
}

function nameOf(object: Fields): ObjectName {
  const metadata = child(object, 'metadata')
  return { namespace: text(metadata, 'namespace'), name: text(metadata, 'name') }
}

// Parts that may be left out read as empty, so that what is looked for in them is simply not there.

function child(object: Fields, key: string): Fields {
  const value = member(object, key)
  return value === undefined ? EMPTY : asObject(value, key)
}

function children(object: Fields, key: string): readonly Fields[] {
  const value = member(object, key)
  return Array.isArray(value) ? value.map((item) => asObject(item, `an item of ${key}`)) : []
}

function text(object: Fields, key: string): string {
  return optionalString(object, key, key)
}

function named(names: readonly string[]): readonly string[] {
  return [...new Set(names)].filter((name) => name !== '')
}

const EMPTY: Fields = Object.freeze({})
