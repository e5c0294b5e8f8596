import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SIGNING_ALGORITHMS } from '../../src/authn/oidc/algorithms.ts'
import { listOptions, type Option } from '../../src/config/options.ts'
import { configSchema } from '../../src/config/schema.ts'
import { load, mistakes, placeOf, problemsOf, setAt, VALID, valueAt, WHOLE } from './support.ts'

const NO_CERTIFICATE = [
  'server.tls.certFile: missing: set it or pass --tls-cert-file FILE',
  'server.tls.keyFile: missing: set it or pass --tls-private-key-file FILE',
]
const NO_SOURCE =
  'authenticators: no source of identities: name at least one, or pass --keystone-url URL or --token-file FILE'

/** How tokens of an issuer are judged, unless told otherwise. */
const JUDGED = {
  algorithms: [...SIGNING_ALGORITHMS],
  leeway: 30_000,
  tokenLength: 16_384,
  timeout: 5_000,
  refresh: 600_000,
  cooldown: 10_000,
  staleKeys: 14_400_000,
}

/** What a source can be; a mapping goes with any. */
const SOURCES =
  'tokenFile, passwordFile, x509, keystone, ldap, oidc, authenticationConfiguration, apiserver, requestHeader, anonymous'

describe('defaults', () => {
  test('are what the reference says, and durations are milliseconds', () => {
    assert.deepEqual(load(VALID), {
      server: {
        listen: '0.0.0.0:8443',
        tls: { certFile: 'tls.crt', keyFile: 'tls.key', clientNames: [] },
        limits: {
          bodyBytes: 1_048_576,
          headerBytes: 16_384,
          connections: 1024,
          requests: 1024,
          requestTimeout: 15_000,
          deadline: 20_000,
          idleTimeout: 120_000,
          handshakeTimeout: 10_000,
        },
        drain: 20_000,
      },
      admin: { listen: '127.0.0.1:9443' },
      authenticators: [
        { tokenFile: { path: 'tokens.csv', name: 'token-file' } },
        { passwordFile: { path: 'users.htpasswd', name: 'password-file', format: 'auto' } },
        {
          x509: {
            name: 'x509',
            authorities: [{ caFile: 'clients.crt', usernamePrefix: '', groupPrefix: '' }],
            entries: 10_000,
          },
        },
        {
          keystone: {
            url: 'https://keystone.example:5000/v3',
            name: 'keystone',
            caMode: 'replace',
            allowLoopback: false,
            timeout: 8_000,
            connections: 32,
            queue: 1024,
            usernameFormat: '%n',
            scopes: ['project'],
            methods: [],
            maxGroups: 1000,
            userAgent: [],
            passwords: { enabled: true, domain: 'default', domains: [] },
          },
        },
        {
          ldap: {
            urls: ['ldaps://ldap.example'],
            name: 'ldap',
            startTls: false,
            allowPlain: false,
            anonymous: true,
            user: { base: 'ou=people,dc=example', scope: 'sub', filter: '(uid={username})' },
            attributes: { username: 'uid', extra: [] },
            groups: {
              from: 'search',
              base: 'ou=groups,dc=example',
              scope: 'sub',
              filter: '(member={dn})',
              memberOfAttribute: 'memberOf',
              nameAttribute: 'cn',
              nested: 'none',
              depth: 5,
            },
            maxGroups: 1000,
            timeout: 8_000,
            stepTimeout: 3_000,
            connections: 16,
            queue: 1024,
            idleTimeout: 60_000,
          },
        },
        {
          oidc: {
            issuer: 'https://issuer.example',
            name: 'oidc',
            audiences: ['kubernetes'],
            allowHttpLoopback: false,
            ...JUDGED,
          },
        },
        { authenticationConfiguration: { path: 'authentication.yaml', name: 'oidc-file', ...JUDGED } },
        { apiserver: { name: 'apiserver', audiences: ['archway'], serviceAccountsOnly: true } },
        {
          requestHeader: {
            caFile: 'front-proxy.crt',
            name: 'request-header',
            allowedNames: ['front-proxy'],
            usernameHeaders: ['X-Remote-User'],
            uidHeaders: ['X-Remote-Uid'],
            groupHeaders: ['X-Remote-Group'],
            extraHeaderPrefixes: ['X-Remote-Extra-'],
          },
        },
        { anonymous: {} },
      ],
      authorizers: [],
      identity: { usernamePrefix: '', groupPrefix: '', reservedGroups: 'drop', allowReserved: [] },
      loginProtection: {
        pair: {
          free: 5,
          firstDelay: 1_000,
          longestDelay: 300_000,
          lockAfter: 20,
          lockFor: 900_000,
          forgetAfter: 1_800_000,
        },
        user: { slowAfter: 50, window: 3_600_000, interval: 30_000 },
        address: { lockAfter: 100, window: 900_000, lockFor: 900_000 },
        ipv6Prefix: 64,
        knownFor: 604_800_000,
        entries: 50_000,
        queue: 256,
        timeout: 20_000,
        tell: false,
      },
      audiences: [],
      cache: { ttl: 30_000, negativeTtl: 10_000, entries: 10_000 },
      webhook: { tokenLength: 16_384, explainRefusals: false },
      proxy: {
        listen: '0.0.0.0:6443',
        tls: {},
        http2: true,
        upstreams: [],
        upstream: {
          connectTimeout: 5_000,
          checkInterval: 5_000,
          checkTimeout: 3_000,
          idleConnections: 100,
          idleTimeout: 60_000,
          selfCheck: 'require',
        },
        impersonation: 'refuse',
        identityHeaders: [],
        serviceAccountIssuers: [],
        authorize: false,
        limits: {
          connections: 10_000,
          handshakeTimeout: 10_000,
          headerBytes: 65_536,
          headTimeout: 15_000,
          bodyBytes: 0,
          stallTimeout: 60_000,
          idleTimeout: 120_000,
          http2Streams: 250,
          identityBytes: 131_072,
          requests: 400,
          userRequests: 100,
          queue: 1000,
          userQueue: 50,
          queueTimeout: 15_000,
          streams: 10_000,
          userStreams: 1000,
        },
        drain: 30_000,
      },
      kubernetes: { authenticationCacheTtl: 120_000 },
      recorder: { maxBytes: 67_108_864, files: 4, hashUsers: false },
      logging: { level: 'decision', format: 'auto' },
      tracing: { sampling: 0.05, userNames: false },
    })
  })

  test('of each kind of authorizer as well', () => {
    assert.deepEqual(load(WHOLE).authorizers, [
      {
        keystonePolicy: {
          name: 'keystone-policy',
          files: ['policy.json'],
          configMaps: [],
          subresources: 'guarded',
          anyIdentity: false,
          hardDeny: false,
          shadowFiles: [],
        },
      },
      { rbac: { name: 'rbac' } },
      { abac: { name: 'abac', path: 'abac.jsonl' } },
      { node: { name: 'node', kubernetesMinor: 33 } },
      {
        webhook: {
          name: 'webhook',
          kubeconfig: 'authz.kubeconfig',
          apiVersion: 'v1',
          timeout: 5000,
          failurePolicy: 'no-opinion',
        },
      },
      { alwaysAllow: {} },
      { alwaysDeny: { hard: false } },
    ])
  })

  test('are made anew each time: nobody changes them for the next', () => {
    const first = load(VALID)
    assert.notEqual(load(VALID).audiences, first.audiences)
    assert.notEqual(load(VALID).server.limits, first.server.limits)
  })

  test('hold without a file, when flags say the rest', () => {
    const flags = { 'tls-cert-file': 'c', 'tls-private-key-file': 'k', 'keystone-url': 'https://k.example/v3' }
    const config = load(undefined, { flags })
    assert.equal(config.server.tls.certFile, 'c')
    assert.equal(config.authenticators[0]?.keystone?.url, 'https://k.example/v3')
  })
})

