/** The nginx rig for tests: the recipe of examples/hygiene/nginx.conf in front of whatever the test puts behind it. */

import { execFile } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { freePorts, newFolder, recordRig, runRig } from './script.ts'

export interface NginxRig {
  readonly dir: string
  readonly port: number
  /** `https://127.0.0.1:PORT` */
  readonly url: string
  /** Where it expects the API server, on 127.0.0.1. */
  readonly behind: number
  /** PEM, of the CA that all its certificates are of. */
  readonly ca: string
  /** For whatever listens behind it. */
  readonly upstream: { readonly cert: string; readonly key: string }
  /** Whom it lets in, and whom it then names. */
  readonly account: { readonly username: string; readonly password: string }
  /** `nginx/1.22.1` */
  readonly version: string
  /** Stops it and removes its folder. */
  [Symbol.asyncDispose](): Promise<void>
}

export async function startNginx(): Promise<NginxRig> {
  const dir = join(newFolder('nginx'), 'rig')
  const port = await freePorts(2)
  const behind = port + 1
  recordRig('nginx', dir)
  const url = await runRig('nginx', ['start', dir, String(port), String(behind)])
  const read = (name: string): Promise<string> => readFile(join(dir, name), 'utf8')
  return {
    dir,
    port,
    url,
    behind,
    ca: await read('ca.crt'),
    upstream: { cert: await read('upstream.crt'), key: await read('upstream.key') },
    account: { username: 'alice', password: 'alice-pw' },
    version: await versionOf(),
    async [Symbol.asyncDispose]() {
      await runRig('nginx', ['stop', dir])
      await rm(dirname(dir), { recursive: true, force: true })
    },
  }
}

async function versionOf(): Promise<string> {
  const { stderr } = await promisify(execFile)('/usr/sbin/nginx', ['-v'])
  return /nginx\/[\d.]+/.exec(stderr)?.[0] ?? 'nginx'
}
