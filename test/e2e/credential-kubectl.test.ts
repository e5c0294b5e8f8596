/** The credential plugins as people have them: real kubectl, kube-apiserver, webhook and Keystone. */

import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { CachedCredential } from '../../src/credential/cache/store.ts'
import { Secret } from '../../src/secret.ts'
import { findKubectls, type KubectlProgram } from '../rigs/kubectl.ts'
import { runInTerminal, type TerminalAnswer, type TerminalRun } from '../support/pty.ts'
import {
  type KeystoneRig,
  type KubeApiserverRig,
  onKeyring,
  startKeystone,
  startKubeApiserver,
} from '../support/rigs.ts'
import type { Point } from './inside-plugin.ts'
import { createHome, type Env, type KubectlHome, type PluginEntry, type Ran } from './kubectl-home.ts'
import { createSite, type Program, runProgram, type Site, serve } from './program.ts'

const KUBECTLS = await findKubectls()
const [OLDEST, NEWEST] = [KUBECTLS[0], KUBECTLS.at(-1)].map((found) => found ?? assert.fail('no kubectl')) as [
  KubectlProgram,
  KubectlProgram,
]
const INSIDE = `--import=${import.meta.resolve('./inside-plugin.ts')}`
const LOGIN = /^POST \/v3\/auth\/tokens/
const PROMPT = /Please enter password: /
const LONG = { timeout: 300_000 }

/** One request each, without the discovery of `kubectl get pods`. */
const PODS = ['get', '--raw', '/api/v1/namespaces/default/pods']
const SECRETS = ['get', '--raw', '/api/v1/namespaces/default/secrets']

/** Of a user made for these tests. What is looked for in all that is written. */
const PASSWORD = 'Pw-canary-41c7'
const APPLICATION_SECRET = 'App-canary-9be2'

let keystone: KeystoneRig
let site: Site
let archway: Program
let cluster: KubeApiserverRig
let applicationCredential: string
let nina: Env
let home: KubectlHome

before(async () => {
  keystone = await startKeystone()
  site = await createSite()
  archway = await serve(site, {
    authenticators: [{ keystone: { url: keystone.url } }],
    cache: { ttl: '0s', negativeTtl: '0s' },
  })
  const webhook = await site.folder.write(
    'webhook.yaml',
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        { name: 'archway', cluster: { server: `${archway.url}/webhook`, 'certificate-authority': site.caFile } },
      ],
      users: [{ name: 'apiserver', user: {} }],
      contexts: [{ name: 'webhook', context: { cluster: 'archway', user: 'apiserver' } }],
      'current-context': 'webhook',
    }),
  )
  const audit = { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules: [{ level: 'RequestResponse' }] }
  cluster = await startKubeApiserver({
    flags: [
      `--authentication-token-webhook-config-file=${webhook}`,
      '--authentication-token-webhook-version=v1',
      '--authentication-token-webhook-cache-ttl=0s',
      `--audit-policy-file=${await site.folder.write('audit-policy.yaml', JSON.stringify(audit))}`,
      `--audit-log-path=${site.folder.path('audit.log')}`,
    ],
  })
  const { demo = '' } = keystone.ids.projects
  for (const args of [
    ['clusterrole', 'reader', '--verb=list,get', '--resource=pods'],
    ['clusterrolebinding', 'project-demo', '--clusterrole=reader', `--group=${demo}`],
  ]) {
    const { status, stderr } = await cluster.kubectl(['create', ...args])
    assert.equal(status, 0, stderr)
  }
  await makeNina(demo)
})
after(async () => {
  await cluster?.[Symbol.asyncDispose]()
  await archway?.stop()
  await keystone?.[Symbol.asyncDispose]()
  await site?.folder.remove()
})
beforeEach(async () => {
  home = await createHome(cluster, nina)
})
afterEach(() => home?.[Symbol.asyncDispose]())