/** Values of options whose text has a form of its own. */
const SAMPLES: Readonly<Record<string, string>> = {
  'server.listen': '127.0.0.1:1',
  'admin.listen': '127.0.0.1:1',
  'authenticators[].keystone.url': 'https://other.example/v3',
  'authenticators[].keystone.usernameFormat': '%n@%d',
  'authenticators[].ldap.urls': 'ldaps://other.example',
  'authenticators[].ldap.bindDn': 'cn=other,dc=example',
  'authenticators[].ldap.user.base': 'ou=other,dc=example',
  'authenticators[].ldap.user.filter': '(cn={username})',
  'authenticators[].ldap.user.dnTemplate': 'cn={username},dc=example',
  'authenticators[].oidc.issuer': 'https://other.example',
  'authorizers[].keystonePolicy.configMaps': 'auth/other',
  'proxy.listen': '127.0.0.1:1',
  'proxy.upstreams': 'https://other.example:6443',
  'tracing.endpoint': 'http://other.example:4318',
}

/** What the proxy cannot be without. */
const PROXY = {
  tls: { certFile: 'tls.crt', keyFile: 'tls.key' },
  upstreams: ['https://10.0.0.1:6443', 'https://10.0.0.2:6443'],
  upstream: { caFile: 'ca.crt', clientCertFile: 'front-proxy.crt', clientKeyFile: 'front-proxy.key' },
}

const ACCOUNT: readonly Change[] = [
  ['authenticators.[].ldap.anonymous', false],
  ['authenticators.[].ldap.bindDn', 'cn=archway,dc=example'],
  ['authenticators.[].ldap.bindPasswordFile', 'password'],
]
type Change = readonly [path: string, value: unknown]

/** What has to be there for an option to make sense. */
const GOES_WITH: Readonly<Record<string, readonly Change[]>> = {
  'authenticators[].ldap.bindDn': ACCOUNT,
  'authenticators[].ldap.bindPasswordFile': ACCOUNT,
  'authenticators[].ldap.user.dnTemplate': [
    ['authenticators.[].ldap.user', { dnTemplate: 'uid={username},dc=example' }],
  ],
  'authenticators[].passwordFile.groupsFile': [['authenticators.[].passwordFile.format', 'htpasswd']],
  'authenticators[].oidc.groupsPrefix': [['authenticators.[].oidc.groupsClaim', 'groups']],
}

