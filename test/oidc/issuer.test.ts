import assert from 'node:assert/strict'
import { createServer as createTcpServer } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { createOidcClient } from '../../src/oidc/create-client.ts'
import { Secret } from '../../src/secret.ts'
import { type OidcIssuer, startOidcIssuer } from '../rigs/oidc-issuer.ts'
import { createAuthority, createFolder, type TestAuthority, type TestFolder } from '../support/tls.ts'
import { clientOf, rejects } from './support.ts'

const PASSWORD = new Secret('alice-pw')

describe('settings of the client', () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['http://issuer.example', /^issuer: .*https/],
    ['http://127.0.0.1.evil.example', /^issuer: .*https/],
    ['http://localhost.evil.example', /^issuer: .*https/],
    ['ftp://issuer.example', /^issuer: .*https/],
    ['issuer.example', /^issuer: it is no URL/],
    ['', /^issuer: it is no URL/],
    ['https://a b', /^issuer: it is no URL/],
    ['https://user:canary@issuer.example', /^issuer: .*user name or password/],
    ['https://issuer.example/#x', /^issuer: .*fragment/],
    ['https://issuer.example/?x', /^issuer: .*query/],
  ]
  for (const [issuer, message] of wrong) {
    it(`T-S7 refuses the issuer ${JSON.stringify(issuer)}`, async () => {
      const made = async () => createOidcClient({ issuer, clientId: 'terminal' })
      const error = await rejects(made(), 'credential_settings_invalid', message)
      assert.doesNotMatch(error.message, /canary/)
    })
  }

  it('takes plain http to this machine, and a discovery address with a query', () => {
    for (const issuer of [
      'http://127.0.0.1:8080/realm',
      'http://127.9.9.9',
      'http://localhost',
      'http://[::1]:1',
      'https://b2c.example/x/.well-known/openid-configuration?p=policy',
    ]) {
      createOidcClient({ issuer, clientId: 'terminal' })
    }
  })

  it('names each other field that cannot be meant', async () => {
    const right = { issuer: 'https://issuer.example', clientId: 'terminal' }
    const make = async (changes: object) => createOidcClient({ ...right, ...changes })
    const code = 'credential_settings_invalid'
    await rejects(make({ clientId: '' }), code, /^clientId: /)
    await rejects(make({ clientSecret: new Secret('') }), code, /^clientSecret: /)
    await rejects(make({ scopes: ['openid email'] }), code, /^scopes: "openid email"/)
    await rejects(make({ scopes: [''] }), code, /^scopes: /)
    await rejects(make({ timeoutMs: 0 }), code, /^timeoutMs: /)
    await rejects(make({ timeoutMs: Number.NaN }), code, /^timeoutMs: /)
  })
})