async function makeNina(project: string): Promise<void> {
  const user = await keystone.api('POST', '/users', {
    user: { name: 'nina', password: PASSWORD, domain_id: 'default' },
  })
  const { id } = user.body.user
  await keystone.api('PUT', `/projects/${project}/users/${id}/roles/${keystone.ids.roles['member']}`)
  const made = await keystone.api(
    'POST',
    `/users/${id}/application_credentials`,
    { application_credential: { name: 'kubectl', secret: APPLICATION_SECRET } },
    await keystone.token('nina', PASSWORD, 'demo'),
  )
  applicationCredential = made.body.application_credential.id
  nina = {
    OS_AUTH_URL: keystone.url,
    OS_USERNAME: 'nina',
    OS_PASSWORD: PASSWORD,
    OS_PROJECT_NAME: 'demo',
    OS_DOMAIN_NAME: 'Default',
  }
}

/** A way to prove who one is: what is in kubectl's environment, and what in the kubeconfig. */
interface Way {
  readonly args?: readonly string[]
  env(): Env
}

const NOTHING: Env = { OS_AUTH_URL: '', OS_USERNAME: '', OS_PASSWORD: '', OS_PROJECT_NAME: '', OS_DOMAIN_NAME: '' }

const WAYS: Readonly<Record<string, Way>> = {
  'a password': { env: () => ({}) },
  'an application credential': {
    env: () => ({
      ...NOTHING,
      OS_AUTH_URL: keystone.url,
      OS_APPLICATION_CREDENTIAL_ID: applicationCredential,
      OS_APPLICATION_CREDENTIAL_SECRET: APPLICATION_SECRET,
    }),
  },
  'clouds.yaml': { args: ['--os-cloud=demo'], env: () => NOTHING },
}

async function writeClouds(): Promise<void> {
  const auth = {
    auth_url: keystone.url,
    username: 'nina',
    password: PASSWORD,
    project_name: 'demo',
    domain_name: 'Default',
  }
  await mkdir(home.folder.path('home/.config/openstack'), { recursive: true })
  await home.folder.write('home/.config/openstack/clouds.yaml', JSON.stringify({ clouds: { demo: { auth } } }))
}

const entryFor = ({ speaks }: KubectlProgram): PluginEntry => ({ version: speaks[0] ?? 'v1beta1' })

/** How many requests Keystone had that match, while `act` ran. */
async function requestsDuring(pattern: RegExp, act: () => Promise<unknown>): Promise<number> {
  const earlier = await keystone.countRequests(pattern)
  await act()
  return (await keystone.countRequests(pattern)) - earlier
}

const loginsDuring = (act: () => Promise<unknown>): Promise<number> => requestsDuring(LOGIN, act)

function assertPods({ status, stdout, stderr }: Ran): void {
  assert.equal(status, 0, stderr)
  assert.equal(JSON.parse(stdout).kind, 'PodList')
}

async function kept(): Promise<CachedCredential> {
  const [only, ...more] = await home.store().list()
  assert.equal(more.length, 0)
  return only?.credential ?? assert.fail('nothing is kept')
}

const cacheFiles = (): readonly string[] => readdirSync(home.folder.path('home/.cache/archway'))

/** Resolves when it holds. */
async function until(holds: () => boolean, what: string): Promise<void> {
  const limit = AbortSignal.timeout(120_000)
  while (!holds()) {
    assert.ok(!limit.aborted, `${what} has not come`)
    await pause(10)
  }
}