describe('flags beat environment beat file', () => {
  const file = { ...VALID, logging: { level: 'error' }, cache: { ttl: '1s' } }
  const env = { ARCHWAY_LOG_LEVEL: 'warn', ARCHWAY_CACHE_TTL: '2s' }

  test('one after the other', () => {
    const level = (given: Parameters<typeof load>[1]): string => load(file, given).logging.level
    assert.equal(level({}), 'error')
    assert.equal(level({ env }), 'warn')
    assert.equal(level({ env, flags: { 'log-level': 'debug' } }), 'debug')
    assert.equal(level({ flags: { 'log-level': 'debug' } }), 'debug')
  })

  test('each value for itself', () => {
    const config = load(file, { env, flags: { 'log-level': 'debug' } })
    assert.equal(config.cache.ttl, 2_000)
    assert.equal(config.cache.negativeTtl, 10_000)
  })

  test('an empty variable is none, an empty flag is what it says', () => {
    assert.equal(load(file, { env: { ARCHWAY_LOG_LEVEL: '' } }).logging.level, 'error')
    assert.match(mistakes(file, { flags: { 'log-level': '' } })[0] ?? '', /^logging\.level: /)
  })

  test('only variables of the schema are read', () => {
    const config = load(VALID, { env: { ARCHWAY_AUDIENCES: 'a', PATH: '/bin', HOME: '/root', ARCHWAY_: 'x' } })
    assert.deepEqual(config, load(VALID))
  })

  test('they go into sections the file leaves empty', () => {
    const text = `logging:\nserver:\n  tls:\nauthenticators: [{ tokenFile: { path: a } }]\n`
    const flags = { 'log-level': 'warn', 'tls-cert-file': 'c', 'tls-private-key-file': 'k' }
    const config = load(text, { flags })
    assert.equal(config.logging.level, 'warn')
    assert.equal(config.server.tls.certFile, 'c')
  })

  test('a mistake in one of them is told at the path of the option', () => {
    assert.match(mistakes(VALID, { env: { ARCHWAY_LISTEN: 'x' } })[0] ?? '', /^server\.listen: expected host:port/)
    assert.match(mistakes(VALID, { flags: { 'cache-ttl': '5' } })[0] ?? '', /^cache\.ttl: expected a duration/)
  })

  test('where the file has something else in the place of a section, that is told', () => {
    assert.deepEqual(mistakes({ ...VALID, logging: 5 }, { flags: { 'log-level': 'warn' } }), [
      'logging: Invalid input: expected object, received number',
    ])
  })

  test('the file that was handed in is not changed', () => {
    const sources = { file: { path: 'p', text: JSON.stringify(VALID) } }
    const { authenticators } = load(VALID, { flags: { 'keystone-url': 'https://other.example/v3' } })
    assert.equal(authenticators.length, VALID.authenticators.length)
    assert.equal(sources.file.text, JSON.stringify(VALID))
  })

  for (const option of listOptions().filter(({ flag, env }) => flag !== undefined || env !== undefined)) {
    test(`${option.name} can be given as ${option.flag} and as ${option.env}`, () => {
      assert.ok(option.flag !== undefined && option.env !== undefined)
      const [text, value] = sample(option)
      const whole = wholeFor(option)
      const expected = option.list ? [value] : value // a flag for a list gives its one item
      const flags = { [option.flag]: text }
      const env = { [option.env]: text }
      const { door = 'webhook' } = option
      for (const given of [{ flags }, { env }, { flags, env: { [option.env]: 'beaten' } }]) {
        const config = load(whole, { ...given, door })
        assert.deepEqual(valueAt(config, placeOf(option.path)), expected)
        // Nothing else is changed by it.
        const copy: unknown = structuredClone(load(whole, { door }))
        setAt(copy, placeOf(option.path), expected)
        assert.deepEqual(config, copy)
      }
    })
  }

  function sample({ type, path, name }: Option): readonly [text: string, value: unknown] {
    if (type.startsWith('`')) {
      const last = type.split(', ').at(-1)?.replaceAll('`', '') ?? ''
      return [last, last]
    }
    if (path.at(-1)?.toLowerCase().endsWith('ttl')) return ['7s', 7_000]
    const text = SAMPLES[name] ?? 'other.pem'
    return [text, text]
  }

  /** {@link WHOLE}, where needed with another way of saying the same, to which the option belongs. */
  function wholeFor({ name, door }: Option): object {
    const copy = structuredClone<object>({ ...WHOLE, ...(door === 'proxy' ? { proxy: PROXY } : {}) })
    for (const [path, value] of GOES_WITH[name] ?? []) setAt(copy, placeOf(path.split('.')), value)
    return copy
  }
})

