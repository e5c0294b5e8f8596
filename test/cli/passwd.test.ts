import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { passwordFile } from '../../src/authn/password-file/password-file.ts'
import { ExitError } from '../../src/cli/io.ts'
import { addPasswdCommand, type PasswordPrompt } from '../../src/cli/passwd.ts'
import { recordingLog } from '../reload/support.ts'
import { runInTerminal } from '../support/pty.ts'
import { type Ran, testIo } from './support.ts'

const folder = mkdtempSync(join(tmpdir(), 'archway-passwd-'))
after(() => rmSync(folder, { recursive: true }))
const file = join(folder, 'users')
const groups = join(folder, 'groups.csv')
const PASSWORD = 'correct horse'

beforeEach(() => {
  for (const path of [file, groups]) rmSync(path, { force: true })
})

interface Asked extends PasswordPrompt {
  readonly questions: { readonly prompt: string; readonly hidden: boolean }[]
  closed: boolean
}

/** Somebody who gives these answers, one a question. */
function person(...answers: readonly string[]): Asked {
  const left = [...answers]
  return {
    questions: [],
    closed: false,
    async ask(question) {
      this.questions.push(question)
      const answer = left.shift()
      assert.ok(answer !== undefined, 'one question too many')
      return answer
    },
    close() {
      this.closed = true
    },
  }
}

async function passwd(argv: readonly string[], given: { stdin?: string; prompt?: PasswordPrompt } = {}): Promise<Ran> {
  const io = testIo({}, given.stdin ?? '')
  let status = -1
  const program = new Command('archway')
    .configureOutput({ writeOut: io.out, writeErr: io.err })
    .exitOverride((exit) => {
      throw new ExitError(exit.exitCode === 0 ? 0 : 2, '')
    })
  const done = (code: number): void => {
    status = code
  }
  addPasswdCommand(program, io, done, () => given.prompt)
  try {
    await program.parseAsync(['passwd', ...argv], { from: 'user' })
  } catch (thrown) {
    if (!(thrown instanceof ExitError)) throw thrown
    status = thrown.status
    if (thrown.message !== '') io.err(`${thrown.message}\n`)
  }
  return { status, ...io.printed }
}

const add = (user: string, password = PASSWORD, ...more: readonly string[]) =>
  passwd([file, user, '--stdin', ...more], { stdin: password })

/** What a server makes of the files. */
async function logIn(username: string, password: string): Promise<unknown> {
  const authenticator = await passwordFile({
    path: file,
    log: recordingLog(),
    intervalMs: 0,
    ...(existsSync(groups) ? { groupsFile: groups } : {}),
  })
  const ctx = { requestId: 'r', signal: new AbortController().signal, log: recordingLog(), audiences: [] }
  const result = await authenticator.authenticate({ username, password }, ctx)
  authenticator.close()
  if (result.kind !== 'authenticated') return result.kind
  return { uid: result.user.uid, groups: result.user.groups }
}

const text = (path = file): string => readFileSync(path, 'utf8')