describe('kubectl', () => {
  for (const program of KUBECTLS) {
    for (const version of program.speaks) {
      for (const [name, { args = [], env }] of Object.entries(WAYS)) {
        test(`${program.version} in ${version} logs in with ${name}; [C-13] the second one asks Keystone for nothing`, async () => {
          await writeClouds()
          await home.use({ version, args })
          const first = async () => assertPods(await home.kubectl(program, PODS, { env: env() }))
          assert.equal(await loginsDuring(first), 1)
          const second = async () => {
            const { status, stderr } = await home.kubectl(program, SECRETS, { env: env() })
            assert.equal(status, 1)
            assert.match(stderr, /User "nina" cannot list resource "secrets"/)
          }
          assert.equal(await loginsDuring(second), 0)
        })
      }
    }

    test(`${program.version}: T-S12 a wrong password is tried once, by however many`, async () => {
      await home.use(entryFor(program))
      const wrong = { OS_PASSWORD: 'Wrong-canary-d03a' }
      const tries = await loginsDuring(async () => {
        for (let i = 0; i < 2; i++) {
          const { status, stdout, stderr } = await home.kubectl(program, PODS, { env: wrong })
          assert.deepEqual([status, stdout], [1, ''])
          assert.match(stderr, /archway: .*Keystone refuses user "nina"/)
          assert.doesNotMatch(stderr, /canary/)
        }
      })
      assert.equal(tries, 1)
      assertPods(await home.kubectl(program, PODS))
    })

    test(`${program.version}: a kept token that has expired is replaced`, async () => {
      await home.use(entryFor(program))
      assertPods(await home.kubectl(program, PODS))
      const old = new Date(Date.now() - 1000)
      const expired = { issuedAt: new Date(0), expiresAt: old, expiresAtText: old.toISOString() }
      const store = home.store()
      const [entry] = await store.list()
      assert.ok(entry)
      await store.write(entry.key, { ...entry.credential, ...expired, token: new Secret('used-up') })
      assert.equal(await loginsDuring(async () => assertPods(await home.kubectl(program, PODS))), 1)
      assert.ok((await kept()).expiresAt > new Date())
    })

    test(`${program.version}: a token revoked at Keystone costs one command, and the next logs in by itself`, async () => {
      await home.use(entryFor(program))
      // Not shown to the API server before it is revoked: that takes a token it knows for ten seconds, asking nobody.
      const login = await runProgram('archway', ['login'], home.env)
      assert.equal(login.status, 0, login.stderr)
      const first = await kept()
      await keystone.revoke(first.token.reveal())
      const logins = await loginsDuring(async () => {
        const refused = await home.kubectl(program, PODS)
        // A kubectl that has asked for the version before has met the 401 with that.
        if (refused.status !== 0) assert.match(refused.stderr, /Unauthorized|must be logged in/)
        for (let i = 0; i < 3; i++) assertPods(await home.kubectl(program, PODS))
      })
      assert.equal(logins, 1)
      assert.notEqual((await kept()).token.reveal(), first.token.reveal())
    })

    test(`${program.version} runs a kubeconfig of client-keystone-auth as it is`, async () => {
      await home.use({
        command: 'client-keystone-auth',
        version: 'v1beta1',
        args: ['--domain-name=Default', `--keystone-url=${keystone.url}`],
        env: { OS_USERNAME: 'nina', OS_PASSWORD: PASSWORD, OS_PROJECT_NAME: 'demo' },
      })
      const run = async () => {
        const { status, stderr } = await home.kubectl(program, ['get', 'pods'], { env: NOTHING })
        assert.equal(status, 0, stderr)
        assert.match(stderr, /No resources found/)
      }
      assert.equal(await loginsDuring(run), 1)
      assert.equal(await loginsDuring(run), 0)
    })

    for (const version of program.speaks) {
      test(`${program.version} runs what archway kubeconfig has written in ${version}`, async () => {
        const server = ['--server', cluster.url, '--ca-file', cluster.caFile]
        const written = await runProgram('archway', ['kubeconfig', ...server, '--api-version', version], home.env)
        assert.equal(written.status, 0, `${written.stdout}${written.stderr}`)
        const text = readFileSync(home.kubeconfig, 'utf8')
        assert.ok(text.includes(`client.authentication.k8s.io/${version}\n`), text)
        assert.doesNotMatch(text, /canary/)
        assertPods(await home.kubectl(program, PODS))
      })
    }

    test(`${program.version} hands over the cluster's extension`, async () => {
      const { OS_AUTH_URL = '', OS_PROJECT_NAME = '' } = nina
      await home.use({
        ...entryFor(program),
        provideClusterInfo: true,
        extension: { 'keystone-url': OS_AUTH_URL, 'project-name': OS_PROJECT_NAME },
      })
      assertPods(await home.kubectl(program, PODS, { env: { OS_AUTH_URL: '', OS_PROJECT_NAME: '' } }))
    })

    test(`${program.version} keeps its standard input, which the plugin neither reads nor needs`, async () => {
      await home.use(entryFor(program))
      const pod = JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'nowhere', namespace: 'default' } })
      const { status, stderr } = await home.kubectl(program, ['get', '-f', '-'], { input: pod })
      assert.equal(status, 1)
      assert.match(stderr, /pods "nowhere" not found/)
    })
  }

  test(`${OLDEST.version} refuses v1 in words, before anything is run`, async () => {
    await home.use({ version: 'v1' })
    const touched = await requestsDuring(/./, async () => {
      const { status, stderr } = await home.kubectl(OLDEST, PODS)
      assert.equal(status, 1)
      assert.match(stderr, /exec plugin: invalid apiVersion "client\.authentication\.k8s\.io\/v1"/)
    })
    assert.equal(touched, 0)
    assert.equal(existsSync(home.folder.path('home/.cache/archway')), false)
  })

  test(`${NEWEST.version} with a token in the keyring: T-S1 the program that asks it inherits no secret`, async () => {
    await home.use(entryFor(NEWEST))
    const folder = home.folder.path('.')
    const env = { ...home.env, ARCHWAY_CACHE: 'keyring', NODE_OPTIONS: INSIDE, INSIDE_FOLDER: folder }
    const variables = Object.entries({ ...env, KUBECONFIG: home.kubeconfig }).map(([name, value]) => `${name}=${value}`)
    const run = async () => {
      const stdout = await onKeyring('run', home.folder.path('home'), ['env', ...variables, NEWEST.path, ...PODS])
      assert.equal(JSON.parse(stdout).kind, 'PodList')
    }
    assert.equal(await loginsDuring(run), 1)
    const inherited = readFileSync(home.folder.path('environment'), 'utf8')
    assert.match(inherited, /"OS_USERNAME":"nina"/)
    assert.doesNotMatch(inherited, /canary/)
    assert.equal(await loginsDuring(run), 0)
    assert.equal(cacheFiles().filter((name) => name.endsWith('.sealed')).length, 1)
  })
})

