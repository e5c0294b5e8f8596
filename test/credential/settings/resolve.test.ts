import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { SETTINGS } from '../../../src/credential/settings/table.ts'
import { ArchwayError } from '../../../src/errors.ts'
import { answering, CLOUDS, type Given, inClear, planOf, resolve, URL_OF_KEYSTONE } from './support.ts'

const OPENRC = {
  OS_AUTH_URL: URL_OF_KEYSTONE,
  OS_USERNAME: 'alice',
  OS_PASSWORD: 'alice-pw',
  OS_USER_DOMAIN_NAME: 'Default',
  OS_PROJECT_DOMAIN_NAME: 'Default',
  OS_PROJECT_NAME: 'demo',
}
const PASSWORD = {
  method: 'password',
  user: { name: 'alice', domain: { name: 'Default' } },
  password: { secret: 'alice-pw' },
}
const CREDENTIAL_ENV = { OS_APPLICATION_CREDENTIAL_ID: 'ac1', OS_APPLICATION_CREDENTIAL_SECRET: 'ac-pw' }
const CREDENTIAL = { method: 'application_credential', id: 'ac1', secret: { secret: 'ac-pw' } }
const OIDC_ARGS = ['--oidc-issuer=https://idp.example', '--oidc-client-id=kube']

/** Methods and scope, secrets in clear. */
async function login(given: Given): Promise<{ methods: unknown; scope: unknown }> {
  const plan = await planOf(given)
  assert.ok(plan.provider === 'keystone')
  return { methods: inClear(plan.methods), scope: plan.scope }
}

function refuses(given: Given, message: RegExp): Promise<void> {
  return assert.rejects(resolve(given), { code: 'credential_settings_invalid', message })
}

describe('settings', () => {
  it('of the kubeconfig everybody has still make a login: flags and variables mixed', async () => {
    const { methods, scope } = await login({
      args: ['--domain-name=default', '--keystone-url=https://127.0.0.1/identity'],
      env: { OS_USERNAME: 'admin', OS_PASSWORD: 'passw0rd', OS_PROJECT_NAME: 'myproject' },
    })
    assert.deepEqual(methods, [
      { method: 'password', user: { name: 'admin', domain: { name: 'default' } }, password: { secret: 'passw0rd' } },
    ])
    assert.deepEqual(scope, { scope: 'project', project: { name: 'myproject', domain: { name: 'default' } } })
  })

  it('come from flags before the environment, the cluster and the cloud, in this order', async () => {
    const files = {
      [CLOUDS]: 'clouds: {prod: {auth: {auth_url: https://cloud, username: u, password: p, project_id: cloud}}}',
    }
    const env = { OS_CLOUD: 'prod' }
    const url = async (given: Given): Promise<unknown> => {
      const plan = await planOf({ files, ...given, env: { ...env, ...given.env } })
      return plan.provider === 'keystone' ? plan.endpoint.url : undefined
    }
    const cluster = { clusterConfig: { 'keystone-url': 'https://cluster' } }
    assert.equal(await url({}), 'https://cloud')
    assert.equal(await url(cluster), 'https://cluster')
    assert.equal(await url({ ...cluster, env: { OS_AUTH_URL: 'https://env' } }), 'https://env')
    const all = { ...cluster, env: { OS_AUTH_URL: 'https://env' }, args: ['--keystone-url=https://flag'] }
    assert.equal(await url(all), 'https://flag')
  })

  it('are kept though one is missing elsewhere (C-03)', async () => {
    const plan = await planOf({ args: ['--keystone-url=https://flag'], env: { ...OPENRC, OS_AUTH_URL: 'https://env' } })
    assert.ok(plan.provider === 'keystone')
    assert.equal(plan.endpoint.url, 'https://flag')
  })

  it('tell of flags that have nothing to say, but not of a shared domain', async () => {
    const { warnings } = await resolve({
      args: ['--project-name=demo', '--domain-name=default', '--user-name=alice', '--oidc-flow=device'],
      env: { ...CREDENTIAL_ENV, OS_AUTH_URL: URL_OF_KEYSTONE },
    })
    assert.deepEqual(warnings, ['not used in this login: --user-name, --project-name, --oidc-flow'])
  })

  it('say nothing about flags and variables that say the same twice', async () => {
    const args = ['--project-id=p1', '--project-name=demo', '--user-id=u1', '--user-name=alice']
    assert.deepEqual((await resolve({ args, env: OPENRC })).warnings, [])
  })

  it('take an empty value for none', async () => {
    const { questions } = await resolve({ args: ['--user-name='], env: { ...OPENRC, OS_PROJECT_ID: '' } })
    assert.deepEqual(questions, [])
  })

  it('warn of secrets on the command line, without showing them (T-S12)', async () => {
    const { warnings } = await resolve({ args: ['--password=hunter2'], env: OPENRC })
    assert.equal(warnings.length, 1)
    assert.match(warnings[0] ?? '', /^--password shows its value to everybody on this machine/)
    assert.doesNotMatch(warnings.join(), /hunter2/)
  })

  it('hand on the proxy variables, and nothing else of the environment', async () => {
    const plan = await planOf({ env: { ...OPENRC, https_proxy: 'http://proxy', NO_PROXY: 'localhost', PATH: '/bin' } })
    assert.ok(plan.provider === 'keystone')
    assert.deepEqual(plan.endpoint.env, { https_proxy: 'http://proxy', NO_PROXY: 'localhost' })
  })
})

