/** Somebody with a home folder and a Keystone, for the commands of a login: in process, and as the processes they are. */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { type FakeKeystone, startFakeKeystone } from '../support/fake-keystone.ts'
import { createFolder, type TestFolder } from '../support/tls.ts'
import { type Ran, run, type TestIo, testIo } from './support.ts'

const BIN = fileURLToPath(new URL('../../bin/', import.meta.url))

export const PASSWORD = 'password-canary'

export type Env = Readonly<Record<string, string>>

export interface Person {
  readonly keystone: FakeKeystone
  readonly folder: TestFolder
  /** HOME and the variables of an openrc file; nothing of the machine's own but PATH. */
  readonly env: Env
  /** How often Keystone was asked for a token. */
  logins(): number
  run(program: string, argv: readonly string[], env?: Env, io?: (io: TestIo) => TestIo): Promise<Ran>
  /** The program of `bin/`, as kubectl would start it. */
  start(program: string, argv: readonly string[], options?: StartOptions): Started
  [Symbol.asyncDispose](): Promise<void>
}

export interface StartOptions {
  readonly env?: Env
  /** Arguments of Node itself. */
  readonly node?: readonly string[]
}

export interface Started {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
}

export interface Ended {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export async function somebody(): Promise<Person> {
  const keystone = await startFakeKeystone({ users: { alice: { password: PASSWORD, project: 'demo' } } })
  const folder = await createFolder()
  const home = folder.path('home')
  await mkdir(home)
  const env: Env = {
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    OS_AUTH_URL: keystone.url,
    OS_USERNAME: 'alice',
    OS_PASSWORD: PASSWORD,
    OS_PROJECT_NAME: 'demo',
    OS_DOMAIN_NAME: 'Default',
  }
  return {
    keystone,
    folder,
    env,
    logins: () => keystone.requests.filter(({ method, path }) => method === 'POST' && /tokens/.test(path)).length,
    run: (program, argv, more = {}, io = (plain) => plain) => run(program, argv, io(testIo({ ...env, ...more }))),
    start: (program, argv, { env: more = {}, node = [] } = {}) =>
      startProcess(process.execPath, [...node, `${BIN}${program}`, ...argv], { ...env, ...more }),
    async [Symbol.asyncDispose]() {
      await keystone.close()
      await folder.remove()
    },
  }
}

/** Runs a program with nothing on its standard input. */
export function startProcess(command: string, args: readonly string[], env: Env): Started {
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (chunk: string) => {
      text[name] += chunk
    })
  }
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status, signal) => resolve({ status, signal, ...text }))
  })
  return { child, ended }
}

/** What client-go 1.22 and newer put into the environment. */
export function execInfo(spec: object = { interactive: false }, version = 'v1'): Env {
  const document = { kind: 'ExecCredential', apiVersion: `client.authentication.k8s.io/${version}`, spec }
  return { KUBERNETES_EXEC_INFO: JSON.stringify(document) }
}

export interface ExecCredential {
  readonly apiVersion: string
  readonly kind: string
  readonly status: { readonly token: string; readonly expirationTimestamp: string }
}

export function parseCredential(text: string): ExecCredential {
  return JSON.parse(text) as ExecCredential
}
