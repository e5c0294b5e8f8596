/**
 * exec, attach, port-forward, logs and cp through `archway proxy`: kubectl, a real API server, and behind it the
 * kubelet's own streaming code, over SPDY (kubectl 1.20) and WebSocket (a newer one).
 */

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { Agent, type MessageEvent, WebSocket } from 'undici'
import { findKubectls } from '../rigs/kubectl.ts'
import { runInTerminal } from '../support/pty.ts'
import { type KubeletStandIn, startKubeletStandIn } from '../support/rigs.ts'
import type { Program } from './program.ts'
import { spawnKubectl } from './proxy-kubectl-process.ts'
import {
  accessLines,
  type ClusterSite,
  createClusterSite,
  type Proof,
  type Ran,
  startProxy,
  stopProxy,
  until,
  writeKubeconfig,
} from './proxy-site.ts'

const KUBECTLS = await findKubectls()
const [STDIN, STDOUT, RESIZE] = [0, 1, 4]
const TOKEN = 'canary-token-77f0'

let site: ClusterSite
let kubelet: KubeletStandIn
let proxy: Program
/** May do everything in pods. */
let dev: string
/** May look at pods. */
let reader: string

before(async () => {
  site = await createClusterSite()
  kubelet = await startKubeletStandIn(site.cluster)
  const tokens = `${TOKEN},dev,d1,"devs"\nreader-token,reader,r1,"readers"\n`
  proxy = await startProxy(site, ['--token-file', await site.folder.write('tokens.csv', tokens)])
  await site.admin(['create', 'clusterrole', 'looks', '--verb=get,list', '--resource=pods'])
  const streams = 'pods/exec,pods/attach,pods/portforward,pods/log'
  await site.admin(['create', 'clusterrole', 'streams', '--verb=get,create', `--resource=${streams}`])
  await site.admin(['create', 'clusterrolebinding', 'looks', '--clusterrole=looks', '--group=devs', '--group=readers'])
  await site.admin(['create', 'clusterrolebinding', 'streams', '--clusterrole=streams', '--group=devs'])
  const kubeconfigOf = (name: string, proof: Proof): Promise<string> => writeKubeconfig(site, proxy, name, proof)
  dev = await kubeconfigOf('dev', { token: TOKEN })
  reader = await kubeconfigOf('reader', { token: 'reader-token' })
})
after(async () => {
  if (proxy !== undefined) await stopProxy(proxy)
  await kubelet?.[Symbol.asyncDispose]()
  await site?.[Symbol.asyncDispose]()
})

/** A server on loopback that reads to the end, and only then answers with how much it was and its hash. */
async function startHasher(): Promise<{ readonly port: number; readonly server: Server }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const hash = createHash('sha256')
    let bytes = 0
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      hash.update(chunk)
      bytes += chunk.length
    })
    socket.on('end', () => socket.end(`${bytes} ${hash.digest('hex')}`))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { port: address.port, server }
}

