import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import {
  flagsHelp,
  lastText,
  type ParsedFlags,
  parseFlags,
  readBoolean,
} from '../../../src/credential/settings/flags.ts'
import { PROGRAM_FLAGS, SETTINGS } from '../../../src/credential/settings/table.ts'
import { ArchwayError } from '../../../src/errors.ts'

const ALL = [...SETTINGS, ...PROGRAM_FLAGS]
const parse = (...argv: string[]): ParsedFlags => parseFlags(argv, ALL)

describe('a command line', () => {
  const spellings: readonly (readonly string[])[] = [
    ['--keystone-url', 'https://k'],
    ['--keystone-url=https://k'],
    ['--keystone_url=https://k'],
    ['--keystone_url', 'https://k'],
    ['-keystone-url', 'https://k'],
    ['-keystone_url=https://k'],
  ]
  for (const argv of spellings) {
    it(`takes ${argv.join(' ')}`, () => assert.equal(lastText(parse(...argv), 'keystone-url'), 'https://k'))
  }

  for (const argv of [['-v', '6'], ['-v=6'], ['-v6'], ['--v=6'], ['--v', '6']]) {
    it(`takes the verbosity as ${argv.join(' ')}`, () => assert.equal(lastText(parse(...argv), 'v'), '6'))
  }

  for (const argv of [['-h'], ['--help'], ['-help']]) {
    it(`takes ${argv.join(' ')} for help`, () => assert.equal(lastText(parse(...argv), 'help'), 'true'))
  }

  it('takes the last of a flag that is given twice, and every one of a repeatable', () => {
    assert.equal(lastText(parse('--user-name=a', '--user-name=b'), 'user-name'), 'b')
    assert.deepEqual(parse('--oidc-scope=a', '--oidc-scope', 'b').texts.get('oidc-scope'), ['a', 'b'])
  })

  it('keeps equals signs and underscores of values', () => {
    assert.equal(lastText(parse('--user_name=a_b=c_d'), 'user-name'), 'a_b=c_d')
  })

  it('takes what follows for the value, whatever it looks like', () => {
    assert.equal(parse('--password', '--user-name').secrets.get('password')?.reveal(), '--user-name')
  })

  it('takes a switch without a value, and with one', () => {
    assert.equal(lastText(parse('--insecure'), 'insecure'), 'true')
    assert.equal(lastText(parse('--insecure=false'), 'insecure'), 'false')
    assert.deepEqual(parse('--insecure', 'false').positionals, ['false'])
  })

  it('keeps positional arguments apart, and all after --', () => {
    const { positionals, texts } = parse('get', '--user-name', 'a', '-', '--', '--user-name=b')
    assert.deepEqual(positionals, ['get', '-', '--user-name=b'])
    assert.deepEqual(texts.get('user-name'), ['a'])
  })

  it('takes an empty secret for none', () => {
    assert.equal(parse('--password=').secrets.has('password'), false)
    assert.equal(parse('--password=a', '--password=').secrets.has('password'), false)
  })

  it('holds secrets so that they do not print', () => {
    assert.doesNotMatch(inspect(parse('--password=hunter2', '--passcode', 'hunter2'), { depth: 9 }), /hunter2/)
  })

  const mistakes: readonly (readonly [readonly string[], RegExp])[] = [
    [['--pasword=hunter2'], /^unknown flag --pasword; did you mean --password\?$/],
    [['--keystone-ulr=x'], /did you mean --keystone-url\?$/],
    [['--project'], /unknown flag --project; /],
    [['--entirely-unknown'], /^unknown flag --entirely-unknown; --help lists them all$/],
    [['--'.concat('x'.repeat(500))], /^unknown flag --x{40}; /],
    [['--\u001b[31mred'], /^unknown flag --\?\[31mred; /],
    [['--=x'], /^unknown flag --; /],
    [['---x'], /^unknown flag ---x; /],
    [['--__proto__=x'], /^unknown flag ----proto--; /],
    [['--constructor'], /^unknown flag --constructor; /],
    [['-x6'], /^unknown flag --x6; /],
    [['--password'], /^--password needs a value: --password PASSWORD$/],
    [['--insecure=maybe'], /^--insecure is a switch: write --insecure, --insecure=true or --insecure=false$/],
  ]
  for (const [argv, message] of mistakes) {
    it(`refuses ${argv.join(' ').slice(0, 60)}`, () => {
      assert.throws(() => parse(...argv), { code: 'credential_settings_invalid', message })
    })
  }

  it('never loses a value, however it is spelt', () => {
    const valued = ALL.filter((row) => row.flag !== undefined && row.value !== undefined)
    const spelling = fc.constantFrom(
      (name: string, value: string) => [`--${name}`, value],
      (name: string, value: string) => [`--${name}=${value}`],
      (name: string, value: string) => [`-${name}`, value],
      (name: string, value: string) => [`--${name.replaceAll('-', '_')}=${value}`],
    )
    const one = fc.record({ row: fc.constantFrom(...valued), value: fc.string({ minLength: 1 }), spelling })
    const positional = fc.string().filter((text) => !text.startsWith('-'))
    fc.assert(
      fc.property(fc.array(fc.oneof(one, positional)), (items) => {
        const argv = items.flatMap((item) =>
          typeof item === 'string' ? [item] : item.spelling(item.row.flag ?? '', item.value),
        )
        const { texts, secrets, positionals } = parseFlags(argv, ALL)
        const expected = new Map<string, string[]>()
        for (const item of items) {
          if (typeof item === 'string') continue
          const { flag = '', secret } = item.row
          expected.set(flag, [...(secret === true ? [] : (expected.get(flag) ?? [])), item.value])
        }
        const found = new Map<string, readonly string[]>(texts)
        for (const [flag, secret] of secrets) found.set(flag, [secret.reveal()])
        assert.deepEqual(found, expected)
        assert.deepEqual(
          positionals,
          items.filter((item) => typeof item === 'string'),
        )
      }),
    )
  })

  it('is read, or refused with a code, whatever it is', () => {
    const word = fc.oneof(
      fc.string(),
      fc.string().map((text) => `--${text}`),
      fc.constantFrom(...ALL.flatMap(({ flag }) => (flag === undefined ? [] : [`--${flag}`, `-${flag}=`]))),
    )
    fc.assert(
      fc.property(fc.array(word), (argv) => {
        try {
          parseFlags(argv, ALL)
        } catch (thrown) {
          assert.ok(thrown instanceof ArchwayError)
          assert.equal(thrown.code, 'credential_settings_invalid')
        }
      }),
    )
  })
})

describe('help', () => {
  const help = flagsHelp(ALL)

  it('has every flag and every variable, and what it takes', () => {
    for (const { flag, value, env = [] } of ALL) {
      if (flag !== undefined) assert.ok(help.includes(`--${flag}${value === undefined ? ' ' : ` ${value}`}`), flag)
      for (const name of env) assert.ok(help.includes(`$${name}`), name)
    }
  })

  it('knows no environment, so that it can show nothing of it (C-01, T-S1)', () => {
    process.env['OS_PASSWORD'] = 'hunter2'
    try {
      assert.equal(flagsHelp(ALL), help)
      assert.doesNotMatch(help, /hunter2/)
    } finally {
      delete process.env['OS_PASSWORD']
    }
  })

  it('gives each flag one line, with its short name in front', () => {
    assert.match(help, /^ {2}-v, --v LEVEL {2,}log verbosity/m)
    assert.match(help, /^ {2}-h, --help {2,}print/m)
    assert.match(help, /^ {6}--user-name NAME {2,}user \[\$OS_USERNAME, \$OS_USER_NAME\]$/m)
  })
})

describe('the table of settings', () => {
  it('has no name, flag, variable or key twice', () => {
    const { names, flags, variables, keys } = {
      names: SETTINGS.map(({ name }) => name),
      flags: ALL.flatMap(({ flag, aliases = [] }) => (flag === undefined ? [] : [flag, ...aliases])),
      variables: SETTINGS.flatMap(({ env = [] }) => env),
      keys: SETTINGS.flatMap(({ cloud = [] }) => cloud),
    }
    for (const list of [names, flags, variables, keys]) assert.equal(new Set(list).size, list.length)
  })

  it('has all flags and variables of the predecessor', () => {
    const flags = new Map(SETTINGS.map(({ flag, env = [] }) => [flag, env[0]]))
    const theirs = {
      'keystone-url': 'OS_AUTH_URL',
      'domain-name': 'OS_DOMAIN_NAME',
      'user-name': 'OS_USERNAME',
      'project-name': 'OS_PROJECT_NAME',
      password: 'OS_PASSWORD',
      'application-credential-id': 'OS_APPLICATION_CREDENTIAL_ID',
      'application-credential-name': 'OS_APPLICATION_CREDENTIAL_NAME',
      'application-credential-secret': 'OS_APPLICATION_CREDENTIAL_SECRET',
      cert: 'OS_CERT',
      key: 'OS_KEY',
      cacert: 'OS_CACERT',
    }
    for (const [flag, env] of Object.entries(theirs)) assert.equal(flags.get(flag), env)
    for (const flag of ['v', 'vmodule', 'log-flush-frequency', 'version', 'help']) {
      assert.ok(PROGRAM_FLAGS.some((row) => row.flag === flag))
    }
  })
})

describe('a boolean', () => {
  it('is true, false, or neither', () => {
    for (const text of ['1', 't', 'T', 'true', 'TRUE', 'yes', 'On', 'y']) assert.equal(readBoolean(text), true)
    for (const text of ['0', 'f', 'false', 'False', 'no', 'off', 'N']) assert.equal(readBoolean(text), false)
    for (const text of ['', '2', 'maybe', 'truefalse', ' true']) assert.equal(readBoolean(text), undefined)
  })
})
