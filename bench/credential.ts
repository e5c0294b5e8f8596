/**
 * What kubectl waits for: the credential plugin from its start to the last byte of a kept token, in each form it comes
 * in, beside a Node that does nothing; then kubectl itself against a real cluster, with kept tokens and without.
 *
 * @module
 */
import { execFileSync, type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { startProcess } from '../test/cli/login-support.ts'
import { createSite, serve } from '../test/e2e/program.ts'
import { startFakeKeystone } from '../test/support/fake-keystone.ts'
import { startKeystone, startKubeApiserver } from '../test/support/rigs.ts'
import { buildExecutable, hostTarget } from '../tools/executable.ts'
import { whatIsMissing } from '../tools/rigs.ts'
import { here, median } from './contest.ts'

const STARTS = 40
const COMMANDS = 25
const WARMUP = 3

/** A program, and what is to be on its stdout. */
interface Starter {
  readonly name: string
  readonly command: readonly [string, ...string[]]
  readonly answer: RegExp
  /** Milliseconds, one for each start. */
  readonly times: number[]
}

type Env = Readonly<Record<string, string>>

const TOKEN = /^\{\s*"apiVersion": "client\.authentication\.k8s\.io\/v1beta1",[\s\S]*"token": "[^"]+"/

export async function measureCredential(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'archway-bench-'))
  try {
    const executable = await built(folder)
    await measureStarts(folder, executable)
    await measureKubectl(folder, executable)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The executable; undefined where Bun does not run. */
async function built(folder: string): Promise<string | undefined> {
  const target = hostTarget()
  if (target === undefined) console.log('Bun does not run here: the executable is left out')
  return target && buildExecutable({ target, out: join(folder, 'executable') })
}

// --- the plugin alone --------------------------------------------------------------------------------------------

async function measureStarts(folder: string, executable: string | undefined): Promise<void> {
  const keystone = await startFakeKeystone({ users: { alice: { password: 'alice-pw', project: 'demo' } } })
  try {
    const env = person(folder, 'starts', keystone.url)
    const program = join(here('../bin'), 'archway')
    await logIn(program, env)
    const onNode = (path: string): Starter['command'] => [process.execPath, path, 'credential']
    const starters = [
      starter('node -e 0', [process.execPath, '-e', '0'], /^$/),
      starter('checkout (type stripping, compile cache)', onNode(program)),
      starter('package (dist/)', onNode(packaged(folder))),
      starter('package, bundled by esbuild', onNode(await bundled(folder))),
      ...(executable === undefined ? [] : [starter('executable', [executable, 'credential'])]),
    ]
    takeTurns(starters, STARTS, env)
    console.log(`\narchway credential with a kept token, ${STARTS} starts in turn`)
    if (executable !== undefined) console.log(`the executable has ${Math.round(statSync(executable).size / 1e6)} MB`)
    report(starters)
  } finally {
    await keystone.close()
  }
}

function starter(name: string, command: Starter['command'], answer = TOKEN): Starter {
  return { name, command, answer, times: [] }
}

/** A home of its own, and an openrc file's variables; nothing of whoever measures. */
function person(folder: string, name: string, url: string): Env {
  const home = join(folder, name)
  mkdirSync(home)
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    OS_AUTH_URL: url,
    OS_USERNAME: 'alice',
    OS_PASSWORD: 'alice-pw',
    OS_PROJECT_NAME: 'demo',
    OS_DOMAIN_NAME: 'Default',
  }
}

async function logIn(program: string, env: Env): Promise<void> {
  const { status, stderr } = await startProcess(process.execPath, [program, 'login'], env).ended
  if (status !== 0) throw new Error(`the login failed: ${stderr}`)
}

/** What npm would install, as test/house has it; gives the path of its program. */
function packaged(folder: string): string {
  const root = join(folder, 'package')
  const flags = ['-p', here('../tsconfig.build.json'), '--outDir', join(root, 'dist')]
  execFileSync(here('../node_modules/.bin/tsc'), flags, { stdio: 'inherit' })
  return withPrograms(root)
}

async function bundled(folder: string): Promise<string> {
  const root = join(folder, 'bundle')
  await build({
    entryPoints: [here('../src/cli/main.ts')],
    outdir: join(root, 'dist/cli'),
    bundle: true,
    splitting: true, // else every part of Node that any command uses would be loaded
    minify: true,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    external: ['@napi-rs/keyring'],
    logLevel: 'error',
  })
  return withPrograms(root)
}

function withPrograms(root: string): string {
  for (const entry of ['bin', 'package.json']) cpSync(here(`../${entry}`), join(root, entry), { recursive: true })
  symlinkSync(here('../node_modules'), join(root, 'node_modules'))
  return join(root, 'bin/archway')
}

