/**
 * An API server for the bench of the proxy: watches that say one thing and then nothing, a list in chunks as
 * kube-apiserver writes it; anything else is an empty 200.
 *
 * usage: node watched.ts PORT CERT KEY LIST
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'

const [port = '0', cert = '', key = '', list = ''] = process.argv.slice(2)
const body = readFileSync(list)
const CHUNK_BYTES = 32 * 1024

createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
  response.writeHead(200, { 'Content-Type': 'application/json' })
  if (request.url?.includes('watch=true')) response.write('{"type":"BOOKMARK","object":{}}\n')
  else if (request.url?.startsWith('/api/')) {
    for (let at = 0; at < body.length; at += CHUNK_BYTES) response.write(body.subarray(at, at + CHUNK_BYTES))
    response.end()
  } else response.end('{}')
}).listen({ host: '127.0.0.1', port: Number(port) })