describe('at every kubectl', () => {
  it('settings load no library where no cloud is selected', () => {
    const script = `
      import { registerHooks } from 'node:module'
      const loaded = []
      registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
      const { resolveSettings } = await import(${JSON.stringify(import.meta.resolve('../../../src/credential/settings/resolve.ts'))})
      const flags = { texts: new Map(), secrets: new Map(), positionals: [] }
      await resolveSettings({ flags, env: {}, home: '/', cwd: '/', digest: () => '' })
      console.log(JSON.stringify(loaded))
    `
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
    const loaded: readonly string[] = JSON.parse(stdout)
    assert.ok(
      loaded.some((url) => url.endsWith('/credential/settings/resolve.ts')),
      stderr,
    )
    assert.deepEqual(
      loaded.filter(
        (url) => !url.startsWith('node:') && !/\/src\/(credential\/settings\/|errors\.ts|secret\.ts)/.test(url),
      ),
      [],
    )
  })
})

describe('how to log in', () => {
  const cases: Readonly<Record<string, readonly [Given, unknown]>> = {
    'is by password where there is one': [{ env: OPENRC }, [PASSWORD]],
    'is by application credential with id and secret as flags (C-02)': [
      {
        args: ['--application-credential-id=ac1', '--application-credential-secret=ac-pw'],
        env: { OS_AUTH_URL: URL_OF_KEYSTONE },
      },
      [CREDENTIAL],
    ],
    'is by application credential with all three, the id counting': [
      { env: { ...CREDENTIAL_ENV, OS_APPLICATION_CREDENTIAL_NAME: 'ci', OS_AUTH_URL: URL_OF_KEYSTONE } },
      [CREDENTIAL],
    ],
    'is by application credential with name, secret and user (C-02)': [
      {
        env: {
          OS_AUTH_URL: URL_OF_KEYSTONE,
          OS_USERNAME: 'alice',
          OS_DOMAIN_NAME: 'heat',
          OS_APPLICATION_CREDENTIAL_NAME: 'ci',
          OS_APPLICATION_CREDENTIAL_SECRET: 'ac-pw',
        },
      },
      [
        {
          method: 'application_credential',
          name: 'ci',
          user: { name: 'alice', domain: { name: 'heat' } },
          secret: { secret: 'ac-pw' },
        },
      ],
    ],
    'is by application credential where a password is given beside it': [
      { env: { ...OPENRC, ...CREDENTIAL_ENV } },
      [CREDENTIAL],
    ],
    'is by the application credential of the flags, whatever auth type the environment has': [
      {
        args: ['--application-credential-id=ac1', '--application-credential-secret=ac-pw'],
        env: { ...OPENRC, OS_AUTH_TYPE: 'password' },
      },
      [CREDENTIAL],
    ],
    'is by the password of the flags, though the environment has an application credential': [
      { args: ['--password=flag-pw'], env: { ...OPENRC, ...CREDENTIAL_ENV } },
      [{ ...PASSWORD, password: { secret: 'flag-pw' } }],
    ],
    'is as the auth type of the environment says, where the flags have both': [
      {
        args: ['--application-credential-id=ac1', '--application-credential-secret=ac-pw', '--password=alice-pw'],
        env: { ...OPENRC, OS_AUTH_TYPE: 'password' },
      },
      [PASSWORD],
    ],
    'is as the auth type says, where both are given': [
      { env: { ...OPENRC, ...CREDENTIAL_ENV, OS_AUTH_TYPE: 'v3password' } },
      [PASSWORD],
    ],
    'is by both, password and passcode': [
      { env: { ...OPENRC, OS_PASSCODE: '012345' } },
      [PASSWORD, { method: 'totp', user: PASSWORD.user, passcode: { secret: '012345' } }],
    ],
    'is by passcode alone': [
      { env: { ...OPENRC, OS_PASSWORD: '', OS_PASSCODE: '012345' } },
      [{ method: 'totp', user: PASSWORD.user, passcode: { secret: '012345' } }],
    ],
    'is by token': [
      { env: { OS_AUTH_URL: URL_OF_KEYSTONE, OS_TOKEN: 'tok3n', OS_PROJECT_ID: 'p1' } },
      [{ method: 'token', token: { secret: 'tok3n' } }],
    ],
    'is by password where a token was left in the environment of a user': [
      { env: { ...OPENRC, OS_TOKEN: 'old' } },
      [PASSWORD],
    ],
    'is by token where there is a password and no user': [
      { env: { OS_AUTH_URL: URL_OF_KEYSTONE, OS_TOKEN: 'tok3n', OS_PASSWORD: 'old', OS_PROJECT_ID: 'p1' } },
      [{ method: 'token', token: { secret: 'tok3n' } }],
    ],
    'is by several proofs, each once': [
      {
        env: { ...OPENRC, OS_PASSCODE: '1', OS_AUTH_TYPE: 'v3multifactor', OS_AUTH_METHODS: 'v3totp, v3password,totp' },
      },
      [{ method: 'totp', user: PASSWORD.user, passcode: { secret: '1' } }, PASSWORD],
    ],
  }
  for (const [name, [given, methods]] of Object.entries(cases)) {
    it(name, async () => assert.deepEqual((await login(given)).methods, methods))
  }

  it('is told where something else was given beside it', async () => {
    const { warnings } = await resolve({ env: { ...OPENRC, ...CREDENTIAL_ENV } })
    assert.deepEqual(warnings, [
      'the application credential is used, not the password given beside it; --auth-type decides otherwise',
    ])
  })

  it('is a password where nothing says otherwise', async () => {
    const { subject } = await resolve({})
    assert.equal(subject['methods'], 'password')
  })

  it('is refused where it is not known', async () => {
    await refuses({ args: ['--auth-type=v3kerberos'] }, /^--auth-type: "v3kerberos" is not supported; password, /)
    await refuses({ env: { OS_AUTH_TYPE: 'constructor' } }, /^OS_AUTH_TYPE: "constructor" is not supported/)
    await refuses({ args: ['--auth-type=v3multifactor'] }, /needs the proofs to give: --auth-methods v3password,v3totp/)
    await refuses(
      { args: ['--auth-type=v3multifactor', '--auth-methods=v3password,v3kerberos'] },
      /^--auth-methods: "v3kerberos" cannot be one of several proofs; v3password, v3totp and v3token can$/,
    )
    await refuses({ args: ['--auth-type=v3applicationcredential'] }, /not named: give --application-credential-id or /)
  })
})