describe('flags of a source', () => {
  const tls = { server: VALID.server }
  const one = { ...tls, authenticators: [{ tokenFile: { path: 'a' } }, { keystone: { url: 'https://a.example/v3' } }] }
  const two = {
    ...tls,
    authenticators: [
      { keystone: { url: 'https://a.example/v3' } },
      { keystone: { url: 'https://b.example/v3', name: 'b' } },
    ],
  }

  test('go to the one source of their kind, and leave the others alone', () => {
    const { authenticators } = load(one, {
      flags: { 'keystone-ca-file': 'ca', 'keystone-url': 'https://c.example/v3' },
    })
    assert.equal(authenticators.length, 2)
    assert.equal(authenticators[0]?.tokenFile?.path, 'a')
    assert.equal(authenticators[1]?.keystone?.caFile, 'ca')
    assert.equal(authenticators[1]?.keystone?.url, 'https://c.example/v3')
  })

  test('make a source where there is none, behind those of the file', () => {
    const file = { ...tls, authenticators: [{ tokenFile: { path: 'a' } }] }
    const flags = { 'keystone-ca-file': 'ca', 'keystone-url': 'https://c.example/v3', 'keystone-username-format': '%i' }
    const { authenticators } = load(file, { flags })
    assert.deepEqual(Object.keys(authenticators[1] ?? {}), ['keystone'])
    assert.equal(authenticators[1]?.keystone?.caFile, 'ca')
    assert.equal(authenticators[1]?.keystone?.usernameFormat, '%i')
    assert.equal(authenticators.length, 2)
  })

  test('of both kinds make both, the token file first, as in the schema', () => {
    const env = { ARCHWAY_TOKEN_FILE: 't', ARCHWAY_KEYSTONE_URL: 'https://c.example/v3' }
    assert.deepEqual(
      load(tls, { env }).authenticators.flatMap((source) => Object.keys(source)),
      ['tokenFile', 'keystone'],
    )
  })

  test('of one source make it whole, however deep they go', () => {
    const flags = {
      'ldap-user-filter': '(cn={username})',
      'ldap-user-base': 'ou=people,dc=example',
      'ldap-bind-password-file': 'password',
      'ldap-bind-dn': 'cn=archway,dc=example',
      'ldap-url': 'ldaps://ldap.example',
    }
    const [source] = load(tls, { flags }).authenticators
    assert.deepEqual(source?.ldap?.urls, ['ldaps://ldap.example'])
    assert.deepEqual(source.ldap.user, { base: 'ou=people,dc=example', scope: 'sub', filter: '(cn={username})' })
    assert.deepEqual(load(tls, { flags: { 'client-ca-file': 'ca.crt' } }).authenticators[0]?.x509?.authorities, [
      { caFile: 'ca.crt', usernamePrefix: '', groupPrefix: '' },
    ])
    const issuer = { 'oidc-issuer': 'https://issuer.example', 'oidc-client-id': 'kubernetes' }
    assert.deepEqual(load(tls, { flags: issuer }).authenticators[0]?.oidc?.audiences, ['kubernetes'])
  })

  test('that leave something out tell all of it, with the flags that say it', () => {
    assert.deepEqual(mistakes(undefined, { flags: { 'ldap-url': 'ldap://x', 'ldap-bind-dn': 'cn=a' } }), [
      'authenticators[0].ldap.urls[0]: the address cannot be used: passwords would be sent unprotected: write ldaps:, or set `startTls: true`',
      'authenticators[0].ldap.bindDn: bindDn and bindPasswordFile go together',
      'authenticators[0].ldap.user: set `base` and `filter` (--ldap-user-base, --ldap-user-filter), or `dnTemplate` (--ldap-user-dn-template), and not both',
      ...NO_CERTIFICATE,
    ])
    assert.deepEqual(mistakes(tls, { flags: { 'oidc-issuer': 'https://issuer.example' } }), [
      'authenticators[0].oidc.audiences: missing; expected array',
    ])
  })

  test('that only add to a source need one', () => {
    assert.deepEqual(mistakes(tls, { flags: { 'keystone-ca-file': 'ca' } }), [
      'authenticators: --keystone-ca-file: there is no keystone it could belong to',
      'authenticators: no source of identities: name at least one, such as --keystone-url URL or --token-file FILE',
    ])
  })

  test('with several sources of the kind belong to none, and the message says how they were given', () => {
    assert.deepEqual(mistakes(two, { flags: { 'keystone-url': 'https://c.example/v3' } }), [
      'authenticators: --keystone-url: there are several of the kind keystone; edit the file',
    ])
    const authorities = [{ caFile: 'a' }, { caFile: 'b' }]
    assert.deepEqual(
      mistakes({ ...tls, authenticators: [{ x509: { authorities } }] }, { flags: { 'client-ca-file': 'c' } }),
      ['authenticators: --client-ca-file: there are several of the kind x509; edit the file'],
    )
    assert.deepEqual(mistakes(two, { env: { ARCHWAY_KEYSTONE_CA_FILE: 'ca' } }), [
      'authenticators: ARCHWAY_KEYSTONE_CA_FILE: there are several of the kind keystone; edit the file',
    ])
  })

  test('do not hide that the file has something else in place of the sources', () => {
    assert.deepEqual(
      mistakes({ ...tls, authenticators: 'all' }, { flags: { 'keystone-url': 'https://c.example/v3' } }),
      ['authenticators: Invalid input: expected array, received string'],
    )
  })
})

