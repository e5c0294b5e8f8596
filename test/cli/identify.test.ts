import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { Command } from 'commander'
import { addIdentifyCommand } from '../../src/cli/identify.ts'
import { createAuthority, createFolder, type TestFolder } from '../support/tls.ts'
import { type Ran, run, testIo } from './support.ts'

const TOKEN = 'canary-token-5ca1ab1e'
const sha1 = (text: string): string => createHash('sha1').update(text).digest('base64')
/** Nobody listens there. */
const AWAY = { keystone: { url: 'http://127.0.0.1:1/v3' } }

describe('archway identify', () => {
  let folder: TestFolder
  let tokens: string

  before(async () => {
    folder = await createFolder()
    tokens = await folder.write(
      'tokens.csv',
      `${TOKEN},alice,u1,"staff,system:masters"\nbad-${TOKEN},system:admin,u2\nforeign-${TOKEN},mallory,u3\n`,
    )
  })
  after(() => folder.remove())

  /** Runs it with a configuration of these sources; standard input holds the secret. */
  async function identify(
    sources: readonly object[],
    args: readonly string[],
    { input = '', identity = {} }: { readonly input?: string; readonly identity?: object } = {},
  ): Promise<Ran> {
    const config = await folder.write('archway.yaml', JSON.stringify({ authenticators: sources, identity }))
    const ran = await run('archway', ['identify', '--config', config, ...args], testIo({}, input))
    assert.ok(!(ran.out + ran.err).includes(TOKEN), 'T-S1 a secret was printed')
    return ran
  }

  const bearer = ['--bearer-file', '-']

  test('says which source took a token, who that is, and what the gate dropped', async () => {
    const ran = await identify([{ tokenFile: { path: tokens } }, { keystone: AWAY.keystone }], bearer, {
      input: `${TOKEN}\n`,
    })
    assert.equal(ran.status, 0, ran.err)
    for (const line of [
      /^authenticated, by token-file$/m,
      /^ {2}token-file {2}authenticated$/m,
      /^ {2}keystone {4}not asked: not needed$/m,
      /^as token-file has it\n {2}user {4}alice\n {2}uid {5}u1\n {2}groups {2}staff\n {10}system:masters$/m,
      /^in the cluster\n {2}user {4}alice\n {2}uid {5}u1\n {2}groups {2}staff\n {10}system:authenticated$/m,
      /^left out by the identity gate\n {2}group {3}system:masters$/m,
      /^ {2}group left out: its name is reserved for Kubernetes \(source "token-file"/m,
    ]) {
      assert.match(ran.out, line)
    }
  })

  test('as JSON it has each identity: as proven, as mapped, as it leaves', async () => {
    const mapping = {
      usernamePrefix: 'file:',
      groupPrefix: 'file:',
      expressions: { groups: "user.groups + ['extra']" },
    }
    const { status, out } = await identify([{ tokenFile: { path: tokens }, mapping }], [...bearer, '-o', 'json'], {
      input: TOKEN,
      identity: { usernamePrefix: 'x:' },
    })
    assert.equal(status, 0)
    const { notes, ...found } = JSON.parse(out)
    assert.deepEqual(found, {
      verdict: 'authenticated',
      sources: [{ name: 'token-file', outcome: 'authenticated' }],
      provenBy: 'token-file',
      proven: { username: 'alice', uid: 'u1', groups: ['staff', 'system:masters'], extra: {} },
      mapped: {
        username: 'file:alice',
        uid: 'u1',
        groups: ['file:staff', 'file:system:masters', 'file:extra'],
        extra: {},
      },
      user: {
        username: 'x:file:alice',
        uid: 'u1',
        groups: ['file:staff', 'file:system:masters', 'file:extra', 'system:authenticated'],
        extra: {},
      },
      dropped: { groups: [], extra: [] },
      caveats: [],
    })
    assert.deepEqual(notes, [])
  })

  test('T-W6 a reserved user name is refused by the gate, and the source that proved it is still told', async () => {
    const { status, out } = await identify([{ tokenFile: { path: tokens } }], [...bearer, '-o', 'json'], {
      input: `bad-${TOKEN}`,
    })
    assert.equal(status, 1)
    const found = JSON.parse(out)
    assert.equal(found.verdict, 'refused')
    assert.equal(found.code, 'username_reserved')
    assert.equal(found.proven.username, 'system:admin')
    assert.equal(found.user, undefined)
    assert.equal(found.notes[0].message, 'identity refused: the user name is reserved for Kubernetes')
  })

  test('tells what a mapping refuses', async () => {
    const mapping = { expressions: { rules: [{ expression: "user.username != 'mallory'", message: 'not mallory' }] } }
    const { status, out } = await identify([{ tokenFile: { path: tokens }, mapping }], bearer, {
      input: `foreign-${TOKEN}`,
    })
    assert.equal(status, 1)
    assert.match(out, /^refused: mapping_refused$/m)
    assert.match(out, /^ {2}token-file {2}authenticated, then refused by its mapping: mapping_refused$/m)
    assert.match(out, /not mallory/)
  })

  test('a source that is down is told as such, hides no other, and is never a refusal', async () => {
    const sources = [AWAY, { tokenFile: { path: tokens } }]
    const proven = await identify(sources, [...bearer, '-o', 'json'], { input: TOKEN })
    assert.equal(proven.status, 0)
    const [keystone, file] = JSON.parse(proven.out).sources
    assert.equal(keystone.outcome, 'could_not_tell')
    assert.match(keystone.cause, /127\.0\.0\.1:1/)
    assert.deepEqual(file, { name: 'token-file', outcome: 'authenticated' })
    const unknown = await identify(sources, bearer, { input: `unknown-${TOKEN}` })
    assert.equal(unknown.status, 2)
    assert.match(unknown.out, /^could not tell: /)
    assert.match(unknown.out, /^ {2}token-file {2}skipped: not one of its credentials$/m)
  })

  test('a credential that no source judges is refused; none at all is nobody, or anonymous where that is on', async () => {
    const sources = [{ tokenFile: { path: tokens } }]
    const password = await identify(sources, ['--user', 'alice', '--password-stdin'], { input: `${TOKEN}\n` })
    assert.equal(password.status, 1)
    assert.match(password.out, /^refused: unrecognized\n {2}token-file {2}not asked: judges other credentials$/m)
    const nobody = await identify(sources, [])
    assert.equal(nobody.status, 1)
    assert.match(nobody.out, /^nobody: /)
    const anonymous = await identify([...sources, { anonymous: {} }], [])
    assert.equal(anonymous.status, 0)
    assert.match(anonymous.out, /^in the cluster\n {2}user {4}system:anonymous\n {2}groups {2}system:unauthenticated$/m)
  })

  test('flags alone make a one-source set-up, which needs no certificate to serve with', async () => {
    const io = testIo({}, TOKEN)
    const { status, err } = await run('archway', ['identify', '--token-file', tokens, ...bearer], io)
    assert.equal(status, 0, err)
  })

  test('a token in a file is the same as one on standard input', async () => {
    const file = await folder.write('token', `${TOKEN}\n`)
    assert.equal((await identify([{ tokenFile: { path: tokens } }], ['--bearer-file', file])).status, 0)
  })

  test('a certificate is read, and that nobody proved to have its key is said', async () => {
    const authority = await createAuthority('clients')
    const { cert } = await authority.client({ commonName: 'alice' })
    const file = await folder.write('alice.crt', cert)
    const { status, out } = await identify([{ tokenFile: { path: tokens } }], ['--certificate', file])
    assert.equal(status, 1)
    assert.match(out, /^note: nothing proved that the key of the certificate is held/m)
  })

  test('passwords of a file, certificates and the headers of a front proxy are each told from the other', async () => {
    const [people, proxies] = [await createAuthority('clients'), await createAuthority('front proxies')]
    const write = async (name: string, commonName: string, authority = people): Promise<string> =>
      folder.write(name, (await authority.client({ commonName, organizations: ['devs', 'system:masters'] })).cert)
    const sources = [
      { passwordFile: { path: await folder.write('users.htpasswd', `alice:{SHA}${sha1(TOKEN)}\n`) } },
      { x509: { authorities: [{ caFile: await folder.write('clients-ca.crt', people.cert), usernamePrefix: 'x:' }] } },
      { requestHeader: { caFile: await folder.write('fp-ca.crt', proxies.cert), allowedNames: ['front-proxy'] } },
    ]
    const [jane, proxy, other] = [
      await write('jane.crt', 'jane'),
      await write('proxy.crt', 'front-proxy', proxies),
      await write('other.crt', 'other', proxies),
    ]
    const headers = ['--header', 'X-Remote-User: 김철수', '--header', 'X-Remote-Group: ops']
    const rows: readonly (readonly [readonly string[], number, string, string?])[] = [
      [['--user', 'alice', '--password-stdin'], 0, 'alice', TOKEN],
      [['--user', 'alice', '--password-stdin'], 1, 'login_failed', 'wrong'],
      [['--user', 'nobody', '--password-stdin'], 1, 'login_failed', TOKEN],
      [['--certificate', jane], 0, 'x:jane'],
      // A header counts with the certificate of a front proxy, and with no other.
      [['--certificate', jane, ...headers], 0, 'x:jane'],
      [['--certificate', proxy, ...headers], 0, '김철수'],
      [['--certificate', proxy], 1, 'certificate_untrusted'],
      [['--certificate', other, ...headers], 1, 'certificate_forbidden'],
    ]
    for (const [args, expected, name, input = ''] of rows) {
      const { status, out } = await identify(sources, [...args, '-o', 'json'], { input })
      const found = JSON.parse(out)
      assert.deepEqual([status, found.user?.username ?? found.code], [expected, name], out)
      assert.ok(!found.user?.groups.includes('system:masters'))
      // What newer Kubernetes says of a certificate passes the gate, from a certificate only.
      const hasId = found.user?.extra['authentication.kubernetes.io/credential-id'] !== undefined
      assert.equal(hasId, name === 'x:jane')
    }
  })

  test('T-S12 a password is asked for, hidden, where somebody can be asked', async () => {
    const path = await folder.write('asked.htpasswd', `alice:{SHA}${sha1(TOKEN)}\n`)
    const asked: object[] = []
    let closed = 0
    let status: number | undefined
    const io = testIo()
    const program = new Command().exitOverride()
    addIdentifyCommand(
      program,
      io,
      (code) => {
        status = code
      },
      () => ({
        async ask(question) {
          asked.push(question)
          return TOKEN
        },
        close: () => void closed++,
      }),
    )
    await program.parseAsync(['identify', '--password-file', path, '--user', 'alice'], { from: 'user' })
    assert.deepEqual([status, asked, closed], [0, [{ prompt: 'Password: ', hidden: true }], 1])
    assert.match(io.printed.out, /^authenticated, by password-file$/m)
    assert.ok(!(io.printed.out + io.printed.err).includes(TOKEN))
  })

  test('what cannot be right ends with status 2 before anybody is asked, and no secret is repeated', async () => {
    const cases: readonly (readonly [readonly string[], RegExp, string?])[] = [
      [['--bearer-file', '-', '--user', 'a', '--password-stdin'], /either --bearer-file or --user/],
      [['--user', 'a'], /nobody can be asked for the password here: use --password-stdin/],
      [['--password-stdin'], /--password-stdin goes with --user/],
      [['--user', 'a:b', '--password-stdin'], /a colon/],
      [['--bearer-file', '/nonexistent'], /nonexistent/],
      [bearer, /holds no token/],
      [bearer, /or more than one/, `${TOKEN} ${TOKEN}`],
      [['--header', 'X-Remote-User: alice'], /--header goes with --certificate/],
      [['--certificate', '/nonexistent'], /nonexistent/],
      [['--certificate', 'TOKENS'], /holds no certificate/],
      [['--certificate', 'TOKENS', '--header', 'nothing'], /expected 'Name: value'/],
      [['--certificate', 'TOKENS', '--header', `Authorization: Bearer ${TOKEN}`], /seen by every user/],
      [['--timeout', 'long'], /expected seconds/],
      [['-o', 'xml'], /Allowed choices/],
    ]
    for (const [args, message, input = ''] of cases) {
      const given = args.map((arg) => (arg === 'TOKENS' ? tokens : arg))
      const { status, out, err } = await identify([{ tokenFile: { path: tokens } }], given, { input })
      assert.equal(status, 2, args.join(' '))
      assert.equal(out, '')
      assert.match(err, message)
    }
    const { status, err } = await identify([{ tokenFile: {} }], [])
    assert.equal(status, 2)
    assert.match(err, /tokenFile\.path: missing/)
    const missing = await identify([{ tokenFile: { path: '/nonexistent.csv' } }], [])
    assert.equal(missing.status, 2)
    assert.match(missing.err, /nonexistent\.csv/)
  })
})