describe('many kubectl at once', () => {
  test('T-S12 fifty are one login, and all succeed', LONG, async () => {
    await home.use({ version: 'v1beta1' })
    const logins = await loginsDuring(async () => {
      const all = Array.from({ length: 50 }, (_, index) => home.kubectl(index % 2 === 0 ? OLDEST : NEWEST, PODS))
      for (const ran of await Promise.all(all)) assertPods(ran)
    })
    assert.equal(logins, 1)
  })

  /** How many log in when the one that has the lock dies there, itself counted. */
  const deaths: readonly (readonly [Point, number])[] = [
    ['locked', 1],
    ['half written', 2],
    ['not yet renamed', 2],
    ['renamed', 1],
  ]
  for (const [point, expected] of deaths) {
    test(`T-S12 T-S14 the plugin killed with its entry ${point} spoils nothing for those that wait`, LONG, async () => {
      await home.use({ version: 'v1beta1' })
      const temporary = () => cacheFiles().filter((name) => name.startsWith('tmp-')).length
      const env = { NODE_OPTIONS: INSIDE, INSIDE_PAUSE: point, INSIDE_FOLDER: home.folder.path('.') }
      const logins = await loginsDuring(async () => {
        const doomed = home.kubectl(OLDEST, PODS, { env })
        await until(() => existsSync(home.folder.path('paused')), 'the pause of the plugin')
        const before = temporary()
        const others = Array.from({ length: 4 }, (_, index) => home.kubectl(index % 2 === 0 ? OLDEST : NEWEST, PODS))
        // Whoever waits has a record of its own there; where the entry is in place already, nobody waits.
        if (point !== 'renamed') await until(() => temporary() >= before + others.length, 'the waiting of the others')
        await home.folder.write('go', '')
        for (const ran of await Promise.all(others)) assertPods(ran)
        const { status, stdout, stderr } = await doomed
        assert.deepEqual([status, stdout], [1, ''])
        assert.match(stderr, /exit code -1|signal: killed/)
      })
      assert.equal(logins, expected)
      await kept()
      for (const name of cacheFiles()) {
        assert.equal(statSync(home.folder.path(`home/.cache/archway/${name}`)).mode & 0o777, 0o600, name)
      }
      assert.equal(await loginsDuring(async () => assertPods(await home.kubectl(NEWEST, PODS))), 0)
      // Whoever logs in next finds the lock free, whatever the dead have left of it.
      const next = await runProgram('archway', ['login'], home.env)
      assert.equal(next.status, 0, next.stderr)
      assert.ok(!cacheFiles().some((name) => name.includes('.lock')), cacheFiles().join(' '))
    })
  }
})