// --- kubectl -----------------------------------------------------------------------------------------------------

async function measureKubectl(folder: string, executable: string | undefined): Promise<void> {
  const missing = await whatIsMissing(['keystone', 'kube-apiserver'])
  if (missing !== undefined) {
    console.log(`\nkubectl is left out: ${missing.why}; ${missing.remedy} brings it`)
    return
  }
  await using stack = new AsyncDisposableStack()
  const keystone = stack.use(await startKeystone({ workers: 2 }))
  const site = await createSite()
  stack.defer(() => site.folder.remove())
  const archway = stack.use(await serve(site, { authenticators: [{ keystone: { url: keystone.url } }] }))
  const cluster = stack.use(await startKubeApiserver({ flags: [await webhookFlag(site, archway.url)] }))
  const env = person(folder, 'kubectl', keystone.url)
  const program = join(here('../bin'), 'archway')
  await logIn(program, env)
  const starters = ['file', 'none'].flatMap((cache) => {
    const onNode = kubectl(folder, cluster, `checkout, --cache ${cache}`, [process.execPath, program], cache)
    if (executable === undefined) return [onNode]
    return [onNode, kubectl(folder, cluster, `executable, --cache ${cache}`, [executable], cache)]
  })
  const token = await keystone.token('alice', 'alice-pw', 'demo')
  const bare = kubectl(folder, cluster, 'a token in the kubeconfig', undefined, token)
  const all = [bare, ...starters]
  takeTurns(all, COMMANDS, env)
  console.log(`\nkubectl get --raw /api with a real kube-apiserver and Keystone, ${COMMANDS} times in turn`)
  report(all)
}

async function webhookFlag({ folder, caFile }: Awaited<ReturnType<typeof createSite>>, url: string): Promise<string> {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'archway', cluster: { server: `${url}/webhook`, 'certificate-authority': caFile } }],
    users: [{ name: 'apiserver', user: {} }],
    contexts: [{ name: 'webhook', context: { cluster: 'archway', user: 'apiserver' } }],
    'current-context': 'webhook',
  }
  return `--authentication-token-webhook-config-file=${await folder.write('webhook.yaml', JSON.stringify(config))}`
}

/** kubectl with a kubeconfig of its own: the plugin with this cache, or without a plugin the token itself. */
function kubectl(
  folder: string,
  { url, caFile }: { readonly url: string; readonly caFile: string },
  name: string,
  plugin: readonly [string, ...string[]] | undefined,
  cacheOrToken: string,
): Starter {
  const [command, ...args] = plugin ?? []
  const exec = {
    apiVersion: 'client.authentication.k8s.io/v1beta1',
    command,
    args: [...args, 'credential', '--cache', cacheOrToken],
    interactiveMode: 'Never',
  }
  const file = join(folder, `${name.replaceAll(/\W+/g, '-')}.json`)
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'rig', cluster: { server: url, 'certificate-authority': caFile } }],
    users: [{ name: 'alice', user: plugin === undefined ? { token: cacheOrToken } : { exec } }],
    contexts: [{ name: 'rig', context: { cluster: 'rig', user: 'alice' } }],
    'current-context': 'rig',
  }
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 })
  return starter(name, ['kubectl', '--kubeconfig', file, 'get', '--raw', '/api'], /"kind":"APIVersions"/)
}

// --- both --------------------------------------------------------------------------------------------------------

/** Starts everybody in turn, so that what else goes on here is shared. A wrong answer is no result. */
function takeTurns(starters: readonly Starter[], rounds: number, env: Env): void {
  for (let round = -WARMUP; round < rounds; round++) {
    for (const { name, command, answer, times } of starters) {
      const [program, ...args] = command
      const begin = performance.now()
      const ended: SpawnSyncReturns<string> = spawnSync(program, args, { env, encoding: 'utf8' })
      const time = performance.now() - begin
      if (ended.status !== 0 || !answer.test(ended.stdout)) throw new Error(`${name}: ${ended.stderr}${ended.stdout}`)
      if (round >= 0) times.push(time)
    }
  }
}

/** The first one is what the others are compared with. */
function report(starters: readonly Starter[]): void {
  const [first] = starters
  const width = Math.max(...starters.map(({ name }) => name.length)) + 2
  console.log(`\n${'start'.padEnd(width)}median ms   (min-max)      ÷ ${first?.name ?? ''}`)
  for (const { name, times } of starters) {
    const range = `(${Math.min(...times).toFixed(0)}-${Math.max(...times).toFixed(0)})`
    const ratio = (median(times) / median(first?.times ?? [])).toFixed(2)
    console.log(
      `${name.padEnd(width)}${median(times).toFixed(1).padStart(9)}   ${range.padEnd(12)}${ratio.padStart(7)}`,
    )
  }
}
