/** API servers as the proxy sees them, with a real kube-apiserver: its set-up looked through, its death and return. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { parseUpstreamUrls } from '../../src/kube/server-url.ts'
import { type ApiServers, apiServers } from '../../src/proxy/upstreams/api-servers.ts'
import type { UpstreamTlsFiles } from '../../src/proxy/upstreams/credentials.ts'
import type { Finding } from '../../src/proxy/upstreams/self-check.ts'
import { recordingSink } from '../proxy/upstreams/support.ts'
import { recordingLog } from '../reload/support.ts'
import { type KubeApiserverRig, startKubeApiserver } from '../support/rigs.ts'
import { createAuthority, createFolder, type TestFolder } from '../support/tls.ts'

let cluster: KubeApiserverRig
let folder: TestFolder
let upstreams: ApiServers | undefined
let events: string[]

before(async () => {
  folder = await createFolder()
  cluster = await startKubeApiserver()
})
afterEach(() => {
  upstreams?.close()
  upstreams = undefined
})
after(async () => {
  await cluster?.[Symbol.asyncDispose]()
  await folder?.remove()
})

function rightFiles(): UpstreamTlsFiles {
  const { caFile, frontProxy } = cluster
  return { caFile, certFile: frontProxy.certFile, keyFile: frontProxy.keyFile }
}

async function open(tls: UpstreamTlsFiles): Promise<ApiServers> {
  events = []
  upstreams = await apiServers({
    urls: parseUpstreamUrls([cluster.url]),
    tls,
    reloadIntervalMs: 0,
    log: recordingLog(),
    observe: (_, event) => void events.push(event),
  })
  await upstreams.firstRound
  return upstreams
}

async function selfCheck(tls: UpstreamTlsFiles): Promise<Map<string, Finding>> {
  const found = await (await open(tls)).selfCheck(new AbortController().signal)
  return new Map(found.map((finding) => [finding.check, finding]))
}

/** A client certificate of one of the rig's own authorities. */
async function clientOf(authority: 'ca' | 'front-proxy-ca', commonName: string): Promise<UpstreamTlsFiles> {
  const [certFile, keyFile] = [folder.path(`${authority}-client.crt`), folder.path(`${authority}-client.key`)]
  const signer = ['-CA', join(cluster.dir, `${authority}.crt`), '-CAkey', join(cluster.dir, `${authority}.key`)]
  const kind = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-addext',
    'extendedKeyUsage=clientAuth',
  ]
  const out = ['-subj', `/CN=${commonName}`, '-keyout', keyFile, '-out', certFile]
  await promisify(execFile)('openssl', ['req', '-x509', '-config', '/dev/null', ...kind, ...signer, ...out])
  return { caFile: cluster.caFile, certFile, keyFile }
}

const level = (found: Map<string, Finding>, check: string) => found.get(check)?.level
const message = (found: Map<string, Finding>, check: string) => found.get(check)?.message ?? ''

describe('the self-check', () => {
  test('T-H7 finds nothing where all is set up right', async () => {
    const found = await selfCheck(rightFiles())
    assert.equal(level(found, 'bare-certificate'), 'ok', message(found, 'bare-certificate'))
    assert.equal(level(found, 'identity-headers'), 'ok', message(found, 'identity-headers'))
    assert.deepEqual(
      [...found.values()].filter((finding) => finding.level === 'error' || finding.level === 'undecided'),
      [],
    )
    assert.equal(upstreams?.states()[0]?.ready, true)
  })

  test('finds a certificate of another authority than --requestheader-client-ca-file has', async () => {
    const stranger = await createAuthority('somebody')
    const { cert, key } = await stranger.client({ commonName: 'front-proxy-client' })
    const certFile = await folder.write('stranger.crt', cert)
    const keyFile = await folder.write('stranger.key', key)
    const found = await selfCheck({ caFile: cluster.caFile, certFile, keyFile })
    assert.equal(level(found, 'identity-headers'), 'error')
    assert.match(message(found, 'identity-headers'), /--requestheader-client-ca-file must hold its CA/)
    assert.match(upstreams?.states()[0]?.reason ?? '', /does not trust this front-proxy certificate/)
  })

  test('finds a name that is not in --requestheader-allowed-names', async () => {
    const found = await selfCheck(await clientOf('front-proxy-ca', 'archway'))
    assert.equal(level(found, 'identity-headers'), 'error')
    assert.match(message(found, 'identity-headers'), /--requestheader-allowed-names its common name \(CN=archway\)/)
  })

  test('T-H7 finds a certificate that is a user by itself', async () => {
    const found = await selfCheck(await clientOf('ca', 'front-proxy-client'))
    assert.equal(level(found, 'bare-certificate'), 'error')
    assert.match(
      message(found, 'bare-certificate'),
      /seen as user "front-proxy-client"\): give request headers a CA of/,
    )
    assert.equal(level(found, 'identity-headers'), 'error')
    assert.match(message(found, 'identity-headers'), /it sees user "front-proxy-client"/)
  })

  test('T-H7 finds one that is an administrator', async () => {
    const admin = {
      caFile: cluster.caFile,
      certFile: join(cluster.dir, 'admin.crt'),
      keyFile: join(cluster.dir, 'admin.key'),
    }
    const found = await selfCheck(admin)
    assert.equal(level(found, 'bare-certificate'), 'error')
    assert.match(message(found, 'bare-certificate'), /seen as somebody who may do everything/)
  })

  test('says who is not trusted where the CA file is the wrong one', async () => {
    const caFile = await folder.write('wrong-ca.crt', (await createAuthority('wrong')).cert)
    const found = await selfCheck({ ...rightFiles(), caFile })
    assert.equal(level(found, 'identity-headers'), 'undecided')
    assert.match(message(found, 'identity-headers'), /this CA did not sign the API server's certificate/)
    assert.match(upstreams?.states()[0]?.reason ?? '', /this CA did not sign the API server's certificate/)
  })
})

describe('an API server', () => {
  test('that is killed is ejected with the next request, and taken back when it is ready again', async () => {
    const servers = await open(rightFiles())
    const get = async (): Promise<string> => {
      const sink = recordingSink()
      const headers = [['Host', 'x'] as const, ['X-Remote-User', 'kim'] as const]
      servers.exchange({ method: 'GET', target: '/version', headers, framing: { kind: 'none' } }, sink)
      await until(() => /^(end|failed)/.test(sink.told.at(-1) ?? ''))
      return sink.told[0] ?? ''
    }
    assert.match(await get(), /^head 200 /)
    process.kill(Number(await readFile(join(cluster.dir, 'apiserver.pid'), 'utf8')), 'SIGKILL')
    await until(async () => /^failed none-ready/.test(await get()))
    assert.equal(servers.states()[0]?.ready, false)
    assert.match(servers.states()[0]?.reason ?? '', /nothing listens there|closed before it was made/)
    await cluster.stop()
    await cluster.start()
    await until(() => servers.states()[0]?.ready === true)
    assert.match(await get(), /^head 200 /)
    assert.deepEqual(
      events.filter((event) => event === 'ejected' || event === 'readmitted'),
      ['ejected', 'readmitted'],
    )
  })
})

/** Looks again and again, leaving the machine to others between; the runner's limit is the only one. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await pause(20)
}