describe('kubectl in a terminal', () => {
  /** The person who is asked for the password. */
  const asked = (more: Env = {}): Env => ({ ...home.env, OS_PASSWORD: '', KUBECONFIG: home.kubeconfig, ...more })

  /** All on the terminal: 1.20 lets nobody be asked where its output goes elsewhere. */
  const onScreen = (program: KubectlProgram, answers: readonly TerminalAnswer[]): Promise<TerminalRun> =>
    runInTerminal('sh', ['-c', 'exec "$0" "$@" >/dev/tty', program.path, ...PODS], { env: asked(), answers })

  for (const program of KUBECTLS) {
    test(`${program.version}: T-S12 the password is asked for, and not shown`, async () => {
      await home.use(entryFor(program))
      const { screen, status } = await onScreen(program, [{ on: PROMPT, send: `${PASSWORD}\r` }])
      assert.equal(status, 0, screen)
      assert.match(screen, /"kind":"PodList"/)
      assert.doesNotMatch(screen, /canary/)
      const again = await onScreen(program, [])
      assert.equal(again.status, 0, again.screen)
      assert.doesNotMatch(again.screen, PROMPT)
    })

    test(`${program.version}: Ctrl-C at the prompt ends kubectl, and gives terminal and lock back`, async () => {
      await home.use(entryFor(program))
      // The shell outlives the signal, and looks whether the terminal shows again what is typed.
      const look = `until stty -a | grep -q ' echo '; do sleep 0.1; done; echo "ended by $status, shows again"`
      const script = `trap : INT; "$0" "$@" >/dev/tty; status=$?; ${look}`
      const { screen, stdout } = await runInTerminal('sh', ['-c', script, program.path, ...PODS], {
        env: asked(),
        answers: [{ on: PROMPT, send: '\x03' }],
      })
      assert.equal(stdout, 'ended by 130, shows again\n', screen)
      assert.equal(screen.match(new RegExp(PROMPT, 'g'))?.length, 1, screen)
      assertPods(await home.kubectl(program, PODS))
    })

    test(`${program.version} without a terminal asks nobody, and says what is missing`, async () => {
      await home.use(entryFor(program))
      const touched = await requestsDuring(/./, async () => {
        const { status, stdout, stderr } = await home.kubectl(program, PODS, { env: { OS_PASSWORD: '' } })
        assert.deepEqual([status, stdout], [1, ''])
        assert.match(stderr, /archway: .*password \(OS_PASSWORD/)
        assert.doesNotMatch(stderr, PROMPT)
      })
      assert.equal(touched, 0)
    })
  }

  for (const program of KUBECTLS.filter(({ speaks }) => speaks.includes('v1'))) {
    for (const version of program.speaks) {
      test(`${program.version} in ${version} with interactiveMode Never asks nobody, terminal or not`, async () => {
        await home.use({ version, interactiveMode: 'Never' })
        const { screen, stdout, status } = await runInTerminal(program.path, PODS, { env: asked(), answers: [] })
        assert.deepEqual([status, stdout], [1, ''], screen)
        assert.match(screen, /password \(OS_PASSWORD/)
        assert.doesNotMatch(screen, PROMPT)
      })
    }
  }
})

describe('what is written while kubectl logs in', () => {
  test('T-S1 no password, secret or token: streams at every verbosity, logs, audit, names of files', LONG, async () => {
    const wrong: readonly Env[] = [
      { OS_PASSWORD: 'Wrong-canary-77e1' },
      { OS_APPLICATION_CREDENTIAL_ID: 'nobody', OS_APPLICATION_CREDENTIAL_SECRET: 'Wrong-canary-02b5' },
    ]
    const runs: readonly (readonly [PluginEntry, readonly Env[]])[] = [
      [{ version: 'v1beta1', args: ['-v'] }, [...Object.values(WAYS).map(({ env }) => env()), ...wrong]],
      [{ version: 'v1beta1', args: ['-v=9'], command: 'client-keystone-auth' }, [{ ARCHWAY_CACHE: 'none' }, ...wrong]],
    ]
    await writeClouds()
    const written: string[] = []
    for (const program of KUBECTLS) {
      for (const [entry, environments] of runs) {
        await home.use(entry)
        for (const more of environments) {
          const ran = await home.kubectl(program, ['-v=8', ...PODS], { env: { OS_CLOUD: 'demo', ...more } })
          written.push(ran.stdout, ran.stderr)
        }
      }
    }
    const told = written.join('\n')
    assert.match(told, /archway: logged in as nina/) // it was said what is done,
    assert.match(told, /Request Headers:/) // and kubectl tells of its requests
    const tokens = (await home.store().list()).map(({ credential }) => credential.token.reveal())
    assert.ok(tokens.length > 0)
    const audit = await readFile(site.folder.path('audit.log'), 'utf8')
    assert.match(audit, /"username":"nina"/)
    const places = {
      'the streams of kubectl': told,
      'the output of archway serve': archway.output(),
      'the log of kube-apiserver': await cluster.log('apiserver'),
      'the audit log': audit,
      'the names in the cache': cacheFiles().join('\n'),
    }
    for (const [place, text] of Object.entries(places)) {
      assert.doesNotMatch(text, /canary/i, place)
      for (const token of tokens) assert.ok(!text.includes(token), place)
    }
    for (const name of cacheFiles()) {
      const content = readFileSync(home.folder.path(`home/.cache/archway/${name}`), 'latin1')
      assert.doesNotMatch(content, /canary/i, name)
      assert.doesNotMatch(name, /nina|demo/)
    }
  })

  test('T-S1 no password in the title or command line of kubectl and the plugin', LONG, async () => {
    await home.use({ version: 'v1beta1' })
    const env = { NODE_OPTIONS: INSIDE, INSIDE_PAUSE: 'not yet renamed', INSIDE_FOLDER: home.folder.path('.') }
    const doomed = home.kubectl(NEWEST, PODS, { env })
    await until(() => existsSync(home.folder.path('paused')), 'the pause of the plugin')
    const plugin = readFileSync(home.folder.path('paused'), 'utf8')
    const [, parent = ''] = /\) \S (\d+) /.exec(readFileSync(`/proc/${plugin}/stat`, 'latin1')) ?? []
    assert.match(readFileSync(`/proc/${plugin}/cmdline`, 'latin1'), /archway\0credential/)
    assert.match(readFileSync(`/proc/${parent}/cmdline`, 'latin1'), /kubectl/)
    for (const pid of [plugin, parent]) {
      for (const file of ['cmdline', 'comm']) {
        assert.doesNotMatch(readFileSync(`/proc/${pid}/${file}`, 'latin1'), /canary/i)
      }
    }
    await home.folder.write('go', '')
    assert.equal((await doomed).status, 1)
  })
})