describe('flags of an authorizer', () => {
  const order = (given: Parameters<typeof load>[1], file: object = VALID): readonly string[] =>
    load(file, given).authorizers.flatMap((authorizer) => Object.keys(authorizer))

  const made: readonly [flag: string, env: string, value: string, made: object][] = [
    ['keystone-policy-file', 'ARCHWAY_KEYSTONE_POLICY_FILE', 'p.json', { keystonePolicy: { files: ['p.json'] } }],
    ['policy-configmap-name', 'ARCHWAY_POLICY_CONFIGMAP_NAME', 'pol', { keystonePolicy: { configMaps: ['pol'] } }],
    ['rbac-manifests', 'ARCHWAY_RBAC_MANIFESTS', 'rbac.d', { rbac: { manifests: 'rbac.d' } }],
    ['abac-file', 'ARCHWAY_ABAC_FILE', 'abac.jsonl', { abac: { path: 'abac.jsonl' } }],
  ]
  for (const [flag, env, value, authorizer] of made) {
    test(`--${flag} and ${env} alone make one where there is none`, () => {
      const written = load({ ...VALID, authorizers: [authorizer] })
      assert.deepEqual(load(VALID, { flags: { [flag]: value } }), written)
      assert.deepEqual(load(VALID, { env: { [env]: value } }), written)
      assert.deepEqual(load({ ...VALID, authorizers: [] }, { flags: { [flag]: value } }), written)
    })
  }

  const all = {
    'policy-subresources': 'strict',
    'abac-file': 'abac.jsonl',
    'rbac-manifests': 'rbac.d',
    'policy-configmap-name': 'auth/policy',
    'keystone-policy-file': 'p.json',
    kubeconfig: 'kubeconfig',
  }

  test('together make one of each kind, in the order of the schema whatever the order of the flags', () => {
    const variables = {
      ARCHWAY_ABAC_FILE: 'abac.jsonl',
      ARCHWAY_POLICY_SUBRESOURCES: 'strict',
      ARCHWAY_RBAC_MANIFESTS: 'rbac.d',
      ARCHWAY_POLICY_CONFIGMAP_NAME: 'auth/policy',
      ARCHWAY_KEYSTONE_POLICY_FILE: 'p.json',
      ARCHWAY_KUBECONFIG: 'kubeconfig',
    }
    const written = load({
      ...VALID,
      authorizers: [
        { keystonePolicy: { files: ['p.json'], configMaps: ['auth/policy'], subresources: 'strict' } },
        { rbac: { manifests: 'rbac.d' } },
        { abac: { path: 'abac.jsonl' } },
      ],
      kubernetes: { kubeconfig: 'kubeconfig' },
    })
    assert.deepEqual(load(VALID, { flags: all }), written)
    assert.deepEqual(load(VALID, { env: variables }), written)
  })

  test('add to those of the file behind them, and replace in the one of their kind', () => {
    const file = { ...VALID, authorizers: [{ abac: { path: 'own', name: 'mine' } }, { alwaysDeny: {} }] }
    assert.deepEqual(order({ flags: all }, file), ['abac', 'alwaysDeny', 'keystonePolicy', 'rbac'])
    assert.deepEqual(load(file, { flags: all }).authorizers[0], { abac: { path: 'abac.jsonl', name: 'mine' } })
    const files = { ...VALID, authorizers: [{ keystonePolicy: { files: ['a', 'b'], hardDeny: true } }] }
    const [first] = load(files, { flags: { 'keystone-policy-file': 'c' } }).authorizers
    assert.deepEqual(first?.keystonePolicy?.files, ['c'])
    assert.equal(first?.keystonePolicy?.hardDeny, true)
  })

  test('turn RBAC that is watched into RBAC of a folder', () => {
    const file = { ...VALID, authorizers: [{ rbac: {} }] }
    assert.deepEqual(load(file, { flags: { 'rbac-manifests': 'd' } }).authorizers, [
      { rbac: { name: 'rbac', manifests: 'd' } },
    ])
  })

  test('that only add to one need one', () => {
    assert.deepEqual(mistakes(VALID, { flags: { 'policy-subresources': 'compat' } }), [
      'authorizers: --policy-subresources: there is no keystonePolicy it could belong to',
    ])
    assert.deepEqual(
      mistakes({ ...VALID, authorizers: [{ rbac: {} }] }, { env: { ARCHWAY_POLICY_SUBRESOURCES: 'strict' } }),
      ['authorizers: ARCHWAY_POLICY_SUBRESOURCES: there is no keystonePolicy it could belong to'],
    )
  })

  test('with several of the kind belong to none', () => {
    const two = {
      ...VALID,
      authorizers: [{ keystonePolicy: { files: ['a'] } }, { keystonePolicy: { files: ['b'], name: 'b' } }],
    }
    for (const flag of ['keystone-policy-file', 'policy-configmap-name']) {
      assert.deepEqual(mistakes(two, { flags: { [flag]: 'c' } }), [
        `authorizers: --${flag}: there are several of the kind keystonePolicy; edit the file`,
      ])
    }
  })

  test('are told at their path where they are wrong', () => {
    assert.match(
      mistakes(VALID, { flags: { 'keystone-policy-file': 'p', 'policy-subresources': 'loose' } }).join(),
      /^authorizers\[0\]\.keystonePolicy\.subresources: [^\n]*compat/,
    )
    for (const name of ['Policy', 'a/b/c', '', '/a', 'a/', '..', '../a', 'a/..', 'a b', '-a', 'a-', 'a?b', 'a%2fb']) {
      assert.deepEqual(mistakes(VALID, { flags: { 'policy-configmap-name': name } }), [
        'authorizers[0].keystonePolicy.configMaps[0]: expected name or namespace/name',
      ])
    }
    for (const name of ['a', 'k8s-auth-policy', 'auth/k8s.auth', '0', 'a/0']) {
      assert.doesNotThrow(() => load(VALID, { flags: { 'policy-configmap-name': name } }))
    }
  })

  test('that are empty are told, and empty variables are none', () => {
    const files = 'authorizers[0].keystonePolicy.files[0]: expected the path of a file'
    assert.deepEqual(mistakes(VALID, { flags: { 'keystone-policy-file': '' } }), [files])
    assert.deepEqual(load(VALID, { env: { ARCHWAY_KEYSTONE_POLICY_FILE: '' } }), load(VALID))
  })
})