describe('what the token is good for', () => {
  const base = { OS_AUTH_URL: URL_OF_KEYSTONE, OS_USERNAME: 'alice', OS_PASSWORD: 'pw', OS_USER_DOMAIN_NAME: 'u' }
  const cases: Readonly<Record<string, readonly [Given, unknown]>> = {
    'is left to Keystone where nothing is said': [{ env: base }, { scope: 'default' }],
    'is a trust before a project': [
      { env: { ...base, OS_TRUST_ID: 't1', OS_PROJECT_ID: 'p1', OS_SYSTEM_SCOPE: 'all' } },
      { scope: 'trust', id: 't1' },
    ],
    'is a project by id before one by name': [
      { env: { ...base, OS_PROJECT_ID: 'p1', OS_PROJECT_NAME: 'demo' } },
      { scope: 'project', project: { id: 'p1' } },
    ],
    'is the project of the flags, whatever the environment names': [
      { args: ['--project-name=demo'], env: { ...base, OS_TRUST_ID: 't1', OS_PROJECT_ID: 'p1' } },
      { scope: 'project', project: { name: 'demo', domain: { id: 'default' } } },
    ],
    'is a project in its own domain': [
      { env: { ...base, OS_PROJECT_NAME: 'demo', OS_PROJECT_DOMAIN_ID: 'd2', OS_DOMAIN_NAME: 'x' } },
      { scope: 'project', project: { name: 'demo', domain: { id: 'd2' } } },
    ],
    'is a project in the shared domain of the flags': [
      { args: ['--domain-name=flag'], env: { ...base, OS_PROJECT_NAME: 'demo', OS_PROJECT_DOMAIN_ID: 'd2' } },
      { scope: 'project', project: { name: 'demo', domain: { name: 'flag' } } },
    ],
    'is a project in the default domain': [
      { env: { ...base, OS_PROJECT_NAME: 'demo', OS_DEFAULT_DOMAIN: 'd9' } },
      { scope: 'project', project: { name: 'demo', domain: { id: 'd9' } } },
    ],
    'is a domain before the system': [
      { env: { ...base, OS_DOMAIN_ID: 'd1', OS_SYSTEM_SCOPE: 'all' } },
      { scope: 'domain', domain: { id: 'd1' } },
    ],
    'is the system where the domain was given for the user': [
      { args: ['--domain-name=heat', '--system-scope=all'], env: { ...base, OS_USER_DOMAIN_NAME: '' } },
      { scope: 'system' },
    ],
    'is the system of the flags, whatever domain the environment names': [
      { args: ['--system-scope', 'all'], env: { ...base, OS_DOMAIN_ID: 'd1' } },
      { scope: 'system' },
    ],
    'is what the application credential brings (C-04)': [
      { env: { ...OPENRC, ...CREDENTIAL_ENV, OS_PASSWORD: '' } },
      { scope: 'default' },
    ],
  }
  for (const [name, [given, scope]] of Object.entries(cases)) {
    it(name, async () => assert.deepEqual((await login(given)).scope, scope))
  }

  it('is refused where Keystone knows no such system', async () => {
    await refuses(
      { args: ['--system-scope=some'], env: base },
      /^--system-scope: Keystone knows no system scope but all$/,
    )
  })
})

