/**
 * An API server for the bench of the proxy: watches that say one thing and then nothing; anything else is an empty 200.
 *
 * usage: node watched.ts PORT CERT KEY
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'

const [port = '0', cert = '', key = ''] = process.argv.slice(2)

createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
  response.writeHead(200, { 'Content-Type': 'application/json' })
  if (request.url?.includes('watch=true')) response.write('{"type":"BOOKMARK","object":{}}\n')
  else response.end('{}')
}).listen({ host: '127.0.0.1', port: Number(port) })