describe('all mistakes are told at once, each with its place', () => {
  test('in a file with many', () => {
    const text = `server:
  listn: 0.0.0.0:8443
  tls:
    certFile: ""
    clientNames: kube-apiserver
  limits: { bodyBytes: 5, deadline: 40s }
authenticators:
  - keystone:
      url: keystone.example
      scopes: [project, galaxy]
  - tokenfile: { path: x }
  - {}
cache: 30s
loging: {}
`
    const told = problemsOf(text).map(({ path, line, column }) => `${line}:${column} ${path}`)
    assert.deepEqual(told.sort(), [
      '10:25 authenticators[0].keystone.scopes[1]',
      '11:5 authenticators[1]',
      '11:5 authenticators[1].tokenfile',
      '12:5 authenticators[2]',
      '13:1 cache',
      '14:1 loging',
      '2:3 server.listn',
      '3:3 server.tls.keyFile',
      '4:5 server.tls.certFile',
      '5:5 server.tls.clientNames',
      '6:13 server.limits.bodyBytes',
      '6:27 server.limits.deadline',
      '9:7 authenticators[0].keystone.url',
    ])
  })

  test('what is missing is told once, with the flag that sets it', () => {
    for (const file of [undefined, '', '# nothing\n', '{}', 'null']) {
      assert.deepEqual([...mistakes(file)].sort(), [NO_SOURCE, ...NO_CERTIFICATE], String(file))
    }
    assert.deepEqual(mistakes('authenticators:\nserver: { tls: { certFile: a, keyFile: b } }'), [NO_SOURCE])
    assert.deepEqual(mistakes({ ...VALID, server: { tls: { certFile: 'a', keyFile: null } } }), NO_CERTIFICATE.slice(1))
    assert.deepEqual(mistakes({ ...VALID, authenticators: [{ keystone: {} }] }), [
      'authenticators[0].keystone.url: missing; expected string',
    ])
  })

  test('a document that is no mapping is one mistake', () => {
    for (const text of ['[]', 'text', '5', '- a', '"server: {}"']) {
      assert.match(mistakes(text).join(), /^: Invalid input: expected object, received \w+$/)
    }
  })

  const suggestions: readonly [text: string, message: string][] = [
    ['sever: {}', 'sever: unknown key; did you mean server?'],
    ['Server: {}', 'Server: unknown key; did you mean server?'],
    ['server: { tls: { cert_file: x } }', 'server.tls.cert_file: unknown key; did you mean certFile?'],
    ['server: { tls: { clientCaFile: x } }', 'server.tls.clientCaFile: unknown key; did you mean clientCAFile?'],
    ['cache: { TTL: 1s }', 'cache.TTL: unknown key; did you mean ttl?'],
    ['cache: { lifetime: 1s }', 'cache.lifetime: unknown key; known here: ttl, negativeTtl, entries'],
    ['authenticators: [{ kerberos: {} }]', `authenticators[0].kerberos: unknown key; known here: ${SOURCES}, mapping`],
    [
      'authenticators: [{ ldap: { user: { bases: x } } }]',
      'authenticators[0].ldap.user.bases: unknown key; did you mean base?',
    ],
    ['authorizers: [{ rback: {} }]', 'authorizers[0].rback: unknown key; did you mean rbac?'],
    [
      'authorizers: [{ opa: {} }]',
      'authorizers[0].opa: unknown key; known here: keystonePolicy, rbac, abac, node, webhook, alwaysAllow, alwaysDeny',
    ],
    ['authorizers: [{ rbac: { manifest: x } }]', 'authorizers[0].rbac.manifest: unknown key; did you mean manifests?'],
    ['recorder: { paths: x }', 'recorder.paths: unknown key; did you mean path?'],
    ['authenticators: [{ keystone: { ur: x } }]', 'authenticators[0].keystone.ur: unknown key; did you mean url?'],
    [
      '"a.b": 1',
      'a.b: unknown key; known here: server, admin, authenticators, authorizers, identity, loginProtection, audiences, cache, webhook, proxy, kubernetes, recorder, logging, tracing',
    ],
  ]
  for (const [text, message] of suggestions) {
    test(`a key that is unknown: ${text}`, () => assert.ok(mistakes(text).includes(message), mistakes(text).join('\n')))
  }

  test('T-H13 names of Object.prototype are unknown keys like any other', () => {
    for (const key of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      const text = `${key}: { server: {} }
server: { ${key}: { tls: { certFile: x } } }
authenticators: [{ ${key}: {} }]
authorizers: [{ ${key}: {} }]`
      const paths = problemsOf(text).map(({ path, line }) => `${line} ${path}`)
      for (const path of [`1 ${key}`, `2 server.${key}`, `3 authenticators[0].${key}`, `4 authorizers[0].${key}`]) {
        assert.ok(paths.includes(path), paths.join())
      }
    }
    assert.equal(Reflect.get({}, 'tls'), undefined)
  })

  test('no value of the file is in a message', () => {
    const secret = 'canary-5ca1ab1e'
    const file = {
      server: { listen: secret, tls: { certFile: 'a', keyFile: 'b' }, limits: { bodyBytes: secret } },
      authenticators: [{ keystone: { url: `https://user:${secret}@k.example/v3`, caMode: secret, timeout: secret } }],
      authorizers: [{ keystonePolicy: { configMaps: [`${secret}:`], subresources: secret, files: secret } }],
      logging: { level: secret },
    }
    assert.ok(!mistakes(file).join().includes(secret), mistakes(file).join('\n'))
  })
})