for (const { version, path: program } of KUBECTLS) {
  describe(`kubectl ${version}`, () => {
    const run = (args: readonly string[], input = '', kubeconfig = dev): Promise<Ran> =>
      site.cluster.kubectl(args, { program, kubeconfig, input })

    test('exec: what is typed comes back while it runs, and the end of input ends it', async () => {
      const cat = spawnKubectl(program, dev, ['exec', '-i', 'shell', '--', 'cat'])
      for (const word of ['first', '둘째', 'third']) {
        cat.type(`${word}\n`)
        await cat.shows(new RegExp(`^${word}$`, 'm'))
      }
      cat.endInput()
      assert.equal(await cat.ended, 0)
      assert.equal(cat.stdout(), 'first\n둘째\nthird\n')
    })

    test('exec: the two outputs stay apart, and the exit code is that of the command', async () => {
      const warned = await run(['exec', 'shell', '--', 'warn', 'careful'])
      assert.deepEqual([warned.status, warned.stdout], [0, ''])
      assert.match(warned.stderr, /^careful$/m)
      const ended = await run(['exec', 'shell', '--', 'exit', '42'])
      assert.equal(ended.status, 42, ended.stderr)
    })

    test('exec: 20 MB of output arrive, all of them', async () => {
      const { status, stdout, stderr } = await run(['exec', 'shell', '--', 'zeros', '20000000'])
      assert.equal(status, 0, stderr)
      assert.equal(stdout.length, 20_000_000)
    })

    test('exec: many at once do not mix', async () => {
      const words = Array.from({ length: 12 }, (_, number) => `word-${number}`)
      const said = await Promise.all(words.map((word) => run(['exec', '-i', 'shell', '--', 'cat'], word)))
      assert.deepEqual(
        said.map(({ stdout }) => stdout),
        words,
      )
    })

    test('exec: a terminal tells its size, and every change of it', async () => {
      const go = site.folder.path(`resize-${version}`)
      // The second size is set when the first one has been seen: the shell waits at a pipe for that.
      const lines = [
        `mkfifo '${go}'`,
        'stty rows 40 cols 100',
        `(read -r _ <'${go}'; stty rows 50 </dev/tty) &`,
        `exec '${program}' --kubeconfig '${dev}' exec -it shell -- size 2 >/dev/tty`,
      ]
      const { screen, status } = await runInTerminal('sh', ['-c', lines.join('\n')], {
        answers: [
          {
            on: /40x100/,
            send: () => {
              writeFileSync(go, 'go\n')
              return ''
            },
          },
        ],
      })
      assert.equal(status, 0, screen)
      assert.match(screen, /40x100.*50x100/s)
    })

    test('attach: what the container reads and writes', async () => {
      const attached = spawnKubectl(program, dev, ['attach', '-i', 'shell'])
      await attached.shows(/^attached$/m)
      attached.type('hello\n')
      await attached.shows(/^hello$/m)
      attached.endInput()
      assert.equal(await attached.ended, 0)
    })

    test('logs -f: a line appears when it is written, and the end of the log ends it', async () => {
      await run(['exec', 'shell', '--', 'log', 'before', version])
      const follow = spawnKubectl(program, dev, ['logs', '-f', 'shell'])
      await follow.shows(new RegExp(`^before ${version}$`, 'm'))
      for (const word of ['one', 'two']) {
        await run(['exec', 'shell', '--', 'log', word, version])
        await follow.shows(new RegExp(`^${word} ${version}$`, 'm'))
      }
      await run(['exec', 'shell', '--', 'log-end'])
      assert.equal(await follow.ended, 0)
    })

    test('cp: a file there and back is the same', async () => {
      const content = randomBytes(5_000_000)
      const [file, back] = [site.folder.path(`file-${version}`), site.folder.path(`back-${version}`)]
      await writeFile(file, content)
      const there = await run(['cp', file, `shell:/tmp/file-${version}`])
      assert.equal(there.status, 0, there.stderr)
      const { stdout } = await run(['exec', 'shell', '--', 'sha256sum', `/tmp/file-${version}`])
      assert.equal(stdout.trim(), createHash('sha256').update(content).digest('hex'))
      const here = await run(['cp', `shell:/tmp/file-${version}`, back])
      assert.equal(here.status, 0, here.stderr)
      assert.ok(content.equals(await readFile(back)))
    })

    test('port-forward: bytes both ways, and one way may end before the other', async () => {
      const { port, server } = await startHasher()
      const forward = spawnKubectl(program, dev, ['port-forward', 'shell', `:${port}`])
      const [, local] = await forward.shows(/127\.0\.0\.1:(\d+) -> /)
      const content = randomBytes(3_000_000)
      const answers = await Promise.all(
        Array.from({ length: 3 }, async () => {
          const socket = connect({ port: Number(local), host: '127.0.0.1', allowHalfOpen: true })
          socket.end(content)
          return text(socket)
        }),
      )
      await forward.stop()
      server.close()
      const expected = `${content.length} ${createHash('sha256').update(content).digest('hex')}`
      assert.deepEqual(answers, [expected, expected, expected])
    })

    test('T-H9 exec that RBAC refuses: the sentence of the API server, and nothing of it reaches the kubelet', async () => {
      const before = (await kubelet.log()).length
      const { status, stderr } = await run(['exec', 'shell', '--', 'echo', 'hi'], '', reader)
      assert.equal(status, 1)
      assert.match(stderr, /pods "shell" is forbidden: User "reader" cannot (?:create|get) resource "pods\/exec"/)
      assert.equal((await kubelet.log()).slice(before).includes('/exec/'), false)
    })

    test('T-H9 exec into what there is not: the sentence of the API server', async () => {
      const { status, stderr } = await run(['exec', 'shell', '-c', 'nowhere', '--', 'echo', 'hi'])
      assert.equal(status, 1)
      assert.match(stderr, /container nowhere (?:is not valid for|not found in) pod shell/)
    })
  })
}

