/** Every kind of source in one configuration, each with the real server behind it, by `archway identify` and the webhook. */

import assert from 'node:assert/strict'
import { createPrivateKey, sign } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { type OidcIssuer, startOidcIssuer } from '../rigs/oidc-issuer.ts'
import {
  type KeystoneRig,
  type KubeApiserverRig,
  type SlapdRig,
  startKeystone,
  startKubeApiserver,
  startSlapd,
} from '../support/rigs.ts'
import { createSite, type Program, runProgram, type Site, serve } from './program.ts'

const AUDIENCE = 'archway'
const FILE_TOKEN = 'canary-file-token-5ca1ab1e'

/** What `archway identify -o json` prints, as far as it is looked at. */
interface Found {
  readonly verdict: string
  readonly code?: string
  readonly cause?: string
  readonly sources: readonly { readonly name: string; readonly outcome: string; readonly cause?: string }[]
  readonly provenBy?: string
  readonly user?: {
    readonly username: string
    readonly groups: readonly string[]
    readonly extra: Readonly<Record<string, readonly string[]>>
  }
}

const STATUS: Readonly<Record<string, number>> = { authenticated: 0, refused: 1, nobody: 1, undecided: 2 }

describe('one configuration of Keystone, LDAP, OIDC, service accounts and a token file', () => {
  let keystone: KeystoneRig
  let slapd: SlapdRig
  let issuer: OidcIssuer
  let cluster: KubeApiserverRig
  let site: Site
  let config: object
  let configFile: string
  let archway: Program
  const secrets = new Set<string>([FILE_TOKEN])

  before(async () => {
    site = await createSite()
    const starting = [startKeystone(), startSlapd(), startKubeApiserver()] as const
    issuer = await startOidcIssuer({ tls: await site.authority.server() })
    ;[keystone, slapd, cluster] = await Promise.all(starting)
    await slapd.add(`uid=lena,ou=people,${slapd.base}`, {
      objectClass: 'inetOrgPerson',
      uid: 'lena',
      cn: 'Lena',
      sn: 'Lena',
      userPassword: 'lena-pw',
    })
    await cluster.kubectl(['create', 'serviceaccount', 'robot'])
    config = {
      authenticators: [
        { tokenFile: { path: await site.folder.write('tokens.csv', `${FILE_TOKEN},root,r1,"ops,system:masters"\n`) } },
        { keystone: { url: keystone.url, usernameFormat: '%n@%d', passwords: { project: 'demo' } } },
        {
          ldap: {
            urls: [slapd.ldapsUrl],
            caFile: slapd.caFile,
            bindDn: slapd.adminDn,
            bindPasswordFile: await site.folder.write('ldap-password', slapd.adminPassword),
            user: { base: `ou=people,${slapd.base}`, filter: '(uid={username})' },
            groups: { base: `ou=groups,${slapd.base}` },
          },
          mapping: { usernamePrefix: 'ldap:', groupPrefix: 'ldap:' },
        },
        {
          oidc: {
            issuer: issuer.issuer,
            audiences: ['terminal'],
            caFile: site.caFile,
            usernamePrefix: 'oidc:',
            groupsClaim: 'groups',
          },
        },
        { apiserver: { audiences: [AUDIENCE] } },
      ],
      kubernetes: { kubeconfig: cluster.kubeconfig },
      cache: { ttl: '0s', negativeTtl: '0s' },
    }
    configFile = await site.folder.write('identify.yaml', JSON.stringify(config))
    archway = await serve(site, config)
  })
  after(async () => {
    await archway?.stop()
    await cluster?.[Symbol.asyncDispose]()
    await slapd?.[Symbol.asyncDispose]()
    await keystone?.[Symbol.asyncDispose]()
    await issuer?.[Symbol.asyncDispose]()
    await site?.folder.remove()
  })

  /** Runs `archway identify`; checks that the status fits the verdict, and that no secret stands in what it prints. */
  async function identify(args: readonly string[], input: string, file = configFile): Promise<Found> {
    secrets.add(input)
    const all = ['identify', '--config', file, '-o', 'json', ...args]
    const { status, stdout, stderr } = await runProgram('archway', all, {}, input)
    assert.notEqual(stdout, '', stderr)
    const found = JSON.parse(stdout) as Found
    assert.equal(status, STATUS[found.verdict], stdout)
    for (const secret of secrets) assert.ok(!(stdout + stderr).includes(secret), 'T-S1 a secret was printed')
    return found
  }
  const byToken = (token: string, file?: string): Promise<Found> => identify(['--bearer-file', '-'], token, file)
  const byPassword = (user: string, password: string): Promise<Found> =>
    identify(['--user', user, '--password-stdin'], password)

  /** Who it is, and by which source; else the verdict. */
  function who({ verdict, code, provenBy, user }: Found): string {
    return user === undefined ? [verdict, code].filter(Boolean).join(': ') : `${user.username} by ${provenBy}`
  }

  async function idToken(account: string): Promise<string> {
    const { id_token: token } = await issuer.issueTokens({ account })
    assert.ok(token !== undefined)
    return token
  }

  async function accountToken(name: string, audiences: readonly string[] = [AUDIENCE]): Promise<string> {
    const asked = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { audiences } }
    const path = `/api/v1/namespaces/default/serviceaccounts/${name}/token`
    const { status, stdout, stderr } = await cluster.kubectl(['create', '--raw', path, '-f', '-'], {
      input: JSON.stringify(asked),
    })
    assert.equal(status, 0, stderr)
    return JSON.parse(stdout).status.token
  }

  describe('first proof wins', () => {
    test('a token of the file, whose group system:masters stays out', async () => {
      const found = await byToken(FILE_TOKEN)
      assert.equal(who(found), 'root by token-file')
      assert.deepEqual(found.user?.groups, ['ops', 'system:authenticated'])
      assert.deepEqual(
        found.sources.map(({ outcome }) => outcome),
        ['authenticated', 'not_asked', 'not_asked', 'not_asked', 'not_asked'],
      )
    })

    test('a Keystone token', async () => {
      const found = await byToken(await keystone.token('alice', 'alice-pw', 'demo'))
      assert.equal(who(found), 'alice@Default by keystone')
      assert.ok(found.user?.groups.includes('k8s-devs'))
    })

    test('Keystone passwords, in the domain that the name says', async () => {
      assert.equal(who(await byPassword('alice', 'alice-pw')), 'alice@Default by keystone')
      assert.equal(who(await byPassword('bob@Default', 'bob-pw')), 'bob@Default by keystone')
      const apart = { authenticators: [{ keystone: { url: keystone.url, usernameFormat: '%n@%d', passwords: HEAT } }] }
      const file = await site.folder.write('heat.yaml', JSON.stringify(apart))
      const args = ['--user', 'heat\\bob', '--password-stdin']
      assert.equal(who(await identify(args, 'heat-bob-pw', file)), 'bob@heat by keystone')
      assert.equal(who(await identify(args, 'bob-pw', file)), 'refused: login_failed')
    })
    const HEAT = { project: 'demo', projectDomain: 'heat' }

    test('an LDAP password, by a name that Keystone does not know, with its mapping', async () => {
      const found = await byPassword('lena', 'lena-pw')
      assert.equal(who(found), 'ldap:lena by ldap')
      assert.deepEqual(
        found.sources.slice(0, 2).map(({ name, outcome }) => `${name} ${outcome}`),
        ['keystone rejected', 'ldap authenticated'],
      )
    })

    test('an ID token of the issuer', async () => {
      const found = await byToken(await idToken('carol'))
      assert.equal(who(found), 'oidc:carol by oidc')
      assert.deepEqual(found.user?.groups, ['k8s-ops', 'k8s-devs', 'system:authenticated'])
    })

    test('a token of a service account, whose reserved names pass the gate', async () => {
      const found = await byToken(await accountToken('robot'))
      assert.equal(who(found), 'system:serviceaccount:default:robot by apiserver')
      assert.deepEqual(found.user?.groups, [
        'system:serviceaccounts',
        'system:serviceaccounts:default',
        'system:authenticated',
      ])
    })
  })

  describe('what is not good is refused', () => {
    test('a wrong password, at every source', async () => {
      const found = await byPassword('lena', 'wrong-canary')
      assert.equal(who(found), 'refused: login_failed')
      assert.deepEqual(
        found.sources.slice(0, 2).map(({ name, outcome }) => `${name} ${outcome}`),
        ['keystone rejected', 'ldap rejected'],
      )
    })

    test('an ID token that has expired, and one of a key that is nobody’s', async () => {
      const now = Math.floor(Date.now() / 1000)
      const claims = { iss: issuer.issuer, aud: 'terminal', sub: 'carol', iat: now - 20, exp: now - 10 }
      assert.match(who(await byToken(issuer.signJwt(claims))), /^refused: token_expired/)
      const [head, body] = (await idToken('carol')).split('.')
      assert.match(who(await byToken(`${head}.${body}.${'A'.repeat(342)}`)), /^refused: signature_invalid/)
    })

    test('T-W1 tokens of service accounts that were made for others', async () => {
      assert.equal(who(await byToken(await accountToken('robot', ['vault']))), 'refused: token_unknown')
      assert.equal(who(await byToken(await accountToken('robot', []))), 'refused: token_unknown')
    })

    test('tokens of a service account that is gone, or has come back as another', async () => {
      await cluster.kubectl(['create', 'serviceaccount', 'gone'])
      // kube-apiserver remembers a token it has seen for 10 s: these are shown once.
      const [first, second] = [await accountToken('gone'), await accountToken('gone')]
      await cluster.kubectl(['delete', 'serviceaccount', 'gone'])
      assert.equal(who(await byToken(first)), 'refused: token_unknown')
      await cluster.kubectl(['create', 'serviceaccount', 'gone'])
      assert.equal(who(await byToken(second)), 'refused: token_unknown')
    })

    test('tokens of the cluster’s own key that have expired, are not yet good, or are changed', async () => {
      const [head = '', body = '', signature = ''] = (await accountToken('robot')).split('.')
      const key = createPrivateKey(await readFile(`${cluster.dir}/sa.key`))
      const claims = JSON.parse(Buffer.from(body, 'base64url').toString())
      const signed = (over: object): string => {
        const text = `${head}.${Buffer.from(JSON.stringify({ ...claims, ...over })).toString('base64url')}`
        return `${text}.${sign('sha256', Buffer.from(text), key).toString('base64url')}`
      }
      const now = Math.floor(Date.now() / 1000)
      assert.match(who(await byToken(signed({}))), /robot by apiserver$/)
      for (const bad of [
        signed({ iat: now - 7200, nbf: now - 7200, exp: now - 3600 }),
        signed({ nbf: now + 3600, exp: now + 7200 }),
        signed({ 'kubernetes.io': undefined }),
        `${head}.${body}.${'A'.repeat(signature.length)}`,
      ]) {
        assert.equal(who(await byToken(bad)), 'refused: token_unknown')
      }
    })
  })

  describe('the webhook, with the same sources', () => {
    test('knows tokens of each, and no passwords', async () => {
      const tokens = {
        root: FILE_TOKEN,
        'alice@Default': await keystone.token('alice', 'alice-pw', 'demo'),
        'oidc:carol': await idToken('carol'),
        'system:serviceaccount:default:robot': await accountToken('robot'),
      }
      for (const [name, token] of Object.entries(tokens)) {
        const { authenticated, user } = await archway.review(token)
        assert.deepEqual([authenticated, user.username], [true, name])
      }
      assert.equal((await archway.review(`unknown-${FILE_TOKEN}`)).authenticated, false)
    })

    test('says how long a token goes on working after it was taken back', () => {
      assert.match(archway.output(), /a JWT of an OIDC issuer cannot be taken back: it works until it expires/)
    })

    test('kubectl gets into a real cluster with an ID token', async () => {
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
      await using other = await startKubeApiserver({ flags: [`--authentication-token-webhook-config-file=${webhook}`] })
      const { status, stderr } = await other.kubectl(
        [
          `--server=${other.url}`,
          `--certificate-authority=${other.caFile}`,
          `--token=${await idToken('carol')}`,
        ].concat('get', 'secrets'),
        { kubeconfig: await site.folder.write('empty', '') },
      )
      assert.equal(status, 1)
      assert.match(stderr, /User "oidc:carol" cannot list resource "secrets"/)
    })
  })

  describe('T-W3 one broken source hides no other, and is never a refusal', () => {
    interface Broken {
      readonly name: string
      readonly source: string
      stop(): Promise<void>
      start(): Promise<void>
      /** Somebody of this source only. */
      own(): Promise<Found>
      other(): Promise<Found>
      readonly stays: string
    }
    let robot = ''
    let keystoneToken = ''
    before(async () => {
      robot = await accountToken('robot')
      keystoneToken = await keystone.token('alice', 'alice-pw', 'demo')
    })

    const cases: readonly Broken[] = [
      {
        name: 'Keystone is stopped',
        source: 'keystone',
        stop: () => keystone.stop(),
        start: () => keystone.start(),
        own: () => byToken(keystoneToken),
        other: () => byPassword('lena', 'lena-pw'),
        stays: 'ldap:lena by ldap',
      },
      {
        name: 'the directory is killed',
        source: 'ldap',
        stop: () => slapd.kill(),
        start: () => slapd.start(),
        own: () => byPassword('lena', 'lena-pw'),
        other: () => byPassword('alice', 'alice-pw'),
        stays: 'alice@Default by keystone',
      },
      {
        name: 'the issuer is down',
        source: 'oidc',
        stop: () => issuer.stop(),
        start: () => issuer.start(),
        own: async () => {
          const now = Math.floor(Date.now() / 1000)
          return byToken(issuer.signJwt({ iss: issuer.issuer, aud: 'terminal', sub: 'x', iat: now, exp: now + 600 }))
        },
        other: () => byToken(robot),
        stays: 'system:serviceaccount:default:robot by apiserver',
      },
      {
        name: 'the API server is stopped',
        source: 'apiserver',
        stop: () => cluster.stop(),
        start: () => cluster.start(),
        own: () => byToken(robot),
        other: async () => byToken(await idToken('carol')),
        stays: 'oidc:carol by oidc',
      },
    ]
    for (const { name, source, stop, start, own, other, stays } of cases) {
      test(name, async () => {
        await stop()
        try {
          const lost = await own()
          assert.equal(lost.verdict, 'undecided', JSON.stringify(lost))
          assert.equal(lost.sources.find((each) => each.name === source)?.outcome, 'could_not_tell')
          assert.equal(who(await other()), stays)
        } finally {
          await start()
        }
        assert.equal((await own()).verdict === 'undecided', false)
      })
    }

    test('the webhook answers 503 for a token that a broken source may know, and 200 for those of others', async () => {
      await keystone.stop()
      try {
        const lost = await archway.review(keystoneToken)
        assert.deepEqual([lost.httpStatus, lost.authenticated], [503, undefined])
        assert.equal((await archway.review(FILE_TOKEN)).authenticated, true)
        assert.equal((await archway.review(await idToken('carol'))).user.username, 'oidc:carol')
        // Taken out of service for it, the others would be gone as well.
        const ready = await archway.admin('/readyz?verbose')
        assert.equal(ready.status, 200)
        assert.match(ready.body, /^\[\+\]keystone ok: away: /m)
      } finally {
        await keystone.start()
      }
      assert.equal((await archway.review(keystoneToken)).user.username, 'alice@Default')
    })
  })

  test('T-S1 no secret stands in what the service wrote', () => {
    for (const secret of [...secrets, 'alice-pw', 'lena-pw']) assert.ok(!archway.output().includes(secret))
  })
})
