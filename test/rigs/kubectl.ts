/** Every kubectl a test can run: Debian's 1.20, and the one in PATH where that is newer. */

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { runRig } from './script.ts'

export interface KubectlProgram {
  /** As it calls itself: `v1.20.2`. */
  readonly version: string
  readonly path: string
  /** Versions of the credential plugin API it speaks, the newest first: v1 came with 1.22. */
  readonly speaks: readonly ('v1' | 'v1beta1')[]
}

/** The oldest first. */
export async function findKubectls(): Promise<readonly KubectlProgram[]> {
  const old = await look(await runRig('kubectl', ['path']))
  const ofPath = await look('kubectl')
  return ofPath.speaks.includes('v1') ? [old, ofPath] : [old]
}

async function look(path: string): Promise<KubectlProgram> {
  const { stdout } = await promisify(execFile)(path, ['version', '--client', '-o', 'json'])
  const [, version = '', minor = '0'] = /"gitVersion": *"(v1\.(\d+)\.[^"]*)"/.exec(stdout) ?? []
  if (version === '') throw new Error(`${path} does not say its version: ${stdout}`)
  return { version, path, speaks: Number(minor) >= 22 ? ['v1', 'v1beta1'] : ['v1beta1'] }
}
