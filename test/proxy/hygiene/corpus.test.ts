import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { connect, createServer, type Server } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { bytesOf, readCorpus } from '../../../tools/hygiene/corpus.ts'
import { commandOf } from '../../../tools/hygiene/flags.ts'
import { type Recorder, startRecorder } from '../../../tools/hygiene/recorder.ts'
import { runHygiene } from '../../../tools/hygiene/run.ts'
import { createAuthority, createFolder, type Issued, type TestAuthority, type TestFolder } from '../../support/tls.ts'

const PROGRAM = fileURLToPath(new URL('../../../tools/hygiene.ts', import.meta.url))

describe('the corpus', () => {
  const corpus = readCorpus()

  test('covers every threat that a front proxy can show', () => {
    const threats = new Set(corpus.map(({ threat }) => threat))
    const wanted = ['H1', 'H2', 'H3', 'H4', 'H5', 'H6', 'H8', 'H9', 'H10', 'H12', 'H13', 'H14', 'H16']
    assert.deepEqual([...threats], wanted)
  })

  test('has as many cases as the page says', async () => {
    const page = await readFile(new URL('../../../docs/hygiene.md', import.meta.url), 'utf8')
    assert.ok(page.includes(`has ${corpus.length} hostile requests`))
  })

  test('is bytes with nothing left to fill in, and lengths that are right where they are meant to be', () => {
    const values = { path: '/hygiene/t', host: 'h:1', credential: 'Authorization: Basic x', subprotocol: 'x' }
    for (const one of corpus) {
      const text = bytesOf(one, values).toString('latin1')
      assert.doesNotMatch(text, /\{(?:path|host|credential|subprotocol|length|chunk-length|long|n)\}/, one.id)
      assert.ok(text.includes('\r\n\r\n'), one.id)
    }
    const found = corpus.find(({ id }) => id === 'h8-te-cl')
    assert.ok(found)
    const [, size = '', chunk = ''] =
      /\r\n\r\n([0-9a-f]+)\r\n(.*)\r\n0\r\n\r\n$/s.exec(bytesOf(found, values).toString()) ?? []
    assert.equal(Number.parseInt(size, 16), chunk.length)
  })
})