describe('archway passwd', () => {
  test('T-S14 adds a user to a new file, 0600, asking twice and showing nothing', async () => {
    const prompt = person(PASSWORD, PASSWORD)
    const ran = await passwd([file, 'jane'], { prompt })
    assert.deepEqual(ran, { status: 0, out: `added jane (argon2id) in ${file}\n`, err: '' })
    assert.deepEqual(
      prompt.questions.map(({ hidden }) => hidden),
      [true, true],
    )
    assert.equal(prompt.closed, true)
    assert.match(text(), /^jane:\$argon2id\$v=19\$m=19456,t=2,p=1\$[^\n]+\n$/)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.deepEqual(await logIn('jane', PASSWORD), { uid: '', groups: [] })
    assert.equal(await logIn('jane', 'battery staple'), 'rejected')
  })

  test('changes a password where it stands and leaves all else', async () => {
    const before = '# people\n\njane:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n  \nodd:rqXexS6ZhobKA\n# end'
    writeFileSync(file, before, { mode: 0o640 })
    chmodSync(file, 0o640)
    const ran = await add('jane', PASSWORD, '--hash', 'bcrypt')
    assert.equal(ran.status, 0)
    assert.equal(ran.out, `changed jane (bcrypt) in ${file}\n`)
    assert.match(ran.err, /a server will not take the file as it is: .*line 5: the hash is none of/)
    assert.match(text(), /^# people\n\njane:\$2y\$12\$[^\n]{53}\n {2}\nodd:rqXexS6ZhobKA\n# end$/)
    assert.equal(statSync(file).mode & 0o777, 0o640)
    assert.equal((await add('odd')).err, '')
    assert.deepEqual(await logIn('jane', PASSWORD), { uid: '', groups: [] })
  })

  test('one line feed at the end of standard input is no part of the password', async () => {
    for (const [user, ending] of [
      ['a', '\n'],
      ['b', '\r\n'],
      ['c', ''],
    ] as const) {
      assert.equal((await add(user, `안녕하세요 세계 ${ending}`)).status, 0)
      assert.deepEqual(await logIn(user, '안녕하세요 세계 '), { uid: '', groups: [] })
    }
  })

  test('--add leaves a user who is there alone, and asks nothing', async () => {
    await add('jane')
    const before = text()
    const prompt = person()
    const ran = await passwd([file, 'jane', '--add'], { prompt })
    assert.deepEqual([ran.status, prompt.questions.length], [1, 0])
    assert.match(ran.err, /jane is there already\. Leave out --add/)
    assert.equal(text(), before)
  })

  test('--groups-file keeps uid and groups; what is not given stays', async () => {
    const flags = ['--groups-file', groups, '--uid', '7', '--groups', 'devs,on call']
    assert.equal((await add('jane', PASSWORD, ...flags)).out.split('\n')[1], 'jane has uid 7, groups devs, on call')
    assert.equal(text(groups), 'jane,7,"devs,on call"\n')
    assert.equal(statSync(groups).mode & 0o777, 0o600)
    assert.deepEqual(await logIn('jane', PASSWORD), { uid: '7', groups: ['devs', 'on call'] })
    await add('jane', 'battery staple', '--groups-file', groups, '--uid', '8')
    assert.deepEqual(await logIn('jane', 'battery staple'), { uid: '8', groups: ['devs', 'on call'] })
    await add('jane', PASSWORD, '--groups-file', groups, '--groups', '')
    assert.equal(text(groups), 'jane,8\n')
  })

  test('a record left from somebody of the same name is told', async () => {
    writeFileSync(groups, 'jane,7,admins\n', { mode: 0o600 })
    const ran = await add('jane', PASSWORD, '--groups-file', groups)
    assert.match(ran.err, /line 1 had a record of this name already/)
    assert.match(ran.out, /jane has uid 7, groups admins/)
  })

  test('--remove takes the user out of both files, and only the user', async () => {
    for (const user of ['ann', 'bob']) await add(user, PASSWORD, '--groups-file', groups, '--groups', 'devs')
    const ran = await passwd([file, 'ann', '--remove', '--groups-file', groups])
    assert.deepEqual(ran, { status: 0, out: `removed ann from ${file}\n`, err: '' })
    assert.match(text(), /^bob:[^\n]+\n$/)
    assert.equal(text(groups), 'bob,,devs\n')
    const again = await passwd([file, 'ann', '--remove'])
    assert.deepEqual(again, { status: 1, out: '', err: `archway: ${file}: has no such user\n` })
  })

  test('--list shows users, costs and groups, and neither hashes nor what a terminal would obey', async () => {
    await add('jane', PASSWORD, '--groups-file', groups, '--uid', '7', '--groups', 'devs')
    writeFileSync(file, `${text()}\u001b[2J:x\nbob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n`)
    const { status, out } = await passwd([file, '--list', '--groups-file', groups])
    assert.equal(status, 0)
    assert.equal(
      out,
      [
        'jane         argon2id m=19456,t=2,p=1  uid 7, groups devs',
        '"\\u001b[2J"  line 2 cannot be used: the hash is none of argon2id, bcrypt, $5$, $6$, $apr1$ and {SHA}. Set the password again with `archway passwd`',
        'bob          sha1',
        '',
      ].join('\n'),
    )
  })
})

describe('archway passwd refuses', () => {
  const refuses = (title: string, argv: readonly string[], password: string, message: RegExp, status = 1) =>
    test(title, async () => {
      const ran = await passwd([file, ...argv, '--stdin'], { stdin: password })
      assert.equal(ran.status, status)
      assert.match(ran.err, message)
      assert.equal(ran.out, '')
      assert.equal(existsSync(file), false)
      assert.equal(existsSync(groups), false)
    })

  for (const name of ['system:admin', 'System:admin', 'ｓystem:x', 'sys\u200btem:x']) {
    refuses(`T-W6 the user name ${JSON.stringify(name)}`, [name], PASSWORD, /the user name (is reserved|has control)/)
  }
  for (const name of ['a:b', ' a', 'a ', '#a']) refuses(`the user name "${name}"`, [name], PASSWORD, /no colon/)
  for (const name of ['a\nb', 'a\0', 'a\u202eb']) {
    refuses(`the user name ${JSON.stringify(name)}`, [name], PASSWORD, /control or invisible/)
  }
  refuses('an empty user name', [''], PASSWORD, /is empty/)
  refuses('a user name of 256 bytes', ['x'.repeat(256)], PASSWORD, /longer than 255 bytes/)
  for (const [list, message] of [
    ['devs,system:masters', /a group name is reserved/],
    ['devs,,ops', /a group name is empty/],
  ] as const) {
    refuses(`T-W6 the groups ${list}`, ['jane', '--groups-file', groups, '--groups', list], PASSWORD, message)
  }

  refuses('T-S5 a password of 7 characters', ['jane'], 'correct', /shorter than 8 characters.*--allow-weak/)
  refuses('an empty password', ['jane', '--allow-weak'], '\n', /the password is empty/)
  refuses('a password of two lines', ['jane'], 'correct\nhorse', /control characters/)
  refuses('a password with NUL', ['jane'], 'correct\0horse', /control characters/)
  refuses('a password that is not UTF-8', ['jane'], 'correct \ufffd horse', /is not UTF-8/)
  refuses('a password of 1025 bytes', ['jane'], 'x'.repeat(1025), /longer than 1024 bytes/)
  refuses('T-S5 73 bytes for bcrypt', ['jane', '--hash', 'bcrypt'], '안'.repeat(25), /longer than 72 bytes.*argon2id/)

  refuses('--groups without a file', ['jane', '--groups', 'devs'], PASSWORD, /go with --groups-file/, 2)
  refuses(
    '--groups with --remove',
    ['jane', '--remove', '--groups', 'a', '--groups-file', groups],
    '',
    /go with a user/,
    2,
  )
  refuses(
    'the password file as groups file',
    ['jane', '--groups-file', join(folder, '.', 'users')],
    '',
    /Name another/,
    2,
  )
  refuses('no user', [], PASSWORD, /who\?/, 2)
  refuses('a password as an argument', ['jane', PASSWORD], PASSWORD, /too many arguments/, 2)
  refuses('an unknown kind of hash', ['jane', '--hash', 'md5'], PASSWORD, /argon2id, bcrypt/, 2)
  refuses('--list of what is not there', ['--list'], '', /is not there/)
  refuses('--remove from what is not there', ['jane', '--remove'], '', /is not there/)

  test('what is weak is taken with --allow-weak', async () => {
    assert.equal((await add('jane', 'x', '--allow-weak')).status, 0)
    assert.deepEqual(await logIn('jane', 'x'), { uid: '', groups: [] })
  })

  test('two passwords that differ, and nobody to ask', async () => {
    const prompt = person(PASSWORD, 'correct horsf')
    const differing = await passwd([file, 'jane'], { prompt })
    assert.equal(differing.status, 1)
    assert.match(differing.err, /are not the same/)
    assert.equal(prompt.closed, true)
    const nobody = await passwd([file, 'jane'])
    assert.equal(nobody.status, 2)
    assert.match(nobody.err, /is no terminal.*--stdin/)
    assert.equal(existsSync(file), false)
  })

  test('T-S1 a CSV with passwords in clear, without showing any', async () => {
    writeFileSync(file, 's3cret:x,jane,1\n', { mode: 0o600 })
    for (const flags of [['jane', '--stdin'], ['jane', '--remove'], ['--list']]) {
      const ran = await passwd([file, ...flags], { stdin: PASSWORD })
      assert.equal(ran.status, 1)
      assert.match(ran.err, /is no htpasswd file/)
      assert.ok(!`${ran.out}${ran.err}`.includes('s3cret'))
    }
    assert.equal(text(), 's3cret:x,jane,1\n')
  })

  test('T-W11 a user who stands twice: which one is meant is for nobody to guess', async () => {
    const before = 'jane:{SHA}x\nbob:y\njane:z\n'
    writeFileSync(file, before)
    const ran = await add('jane')
    assert.deepEqual([ran.status, ran.err], [1, `archway: ${file}: jane stands on lines 1 and 3\n`])
    assert.equal(text(), before)
    assert.equal((await passwd([file, 'jane', '--remove'])).status, 0)
    assert.equal(text(), 'bob:y\n')
  })

  test('a groups file that cannot be read, before anything is asked', async () => {
    writeFileSync(groups, 'jane,1,a,b\n')
    const prompt = person()
    const ran = await passwd([file, 'jane', '--groups-file', groups], { prompt })
    assert.equal(ran.status, 1)
    assert.match(ran.err, /line 1: has more than three columns/)
    assert.equal(existsSync(file), false)
  })
})

test('T-S14 a mode that lets others at the file is told', async () => {
  writeFileSync(file, '')
  chmodSync(file, 0o644)
  assert.match((await add('jane')).err, /mode 0644 lets every user of this machine/)
})

test('T-S1 the password is in nothing that is printed', async () => {
  const ran = await add('jane', 'c4n4ry horse', '--groups-file', groups, '--groups', 'a')
  const list = await passwd([file, '--list'])
  assert.ok(!JSON.stringify([ran, list, text(), text(groups)]).includes('c4n4ry'))
})

test('T-S1 in a terminal the password is asked for twice, and once to try it, and never shown', {
  timeout: 60_000,
}, async () => {
  const program = fileURLToPath(new URL('../../bin/archway', import.meta.url))
  const made = await runInTerminal(process.execPath, [program, 'passwd', file, 'alice'], {
    answers: [
      { on: /New password: /, send: `${PASSWORD}\r` },
      { on: /The same again: /, send: `${PASSWORD}\r` },
    ],
  })
  assert.equal(made.status, 0, made.screen)
  const flags = ['--password-file', file, '--user', 'alice']
  const tried = await runInTerminal(process.execPath, [program, 'identify', ...flags], {
    answers: [{ on: /Password: /, send: `${PASSWORD}\r` }],
  })
  assert.equal(tried.status, 0, tried.screen)
  assert.match(tried.stdout, /^authenticated, by password-file/)
  for (const { screen } of [made, tried]) assert.ok(!screen.includes(PASSWORD))
})