describe('what is not YAML, or not safely so', () => {
  const broken: readonly [name: string, text: string, message: RegExp, line: number | undefined][] = [
    ['a key that stands twice', 'cache: {}\nserver: {}\ncache: {}', /^Map keys must be unique$/, 3],
    ['a key that stands twice deep inside', 'cache:\n  ttl: 1s\n  ttl: 2s', /^Map keys must be unique$/, 3],
    ['a key that stands twice as __proto__', '__proto__: 1\n__proto__: 2', /^Map keys must be unique$/, 2],
    ['tabs', 'cache:\n\tttl: 1s', /tab/i, 2],
    ['half a list', 'audiences: [a', /./, 1],
    ['an unknown tag', 'audiences: !!js/function x', /^Unresolved tag/, 1],
    ['two documents', 'cache: {}\n---\nserver: {}', /^a second document begins here; the configuration is one$/, 2],
    ['an alias without an anchor', 'cache:\n  ttl: *other', /^no anchor &other stands before this alias$/, 2],
    ['an alias before its anchor', 'audiences: [*a, &a x]', /^no anchor &a stands before this alias$/, 1],
  ]
  for (const [name, text, message, line] of broken) {
    test(name, () => {
      const [problem] = problemsOf(text)
      assert.equal(problem?.path, '')
      assert.match(problem?.message ?? '', message)
      assert.equal(problem?.line, line)
    })
  }

  test('T-W15 aliases of aliases of aliases', () => {
    const bomb = ['a0: &a0 [x,x,x,x,x,x,x,x,x,x]']
    for (let i = 1; i < 10; i++)
      bomb.push(
        `a${i}: &a${i} [${Array(10)
          .fill(`*a${i - 1}`)
          .join()}]`,
      )
    assert.match(mistakes(bomb.join('\n')).join(), /^: Excessive alias count/)
  })

  test('T-W15 a node that holds itself', () => {
    assert.ok(mistakes('authenticators: &a [*a]').length > 0)
    assert.ok(mistakes('server: &a { tls: *a }').length > 0)
    assert.ok(mistakes(`${JSON.stringify(VALID)}\n`.replace('{', '{ "x": &a { y: *a },')).length > 0)
  })

  test('anchors as people use them are fine', () => {
    const text = `
server: { tls: { certFile: &dir /etc/tls, keyFile: *dir } }
authenticators:
  - keystone: &k { url: https://a.example/v3, caFile: *dir }
`
    assert.equal(load(text).authenticators[0]?.keystone?.caFile, '/etc/tls')
  })

  test('a byte order mark and the line ends of Windows are fine', () => {
    assert.deepEqual(load(`\ufeff${JSON.stringify(VALID, null, 2).replaceAll('\n', '\r\n')}`), load(VALID))
  })
})

describe('one value asks something of another', () => {
  const cases: readonly [name: string, over: object, told: readonly string[]][] = [
    [
      'names of callers without a CA',
      { server: { tls: { ...VALID.server.tls, clientNames: ['kube-apiserver'] } } },
      ['server.tls.clientNames: names of callers are checked only with `clientCAFile`'],
    ],
    [
      'names of callers with a CA',
      { server: { tls: { ...VALID.server.tls, clientNames: ['kube-apiserver'], clientCAFile: 'ca' } } },
      [],
    ],
    ['no names and no CA', { server: { tls: { ...VALID.server.tls, clientNames: [] } } }, []],
    [
      'a client certificate without its key',
      { authenticators: [{ keystone: { url: 'https://a.example/v3', clientCertFile: 'c' } }] },
      ['authenticators[0].keystone.clientCertFile: clientCertFile and clientKeyFile go together'],
    ],
    [
      'a key without its client certificate',
      { authenticators: [{ keystone: { url: 'https://a.example/v3', clientKeyFile: 'k' } }] },
      ['authenticators[0].keystone.clientCertFile: clientCertFile and clientKeyFile go together'],
    ],
    [
      'both',
      { authenticators: [{ keystone: { url: 'https://a.example/v3', clientKeyFile: 'k', clientCertFile: 'c' } }] },
      [],
    ],
    [
      'two sources with one name, by default',
      { authenticators: [{ tokenFile: { path: 'a' } }, { tokenFile: { path: 'b' } }] },
      ['authenticators[1].tokenFile.name: a second one called token-file: give it a name of its own'],
    ],
    [
      'two sources with one name, across kinds',
      {
        authenticators: [
          { tokenFile: { path: 'a', name: 'x' } },
          { keystone: { url: 'https://a.example/v3', name: 'x' } },
        ],
      },
      ['authenticators[1].keystone.name: a second one called x: give it a name of its own'],
    ],
    [
      'two sources of a kind with names of their own',
      { authenticators: [{ tokenFile: { path: 'a', name: 'x' } }, { tokenFile: { path: 'b' } }] },
      [],
    ],
    ['a source of no kind', { authenticators: [{}] }, [`authenticators[0]: expected exactly one of ${SOURCES}`]],
    [
      'a source of two kinds',
      { authenticators: [{ tokenFile: { path: 'a' }, keystone: { url: 'https://a.example/v3' } }] },
      [`authenticators[0]: expected exactly one of ${SOURCES}`],
    ],
    [
      'T-H7 an authority of front proxies that is one of people as well',
      {
        authenticators: [
          { x509: { authorities: [{ caFile: 'a' }, { caFile: 'b' }] } },
          { requestHeader: { caFile: 'b', allowedNames: ['front-proxy'] } },
        ],
      },
      [
        'authenticators[1].requestHeader.caFile: is an authority of people as well (x509): whoever it certifies could be anybody',
      ],
    ],
    [
      'T-W6 another name for the anonymous, whom no gate judges',
      { authenticators: [{ anonymous: {}, mapping: { usernamePrefix: 'x:' } }] },
      ['authenticators[0].mapping: the anonymous are always called the same: leave it out'],
    ],
    [
      'T-H7 front proxies of any name',
      { authenticators: [{ requestHeader: { caFile: 'b', allowedNames: [] } }] },
      [
        'authenticators[0].requestHeader.allowedNames: name at least one: else every certificate of `caFile` could be anybody',
      ],
    ],
    [
      'no source',
      { authenticators: [] },
      ['authenticators: no source of identities: name at least one, such as --keystone-url URL or --token-file FILE'],
    ],
  ]
  const KINDS_OF_AUTHORIZERS = 'keystonePolicy, rbac, abac, node, webhook, alwaysAllow, alwaysDeny'
  const policy = { files: ['a'] }
  const authorizers: readonly [name: string, authorizers: readonly object[], told: readonly string[]][] = [
    ['an authorizer of no kind', [{}], [`authorizers[0]: expected exactly one of ${KINDS_OF_AUTHORIZERS}`]],
    [
      'an authorizer of two kinds',
      [{ rbac: {} }, { rbac: { name: 'b' }, alwaysAllow: {} }],
      [`authorizers[1]: expected exactly one of ${KINDS_OF_AUTHORIZERS}`],
    ],
    [
      'two authorizers with one name, by default',
      [{ keystonePolicy: policy }, { keystonePolicy: policy }],
      ['authorizers[1].keystonePolicy.name: a second one called keystone-policy: give it a name of its own'],
    ],
    [
      'two authorizers with one name, across kinds',
      [{ rbac: {} }, { abac: { path: 'a', name: 'rbac' } }],
      ['authorizers[1].abac.name: a second one called rbac: give it a name of its own'],
    ],
    [
      'two authorizers of a kind with names of their own',
      [{ keystonePolicy: policy }, { keystonePolicy: { ...policy, name: 'second' } }],
      [],
    ],
    [
      'a second authorizer of a kind that has no names',
      [{ alwaysDeny: {} }, { alwaysDeny: { hard: true } }],
      ['authorizers[1].alwaysDeny.name: a second one called always-deny: one is enough'],
    ],
    ['an authorizer called as a source of identities', [{ rbac: { name: 'keystone' } }], []],
    [
      'a Keystone policy without any source',
      [{ keystonePolicy: {} }],
      ['authorizers[0].keystonePolicy: no policy: name `files`, `configMaps` or both'],
    ],
    [
      'a Keystone policy with lists of no source',
      [{ rbac: {} }, { keystonePolicy: { files: [], configMaps: [], shadowFiles: ['b'] } }],
      ['authorizers[1].keystonePolicy: no policy: name `files`, `configMaps` or both'],
    ],
    ['a Keystone policy of a ConfigMap', [{ keystonePolicy: { configMaps: ['policy'] } }], []],
    ['a Keystone policy of files and ConfigMaps', [{ keystonePolicy: { ...policy, configMaps: ['policy'] } }], []],
    [
      'a file that stands twice',
      [{ keystonePolicy: { files: ['a', 'b', 'a'] } }],
      ['authorizers[0].keystonePolicy.files[2]: stands twice: name it once'],
    ],
    [
      'a ConfigMap that stands twice, with and without the namespace it has by default',
      [{ keystonePolicy: { configMaps: ['policy', 'auth/policy', 'kube-system/policy'] } }],
      ['authorizers[0].keystonePolicy.configMaps[2]: stands twice: name it once'],
    ],
    [
      'a file with the name of a ConfigMap',
      [{ keystonePolicy: { files: ['kube-system/policy'], configMaps: ['policy'] } }],
      ['authorizers[0].keystonePolicy.configMaps[0]: stands twice: name it once'],
    ],
    ['one file for two authorizers', [{ keystonePolicy: policy }, { keystonePolicy: { ...policy, name: 'b' } }], []],
    ['no authorizer', [], []],
  ]

  for (const [name, over, told] of [
    ...cases,
    ...authorizers.map(([name, list, told]) => [name, { authorizers: list }, told] as const),
  ]) {
    test(name, () => {
      const file = { ...VALID, ...over }
      if (told.length === 0) assert.doesNotThrow(() => load(file))
      else assert.deepEqual(mistakes(file), told)
    })
  }
})

