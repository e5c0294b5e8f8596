/** The pages about the kubectl door, held against the program. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { parse } from 'yaml'
import { addKubeconfigCommand } from '../../src/cli/kubeconfig.ts'
import { CACHE_FLAG, FORCE_FLAG, LOGIN_FLAGS } from '../../src/cli/login-session.ts'
import { marginMs } from '../../src/credential/exec-credential.ts'
import { EXEC_VERSIONS, readExecInfo } from '../../src/credential/exec-info.ts'
import { exitStatusHelp } from '../../src/credential/exit-status.ts'
import type { Settings } from '../../src/credential/plan.ts'
import { parseFlags } from '../../src/credential/settings/flags.ts'
import { resolveSettings } from '../../src/credential/settings/resolve.ts'
import { PROGRAM_FLAGS, SETTINGS } from '../../src/credential/settings/table.ts'
import { run, testIo } from '../cli/support.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const PAGE = read('docs/credential.md')
/** Flags of kube-apiserver, kubectl and the build that the page speaks of. */
const OF_OTHERS = ['--oidc-issuer-url', '--kubeconfig', '--target']
const PLAIN = ['credential', 'login', 'logout', 'whoami']

function read(page: string): string {
  return readFileSync(join(ROOT, page), 'utf8')
}

/** What stands between the fences of a language, in order. */
function blocks(language: string, page = PAGE): readonly string[] {
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, text = '']) => text)
}

/** Rows of the table whose first heading is `heading`, cell by cell. */
function table(heading: string): readonly (readonly string[])[] {
  const [, rows] = new RegExp(`^\\| ${heading} \\|.*\n\\| ---.*\n((?:\\|.*\n)+)`, 'm').exec(PAGE) ?? []
  assert.ok(rows !== undefined, `no table begins with ${heading}`)
  return rows
    .trimEnd()
    .split('\n')
    .map((row) =>
      row
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    )
}

/** The words in backticks. */
function coded(cell: string): readonly string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word)
}

