import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { readSettingsFile } from '../../../src/credential/settings/read-file.ts'
import { ArchwayError } from '../../../src/errors.ts'
import { CLOUDS, type Given, inClear, planOf, resolve, SECURE, URL_OF_KEYSTONE } from './support.ts'

const PROD = { OS_CLOUD: 'prod' }
const ENTRY = `{auth_url: ${URL_OF_KEYSTONE}, username: alice, password: open, project_id: p1}`
const PUBLIC = '/home/me/.config/openstack/clouds-public.yaml'

function cloud(auth: string, more = ''): string {
  return `clouds:\n  prod:\n    auth: ${auth}\n${more}`
}

async function passwordOf(given: Given): Promise<unknown> {
  const plan = await planOf({ env: PROD, ...given })
  assert.ok(plan.provider === 'keystone')
  const [method] = plan.methods
  return method?.method === 'password' ? method.password.reveal() : undefined
}

function refuses(given: Given, message: RegExp): Promise<void> {
  return assert.rejects(resolve({ env: PROD, ...given }), { code: 'credential_settings_invalid', message })
}

describe('clouds.yaml', () => {
  it('is not looked at where no cloud is selected', async () => {
    await resolve({
      files: { [CLOUDS]: new Error('nobody may look'), '/here/clouds.yaml': new Error('nobody may look') },
    })
  })

  it('is selected by --os-cloud before OS_CLOUD', async () => {
    const files = { [CLOUDS]: `clouds: {a: {auth: {user_id: a}}, b: {auth: {user_id: b}}}` }
    const { subject } = await resolve({ args: ['--os-cloud', 'b'], env: { OS_CLOUD: 'a' }, files })
    assert.equal(subject['user_id'], 'b')
  })

  it('fills in what flags and environment leave open', async () => {
    const plan = await planOf({
      args: ['--user-name=flag'],
      env: { ...PROD, OS_PASSWORD: 'env' },
      files: { [CLOUDS]: cloud(ENTRY) },
    })
    assert.ok(plan.provider === 'keystone')
    assert.deepEqual(inClear(plan.methods), [
      { method: 'password', user: { name: 'flag', domain: { id: 'default' } }, password: { secret: 'env' } },
    ])
    assert.deepEqual(plan.scope, { scope: 'project', project: { id: 'p1' } })
  })

  const folders = ['/here', '/xdg/openstack', '/home/me/.config/openstack', '/etc/openstack']
  for (const [index, folder] of folders.entries()) {
    it(`is found in ${folder} before the folders after it`, async () => {
      const files = Object.fromEntries(
        folders.slice(index).map((path) => [`${path}/clouds.yaml`, cloud(ENTRY.replace('open', path.slice(1)))]),
      )
      const env = { ...PROD, XDG_CONFIG_HOME: '/xdg' }
      assert.equal(await passwordOf({ env, files }), folder.slice(1))
    })
  }

  it('is found in the Library of a Mac', async () => {
    const files = { '/home/me/Library/Application Support/openstack/clouds.yaml': cloud(ENTRY) }
    assert.equal(await passwordOf({ files, platform: 'darwin' }), 'open')
    await refuses({ files }, /^no clouds\.yaml was found/)
  })

  it('ends in yaml before yml before json, whatever the folder', async () => {
    const files: Record<string, string> = {
      '/here/clouds.json': JSON.stringify({
        clouds: { prod: { auth: { auth_url: URL_OF_KEYSTONE, user_id: 'u', password: 'json' } } },
      }),
    }
    assert.equal(await passwordOf({ files }), 'json')
    files['/home/me/.config/openstack/clouds.yml'] = cloud(ENTRY.replace('open', 'yml'))
    assert.equal(await passwordOf({ files }), 'yml')
    files['/etc/openstack/clouds.yaml'] = cloud(ENTRY.replace('open', 'yaml'))
    assert.equal(await passwordOf({ files }), 'yaml')
  })

  it('is the file that is named, and no other if that is missing', async () => {
    const env = { ...PROD, OS_CLIENT_CONFIG_FILE: 'mine.yaml' }
    const files = { [CLOUDS]: cloud(ENTRY), '/here/mine.yaml': cloud(ENTRY.replace('open', 'mine')) }
    assert.equal(await passwordOf({ env, files }), 'mine')
    await refuses(
      { env, files: { [CLOUDS]: cloud(ENTRY) } },
      /^\/here\/mine\.yaml does not exist: correct OS_CLIENT_CONFIG_FILE/,
    )
    await refuses(
      { env, files: { '/here/mine.yaml': new Error('EACCES') } },
      /^\/here\/mine\.yaml cannot be read: EACCES$/,
    )
  })

  it('is passed over with a warning where it cannot be read', async () => {
    const files = { [CLOUDS]: new Error('EACCES'), '/etc/openstack/clouds.yaml': cloud(ENTRY) }
    const { warnings } = await resolve({ env: PROD, files })
    assert.deepEqual(warnings, [`${CLOUDS} is passed over: EACCES`])
  })

  it('of somebody else in the working directory gets no password (T-S14)', async () => {
    const files = { [CLOUDS]: cloud(ENTRY), '/here/clouds.yaml': { text: cloud(ENTRY), foreign: true } }
    await refuses({ files }, /^\/here\/clouds\.yaml belongs to another user, and its address would get your password/)
    const named = { ...PROD, OS_CLIENT_CONFIG_FILE: '/here/clouds.yaml' }
    assert.equal(await passwordOf({ env: named, files }), 'open')
  })

  it('that does not know the cloud says which it knows', async () => {
    const files = { [CLOUDS]: 'clouds: {b: {}, a: {}}', [SECURE]: 'clouds: {c: {}}' }
    await refuses({ files }, /^there is no cloud prod in .*clouds\.yaml; it knows: a, b, c$/)
    await refuses({ files: { [CLOUDS]: 'clouds: {}' } }, /^there is no cloud prod in .*clouds\.yaml; it has none$/)
    await refuses({ files: { [CLOUDS]: '' } }, /it has none$/)
    await refuses({}, /^no clouds\.yaml was found for the cloud prod: put it into ~\/\.config\/openstack\/$/)
    await refuses(
      { env: { OS_CLOUD: 'constructor' }, files: { [CLOUDS]: 'clouds: {}' } },
      /^there is no cloud constructor/,
    )
  })

  it('has paths relative to its own folder, and from home', async () => {
    const more = '    cacert: pki/ca.pem\n    cert: ~/me.pem\n    key: /abs/me.key\n'
    const plan = await planOf({ env: PROD, files: { [CLOUDS]: cloud(ENTRY, more) } })
    assert.ok(plan.provider === 'keystone')
    const { caFile, certFile, keyFile } = plan.endpoint
    assert.deepEqual(
      [caFile, certFile, keyFile],
      ['/home/me/.config/openstack/pki/ca.pem', '/home/me/me.pem', '/abs/me.key'],
    )
  })

  it('may accept any certificate, with a warning (C-08)', async () => {
    for (const more of ['    verify: false\n', '    insecure: true\n', '    insecure: false\n    verify: no\n']) {
      const { plan, warnings } = await resolve({ env: PROD, files: { [CLOUDS]: cloud(ENTRY, more) } })
      const login = await plan(undefined)
      assert.equal(login.provider === 'keystone' && login.endpoint.verify, false)
      assert.match(
        warnings.join(),
        /^certificates are not checked \((verify|insecure) of cloud prod in .*clouds\.yaml\)/,
      )
    }
    await refuses(
      { files: { [CLOUDS]: cloud(ENTRY, '    verify: maybe\n') } },
      /^verify of cloud prod in .*: expected true or false$/,
    )
  })

  it('keeps every value as it is written', async () => {
    const written: readonly (readonly [string, string])[] = [
      ['0123', '0123'],
      ['4e12345', '4e12345'],
      ['true', 'true'],
      ['2026-01-01', '2026-01-01'],
      ['"null"', 'null'],
      ["'it''s'", "it's"],
      ['"\\u00fc #1"', 'ü #1'],
    ]
    for (const [text, value] of written) {
      assert.equal(await passwordOf({ files: { [CLOUDS]: cloud(ENTRY.replace('open', text)) } }), value)
    }
  })

  it('takes null and nothing for not given', async () => {
    for (const text of ['null', '~', '', '""']) {
      const { questions } = await resolve({ env: PROD, files: { [CLOUDS]: cloud(ENTRY.replace('open', text)) } })
      assert.deepEqual(
        questions.map(({ prompt }) => prompt),
        ['Please enter password: '],
      )
    }
  })
})