describe('discovery', () => {
  let issuer: OidcIssuer
  before(async () => {
    issuer = await startOidcIssuer()
  })
  after(() => issuer[Symbol.asyncDispose]())

  it('takes the issuer, or the address of its document, and asks once', async () => {
    for (const address of [issuer.issuer, issuer.discoveryUrl]) {
      const before = issuer.requests('discovery')
      const client = clientOf(issuer, { issuer: address })
      await client.password('alice', PASSWORD)
      await client.password('alice', PASSWORD)
      assert.equal(issuer.requests('discovery') - before, 1)
    }
  })

  it('compares the issuer exactly, and says how it has to be written', async () => {
    const login = clientOf(issuer, { issuer: `${issuer.issuer}/` }).password('alice', PASSWORD)
    await rejects(login, 'oidc_answer_invalid', /calls itself "http:\/\/127\.0\.0\.1:\d+"; write it exactly so/)
  })

  it('refuses a document that calls itself otherwise, also where its own address was given', async () => {
    for (const [name, address] of [
      ['https://evil.example', issuer.issuer],
      ['http://evil.example', issuer.discoveryUrl],
      ['nonsense', issuer.discoveryUrl],
      ['https://issuer.example/\u001b[2J', issuer.discoveryUrl],
    ] as const) {
      const stop = issuer.tamper('discovery', { after: (body) => ({ ...body, issuer: name }) })
      const login = clientOf(issuer, { issuer: address }).password('alice', PASSWORD)
      const error = await rejects(login, 'oidc_answer_invalid', /calls itself/)
      assert.doesNotMatch(error.message, /\p{C}/u)
      stop()
    }
  })

  it('T-H10 follows no redirect, whether to another origin or to its own', async () => {
    await using other = await startOidcIssuer()
    for (const target of [other.discoveryUrl, issuer.discoveryUrl]) {
      const before = issuer.requests()
      const stop = issuer.tamper('discovery', {
        before: (_request, response) => Boolean(response.writeHead(302, { location: target }).end()),
      })
      await rejects(clientOf(issuer).password('alice', PASSWORD), 'oidc_answer_invalid', /redirects are not followed/)
      stop()
      assert.equal(issuer.requests() - before, 1)
    }
    assert.equal(other.requests(), 0)
  })

  it('sends no password to an endpoint without TLS', async () => {
    const stop = issuer.tamper('discovery', {
      after: (body) => ({ ...body, token_endpoint: 'http://issuer.example/token' }),
    })
    const error = await rejects(clientOf(issuer).password('alice', PASSWORD), 'oidc_answer_invalid', /without TLS/)
    stop()
    assert.doesNotMatch(error.message, /alice-pw/)
  })

  it('gives up an answer that is too long, with or without a length said', async () => {
    for (const headers of [{}, { 'content-length': String(64 * 1024 * 1024) }]) {
      let written = 0
      const stop = issuer.tamper('discovery', {
        before: (_request, response) => {
          response.writeHead(200, { 'content-type': 'application/json', ...headers })
          const chunk = Buffer.alloc(64 * 1024, ' ')
          const write = (): void => {
            if (response.destroyed) return
            written += chunk.length
            response.write(chunk, write)
          }
          write()
          return true
        },
      })
      await rejects(clientOf(issuer).password('alice', PASSWORD), 'oidc_answer_invalid', /longer than 1 MiB/)
      stop()
      assert.ok(written < 64 * 1024 * 1024)
    }
  })

  it('gives up an answer with a head that is too long', async () => {
    const stop = issuer.tamper('discovery', {
      before: (_request, response) => Boolean(response.writeHead(200, { 'x-long': 'x'.repeat(40_000) }).end('{}')),
    })
    await rejects(clientOf(issuer).password('alice', PASSWORD), 'oidc_answer_invalid', /longer than 32 KiB/)
    stop()
  })

  it('gives up an issuer that says nothing, or begins and does not end', async () => {
    for (const begin of [false, true]) {
      const stop = issuer.tamper('discovery', {
        before: (_request, response) => {
          if (begin) response.writeHead(200, { 'content-type': 'application/json' }).write('{"issuer":')
          return true
        },
      })
      const login = clientOf(issuer, { timeoutMs: 200 }).password('alice', PASSWORD)
      await rejects(login, 'oidc_unreachable', /no answer within 200 ms/)
      stop()
    }
  })

  it('could not tell, where the connection breaks in the middle of an answer', async () => {
    const stop = issuer.tamper('discovery', {
      before: (_request, response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' })
        response.write('{"issuer":', () => response.destroy())
        return true
      },
    })
    await rejects(clientOf(issuer).password('alice', PASSWORD), 'oidc_unreachable', /ECONNRESET/)
    stop()
  })

  it('reads past what a document has in the wrong form, where it is of no use', async () => {
    const stop = issuer.tamper('discovery', {
      after: (body) => ({ ...body, scopes_supported: 5, token_endpoint_auth_methods_supported: { a: 1 } }),
    })
    const tokens = await clientOf(issuer, {
      clientId: 'service',
      clientSecret: new Secret('service-secret'),
      refreshable: true,
    }).password('alice', PASSWORD)
    stop()
    assert.ok(tokens.refreshToken !== undefined)
  })

  it('refuses endpoints in the wrong form', async () => {
    for (const endpoint of [5, null, {}, '', 'no url']) {
      for (const field of ['token_endpoint', 'jwks_uri', 'revocation_endpoint', 'device_authorization_endpoint']) {
        const stop = issuer.tamper('discovery', { after: (body) => ({ ...body, [field]: endpoint }) })
        const client = clientOf(issuer)
        const asked = {
          token_endpoint: () => client.password('alice', PASSWORD),
          jwks_uri: () => client.password('alice', PASSWORD),
          revocation_endpoint: () => client.revoke(PASSWORD),
          device_authorization_endpoint: () => client.deviceCode({ show: () => {} }),
        }[field]
        await rejects(asked?.() ?? Promise.resolve(), 'oidc_answer_invalid', new RegExp(field))
        stop()
      }
    }
  })

  it('a document that ends early, or is none, is no answer', async () => {
    const documents = ['{"issuer":', '[]', 'null', '"x"', '{}', '{"issuer":5}', `${'['.repeat(100_000)}`]
    for (const document of documents) {
      const stop = issuer.tamper('discovery', {
        before: (_request, response) =>
          Boolean(response.writeHead(200, { 'content-type': 'application/json' }).end(document)),
      })
      await rejects(clientOf(issuer).password('alice', PASSWORD), 'oidc_answer_invalid', /openid-configuration/)
      stop()
    }
  })

  it('tries again after a failure', async () => {
    const client = clientOf(issuer)
    await issuer.stop()
    await rejects(client.password('alice', PASSWORD), 'oidc_unreachable', /nothing listens there.*ECONNREFUSED/)
    await issuer.start()
    await client.password('alice', PASSWORD)
  })

  it('sends its own user agent', async () => {
    const agents = new Set<string | undefined>()
    const stop = issuer.tamper('token', {
      before: (request) => {
        agents.add(request.headers['user-agent'])
        return false
      },
    })
    await clientOf(issuer, { userAgent: 'archway/9' }).password('alice', PASSWORD)
    await clientOf(issuer).password('alice', PASSWORD)
    stop()
    assert.deepEqual([...agents], ['archway/9', 'archway'])
  })
})