describe('the connection', () => {
  it('takes files relative to the working directory, and from home', async () => {
    const plan = await planOf({
      args: ['--cert=pki/me.pem', '--key', '/abs/me.key'],
      env: { ...OPENRC, OS_CACERT: '~/ca.pem' },
    })
    assert.ok(plan.provider === 'keystone')
    const { certFile, keyFile, caFile, verify } = plan.endpoint
    assert.deepEqual(
      [certFile, keyFile, caFile, verify],
      ['/here/pki/me.pem', '/abs/me.key', '/home/me/ca.pem', undefined],
    )
  })

  it('wants certificate and key together (C-15)', async () => {
    await refuses({ args: ['--cert=a'], env: OPENRC }, /^--cert needs its other half: give --key too, or neither$/)
    await refuses({ env: { ...OPENRC, OS_KEY: 'a' } }, /^OS_KEY needs its other half: give --cert too, or neither$/)
  })

  it('checks no certificates only where that is said, and warns', async () => {
    const settings = await resolve({ args: ['--insecure'], env: OPENRC })
    const plan = await settings.plan(undefined)
    assert.ok(plan.provider === 'keystone')
    assert.equal(plan.endpoint.verify, false)
    assert.match(settings.warnings.join('\n'), /^certificates are not checked \(--insecure\)/)
    const checked = await planOf({ args: ['--insecure=false'], env: { ...OPENRC, OS_INSECURE: 'true' } })
    assert.ok(checked.provider === 'keystone')
    assert.equal(checked.endpoint.verify, undefined)
    await refuses({ env: { ...OPENRC, OS_INSECURE: 'perhaps' } }, /^OS_INSECURE: expected true or false$/)
  })

  it('warns of plain http, but not on this machine', async () => {
    const warnings = async (url: string): Promise<number> =>
      (await resolve({ env: { ...OPENRC, OS_AUTH_URL: url } })).warnings.length
    assert.equal(await warnings('http://k.example/v3'), 1)
    assert.equal(await warnings('http://127.0.0.1:5000/v3'), 0)
    assert.equal(await warnings('https://k.example/v3'), 0)
  })

  const bad: readonly (readonly [string, RegExp])[] = [
    ['https://admin:hunter2@k.example/v3', /^OS_AUTH_URL has a user name in it: write https:\/\/k\.example$/],
    ['https://@k.example/v3', /has a user name/],
    ['https://k.example/v3?hunter2', /query/],
    ['https://k.example/v3#hunter2', /fragment/],
    ['k.example:5000', /is no URL/],
    ['ftp://hunter2', /is no URL/],
    ['https://k.example/ hunter2', /is no URL/],
    [
      'https://{region_name}.k.example',
      /^OS_AUTH_URL has \{ in it; only \{region_name\} is understood, with OS_REGION_NAME$/,
    ],
  ]
  for (const [url, message] of bad) {
    it(`refuses ${url}, without repeating it`, async () => {
      await refuses({ env: { ...OPENRC, OS_AUTH_URL: url } }, message)
      await assert.rejects(
        resolve({ env: { ...OPENRC, OS_AUTH_URL: url } }),
        (thrown) => !/hunter2/.test(inspect(thrown)),
      )
    })
  }
})

describe('questions', () => {
  const prompts = async (given: Given): Promise<readonly string[]> =>
    (await resolve(given)).questions.map(({ prompt, hidden }) => `${prompt}${hidden ? '*' : ''}`)

  it('are the predecessor’s, in its order, where nothing is given', async () => {
    assert.deepEqual(await prompts({}), [
      'Please enter Keystone Auth URL: ',
      'Please enter domain name: ',
      'Please enter user name: ',
      'Please enter project name: ',
      'Please enter password: *',
    ])
  })

  const cases: Readonly<Record<string, readonly [Given, readonly string[]]>> = {
    'are none where all is given': [{ env: OPENRC }, []],
    'are none though domain and project are open: there are defaults': [
      { env: { OS_AUTH_URL: URL_OF_KEYSTONE, OS_USERNAME: 'a', OS_PASSWORD: 'p' } },
      [],
    ],
    'are for what is lacking': [{ env: { ...OPENRC, OS_PASSWORD: '' } }, ['Please enter password: *']],
    'do not ask for the project of a trust': [
      { env: { ...OPENRC, OS_PASSWORD: '', OS_PROJECT_NAME: '', OS_TRUST_ID: 't' } },
      ['Please enter password: *'],
    ],
    'do not ask for the domain of an id': [
      { env: { OS_AUTH_URL: URL_OF_KEYSTONE, OS_USER_ID: 'u', OS_PROJECT_ID: 'p' } },
      ['Please enter password: *'],
    ],
    'ask for the project where the domain was given for both': [
      { args: ['--domain-name=d', `--keystone-url=${URL_OF_KEYSTONE}`] },
      ['Please enter user name: ', 'Please enter project name: ', 'Please enter password: *'],
    ],
    'are for the secret of an application credential, and nothing it does not need (C-06)': [
      { env: { OS_AUTH_URL: URL_OF_KEYSTONE, OS_APPLICATION_CREDENTIAL_ID: 'i' } },
      ['Please enter application credential secret: *'],
    ],
    'are for the user of an application credential that is given by name': [
      { env: { OS_AUTH_URL: URL_OF_KEYSTONE, OS_APPLICATION_CREDENTIAL_NAME: 'n' } },
      ['Please enter domain name: ', 'Please enter user name: ', 'Please enter application credential secret: *'],
    ],
    'are for a passcode': [{ args: ['--auth-type=v3totp'], env: OPENRC }, ['Please enter passcode: *']],
    'are for every factor': [
      { args: ['--auth-type=v3multifactor', '--auth-methods=v3password,v3totp'], env: { ...OPENRC, OS_PASSWORD: '' } },
      ['Please enter password: *', 'Please enter passcode: *'],
    ],
    'are for a token': [{ args: ['--auth-type=v3token'], env: OPENRC }, ['Please enter token: *']],
    'are for user and password of an identity provider': [
      {
        args: ['--auth-type=v3oidcpassword', '--identity-provider=i', '--protocol=p', ...OIDC_ARGS],
        env: { OS_AUTH_URL: URL_OF_KEYSTONE },
      },
      ['Please enter user name: ', 'Please enter password: *'],
    ],
    'are for an access token': [
      { args: ['--auth-type=v3oidcaccesstoken', '--identity-provider=i', '--protocol=p'], env: OPENRC },
      ['Please enter access token: *'],
    ],
    'are only for what a cloud lacks': [
      {
        env: { OS_CLOUD: 'c' },
        files: { [CLOUDS]: `clouds: {c: {auth: {auth_url: ${URL_OF_KEYSTONE}, username: a}}}` },
      },
      ['Please enter password: *'],
    ],
  }
  for (const [name, [given, expected]] of Object.entries(cases)) {
    it(name, async () => assert.deepEqual(await prompts(given), expected))
  }

  it('are answered by whole lines, inner and outer blanks kept (C-07)', async () => {
    const person = answering(` ${URL_OF_KEYSTONE} `, 'my domain', 'alice', 'My Project', ' pass word ')
    const plan = await (await resolve({})).plan(person)
    assert.ok(plan.provider === 'keystone')
    assert.equal(plan.endpoint.url, URL_OF_KEYSTONE)
    assert.deepEqual(inClear(plan.methods), [
      {
        method: 'password',
        user: { name: 'alice', domain: { name: 'my domain' } },
        password: { secret: ' pass word ' },
      },
    ])
    assert.deepEqual(plan.scope, { scope: 'project', project: { name: 'My Project', domain: { name: 'my domain' } } })
    assert.equal(person.asked.filter(({ hidden }) => hidden).length, 1)
  })

  it('about domain and project may be left unanswered', async () => {
    const plan = await (await resolve({})).plan(answering(URL_OF_KEYSTONE, '', 'alice', '', 'pw'))
    assert.ok(plan.provider === 'keystone')
    assert.deepEqual(inClear(plan.methods), [
      { method: 'password', user: { name: 'alice', domain: { id: 'default' } }, password: { secret: 'pw' } },
    ])
    assert.deepEqual(plan.scope, { scope: 'default' })
  })

  it('do not take nothing for a password', async () => {
    const { plan } = await resolve({ env: { ...OPENRC, OS_PASSWORD: '' } })
    await assert.rejects(plan(answering('')), {
      code: 'credential_input_needed',
      message: 'no password was entered: enter it, or give OS_PASSWORD or --password',
    })
  })

  it('stop at an address that cannot be one', async () => {
    const person = answering('https://me:hunter2@k.example')
    await assert.rejects((await resolve({})).plan(person), {
      code: 'credential_settings_invalid',
      message: /^the address entered has a user name in it/,
    })
    assert.equal(person.asked.length, 1)
  })

  it('become one error where nobody can be asked, naming all and where to give it', async () => {
    const { plan } = await resolve({})
    await assert.rejects(plan(undefined), {
      code: 'credential_input_needed',
      message:
        'missing, and nobody can be asked: Keystone Auth URL (--keystone-url or OS_AUTH_URL), ' +
        'user name (--user-name or OS_USERNAME), password (OS_PASSWORD or --password)',
    })
  })
})

describe('OpenID Connect', () => {
  it('without Keystone takes its own flags', async () => {
    const plan = await planOf({
      args: [
        ...OIDC_ARGS,
        '--oidc-scope=email,groups',
        '--oidc-scope',
        'offline_access openid',
        '--oidc-audience=kube-api',
        '--oidc-token=access_token',
        '--oidc-redirect-port=8000,18000',
        '--oidc-ca-file=idp.pem',
      ],
      env: { ARCHWAY_OIDC_CLIENT_SECRET: 'cl1ent' },
    })
    assert.deepEqual(inClear(plan), {
      provider: 'oidc',
      oidc: {
        issuer: 'https://idp.example',
        clientId: 'kube',
        clientSecret: { secret: 'cl1ent' },
        scopes: ['openid', 'email', 'groups'],
        refreshable: true,
        audience: 'kube-api',
        caFile: '/here/idp.pem',
      },
      oidcFlow: { flow: 'code', ports: [8000, 18_000] },
      present: 'access_token',
    })
  })

  it('has defaults: the browser, any port, the ID token', async () => {
    const plan = await planOf({ args: OIDC_ARGS })
    assert.deepEqual(inClear(plan), {
      provider: 'oidc',
      oidc: { issuer: 'https://idp.example', clientId: 'kube', scopes: ['openid'] },
      oidcFlow: { flow: 'code', ports: [0] },
      present: 'id_token',
    })
  })

  it('goes before the openrc of the same environment, and says so', async () => {
    const { subject, warnings } = await resolve({
      env: { ...OPENRC, ARCHWAY_OIDC_ISSUER: 'https://idp.example', ARCHWAY_OIDC_CLIENT_ID: 'kube' },
    })
    assert.equal(subject['provider'], 'oidc')
    assert.match(warnings.join(), /OpenID Connect issuer is used, not the password/)
  })

  it('is not meant by openstackclient’s variables alone', async () => {
    const { subject } = await resolve({
      env: { ...OPENRC, OS_DISCOVERY_ENDPOINT: 'https://idp.example', OS_CLIENT_ID: 'x' },
    })
    assert.equal(subject['provider'], 'keystone')
  })

  it('takes the client secret from a file, and warns of one that others can read (T-S14)', async () => {
    const args = [...OIDC_ARGS, '--oidc-client-secret-file=~/secret']
    const files = { '/home/me/secret': { text: 'cl1ent\n', readableByOthers: true } }
    const { plan, warnings } = await resolve({ args, files })
    const login = await plan(undefined)
    assert.equal(login.provider === 'oidc' && login.oidc.clientSecret?.reveal(), 'cl1ent')
    assert.deepEqual(warnings, ['/home/me/secret can be read by other users: chmod 600 /home/me/secret'])
    await refuses({ args }, /^--oidc-client-secret-file: \/home\/me\/secret does not exist$/)
    await refuses({ args, files: { '/home/me/secret': '\n' } }, /is empty$/)
    await refuses({ args, files: { '/home/me/secret': new Error('EACCES') } }, /cannot be read: EACCES$/)
  })

  it('through Keystone takes the flow by its auth type', async () => {
    const given = (type: string): Given => ({
      args: [`--auth-type=${type}`, '--identity-provider=corp', '--protocol=openid', ...OIDC_ARGS, '--project-id=p1'],
      env: { OS_AUTH_URL: URL_OF_KEYSTONE, OS_CACERT: '/ca.pem' },
    })
    for (const [type, oidcFlow] of [
      ['v3oidcdeviceauthz', { flow: 'device' }],
      ['v3oidcauthcode', { flow: 'code', ports: [0] }],
    ] as const) {
      assert.deepEqual(inClear(await planOf(given(type))), {
        provider: 'keystone-federation',
        endpoint: { url: URL_OF_KEYSTONE, caFile: '/ca.pem', env: {} },
        identityProvider: 'corp',
        protocol: 'openid',
        oidc: { issuer: 'https://idp.example', clientId: 'kube', scopes: ['openid', 'profile'], caFile: '/ca.pem' },
        oidcFlow,
        scope: { scope: 'project', project: { id: 'p1' } },
      })
    }
  })

  it('through Keystone is meant by an identity provider, and by default goes to the browser', async () => {
    const given = (...more: string[]): Given => ({
      args: ['--identity-provider=corp', '--protocol=openid', ...OIDC_ARGS, ...more],
      env: { ...OPENRC, OS_REDIRECT_URI: 'http://localhost:8080/x' },
    })
    const flow = async (given: Given): Promise<unknown> => {
      const plan = await planOf(given)
      return plan.provider === 'keystone-federation' ? inClear(plan.oidcFlow) : undefined
    }
    const redirect = { redirectHost: 'localhost', redirectPath: '/x' }
    assert.deepEqual(await flow(given()), { flow: 'code', ports: [8080], ...redirect })
    assert.deepEqual(await flow(given('--oidc-flow=device')), { flow: 'device' })
    const token = { ...given(), env: { OS_AUTH_URL: URL_OF_KEYSTONE, OS_ACCESS_TOKEN: 'acc3ss' } }
    assert.deepEqual(await flow(token), { flow: 'access-token', accessToken: { secret: 'acc3ss' } })
  })

  it('says what is missing or wrong', async () => {
    await refuses({ args: ['--auth-type=oidc'] }, /^the issuer is missing: give --oidc-issuer or ARCHWAY_OIDC_ISSUER$/)
    await refuses({ args: ['--oidc-issuer=https://i.example'] }, /^the client id at the issuer is missing/)
    await refuses({ args: ['--oidc-issuer=https://me:x@i.example'] }, /^--oidc-issuer has a user name in it/)
    await refuses({ args: [...OIDC_ARGS, '--oidc-flow=magic'] }, /^--oidc-flow: expected device or code$/)
    await refuses({ args: [...OIDC_ARGS, '--oidc-token=both'] }, /^--oidc-token: expected id_token or access_token$/)
    await refuses({ args: [...OIDC_ARGS, '--oidc-redirect-port=99999'] }, /expected a port from 0 to 65535$/)
    await refuses({ args: [...OIDC_ARGS, '--oidc-redirect-port=x'] }, /expected a port/)
    await refuses({ args: ['--identity-provider=i'], env: OPENRC }, /^the federation protocol is missing/)
    await refuses(
      { args: ['--auth-type=v3oidcauthcode', '--protocol=p'], env: OPENRC },
      /^the identity provider is missing/,
    )
    await refuses(
      { args: OIDC_ARGS, env: { OS_REDIRECT_URI: 'https://elsewhere.example/cb' } },
      /^OS_REDIRECT_URI does not lead to this machine/,
    )
  })
})

describe('the cluster in a kubeconfig', () => {
  it('may carry settings by the names of their flags, and an audience', async () => {
    const clusterConfig = {
      'oidc-issuer': 'https://idp.example',
      oidc_client_id: 'kube',
      'oidc-scope': ['email', 'groups'],
      'oidc-redirect-port': 8000,
      audience: 'prod',
      anything: { goes: true },
    }
    const plan = await planOf({ clusterConfig })
    assert.ok(plan.provider === 'oidc')
    assert.deepEqual(plan.oidc.scopes, ['openid', 'email', 'groups'])
    assert.equal(plan.oidc.audience, 'prod')
    assert.deepEqual(plan.oidcFlow, { flow: 'code', ports: [8000] })
  })

  it('gives no secrets, and says so', async () => {
    const { warnings, questions } = await resolve({
      clusterConfig: { password: 'hunter2' },
      env: { ...OPENRC, OS_PASSWORD: '' },
    })
    assert.deepEqual(warnings, [
      'password of the cluster in the kubeconfig is not taken: a kubeconfig is no place for a secret',
    ])
    assert.equal(questions.length, 1)
  })

  it('T-H11 does not weaken the connection, and says so', async () => {
    const { warnings } = await resolve({ clusterConfig: { insecure: true }, env: OPENRC })
    assert.match(warnings.join('\n'), /^insecure of the cluster in the kubeconfig is not taken/)
    const plan = await planOf({ clusterConfig: { insecure: true }, env: OPENRC })
    assert.ok(plan.provider === 'keystone')
    assert.notEqual(plan.endpoint.verify, false)
  })

  it('is refused where a setting is no text, and passed over where there is none', async () => {
    await refuses(
      { clusterConfig: { 'keystone-url': { a: 1 } } },
      /^keystone-url of the cluster in the kubeconfig: expected text$/,
    )
    for (const clusterConfig of [undefined, null, 'text', 7, [], {}]) await resolve({ clusterConfig, env: OPENRC })
  })
})

describe('the subject', () => {
  const subject = async (given: Given): Promise<unknown> => (await resolve(given)).subject
  const env = OPENRC

  it('names a login without its secrets', async () => {
    assert.deepEqual(await subject({ env, args: ['--cert=me.pem', '--key=me.key'] }), {
      provider: 'keystone',
      url: 'https://k.example',
      methods: 'password',
      user_name: 'alice',
      user_domain_name: 'Default',
      scope: 'project',
      project_name: 'demo',
      project_domain_name: 'Default',
      cert: '/here/me.pem',
    })
  })

  for (const url of [
    'https://k.example/identity',
    'https://k.example/identity/',
    'HTTPS://K.EXAMPLE:443/identity/v3',
    'https://k.example/identity//v3/',
    'https://k.example/identity/v2.0',
    'https://k.example/identity/v3/auth/tokens',
  ]) {
    it(`is the same for ${url}`, async () => {
      const { subject: found } = await resolve({ env: { ...env, OS_AUTH_URL: url } })
      assert.equal(found['url'], 'https://k.example/identity')
    })
  }

  it('cuts the address at a version, not at what only looks like one (C-09)', async () => {
    const { subject: found } = await resolve({ env: { ...env, OS_AUTH_URL: 'https://k.example/srv1/identity/v3' } })
    assert.equal(found['url'], 'https://k.example/srv1/identity')
  })

  it('is the same by flags, environment or a cloud of any name', async () => {
    const files = {
      [CLOUDS]: `clouds:\n  a: &a {auth: {auth_url: ${URL_OF_KEYSTONE}, username: alice, password: x, project_name: demo, domain_name: Default}}\n  b: *a\n`,
    }
    const args = [
      '--keystone-url=https://k.example',
      '--user-name=alice',
      '--domain-name=Default',
      '--project-name=demo',
    ]
    const expected = await subject({ env })
    assert.deepEqual(await subject({ args, env: { OS_PASSWORD: 'y' } }), expected)
    assert.deepEqual(await subject({ env: { OS_CLOUD: 'a' }, files }), expected)
    assert.deepEqual(await subject({ env: { OS_CLOUD: 'b' }, files }), expected)
  })

  it('is the same for another password, and not for anything else', async () => {
    const expected = await subject({ env })
    assert.deepEqual(await subject({ env: { ...env, OS_PASSWORD: 'other' } }), expected)
    const others: readonly Given[] = [
      { env: { ...env, OS_AUTH_URL: 'https://other.example/v3' } },
      { env: { ...env, OS_AUTH_URL: 'http://k.example/v3' } },
      { env: { ...env, OS_USERNAME: 'bob' } },
      { env: { ...env, OS_USER_ID: 'alice' } },
      { env: { ...env, OS_USER_DOMAIN_NAME: 'default' } },
      { env: { ...env, OS_USER_DOMAIN_ID: 'Default' } },
      { env: { ...env, OS_PROJECT_NAME: 'ops' } },
      { env: { ...env, OS_PROJECT_ID: 'demo' } },
      { env: { ...env, OS_PROJECT_DOMAIN_NAME: 'x' } },
      { env: { ...env, OS_TRUST_ID: 'demo' } },
      { env: { ...env, OS_PASSCODE: '1' } },
      { env: { ...env, OS_TOKEN: 't' }, args: ['--auth-type=token'] },
      { env: { ...env, ...CREDENTIAL_ENV } },
      { env, args: ['--cert=me.pem', '--key=me.key'] },
    ]
    for (const other of others) assert.notDeepEqual(await subject(other), expected, inspect(other))
  })

  it('tells a user called ? from one who will be asked', async () => {
    const asked = await subject({ env: { ...env, OS_USERNAME: '' } })
    assert.deepEqual(asked, {
      provider: 'keystone',
      url: 'https://k.example',
      methods: 'password',
      user: '?',
      user_domain_name: 'Default',
      scope: 'project',
      project_name: 'demo',
      project_domain_name: 'Default',
    })
    assert.notDeepEqual(await subject({ env: { ...env, OS_USERNAME: '?' } }), asked)
  })

  it('says of everything that will be asked that it is not known', async () => {
    assert.deepEqual(await subject({}), {
      provider: 'keystone',
      url: '?',
      methods: 'password',
      user: '?',
      user_domain: '?',
      scope: 'default',
      project: '?',
    })
  })

  it('has a token that is the identity by its digest', async () => {
    const { subject: found } = await resolve({
      env: { OS_AUTH_URL: URL_OF_KEYSTONE, OS_TOKEN: 'tok3n', OS_PROJECT_ID: 'p' },
    })
    assert.equal(found['token'], 'digest of 5 characters')
    const federated = await resolve({
      args: ['--identity-provider=corp', '--protocol=openid'],
      env: { OS_AUTH_URL: URL_OF_KEYSTONE, OS_ACCESS_TOKEN: 'acc3ss' },
    })
    assert.deepEqual(federated.subject, {
      provider: 'keystone-federation',
      url: 'https://k.example',
      identity_provider: 'corp',
      protocol: 'openid',
      access_token: 'digest of 6 characters',
      scope: 'default',
    })
  })

  it('of an issuer has client, scopes in any order, audience and kind of token', async () => {
    assert.deepEqual(await subject({ args: [...OIDC_ARGS, '--oidc-scope=groups,email', '--oidc-audience=a'] }), {
      provider: 'oidc',
      issuer: 'https://idp.example',
      client_id: 'kube',
      scopes: 'email groups openid',
      audience: 'a',
      present: 'id_token',
    })
  })
})

describe('secrets (T-S1)', () => {
  const CANARY = 'CANARY-5e11'
  const plain = fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.constantFrom('all', 'true', 'v3password', 'v3oidcpassword', 'v3token', 'device', URL_OF_KEYSTONE),
  )
  const value = (secret: boolean): fc.Arbitrary<string> =>
    secret ? fc.string({ maxLength: 8 }).map((text) => `${CANARY}${text}`) : plain
  /** Any settings, anywhere. */
  const layer = (rows: typeof SETTINGS): fc.Arbitrary<readonly (readonly [string, string])[]> =>
    fc
      .subarray([...rows])
      .chain((some) => fc.tuple(...some.map(({ name, secret }) => fc.tuple(fc.constant(name), value(secret === true)))))
  const given = fc
    .record({
      flags: layer(SETTINGS.filter(({ flag, name }) => flag !== undefined && name !== 'cloud')),
      variables: layer(SETTINGS.filter(({ env = [], name }) => env.length > 0 && name !== 'cloud')),
      keys: layer(SETTINGS.filter(({ cloud = [] }) => cloud.length > 0)),
    })
    .map(({ flags, variables, keys }): Given => {
      const row = (name: string): (typeof SETTINGS)[number] | undefined => SETTINGS.find((one) => one.name === name)
      const entry = Object.fromEntries(keys.map(([name, text]) => [row(name)?.cloud?.[0] ?? '', text]))
      return {
        args: flags.map(([name, text]) =>
          row(name)?.value === undefined ? `--${row(name)?.flag}` : `--${row(name)?.flag}=${text}`,
        ),
        env: {
          ...Object.fromEntries(variables.map(([name, text]) => [row(name)?.env?.[0] ?? '', text])),
          OS_CLOUD: 'c',
        },
        files: { [CLOUDS]: JSON.stringify({ clouds: { c: { auth: entry } } }) },
      }
    })

  it('are in nothing that is shown, whatever is given and however it ends', async () => {
    await fc.assert(
      fc.asyncProperty(given, async (some) => {
        try {
          const settings = await resolve(some)
          assert.ok(!inspect([settings.subject, settings.warnings, settings.questions], { depth: 9 }).includes(CANARY))
          assert.ok(!inspect(await settings.plan(undefined), { depth: 9 }).includes(CANARY))
        } catch (thrown) {
          assert.ok(thrown instanceof ArchwayError, inspect(thrown))
          assert.match(thrown.code, /^credential_(settings_invalid|input_needed)$/)
          assert.ok(!inspect(thrown).includes(CANARY))
        }
      }),
      { numRuns: 300 },
    )
  })
})
