/** The files a front proxy stands on: what is refused, what is swapped, what stays (S9). */
import assert from 'node:assert/strict'
import { createPrivateKey } from 'node:crypto'
import { afterEach, before, beforeEach, describe, test } from 'node:test'
import {
  type UpstreamCredentials,
  type UpstreamTlsFiles,
  upstreamCredentials,
} from '../../../src/proxy/upstreams/credentials.ts'
import { type RecordingLog, recordingLog } from '../../reload/support.ts'
import { createAuthority, createFolder, type Issued, type TestAuthority, type TestFolder } from '../../support/tls.ts'

let authority: TestAuthority
let frontProxy: TestAuthority
let client: Issued
let folder: TestFolder
let files: UpstreamTlsFiles
let log: RecordingLog
let changes: number
let credentials: UpstreamCredentials | undefined

before(async () => {
  authority = await createAuthority('Kubernetes CA')
  frontProxy = await createAuthority('Front proxy CA')
  client = await frontProxy.client({ commonName: 'front-proxy-client', organizations: ['Archway'] })
})
beforeEach(async () => {
  folder = await createFolder()
  files = {
    caFile: await folder.write('ca.crt', authority.cert),
    certFile: await folder.write('client.crt', client.cert),
    keyFile: await folder.write('client.key', client.key),
  }
  log = recordingLog()
  changes = 0
})
afterEach(async () => {
  credentials?.close()
  await folder.remove()
})

async function load(now?: () => Date): Promise<UpstreamCredentials> {
  const onChange = (): void => void changes++
  credentials = await upstreamCredentials({ files, log, onChange, intervalMs: 0, ...(now && { now }) })
  return credentials
}

const said = (message: string): number => log.lines.filter((line) => line.message === message).length

describe('the files', () => {
  test('come to a context, and to what people and API servers call the certificate', async () => {
    const { subject, commonName, notAfter, caNotAfter } = (await load()).current()
    assert.equal(subject, 'O=Archway, CN=front-proxy-client')
    assert.equal(commonName, 'front-proxy-client')
    assert(notAfter > new Date() && caNotAfter > new Date())
    assert.deepEqual(
      log.lines.filter(({ level }) => level !== 'info'),
      [],
    )
  })

  test('may hold intermediates, several authorities and words between', async () => {
    await folder.write('ca.crt', `old\n${frontProxy.cert}\nnew\n${authority.cert}`)
    await folder.write('client.crt', `${client.cert}\n${frontProxy.cert}`)
    assert.equal((await load()).current().commonName, 'front-proxy-client')
  })

  const refusals: readonly (readonly [string, () => Promise<unknown>, RegExp])[] = [
    [
      'a key of another certificate',
      async () => folder.write('client.key', (await frontProxy.client({ commonName: 'x' })).key),
      /client\.key: is not the key of the certificate in .*client\.crt/,
    ],
    ['an empty CA file', () => folder.write('ca.crt', ''), /ca\.crt: has no CERTIFICATE/],
    [
      'a certificate that is cut off',
      () => folder.write('ca.crt', authority.cert.slice(0, -40)),
      /ca\.crt: has no CERTIFICATE, or one that is cut off/,
    ],
    [
      'a certificate of nonsense',
      () => folder.write('ca.crt', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'),
      /ca\.crt: has a certificate that cannot be read/,
    ],
    [
      'a certificate for servers',
      async () => {
        const server = await frontProxy.server()
        await folder.write('client.key', server.key)
        return folder.write('client.crt', server.cert)
      },
      /client\.crt: its certificate is not for clients; .*clientAuth/,
    ],
    ['a key that is none', () => folder.write('client.key', client.cert), /client\.key: is no private key in PEM/],
    [
      'a key under a passphrase',
      () =>
        folder.write(
          'client.key',
          createPrivateKey(client.key)
            .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
            .toString(),
        ),
      /client\.key: is protected by a passphrase; store it without/,
    ],
    ['a missing file', async () => folder.remove(), /ca\.crt: is not there/],
  ]
  for (const [what, spoil, message] of refusals) {
    test(`T-S9 ${what} is refused at first, and changes nothing later`, async () => {
      const good = await load()
      const before = good.current()
      await spoil()
      await assert.rejects(upstreamCredentials({ files, log, onChange: () => {}, intervalMs: 0 }), {
        code: 'file_invalid',
        message,
      })
      assert.equal(await good.check(), 'failed')
      assert.equal(good.current(), before)
      assert.equal(good.status().ok, false)
      assert.match(good.status().error ?? '', message)
      assert.equal(changes, 0)
    })
  }

  test('that hold something expired are taken, with a warning', async () => {
    const later = new Date(Date.now() + 400 * 86_400_000)
    const { notAfter } = (await load(() => later)).status()
    assert(notAfter < later)
    assert.equal(said('the front-proxy certificate has expired, API servers refuse it'), 1)
    assert.equal(said('an authority of the API servers has expired'), 1)
  })
})

describe('a change', () => {
  test('of certificate and key is swapped whole, and told', async () => {
    const good = await load()
    const before = good.current()
    const next = await frontProxy.client({ commonName: 'front-proxy-client-2' })
    await folder.write('client.crt', next.cert)
    assert.equal(await good.check(), 'failed', 'half of it')
    assert.equal(good.current(), before)
    await folder.write('client.key', next.key)
    assert.equal(await good.check(), 'reloaded')
    assert.notEqual(good.current().context, before.context)
    assert.equal(good.current().commonName, 'front-proxy-client-2')
    assert.deepEqual([changes, good.status().reloads], [1, 1])
  })

  test('of nothing keeps the context, and with it the sessions', async () => {
    const good = await load()
    const { context } = good.current()
    await folder.write('ca.crt', authority.cert)
    assert.equal(await good.check(), 'unchanged')
    assert.equal(good.current().context, context)
    assert.equal(changes, 0)
  })
})