describe('a wrong type is told at its path and line', () => {
  const WRONG: Readonly<Record<string, readonly unknown[]>> = {
    text: [5, true, ['a'], { a: 1 }, null],
    number: ['5', 1.5, true, [1], null, -1],
    'true or false': ['true', 1, null, []],
    section: ['a', 5, true, null, ['a'], { a: 5 }],
    list: ['a', 5, { a: 1 }, [5], [['a']], [null], [''], null],
    values: ['bogus', '', 5, null, ['a']],
  }

  for (const option of listOptions()) {
    const [kind = ''] = /^(list|section)/.exec(option.type) ?? [option.type.startsWith('`') ? 'values' : option.type]
    test(option.name, () => {
      const wrong = WRONG[kind]
      assert.ok(wrong !== undefined, `no wrong values for ${option.type}`)
      for (const value of wrong) {
        const tls = { ...VALID.server.tls, clientCAFile: 'ca.pem' }
        const copy: unknown = structuredClone({ ...WHOLE, server: { tls } })
        const at = placeOf(option.path)
        setAt(copy, at, value)
        const path = at.reduce<string>(
          (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`),
          '',
        )
        const text = JSON.stringify(copy, null, 2)
        const all = problemsOf(text)
        const told = all.filter((problem) => problem.path === path || /^[.[]/.test(problem.path.replace(path, '')))
        assert.equal(told.length, 1, `${JSON.stringify(value)}: ${JSON.stringify(all)}`)
        const [problem] = told
        assert.notEqual(problem?.message, '')
        if (problem?.path === path) {
          assert.ok(text.split('\n')[(problem.line ?? 0) - 1]?.includes(`"${option.path.at(-1)}":`), `${problem.line}`)
        }
        assert.ok((problem?.line ?? 0) > 0)
      }
    })
  }

  test('of a section, too', () => {
    for (const [key, schema] of Object.entries(configSchema.shape)) {
      for (const value of [5, 'text', [5]]) {
        const paths = problemsOf({ ...VALID, [key]: value }).map(({ path }) => path)
        assert.ok(
          paths.some((path) => path === key || path === `${key}[0]`),
          `${key}: ${paths}`,
        )
      }
      assert.ok(schema !== undefined)
    }
  })
})