describe('secure.yaml', () => {
  const files = { [CLOUDS]: cloud(ENTRY), [SECURE]: cloud('{password: covered}') }

  it('covers clouds.yaml', async () => assert.equal(await passwordOf({ files }), 'covered'))

  it('may be the only one', async () => assert.equal(await passwordOf({ files: { [SECURE]: cloud(ENTRY) } }), 'open'))

  it('may be named', async () => {
    const env = { ...PROD, OS_CLIENT_SECURE_FILE: '~/vault.yaml' }
    assert.equal(
      await passwordOf({ env, files: { ...files, '/home/me/vault.yaml': cloud('{password: vault}') } }),
      'vault',
    )
  })

  it('that others can read is warned of (T-S14)', async () => {
    const open = { ...files, [SECURE]: { text: cloud('{password: covered}'), readableByOthers: true } }
    const warning = `${SECURE} can be read by other users: chmod 600 ${SECURE}`
    assert.deepEqual((await resolve({ env: PROD, files: open })).warnings, [warning])
    const other = { ...files, [SECURE]: { text: 'clouds: {}', readableByOthers: true } }
    assert.deepEqual((await resolve({ env: PROD, files: other })).warnings, [])
  })

  it('of home for an address from the working directory is warned of', async () => {
    const here = { '/here/clouds.yaml': cloud(ENTRY), [SECURE]: cloud('{password: covered}') }
    const warning = `the secret of ${SECURE} goes to the address in /here/clouds.yaml, found in the working directory`
    assert.deepEqual((await resolve({ env: PROD, files: here })).warnings, [warning])
    const named = { ...PROD, OS_CLIENT_CONFIG_FILE: '/here/clouds.yaml' }
    assert.deepEqual((await resolve({ env: named, files: here })).warnings, [])
  })
})

