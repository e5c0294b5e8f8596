/**
 * The processes of the comparison: what stands behind, nginx and Archway in front of it. Owns their settings, which are
 * what makes the comparison fair, and their end.
 *
 * Both sides: TLS in front, a client certificate and kept connections behind, headers that say who asks, and a line of
 * JSON for each request in a file, written in batches of 16 KB. nginx does not look at the token; Archway does.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { openSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { here } from '../contest.ts'
import { passed } from '../load.ts'
import { answers } from './asking.ts'
import type { Files } from './files.ts'

/** A proxy. */
export interface Peer {
  readonly name: string
  readonly port: number
  readonly pid: number
}

export interface Peers {
  /** A web server with the files; its port. */
  startWeb(): Promise<number>
  /** Watches, and the list in chunks; its port. */
  startWatched(): Promise<number>
  startNginx(name: string, upstream: number, settings: string): Promise<Peer>
  startArchway(upstream: number): Promise<Peer>
  kill(): void
}

export function startPeers(files: Files): Peers {
  const { folder } = files
  const children: ChildProcess[] = []
  // Those that are measured have a core for themselves, where there are two.
  const pinned = availableParallelism() >= 2 && spawnSync('taskset', ['-acp', '1', `${process.pid}`]).status === 0

  function start(name: string, command: readonly string[], core: 0 | 1): ChildProcess {
    const output = openSync(join(folder, `${name}.log`), 'w')
    const [program = '', ...args] = pinned ? ['taskset', '-c', `${core}`, ...command] : command
    const child = spawn(program, args, { stdio: ['ignore', output, output] })
    children.push(child)
    return child
  }

  async function ready(name: string, file: string, port: number, child: ChildProcess): Promise<Peer> {
    while (!(await answers(port))) {
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new Error(`${name} did not start:\n${readFileSync(join(folder, `${file}.log`), 'utf8')}`)
      }
      await passed(100)
    }
    return { name, port, pid: child.pid ?? 0 }
  }

  /** One process, so that what it spends is what is measured. */
  function nginx(name: string, http: string): readonly string[] {
    const path = join(folder, `${name}.conf`)
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    const text = `user root;
daemon off;
master_process off;
pid ${folder}/${name}.pid;
events { worker_connections 4096; }
http {
${temporary.map((kind) => `  ${kind}_temp_path ${folder}/${name}-${kind};`).join('\n')}
  keepalive_requests 100000000;
${http}
}
`
    writeFileSync(path, text)
    return ['nginx', '-e', 'stderr', '-c', path]
  }

  return {
    async startWeb() {
      const port = await freePort()
      const child = start('web', nginx('web', webSettings(files, port)), 1)
      return (await ready('web', 'web', port, child)).port
    },
    async startWatched() {
      const port = await freePort()
      const args = [here('watched.ts'), `${port}`, files.cert, files.key, files.list]
      return (await ready('watched', 'watched', port, start('watched', [process.execPath, ...args], 1))).port
    },
    async startNginx(name, upstream, settings) {
      const port = await freePort()
      const file = `nginx-${port}`
      const command = nginx(file, frontSettings({ files, name: file, port, upstream, settings }))
      return ready(name, file, port, start(file, command, 0))
    },
    async startArchway(upstream) {
      const port = await freePort()
      const file = `archway-${port}`
      const path = join(folder, `${file}.yaml`)
      writeFileSync(path, JSON.stringify(archwayConfig(files, port, upstream)))
      const command = [process.execPath, here('../bin/archway'), 'proxy', '--config', path]
      return ready('archway', file, port, start(file, command, 0))
    },
    kill() {
      for (const child of children) child.kill('SIGKILL')
    },
  }
}

function webSettings({ cert, key, frontCa, www }: Files, port: number): string {
  return `  access_log off;
  sendfile on;
  output_buffers 2 512k;
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${cert};
    ssl_certificate_key ${key};
    ssl_client_certificate ${frontCa};
    ssl_verify_client optional;
    default_type application/json;
    root ${www};
    location = /readyz { return 200 ok; }
    location /api { if ($ssl_client_verify != SUCCESS) { return 403; } }
  }`
}

interface Front {
  readonly files: Files
  readonly name: string
  readonly port: number
  readonly upstream: number
  readonly settings: string
}

function frontSettings({ files, name, port, upstream, settings }: Front): string {
  const { folder, cert, key, ca, frontCert, frontKey } = files
  return `  log_format json escape=json '{"time":"$time_iso8601","requestId":"$request_id","method":"$request_method",'
    '"path":"$uri","protocol":"$server_protocol","code":$status,"bytesIn":$content_length,"bytesOut":$body_bytes_sent,'
    '"upstream":"$upstream_addr","ms":$request_time,"headMs":$upstream_header_time,"remote":"$remote_addr"}';
  access_log ${folder}/${name}-access.log json buffer=16k flush=1s;
  upstream apiserver { server 127.0.0.1:${upstream}; keepalive 256; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${cert};
    ssl_certificate_key ${key};
    location / {
      ${settings}
      proxy_pass https://apiserver;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Authorization "";
      proxy_set_header X-Remote-User alice;
      proxy_set_header X-Remote-Group devs;
      proxy_ssl_certificate ${frontCert};
      proxy_ssl_certificate_key ${frontKey};
      proxy_ssl_trusted_certificate ${ca};
      proxy_ssl_verify on;
      proxy_ssl_name localhost;
      proxy_read_timeout 1h;
    }
  }`
}

function archwayConfig({ tokens, cert, key, ca, frontCert, frontKey }: Files, port: number, upstream: number): object {
  return {
    admin: { listen: '127.0.0.1:0' },
    authenticators: [{ tokenFile: { path: tokens } }],
    proxy: {
      listen: `127.0.0.1:${port}`,
      tls: { certFile: cert, keyFile: key },
      upstreams: [`https://127.0.0.1:${upstream}`],
      upstream: { caFile: ca, clientCertFile: frontCert, clientKeyFile: frontKey, selfCheck: 'off' },
    },
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
