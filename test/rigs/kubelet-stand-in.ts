/** A node with one pod behind a kube-apiserver of a test's own: exec, attach, port-forward, logs and cp work. */

import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { KubeApiserverRig } from './kube-apiserver.ts'
import { freePorts, newFolder, recordRig, runRig } from './script.ts'

export interface KubeletStandIn {
  /** In namespace `default`, with the container `main`. What can be run in it: kubelet-stand-in-source/commands.go. */
  readonly pod: string
  /** The file system of its container. */
  readonly files: string
  /** One line for each request: `METHOD PATH upgrade="…" protocols=…`. */
  log(): Promise<string>
  /** Stops it and removes its folder; node and pod stay in the cluster. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Ready when this resolves, in a second. */
export async function startKubeletStandIn(cluster: KubeApiserverRig): Promise<KubeletStandIn> {
  const dir = join(newFolder('kubelet-stand-in'), 'rig')
  recordRig('kubelet-stand-in', dir)
  await runRig('kubelet-stand-in', ['start', dir, cluster.dir, String(await freePorts())])
  return {
    pod: 'shell',
    files: join(dir, 'files'),
    log: () => readFile(join(dir, 'kubelet.log'), 'utf8'),
    async [Symbol.asyncDispose]() {
      await runRig('kubelet-stand-in', ['stop', dir])
      await rm(dir, { recursive: true, force: true })
    },
  }
}