describe('the runner', () => {
  let authority: TestAuthority
  let folder: TestFolder
  let issued: Issued
  let recorder: Recorder
  const careless: Server[] = []

  before(async () => {
    authority = await createAuthority('hygiene CA')
    folder = await createFolder()
    issued = await authority.server()
    recorder = await startRecorder({ ...issued, host: '127.0.0.1', port: 0 })
  })
  after(async () => {
    for (const server of careless) server.close()
    await recorder?.close()
    await folder?.remove()
  })

  /** A proxy that writes who asks into the first request of a connection, and else looks at nothing. */
  async function startCareless(user = 'alice'): Promise<number> {
    const [host, port] = recorder.address.split(':')
    const server = createServer({ ...issued, ALPNProtocols: ['http/1.1'] }, (client) => {
      const upstream = connect({ host, port: Number(port), ca: authority.cert })
      client.once('data', (first: Buffer) => {
        const text = first.toString('latin1')
        const end = text.indexOf('\r\n') + 2
        upstream.write(`${text.slice(0, end)}X-Remote-User: ${user}\r\n${text.slice(end)}`, 'latin1')
        client.pipe(upstream)
      })
      upstream.pipe(client)
      upstream.on('error', () => client.destroy())
      client.on('error', () => upstream.destroy())
    })
    careless.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    assert.ok(typeof address === 'object' && address !== null)
    return address.port
  }

  async function failuresOf(port: number, ids: readonly string[]): Promise<ReadonlyMap<string, string | undefined>> {
    const results = await runHygiene({
      target: { host: '127.0.0.1', port, ca: authority.cert, timeoutMs: 60_000 },
      authorization: 'Basic YWxpY2U6eA==',
      user: 'alice',
      cases: readCorpus().filter(({ id }) => ids.includes(id)),
    })
    assert.equal(results.length, ids.length)
    return new Map(results.map(({ id, failure }) => [id, failure]))
  }

  test('sees what gets past a careless proxy, and what does not', async () => {
    const wanted: Readonly<Record<string, string | undefined>> = {
      'h1-known-user': undefined,
      'h2-x-remote-user': 'a request arrived with 2 user names',
      'h2-x-remote-user-underscores': 'a request arrived with 2 user names',
      'h2-x-remote-uid': 'a request arrived with "hygiene-spoof"',
      'h2-nothing': 'it was passed on',
      'h3-te': 'a request arrived with TE',
      'h5-encoded-slash': undefined,
      'h8-cl-te': 'a request arrived as somebody else',
      'h8-cl-unequal-zero-first': 'a request arrived as somebody else',
      'h8-second-request': 'a request arrived without an identity',
      'h9-plain-other-protocol': 'the client got "hygiene-other-protocol"',
      'h10-redirect-host': 'the client got "hygiene-elsewhere"',
      'h10-hop-by-hop': 'the client got "hygiene-hop"',
      'h12-authorization': 'a request arrived with Authorization',
      'h16-lines': undefined,
    }
    const failures = await failuresOf(await startCareless(), Object.keys(wanted))
    for (const [id, failure] of failures) assert.equal(failure, wanted[id], id)
  })

  test('sees a request that arrives as somebody else', async () => {
    const failures = await failuresOf(await startCareless('bob'), ['h1-known-user'])
    assert.equal(failures.get('h1-known-user'), 'a request arrived as somebody else')
  })

  test('says so when something else stands behind the proxy', async () => {
    const server = createServer(issued, (socket) => {
      socket.on('error', () => socket.destroy())
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'))
    })
    careless.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    assert.ok(typeof address === 'object' && address !== null)
    await assert.rejects(failuresOf(address.port, ['h1-known-user']), /the recorder does not answer through the proxy/)
  })

  async function run(...args: readonly string[]) {
    return new Promise<{ status: number; stdout: string; stderr: string }>((resolve) => {
      execFile(process.execPath, [PROGRAM, ...args], (error, stdout, stderr) => {
        resolve({ status: typeof error?.code === 'number' ? error.code : 0, stdout, stderr })
      })
    })
  }

  test('ends with 0 when all held, with 1 when a case failed, in every format', async () => {
    const ca = await folder.write('ca.crt', authority.cert)
    const target = [
      '--target',
      `https://localhost:${await startCareless()}`,
      '--ca',
      ca,
      '--credential',
      'basic:alice:x',
    ]
    const good = await run(...target, '--only', 'h1-known-user')
    assert.deepEqual([good.status, good.stderr], [0, ''])
    assert.match(good.stdout, /^held {4}h1-known-user {2}200 .*\n\nhttps:\/\/localhost:\d+: 1 of 1 held, 0 failed\n$/)
    const bad = await run(...target, '--only', 'h2-x-remote-uid', '-o', 'json')
    assert.equal(bad.status, 1)
    const { failed, cases } = JSON.parse(bad.stdout)
    assert.deepEqual([failed, cases[0].id, cases[0].held], [1, 'h2-x-remote-uid', false])
    const page = await run(...target, '--only', 'h2-x-remote-u', '-o', 'markdown')
    assert.match(page.stdout, /^\| `h2-x-remote-uid` \|/m)
  })

  test('says in one sentence why nothing could be tried, and ends with 2', async () => {
    const nobody = await run('--target', 'https://127.0.0.1:1', '--credential', 'basic:a:b')
    assert.deepEqual([nobody.status, nobody.stdout], [2, ''])
    assert.match(nobody.stderr, /^hygiene: no connection to 127\.0\.0\.1:1: .*\n$/)
    const mistaken = await run('--tarteg', 'x')
    assert.deepEqual([mistaken.status, mistaken.stdout], [2, ''])
    assert.match(mistaken.stderr, /^hygiene: .*--tarteg.*\nnpm run hygiene -- --help says more\n$/)
  })
})

describe('the command line', () => {
  const mistakes: readonly [args: readonly string[], words: RegExp][] = [
    [[], /name --target, --serve-upstream or both/],
    [['--target', 'http://x', '--credential', 'basic:a:b'], /--target is https:\/\/HOST:PORT/],
    [['--target', 'https://x'], /name --credential/],
    [['--target', 'https://x', '--credential', 'a:b'], /basic:USER:PASSWORD or bearer:TOKEN/],
    [['--target', 'https://x', '--credential', 'bearer:t'], /name --expect-user/],
    [['--target', 'https://x', '--credential', 'basic:a:b', '--only', 'x'], /no case begins so/],
    [['--target', 'https://x', '--credential', 'basic:a:b', '-o', 'xml'], /--output is one of table, json, markdown/],
    [['--target', 'https://x', '--ca', '/nowhere'], /\/nowhere cannot be read/],
    [['--serve-upstream', '127.0.0.1'], /ADDRESS:PORT/],
    [['--serve-upstream', '127.0.0.1:0', '--tls-cert', 'x'], /name --tls-cert and --tls-key, or none/],
    [['--tarteg', 'x'], /--tarteg/],
  ]
  for (const [args, message] of mistakes) {
    test(`is refused as "${args.join(' ')}", and the flag named`, () => {
      assert.throws(() => commandOf(args, {}), { name: 'UsageError', message })
    })
  }

  test('takes the credential from the environment, where nobody sees it', () => {
    const env = { ARCHWAY_HYGIENE_CREDENTIAL: 'basic:alice:a:b' }
    const { attempt } = commandOf(['--target', 'https://[::1]'], env)
    assert.deepEqual([attempt?.user, attempt?.target.host, attempt?.target.port], ['alice', '::1', 443])
    assert.equal(attempt?.authorization, `Basic ${Buffer.from('alice:a:b').toString('base64')}`)
  })
})