describe('a profile', () => {
  const entry = 'clouds: {prod: {profile: vendor, auth: {user_id: u, password: p}}}'
  const vendor = 'public-clouds: {vendor: {auth: {auth_url: https://vendor.example}, cacert: vendor.pem}}'

  it('gives what the entry does not say', async () => {
    const plan = await planOf({ env: PROD, files: { [CLOUDS]: entry, [PUBLIC]: vendor } })
    assert.ok(plan.provider === 'keystone')
    assert.equal(plan.endpoint.url, 'https://vendor.example')
    assert.equal(plan.endpoint.caFile, '/home/me/.config/openstack/vendor.pem')
  })

  it('that nobody knows is an error only where the address is missing', async () => {
    await refuses(
      { files: { [CLOUDS]: entry } },
      /^cloud prod has the profile vendor, and no clouds-public\.yaml knows it/,
    )
    const own = cloud(ENTRY, '    profile: vendor\n')
    assert.equal(await passwordOf({ files: { [CLOUDS]: own } }), 'open')
  })
})

describe('hostile YAML', () => {
  const CANARY = 'CANARY-5e11'
  const bombs = [
    'a: &a [x, x, x, x, x, x, x, x, x, x]\n',
    ...Array.from({ length: 12 }, (_, i) => {
      const [from, to] = [String.fromCharCode(97 + i), String.fromCharCode(98 + i)]
      return `${to}: &${to} [${Array.from({ length: 10 }, () => `*${from}`).join(', ')}]\n`
    }),
  ].join('')
  const cases: Readonly<Record<string, readonly [string, RegExp]>> = {
    'that is none': [`clouds: [${CANARY}\n- :`, /clouds\.yaml: line \d+: /],
    'with a key twice (T-W11)': [
      `clouds:\n  prod:\n    auth:\n      password: ${CANARY}\n      password: ${CANARY}\n`,
      /: line 5: a key stands twice$/,
    ],
    'with two documents': [`clouds: {}\n---\nclouds: {prod: {}}\n`, /: line 2: it holds more than one document$/],
    'with tags': [`clouds:\n  prod: !!js/function ${CANARY}\n`, /: line 2: tags are not understood$/],
    'with a vault in it': [
      `clouds:\n  prod:\n    auth:\n      password: !vault |\n        ${CANARY}\n`,
      /: line 4: tags are not understood$/,
    ],
    'nested without end': ['['.repeat(50_000), /: line 1: it is nested too deep$/],
    'whose aliases multiply': [`${bombs}clouds: {prod: {}}\n`, /: its aliases multiply, or name what is not there$/],
    'with an alias of nothing': [
      `clouds: {prod: {auth: *${'nothing'}}}\n`,
      /: line 1: |: its aliases multiply, or name/,
    ],
    'that is a list': [`- ${CANARY}\n`, /: expected keys, clouds among them$/],
    'that is text': [CANARY, /: expected keys, clouds among them$/],
    'whose clouds are a list': [`clouds: [${CANARY}]`, /: clouds: expected entries by name$/],
    'whose cloud is text': [`clouds: {prod: ${CANARY}}`, /: clouds\.prod: expected keys$/],
    'whose auth is text': [`clouds: {prod: {auth: ${CANARY}}}`, /: clouds\.prod\.auth: expected keys$/],
    'whose password is a map': [
      `clouds: {prod: {auth: {password: {a: ${CANARY}}}}}`,
      /: clouds\.prod\.auth\.password: expected text$/,
    ],
    'whose user is a list of maps': [
      `clouds: {prod: {username: [{a: ${CANARY}}]}}`,
      /: clouds\.prod\.username: expected text$/,
    ],
  }
  for (const [name, [text, message]] of Object.entries(cases)) {
    it(`${name} is refused, with its place and nothing of its text`, async () => {
      await refuses({ files: { [CLOUDS]: text } }, message)
      await assert.rejects(
        resolve({ env: PROD, files: { [CLOUDS]: text } }),
        (thrown) => !inspect(thrown).includes(CANARY),
      )
    })
  }

  it('cannot reach what every object has (T-H13)', async () => {
    const text = `clouds: {prod: {__proto__: {auth: {user_id: evil}}, constructor: x, auth: {auth_url: ${URL_OF_KEYSTONE}}}}`
    const { questions } = await resolve({ env: PROD, files: { [CLOUDS]: text } })
    assert.equal(questions.length, 2)
    assert.equal(Reflect.get({}, 'auth'), undefined)
  })

  it('that goes round in circles is of no harm', async () => {
    const text = `clouds: {prod: &a {auth: ${ENTRY}, self: *a}}`
    assert.equal(await passwordOf({ files: { [CLOUDS]: text } }), 'open')
  })

  it('is read, or refused with a code, whatever it is', async () => {
    const piece = fc.constantFrom(
      'clouds:',
      'prod:',
      'auth:',
      'password:',
      CANARY,
      '\n',
      '\n  ',
      '\n    ',
      '- ',
      '{',
      '}',
      '[',
      ']',
      ': ',
      ', ',
      '&a ',
      '*a',
      '<<: ',
      '!x ',
      '|',
      '>',
      '"',
      "'",
      '#',
      '---\n',
      '...\n',
      '%YAML',
      '\t',
      '~',
      '? ',
      '\0',
      '\u2028',
      '\ud800',
    )
    const text = fc
      .array(fc.oneof({ weight: 6, arbitrary: piece }, fc.string({ maxLength: 4 })))
      .map((pieces) => pieces.join(''))
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(CLOUDS, SECURE, PUBLIC), text, async (path, hostile) => {
        const files = { [CLOUDS]: cloud(ENTRY, '    profile: vendor\n'), [path]: hostile }
        try {
          const { subject, warnings } = await resolve({ env: PROD, files })
          assert.ok(!inspect([subject, warnings]).includes(CANARY))
        } catch (thrown) {
          assert.ok(thrown instanceof ArchwayError, inspect(thrown))
          assert.equal(thrown.code, 'credential_settings_invalid')
          if (!thrown.message.includes('it knows: ')) assert.ok(!inspect(thrown).includes(CANARY))
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('a file settings come from', () => {
  const folder = mkdtempSync(join(tmpdir(), 'settings-'))
  after(() => rmSync(folder, { recursive: true }))
  const at = (name: string): string => join(folder, name)

  it('is read with who else can read it', () => {
    writeFileSync(at('mine'), 'text ü', { mode: 0o600 })
    assert.deepEqual(readSettingsFile(at('mine')), { text: 'text ü', readableByOthers: false, foreign: false })
    for (const mode of [0o640, 0o604, 0o644]) {
      chmodSync(at('mine'), mode)
      assert.equal(readSettingsFile(at('mine'))?.readableByOthers, true)
    }
  })

  it('may be missing', () => {
    assert.equal(readSettingsFile(at('none')), undefined)
    assert.equal(readSettingsFile(at('mine/none')), undefined)
  })

  it('is neither a folder nor a pipe nor endless', () => {
    mkdirSync(at('folder'))
    assert.throws(() => readSettingsFile(at('folder')), /it is not a file/)
    execFileSync('mkfifo', [at('pipe')])
    assert.throws(() => readSettingsFile(at('pipe')), /it is not a file/)
    writeFileSync(at('long'), Buffer.alloc(1024 * 1024 + 1))
    assert.throws(() => readSettingsFile(at('long')), /it is longer than 1 MiB/)
    assert.throws(() => readSettingsFile('/dev/zero'), /it is not a file/)
  })
})
