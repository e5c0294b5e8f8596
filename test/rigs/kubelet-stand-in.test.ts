/** The kubelet stand-in does what tests rely on, asked by kubectl through a real kube-apiserver. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { Agent, request } from 'undici'
import { type KubeApiserverRig, type KubeletStandIn, startKubeApiserver, startKubeletStandIn } from '../support/rigs.ts'
import { createFolder } from '../support/tls.ts'
import { findKubectls } from './kubectl.ts'

const KUBECTLS = await findKubectls()

describe('a pod on the kubelet stand-in', () => {
  let cluster: KubeApiserverRig
  let kubelet: KubeletStandIn
  before(async () => {
    cluster = await startKubeApiserver()
    kubelet = await startKubeletStandIn(cluster)
  })
  after(async () => {
    await kubelet?.[Symbol.asyncDispose]()
    await cluster?.[Symbol.asyncDispose]()
  })

  for (const { version, path: program } of KUBECTLS) {
    describe(`asked by kubectl ${version}`, () => {
      const run = (args: readonly string[], input = ''): ReturnType<KubeApiserverRig['kubectl']> =>
        cluster.kubectl(args, { program, input })

      it('repeats what comes in, and tells its two outputs apart', async () => {
        assert.equal((await run(['exec', '-i', kubelet.pod, '--', 'cat'], 'in\n')).stdout, 'in\n')
        const warned = await run(['exec', kubelet.pod, '--', 'warn', 'careful'])
        assert.deepEqual([warned.stdout, warned.status], ['', 0])
        assert.match(warned.stderr, /^careful$/m)
      })

      it('ends with the status that was asked for', async () => {
        const ended = await run(['exec', kubelet.pod, '--', 'exit', '7'])
        assert.equal(ended.status, 7)
        assert.match(ended.stderr, /exit code 7/)
      })

      it('shows its log and lets itself be attached to', async () => {
        await run(['exec', kubelet.pod, '--', 'log', 'a', 'line', 'for', version])
        assert.match((await run(['logs', kubelet.pod])).stdout, new RegExp(`^a line for ${version}$`, 'm'))
        assert.match((await run(['attach', '-i', kubelet.pod], 'hello\n')).stdout, /attached\nhello\n/)
      })

      it('has files that kubectl copies', async () => {
        const folder = await createFolder()
        const file = await folder.write('file', 'content\n'.repeat(50_000))
        const there = await run(['cp', file, `${kubelet.pod}:/tmp/file`])
        assert.equal(there.status, 0, there.stderr)
        const summed = await run(['exec', kubelet.pod, '--', 'sha256sum', '/tmp/file'])
        assert.equal(
          summed.stdout.trim(),
          createHash('sha256')
            .update(await readFile(file))
            .digest('hex'),
        )
        const back = await run(['cp', `${kubelet.pod}:/tmp/file`, folder.path('back')])
        assert.equal(back.status, 0, back.stderr)
        assert.deepEqual(await readFile(folder.path('back')), await readFile(file))
        await folder.remove()
      })
    })
  }

  it('was asked over SPDY by the old kubectl, over WebSocket by a newer one', async () => {
    const log = await kubelet.log()
    assert.match(log, /^.*POST \/exec\/default\/shell\/main upgrade="SPDY\/3.1"/m)
    const isNew = KUBECTLS.some(({ version }) => Number(/^v1\.(\d+)/.exec(version)?.[1]) >= 31)
    if (isNew) assert.match(log, /GET \/exec\/default\/shell\/main upgrade="websocket".*v5\.channel/)
  })

  it('obeys nobody but the API servers', async () => {
    const { ca, cert, key } = {
      ca: await readFile(cluster.caFile),
      cert: await readFile(`${cluster.dir}/admin.crt`),
      key: await readFile(`${cluster.dir}/admin.key`),
    }
    const node = await cluster.kubectl(['get', 'node', 'stand-in', '-o', 'json'])
    const { Port: port } = JSON.parse(node.stdout).status.daemonEndpoints.kubeletEndpoint
    const url = `https://127.0.0.1:${port}/containerLogs/default/shell/main`
    const admin = new Agent({ connect: { ca, cert, key } })
    const asAdmin = await request(url, { dispatcher: admin })
    assert.equal(asAdmin.statusCode, 403)
    await asAdmin.body.dump()
    await admin.close()
    const nobody = new Agent({ connect: { ca } })
    await assert.rejects(request(url, { dispatcher: nobody }))
    await nobody.destroy()
  })
})
