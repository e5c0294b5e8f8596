import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type HygieneCase, readCorpus } from '../../tools/hygiene/corpus.ts'
import { type Recorder, startRecorder } from '../../tools/hygiene/recorder.ts'
import { runHygiene } from '../../tools/hygiene/run.ts'
import { createAuthority } from '../support/tls.ts'
import { createSite, type Program, type Site, startProgram } from './program.ts'

/** Of `secret`, made with `openssl passwd -6`: the accounts are made up. */
const PASSWORDS = ['kim', '김철수'].map(
  (name) => `${name}:$6$hygiene$UTdDqLrtdSoyQwazDGh6vkoNo07n1ob9I1wOY4sDfO3nSieww/3amHFlceC4G1kZNJEw1vbJCApt5RULDJH6q/`,
)
const TOKENS = 'hygiene-token,김철수,7,"개발팀,users"\n'

/** The corpus against `archway proxy`, with the recorder where API servers are. */
describe('archway proxy under hostile requests', () => {
  let site: Site
  let recorder: Recorder
  let proxy: Program

  before(async () => {
    site = await createSite()
    const frontProxy = await createAuthority('front-proxy CA')
    const { cert, key } = await frontProxy.client({ commonName: 'front-proxy-client' })
    const upstream = await site.authority.server()
    recorder = await startRecorder({ ...upstream, clientCA: frontProxy.cert, host: '127.0.0.1', port: 0 })
    const config = {
      authenticators: [
        { passwordFile: { path: await site.folder.write('users.htpasswd', `${PASSWORDS.join('\n')}\n`) } },
        { tokenFile: { path: await site.folder.write('tokens.csv', TOKENS) } },
      ],
      proxy: {
        listen: '127.0.0.1:0',
        tls: { certFile: site.certFile, keyFile: site.keyFile },
        upstreams: [`https://${recorder.address}`],
        upstream: {
          caFile: site.caFile,
          clientCertFile: await site.folder.write('front-proxy.crt', cert),
          clientKeyFile: await site.folder.write('front-proxy.key', key),
          selfCheck: 'off', // the recorder believes everybody
        },
      },
      admin: { listen: '127.0.0.1:0' },
      logging: { level: 'debug', format: 'json' },
    }
    const file = await site.folder.write('proxy.yaml', JSON.stringify(config))
    proxy = await startProgram(site, 'archway', ['proxy', '--config', file])
  })
  after(async () => {
    await proxy?.stop()
    await recorder?.close()
    await site?.folder.remove()
  })

  async function failures(
    authorization: string,
    user: string,
    cases: readonly HygieneCase[],
  ): Promise<readonly string[]> {
    const { hostname: host, port } = new URL(proxy.url)
    const target = { host, port: Number(port), ca: site.authority.cert, timeoutMs: 60_000 }
    const results = await runHygiene({ target, authorization, user, cases })
    assert.equal(results.length, cases.length)
    return results.filter(({ held }) => !held).map(({ id, failure, status }) => `${id}: ${failure} (${status})`)
  }
  const basic = (name: string) => `Basic ${Buffer.from(`${name}:secret`).toString('base64')}`

  test('T-H1 T-H2 T-H3 T-H4 T-H5 T-H6 T-H8 T-H9 T-H10 T-H12 T-H13 T-H14 T-H16 every case holds', async () => {
    assert.deepEqual(await failures(basic('kim'), 'kim', readCorpus()), [])
  })

  test('T-H14 every case holds for somebody whose name is not ASCII, with a password and with a token', async () => {
    const some = readCorpus().filter(({ threat }) => threat === 'H1' || threat === 'H2' || threat === 'H12')
    assert.deepEqual(await failures(basic('김철수'), '김철수', some), [])
    assert.deepEqual(await failures('Bearer hygiene-token', '김철수', some), [])
  })

  test('S1 nothing of the credentials is in what the proxy wrote', () => {
    const written = proxy.output()
    for (const secret of ['hygiene-token', 'secret', basic('kim').slice(6), basic('김철수').slice(6)]) {
      assert.ok(!written.includes(secret), secret)
    }
  })
})