/** Command lines of a program in the `sh` blocks: continued lines joined, pipes and comments cut off. */
function commandLines(page: string): readonly (readonly string[])[] {
  return blocks('sh', page)
    .flatMap((block) => block.replaceAll('\\\n', ' ').split('\n'))
    .map((line) =>
      line
        .replace(/ #.*$| \|.*$/, '')
        .trim()
        .split(/\s+/),
    )
    .filter(([program = '']) => /^(bin\/)?archway$/.test(program))
    .map(([, ...argv]) => argv)
}

function kubeconfigFlags(): readonly string[] {
  const program = new Command('archway')
  addKubeconfigCommand(program, testIo(), () => {})
  return program.commands.flatMap(({ options }) => options.flatMap(({ long, short }) => [long ?? '', short ?? '']))
}

function login(argv: readonly string[], env: Readonly<Record<string, string>>, home = '/nowhere'): Promise<Settings> {
  return resolveSettings({
    flags: parseFlags(argv, LOGIN_FLAGS),
    env: { OS_AUTH_URL: 'https://keystone.example', ...env },
    home,
    cwd: home,
    digest: () => 'digest',
  })
}

describe('docs/credential.md', () => {
  test('the table of settings is the one the program has', () => {
    assert.deepEqual(
      table('flag').map((cells) => cells.map(coded)),
      SETTINGS.map(({ flag, env = [], cloud = [] }) => [flag === undefined ? [] : [`--${flag}`], env, cloud]),
    )
  })

  test('the statuses are those of the program', () => {
    const lines = exitStatusHelp().trimEnd().split('\n')
    assert.deepEqual(
      table('status').map((cells) => cells.join(' ')),
      lines.map((line) => line.trim().replace(/\s+/, ' ')),
    )
  })

  test('every flag it names is one', async () => {
    const own = [...LOGIN_FLAGS, FORCE_FLAG, ...PROGRAM_FLAGS].flatMap(({ flag = '', aliases = [] }) => [
      flag,
      ...aliases,
    ])
    const help = await Promise.all(PLAIN.map(async (command) => (await run('archway', [command, '--help'])).out))
    const known = new Set([
      ...own.map((flag) => `--${flag}`),
      ...kubeconfigFlags(),
      ...(help.join('\n').match(/--[a-z-]+/g) ?? []),
      ...OF_OTHERS,
    ])
    const named = [...PAGE.matchAll(/(?<![\w-])--[a-z][a-z-]*/g)].map(([flag]) => flag)
    assert.ok(named.length > 50)
    assert.deepEqual(
      named.filter((flag) => !known.has(flag)),
      [],
    )
  })

  test('every variable it names is read by the program', () => {
    const sources = globSync(['src/credential/**/*.ts', 'src/cli/*.ts', 'src/keystone/login/*.ts'], { cwd: ROOT })
    const text = sources.map(read).join('\n')
    const words: readonly string[] =
      PAGE.match(/\b(?:OS|ARCHWAY|XDG|KUBERNETES)_[A-Z_]+\b|\b(?:HTTPS|NO)_PROXY\b|\bLOCALAPPDATA\b/g) ?? []
    assert.ok(words.includes(CACHE_FLAG.env?.[0] ?? ''))
    assert.deepEqual(
      words.filter((name) => !text.includes(`'${name}'`)),
      [],
    )
  })

  test('its command lines are understood', async () => {
    const lines = [PAGE, read('README.md')].flatMap(commandLines)
    assert.ok(lines.some(([name]) => name === 'kubeconfig') && lines.some(([name]) => name === 'login'))
    const flagsOfKubeconfig = kubeconfigFlags()
    for (const [name = '', ...argv] of lines) {
      if (PLAIN.includes(name)) {
        const { status, err } = await run('archway', [name, ...argv, '--help'])
        assert.equal(status, 0, `${argv}: ${err}`)
      } else if (name === 'kubeconfig') {
        for (const flag of argv.filter((word) => word.startsWith('-'))) {
          assert.ok(flagsOfKubeconfig.includes(flag.replace(/=.*/, '')), flag)
        }
      }
    }
  })

  test('the settings of each way choose it, and need no question', async () => {
    const types = new Set<string>()
    for (const [way, given = '', authType = ''] of table('way in')) {
      const names = coded(given)
      const argv = names.filter((name) => name.startsWith('--')).map((name) => `${name}=${exampleOf(name)}`)
      const env = Object.fromEntries(names.filter((name) => !name.startsWith('--')).map((name) => [name, 'value']))
      const [type = ''] = coded(authType)
      types.add(type)
      const chosen = await login(argv, env)
      const explicit = await login([...argv, '--auth-type', type], env)
      assert.deepEqual(chosen.questions, [], way)
      assert.deepEqual(chosen.subject, explicit.subject, way)
      assert.deepEqual(kindOf(await chosen.plan(undefined)), kindOf(await explicit.plan(undefined)), way)
    }
    const [, only = ''] = /^Only by `--auth-type`:([\s\S]*?)\n\n/m.exec(PAGE) ?? []
    for (const type of coded(only)) if (/^v3oidc|^v3multi/.test(type)) types.add(type)
    await assert.rejects(login(['--auth-type', 'none'], {}), ({ message }: Error) => {
      const [, list = ''] = /not supported; (.*) are$/.exec(message) ?? []
      // password and token are other spellings of v3password and v3token
      assert.deepEqual(
        [...types].sort(),
        list
          .split(', ')
          .filter((type) => !/^(password|token)$/.test(type))
          .sort(),
      )
      return true
    })
  })

  function exampleOf(flag: string): string {
    return flag === '--oidc-issuer' ? 'https://issuer.example' : 'value'
  }

  /** What a plan does, without its values. */
  function kindOf(plan: Awaited<ReturnType<Settings['plan']>>): unknown {
    return plan.provider === 'keystone'
      ? [plan.provider, plan.methods.map(({ method }) => method)]
      : [plan.provider, plan.oidcFlow.flow]
  }

  test('the clouds.yaml it shows is a login by password', async () => {
    const [clouds = ''] = blocks('yaml').filter((text) => text.startsWith('clouds:'))
    const settings = await resolveSettings({
      flags: parseFlags(['--os-cloud', 'demo'], LOGIN_FLAGS),
      env: {},
      home: '/home/alice',
      cwd: '/',
      platform: 'linux',
      readText: (path) =>
        path === '/home/alice/.config/openstack/clouds.yaml'
          ? { text: clouds, readableByOthers: false, foreign: false }
          : undefined,
      digest: () => 'digest',
    })
    assert.deepEqual(
      settings.questions.map(({ prompt }) => prompt),
      ['Please enter password: '],
    )
    assert.deepEqual([settings.subject['user_name'], settings.subject['project_name']], ['alice', 'demo'])
    assert.deepEqual(settings.warnings, [])
  })

  test('the messages it explains are in the program', () => {
    const text = globSync('src/**/*.ts', { cwd: ROOT }).map(read).join('\n')
    const messages = table('message').map(([cell = '']) => coded(cell)[0] ?? '')
    assert.ok(messages.length > 10)
    assert.deepEqual(
      messages.filter((message) => !text.includes(message)),
      [],
    )
  })

  test('the margin it states is the one that is kept', () => {
    assert.match(PAGE, /until a tenth of its life is left, at most a minute/)
    const issuedAt = new Date(0)
    assert.equal(marginMs({ issuedAt, expiresAt: new Date(100_000) }), 10_000)
    assert.equal(marginMs({ issuedAt, expiresAt: new Date(86_400_000) }), 60_000)
  })
})

describe('kubeconfigs that are shown', () => {
  interface Stanza {
    readonly apiVersion: string
    readonly command: string
    readonly args: readonly string[]
    readonly interactiveMode?: string
  }

  interface Kubeconfig {
    readonly users?: readonly { readonly name: string; readonly user: { readonly exec: Stanza } }[]
    readonly clusters?: readonly {
      readonly name: string
      readonly cluster: { readonly extensions?: readonly { readonly name: string; readonly extension: object }[] }
    }[]
    readonly contexts?: readonly { readonly context: { readonly cluster: string; readonly user: string } }[]
    readonly 'current-context'?: string
  }

  const example: Kubeconfig = parse(read('examples/kubeconfig.yaml'))
  const shown: readonly Kubeconfig[] = [example, ...blocks('yaml').map((text) => parse(text))]
  const users = shown.flatMap(({ users: found = [] }) => found)
  const clusters = shown.flatMap(({ clusters: found = [] }) => found)

  test('their plugin takes the arguments, in a version that is answered', () => {
    assert.equal(users.length, 4)
    for (const { name, user } of users) {
      const { apiVersion, command, args, interactiveMode } = user.exec
      assert.equal(command, 'archway')
      assert.equal(args[0], 'credential')
      assert.deepEqual(parseFlags(args.slice(1), [...LOGIN_FLAGS, FORCE_FLAG]).positionals, [], name)
      assert.equal(apiVersion, EXEC_VERSIONS[0])
      assert.match(interactiveMode ?? 'v1 has to say it', /^(Never|IfAvailable|Always)$/)
    }
  })

  test('what stands with a cluster is a setting, and nothing secret', async () => {
    const extensions = clusters.flatMap(({ cluster: { extensions: found = [] } }) => found)
    assert.equal(extensions.length, 2)
    for (const { name, extension } of extensions) {
      assert.equal(name, 'client.authentication.k8s.io/exec')
      const spec = { cluster: { server: '', config: extension } }
      const info = readExecInfo({ KUBERNETES_EXEC_INFO: JSON.stringify({ apiVersion: EXEC_VERSIONS[0], spec }) })
      const settings = await resolveSettings({
        flags: parseFlags([], LOGIN_FLAGS),
        env: { OS_USERNAME: 'alice', OS_PASSWORD: 'pw', OS_PROJECT_NAME: 'demo' },
        home: '/nowhere',
        cwd: '/nowhere',
        clusterConfig: info.cluster?.config,
        digest: () => 'digest',
      })
      assert.deepEqual([settings.questions, settings.warnings], [[], []])
      assert.equal(settings.subject['url'], 'https://keystone.example:5000')
      assert.equal(settings.subject['user_domain_name'], 'Default')
    }
  })

  test('the file holds together', () => {
    const named = (list: readonly { readonly name: string }[] = []): readonly string[] => list.map(({ name }) => name)
    for (const { context } of example.contexts ?? []) {
      assert.ok(named(example.users).includes(context.user) && named(example.clusters).includes(context.cluster))
    }
    assert.equal(example.contexts?.length, 3)
    assert.equal(example['current-context'], 'prod')
  })
})
