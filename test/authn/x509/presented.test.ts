/** Certificates over real TLS: what a client of openssl or Node shows is what the authenticator judges. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { connect, createServer, type Server, type TLSSocket } from 'node:tls'
import type { ClientCertificate } from '../../../src/authn/request/credentials.ts'
import {
  certificateRequest,
  certificateRequestOptions,
  presentedCertificate,
} from '../../../src/authn/x509/presented.ts'
import { callContext } from '../../support/context.ts'
import { AUTHORITY, authenticatorOf, type Issued, opensslCa } from './support.ts'

const ca = opensslCa()
after(() => ca.remove())

let root: Issued
let first: Issued
let second: Issued
let leaf: Issued
let own: Issued
before(async () => {
  root = await ca.issue({ subject: '/CN=root', extensions: AUTHORITY })
  first = await ca.issue({ subject: '/CN=first', issuer: root, extensions: AUTHORITY })
  second = await ca.issue({ subject: '/CN=second', issuer: first, extensions: AUTHORITY })
  leaf = await ca.issue({ subject: '/O=devs/CN=jane', issuer: second })
  own = await ca.issue({ subject: '/CN=localhost', extensions: ['basicConstraints=CA:FALSE'] })
})

type Seen = { readonly certificate: ClientCertificate | undefined; readonly isResumed: boolean }

/** A listener as a door makes it, and what it sees of each connection. */
async function door(version: 'TLSv1.2' | 'TLSv1.3', secureOptions = certificateRequestOptions) {
  const seen: Seen[] = []
  const server: Server = createServer(
    {
      ...certificateRequest,
      secureOptions,
      cert: own.cert,
      key: readFileSync(own.keyFile),
      minVersion: version,
      maxVersion: version,
      sessionIdContext: 'test',
    },
    (socket: TLSSocket) => {
      const certificate = presentedCertificate(socket)
      assert.equal(presentedCertificate(socket), certificate)
      seen.push({ certificate, isResumed: socket.isSessionReused() })
      socket.on('error', () => {})
      socket.end('bye')
    },
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  let session: Buffer | undefined
  return {
    port,
    seen,
    close: () => server.close(),
    async visit(chain: readonly Issued[]) {
      const [first] = chain
      const credentials = first && { cert: chain.map(({ cert }) => cert).join(''), key: readFileSync(first.keyFile) }
      const where = { host: '127.0.0.1', port, ca: own.cert, servername: 'localhost' }
      const resumed = session && { session }
      const socket = connect({ ...where, ...credentials, ...resumed, checkServerIdentity: () => undefined })
      socket.on('session', (given: Buffer) => {
        session = given
      })
      socket.resume()
      await once(socket, 'close')
      return seen.at(-1)
    },
  }
}

const der = ({ cert }: Issued): Uint8Array => new X509Certificate(cert).raw

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  describe(version, () => {
    test('all that a client sends is seen, in its order, and judged', async (t) => {
      const { visit, close } = await door(version)
      t.after(close)
      const stranger = await ca.issue({ subject: '/CN=stranger', extensions: AUTHORITY })
      const seen = await visit([leaf, first, stranger, second])
      assert.deepEqual(seen?.certificate, {
        leaf: der(leaf),
        intermediates: [first, stranger, second].map(der),
      })
      const { authenticator } = await authenticatorOf({ ca: root.cert })
      const result = await authenticator.authenticate(seen.certificate, callContext())
      assert(result.kind === 'authenticated')
      assert.deepEqual([result.user.username, result.user.groups], ['jane', ['devs']])
    })

    test('nothing sent is nothing seen', async (t) => {
      const { visit, close } = await door(version)
      t.after(close)
      assert.deepEqual(await visit([]), { certificate: undefined, isResumed: false })
    })

    test('sessions are not resumed, since they would come without intermediates', async (t) => {
      const { visit, close } = await door(version)
      t.after(close)
      const chain = [leaf, second, first]
      const [once, again] = [await visit(chain), await visit(chain)]
      assert.deepEqual(again, once)
      assert.equal(again?.certificate?.intermediates.length, 2)
      const open = await door(version, 0)
      t.after(open.close)
      await open.visit(chain)
      const resumed = await open.visit(chain)
      assert.deepEqual(resumed, { certificate: { leaf: der(leaf), intermediates: [] }, isResumed: true })
    })
  })
}

test('openssl s_client comes in with its chain', async (t) => {
  const { port, seen, close } = await door('TLSv1.3')
  t.after(close)
  const chainFile = `${leaf.keyFile}.chain`
  const certFile = `${leaf.keyFile}.pem`
  writeFileSync(chainFile, second.cert + first.cert)
  writeFileSync(certFile, leaf.cert)
  const files = ['-cert', certFile, '-key', leaf.keyFile, '-cert_chain', chainFile]
  const client = execFile('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...files], { timeout: 30_000 })
  client.stdin?.end()
  await once(client, 'close')
  assert.deepEqual(seen[0]?.certificate, { leaf: der(leaf), intermediates: [der(second), der(first)] })
})
