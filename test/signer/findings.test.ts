import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { BUILT_IN_SIGNER } from '../../src/kube/signer-name.ts'
import type { FindingCode } from '../../src/signer/finding.ts'
import { review } from '../../src/signer/findings.ts'
import { HOSTILE } from './hostile.ts'
import { type TestCsr, testCsr } from './support.ts'

const OPTIONS = { signers: ['example.com/people'], mostSeconds: 7 * 86_400 }

async function findings(csr: TestCsr): Promise<ReadonlyMap<FindingCode, string>> {
  const reviewed = review(await testCsr({ signerName: BUILT_IN_SIGNER.client, ...csr }), OPTIONS)
  return new Map(reviewed.findings.map(({ code, severity }) => [code, severity]))
}

describe('T-S10 what an approver is told', () => {
  for (const { title, csr, finding } of HOSTILE) {
    if (finding === undefined) continue
    test(title, async () => assert.equal((await findings(await csr())).get(finding), 'hostile'))
  }

  test('nothing against somebody who asks for themselves, for a short time', async () => {
    assert.deepEqual([...(await findings({ organizations: ['people'], expirationSeconds: 3600 }))], [])
  })

  test('that the signer decides where no lifetime is asked for', async () => {
    assert.deepEqual([...(await findings({}))], [['life-by-signer', 'notice']])
  })

  test('usages beyond those of a server, and usages that do not say what for', async () => {
    const own = { signerName: 'example.com/people', expirationSeconds: 3600 }
    const server = { ...own, names: { dns: ['a.example.com'] } }
    for (const usage of ['client auth', 'any', 'cert sign', 'code signing']) {
      assert.equal(
        (await findings({ ...server, usages: ['server auth', usage] })).get('usage-beyond-server'),
        'hostile',
      )
    }
    assert.equal((await findings({ ...own, usages: ['digital signature'] })).get('usage-beyond-client'), 'hostile')
  })

  test('that kube-controller-manager will refuse it', async () => {
    assert.equal((await findings({ usages: ['server auth'] })).get('signer-rule'), 'hostile')
  })

  test('a signer that nobody has named, and one that promises nothing', async () => {
    assert.equal((await findings({ signerName: 'example.com/other' })).get('unknown-signer'), 'hostile')
    assert.equal((await findings({ signerName: 'example.com/people' })).get('unknown-signer'), undefined)
    assert.equal((await findings({ signerName: BUILT_IN_SIGNER.legacy })).get('legacy-signer'), 'hostile')
  })

  test('a server of a known signer without names, and the names of one that has them', async () => {
    const server = { signerName: 'example.com/people', usages: ['server auth'], expirationSeconds: 3600 }
    assert.equal((await findings(server)).get('no-names-on-server'), 'hostile')
    assert.deepEqual(
      [...(await findings({ ...server, names: { dns: ['a.example.com'] } }))],
      [['names-on-server', 'notice']],
    )
  })
})

describe('kubelets', () => {
  const node = { commonName: 'system:node:n1', organizations: ['system:nodes'], expirationSeconds: 3600 }
  const client = {
    ...node,
    signerName: BUILT_IN_SIGNER.kubeletClient,
    usages: ['client auth', 'digital signature', 'key encipherment'],
  }

  test('a first certificate by a bootstrap token is nothing unusual', async () => {
    const bootstrap = { username: 'system:bootstrap:abcdef', groups: ['system:bootstrappers'] }
    assert.deepEqual([...(await findings({ ...client, ...bootstrap }))], [])
  })

  test('a renewal by the node itself is nothing unusual, by another node it is', async () => {
    assert.deepEqual([...(await findings({ ...client, username: 'system:node:n1', groups: ['system:nodes'] }))], [])
    const other = await findings({ ...client, username: 'system:node:n2', groups: ['system:nodes'] })
    assert.equal(other.get('foreign-user'), 'hostile')
  })

  test('a serving certificate for another node', async () => {
    const serving = {
      ...node,
      signerName: BUILT_IN_SIGNER.kubeletServing,
      usages: ['server auth', 'digital signature', 'key encipherment'],
      names: { dns: ['n1'] },
    }
    assert.equal((await findings({ ...serving, username: 'system:node:n2' })).get('foreign-user'), 'hostile')
    const own = await findings({ ...serving, username: 'system:node:n1', groups: ['system:nodes'] })
    assert.deepEqual([...own], [['names-on-server', 'notice']])
  })
})

test('a request that cannot be read has no findings, and no request', async () => {
  const { request, findings: found } = review(await testCsr({ request: 'nothing' }), OPTIONS)
  assert.deepEqual({ request, found }, { request: undefined, found: [] })
})
