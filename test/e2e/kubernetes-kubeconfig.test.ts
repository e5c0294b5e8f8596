/** `archway kubeconfig` with a real kube-apiserver and kubectl: what it writes is what kubectl reads and uses. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { Command } from 'commander'
import fc from 'fast-check'
import { addKubeconfigCommand } from '../../src/cli/kubeconfig.ts'
import { pinOf } from '../../src/credential/kubeconfig/certificates.ts'
import { applyChange } from '../../src/kube/kubeconfig-file/change-files.ts'
import { parseKubeconfig } from '../../src/kube/kubeconfig-file/document.ts'
import { editKubeconfig } from '../../src/kube/kubeconfig-file/edit.ts'
import { withKubeconfigLocks } from '../../src/kube/kubeconfig-file/replace-file.ts'
import { type Ran, testIo } from '../cli/support.ts'
import { entry, word } from '../kube/kubeconfig-file/arbitraries.ts'
import { type KubeApiserverRig, startKubeApiserver } from '../support/rigs.ts'
import { createAuthority, createFolder, type TestFolder } from '../support/tls.ts'

function asJson(value: unknown): Readonly<Record<string, unknown>> {
  return JSON.parse(JSON.stringify(value))
}

describe('a kubeconfig of archway and a real cluster', () => {
  let cluster: KubeApiserverRig
  let site: TestFolder
  let folder: TestFolder
  before(async () => {
    site = await createFolder()
    const tokens = await site.write(
      'tokens.csv',
      'alice-token,alice,0001,"k8s-devs"\nadmin-token,root,0002,"system:masters"\n',
    )
    cluster = await startKubeApiserver({ flags: [`--token-auth-file=${tokens}`] })
  })
  after(async () => {
    await cluster?.[Symbol.asyncDispose]()
    await site?.remove()
  })
  beforeEach(async () => {
    folder = await createFolder()
    await mkdir(folder.path('bin'))
  })
  afterEach(() => folder.remove())

  /** A program in PATH that gives this token, in the version it is asked for. */
  async function givesToken(token: string): Promise<void> {
    const path = folder.path('bin/archway')
    const version = 'sed "s/.*\\"apiVersion\\":\\"\\([^\\"]*\\)\\".*/\\1/"'
    const script = `#!/bin/sh
version=$(echo "$KUBERNETES_EXEC_INFO" | ${version})
printf '{"kind":"ExecCredential","apiVersion":"%s","status":{"token":"%s"}}' "$version" '${token}'
`
    await writeFile(path, script)
    await chmod(path, 0o755)
  }

  function environment(): Record<string, string> {
    return { HOME: folder.path('home'), PATH: `${folder.path('bin')}:${process.env['PATH']}` }
  }

  async function archway(...args: readonly string[]): Promise<Ran> {
    const io = testIo(environment())
    let status = 0
    const program = new Command('archway')
    addKubeconfigCommand(program, io, (code) => {
      status = code
    })
    await program.parseAsync(['kubeconfig', ...args], { from: 'user' })
    return { status, ...io.printed }
  }

  const config = (): string => folder.path('home/.kube/config')

  async function kubectl(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await cluster.kubectl(args, { kubeconfig: config(), env: environment() })
    assert.equal(status, 0, stderr)
    return stdout
  }

  for (const version of ['v1', 'v1beta1']) {
    test(`kubectl uses what was written (${version})`, async () => {
      await givesToken('admin-token')
      const { status, out } = await archway(
        '--server',
        cluster.url,
        '--ca-file',
        cluster.caFile,
        '--name',
        'rig',
        '--api-version',
        version,
      )
      assert.equal(status, 0, out)
      assert.match(out, /was reached: Kubernetes v\d/)
      assert.match(out, /credentials {2}accepted/)
      assert.match(await kubectl('get', 'namespaces', '-o', 'name'), /^namespace\/kube-system$/m)
      assert.equal((await kubectl('config', 'current-context')).trim(), 'rig')
    })
  }

  test('says as whom, also of 1.20, which knows no SelfSubjectReview', async () => {
    await givesToken('alice-token')
    const { status, out } = await archway('--server', cluster.url, '--ca-file', cluster.caFile, '--dry-run')
    assert.equal(status, 0, out)
    assert.match(out, /credentials {2}accepted: alice$/m)
  })

  test('a token the API server does not know is 401, with what to look at', async () => {
    await givesToken('no-such-token')
    const { status, out } = await archway('--server', cluster.url, '--ca-file', cluster.caFile)
    assert.equal(status, 1)
    assert.match(out, /401: the API server does not take this credential/)
    assert.match(out, /--authentication-token-webhook-config-file/)
  })

  test('another CA is refused; the pin of the right one is shown, and works', async () => {
    await givesToken('alice-token')
    const stranger = await folder.write('stranger.crt', (await createAuthority('kubernetes')).cert)
    const refused = await archway('--server', cluster.url, '--ca-file', stranger)
    assert.equal(refused.status, 1)
    assert.match(refused.out, /is not by .*stranger\.crt/)

    const ca = await readFile(cluster.caFile, 'utf8')
    const pin = pinOf(new X509Certificate(ca))
    const info = {
      clusters: [
        {
          name: '',
          cluster: { server: cluster.url, 'certificate-authority-data': Buffer.from(ca).toString('base64') },
        },
      ],
    }
    const published = JSON.stringify(info)
    for (const args of [
      ['create', 'configmap', 'cluster-info', '-n', 'kube-public', `--from-literal=kubeconfig=${published}`],
      [
        'create',
        'role',
        'info',
        '-n',
        'kube-public',
        '--verb=get',
        '--resource=configmaps',
        '--resource-name=cluster-info',
      ],
      ['create', 'rolebinding', 'info', '-n', 'kube-public', '--role=info', '--user=system:anonymous'],
    ]) {
      const { status, stderr } = await cluster.kubectl(args)
      assert.equal(status, 0, stderr)
    }
    const { status, out } = await archway('--server', cluster.url, '--ca-from-server', '--ca-pin', pin)
    assert.equal(status, 0, out)
    assert.match(await kubectl('auth', 'can-i', '--list'), /selfsubjectaccessreviews/)
  })

  test("beside the administrator's entries, in the same file, whose bytes stay", async () => {
    await givesToken('alice-token')
    await mkdir(folder.path('home/.kube'), { recursive: true })
    await copyFile(cluster.kubeconfig, config())
    const before = await readFile(config(), 'utf8')
    const { status, out } = await archway('--set-current')
    assert.equal(status, 0, out)
    const kept = before.split('\n').filter((line) => !line.startsWith('current-context:'))
    const lines = (await readFile(config(), 'utf8')).split('\n')
    let from = 0
    for (const line of kept.filter((text) => text !== '')) {
      const at = lines.indexOf(line, from)
      assert.notEqual(at, -1, line)
      from = at + 1
    }
    assert.match(
      (await cluster.kubectl(['get', 'ns'], { kubeconfig: config(), env: environment() })).stderr,
      /User "alice" cannot list/,
    )
    assert.match((await archway('--set-current')).out, /nothing to change/)
  })

  test('kubectl reads every name and text as it was meant', async () => {
    const names = fc.sample(word, { numRuns: 60, seed: 7 })
    const entries = [...new Set(names)].map((name) => ({
      kind: 'cluster' as const,
      name,
      settings: { server: 'https://a', 'tls-server-name': name },
    }))
    const others = fc.sample(entry, { numRuns: 30, seed: 8 })
    const distinct = [...new Map([...entries, ...others].map((one) => [`${one.kind} ${one.name}`, one])).values()]
    const { text } = editKubeconfig(parseKubeconfig('file', '# of a test\n'), {
      entries: distinct,
      currentContext: 'yes',
    })
    await mkdir(folder.path('home/.kube'), { recursive: true })
    await writeFile(config(), text)
    const view = JSON.parse(await kubectl('config', 'view', '--raw', '-o', 'json')) as Record<string, unknown>
    assert.equal(view['current-context'], 'yes')
    const document = parseKubeconfig('kubectl', JSON.stringify(view))
    for (const { kind, name, settings } of distinct) {
      const read = asJson(document.entry(kind, name) ?? assert.fail(`${kind} ${name}`))
      const wanted = asJson(settings)
      const [found, meant] = kind === 'user' ? [asJson(read['exec']), asJson(wanted['exec'])] : [read, wanted]
      for (const [key, value] of Object.entries(meant))
        assert.deepEqual(found[key] ?? null, value, `${kind} ${name} ${key}`)
    }
  })

  test("what kubectl has rewritten is 'nothing to change'", async () => {
    await givesToken('alice-token')
    const args = [
      '--server',
      cluster.url,
      '--ca-file',
      cluster.caFile,
      '--name',
      'rig',
      '--keystone-url',
      'https://k/v3',
    ]
    assert.equal((await archway(...args)).status, 0)
    await kubectl('config', 'set-context', 'other', '--cluster=rig')
    assert.match((await archway(...args)).out, /nothing to change/)
  })

  test('kubectl config does nothing while archway has the lock', async () => {
    const run = () => {
      const env = { ...process.env, KUBECONFIG: config() }
      return spawnSync('kubectl', ['config', 'set-cluster', 'theirs', '--server=https://t'], { env, encoding: 'utf8' })
    }
    const during = await withKubeconfigLocks({ paths: [config()], waitMs: 0 }, run)
    assert.notEqual(during.status, 0)
    assert.match(during.stderr, /config\.lock: file exists/)
    assert.equal(run().status, 0)
  })

  test('kubectl reads a whole file at any moment, however often it is written', async () => {
    const set = (number: number): Promise<unknown> =>
      applyChange({
        request: {
          files: [config()],
          entries: [{ kind: 'cluster', name: 'c', settings: { server: `https://${'o'.repeat(number % 50)}` } }],
          current: { name: '', when: 'never' },
          isHarmlessFlag: () => false,
        },
        overwrite: true,
        backup: false,
        now: new Date(),
        lockWaitMs: 60_000,
      })
    await set(1)
    let reading = true
    const writing = (async () => {
      for (let number = 2; reading; number++) {
        await set(number)
        await setImmediate()
      }
    })()
    for (let i = 0; i < 10; i++) {
      const view = await kubectl('config', 'view', '-o', 'json')
      assert.deepEqual(parseKubeconfig('kubectl', view).names('cluster'), ['c'])
    }
    reading = false
    await writing
  })
})