describe('TLS towards the issuer', () => {
  let authority: TestAuthority
  let folder: TestFolder
  let issuer: OidcIssuer
  let caFile: string
  before(async () => {
    authority = await createAuthority()
    folder = await createFolder()
    caFile = await folder.write('ca.pem', authority.cert)
    issuer = await startOidcIssuer({ tls: await authority.server() })
  })
  after(async () => {
    await issuer[Symbol.asyncDispose]()
    await folder.remove()
  })

  it('trusts the authority in caFile, for every request', async () => {
    const { claims } = await clientOf(issuer, { caFile }).password('alice', PASSWORD)
    assert.equal(claims?.['iss'], issuer.issuer)
    assert.match(issuer.issuer, /^https:/)
  })

  it('trusts nobody else with it, and not this authority without it', async () => {
    const other = await folder.write('other.pem', (await createAuthority('Other CA')).cert)
    const before = issuer.requests()
    for (const options of [{ caFile: other }, {}]) {
      const login = clientOf(issuer, options).password('alice', PASSWORD)
      await rejects(login, 'oidc_unreachable', /not signed by an authority trusted here; name the authority as caFile/)
    }
    assert.equal(issuer.requests(), before)
  })

  it('refuses a certificate for another name', async () => {
    await using other = await startOidcIssuer({
      tls: await authority.server({ dnsNames: ['issuer.example'], ipAddresses: [] }),
    })
    const login = clientOf(other, { caFile }).password('alice', PASSWORD)
    await rejects(login, 'oidc_unreachable', /certificate is for another name/)
  })

  it('refuses a certificate whose time is over', async () => {
    const yesterday = new Date(Date.now() - 3_600_000)
    await using old = await startOidcIssuer({ tls: await authority.server({ notAfter: yesterday }) })
    const login = clientOf(old, { caFile }).password('alice', PASSWORD)
    await rejects(login, 'oidc_unreachable', /certificate has expired/)
  })

  it('checks nothing with verify: false, and only then', async () => {
    const { claims } = await clientOf(issuer, { verify: false }).password('alice', PASSWORD)
    assert.equal(claims?.['sub'], 'alice')
  })

  it('names a caFile that cannot be used', async () => {
    const notPem = await folder.write('not.pem', 'no certificate')
    const broken = await folder.write('broken.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
    for (const [file, message] of [
      [folder.path('missing.pem'), /^caFile: ENOENT/],
      [notPem, /^caFile: .*has no certificate/],
      [broken, /^caFile: certificate 1 in .* cannot be read/],
    ] as const) {
      await rejects(clientOf(issuer, { caFile: file }).password('alice', PASSWORD), 'file_invalid', message)
    }
  })

  it('says what is wrong where there is no TLS, or no HTTP', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {})
      socket.resume()
      socket.end('SSH-2.0-nothing\r\n')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const tls = createOidcClient({ issuer: `https://127.0.0.1:${port}`, clientId: 'terminal', caFile })
    await rejects(tls.password('alice', PASSWORD), 'oidc_unreachable', /is that port a TLS one/)
    const plain = createOidcClient({ issuer: `http://127.0.0.1:${port}`, clientId: 'terminal' })
    await rejects(plain.password('alice', PASSWORD), 'oidc_answer_invalid', /the answer is not HTTP/)
    await new Promise((resolve) => server.close(resolve))
  })
})