test('the old kubectl spoke SPDY to the kubelet, one that is new enough WebSocket', async () => {
  const log = await kubelet.log()
  assert.match(log, /POST \/exec\/default\/shell\/main upgrade="SPDY\/3.1"/)
  const isNew = KUBECTLS.some(({ version }) => Number(/^v1\.(\d+)/.exec(version)?.[1]) >= 31)
  if (isNew) assert.match(log, /GET \/exec\/default\/shell\/main upgrade="websocket".*v5\.channel\.k8s\.io/)
})

test('T-H12 a browser proves who it is in a subprotocol, which goes no further', async () => {
  const protocols = [
    'v4.channel.k8s.io',
    `base64url.bearer.authorization.k8s.io.${Buffer.from(TOKEN).toString('base64url')}`,
  ]
  const query = 'stdin=1&stdout=1&tty=1&command=size&command=2'
  const socket = await openWebSocket(`/api/v1/namespaces/default/pods/shell/exec?${query}`, protocols)
  assert.equal(socket.protocol, 'v4.channel.k8s.io')
  socket.send(RESIZE, '{"Width":80,"Height":24}')
  await until('the first size', () => socket.received(STDOUT).includes('24x80'))
  socket.send(RESIZE, '{"Width":132,"Height":43}')
  await socket.closed
  assert.equal(socket.received(STDOUT), '24x80\r\n43x132\r\n')
  assert.match(socket.received(3), /"status":"Success"/)
  assert.equal((await kubelet.log()).includes('base64url.bearer'), false)
})

test('T-H12 bytes of any kind pass a WebSocket both ways', async () => {
  const authorization = { authorization: `Bearer ${TOKEN}` }
  const path = '/api/v1/namespaces/default/pods/shell/exec?stdin=1&stdout=1&command=cat'
  const socket = await openWebSocket(path, ['v4.channel.k8s.io'], authorization)
  const content = randomBytes(200_000).toString('latin1')
  for (let at = 0; at < content.length; at += 10_000) socket.send(STDIN, content.slice(at, at + 10_000))
  await until('everything back', () => socket.received(STDOUT).length >= content.length)
  assert.ok(socket.received(STDOUT) === content)
  socket.close()
  await socket.closed
})

test('every stream is one line of the access log, with who, what and how much', async () => {
  const lines = (): ReturnType<typeof accessLines> => accessLines(proxy).filter(({ outcome }) => outcome === 'upgraded')
  await until(
    'lines of exec, attach and port-forward',
    () => new Set(lines().map(({ resource }) => resource)).size === 3,
  )
  assert.deepEqual([...new Set(lines().map(({ resource }) => resource))].sort(), [
    'pods/attach',
    'pods/exec',
    'pods/portforward',
  ])
  for (const line of lines()) {
    assert.deepEqual([line['user'], line['code'], line['name']], ['dev', 101, 'shell'])
    assert.equal(typeof line['upstream'], 'string')
  }
  assert.ok(lines().some(({ bytesOut }) => Number(bytesOut) > 20_000_000))
})

/** A WebSocket of `channel.k8s.io` to the proxy: the first byte of a message is its channel. */
interface ChannelSocket {
  readonly protocol: string
  /** Text of one character a byte. */
  send(channel: number, content: string): void
  received(channel: number): string
  close(): void
  readonly closed: Promise<unknown>
}

async function openWebSocket(
  path: string,
  protocols: readonly string[],
  headers: Readonly<Record<string, string>> = {},
): Promise<ChannelSocket> {
  const dispatcher = new Agent({ connect: { ca: site.authority.cert } })
  const socket = new WebSocket(`${proxy.url.replace('https', 'wss')}${path}`, {
    protocols: [...protocols],
    dispatcher,
    headers,
  })
  socket.binaryType = 'arraybuffer'
  const received = new Map<number, string>()
  socket.addEventListener('message', ({ data }: MessageEvent) => {
    const message = Buffer.from(data as ArrayBuffer)
    const channel = message[0] ?? 0
    received.set(channel, (received.get(channel) ?? '') + message.toString('latin1', 1))
  })
  const closed = new Promise<void>((resolve) => {
    socket.addEventListener('close', () => resolve(dispatcher.close()))
  })
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve())
    socket.addEventListener('error', (event) => reject(event.error))
  })
  return {
    protocol: socket.protocol,
    send: (channel, content) => socket.send(Buffer.concat([Buffer.of(channel), Buffer.from(content, 'latin1')])),
    received: (channel) => received.get(channel) ?? '',
    close: () => socket.close(),
    closed,
  }
}
