/**
 * The proxy of `archway demo`: in front of a stand-in for an API server, with two requests made through it.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { startProxy } from '../compose/proxy.ts'
import { loadConfig } from '../config/load.ts'
import { type StandInOptions, startStandIn } from '../demo/api-server.ts'
import type { Secret } from '../secret.ts'
import { createLogger } from '../telemetry/logger.ts'
import { orExit } from './config-flags.ts'
import type { CommandIo } from './io.ts'
import { version } from './version.ts'

/** What stands where the token is in a printed line: the token itself only where it was made for this run. */
export interface DemoToken {
  readonly secret: Secret
  readonly printed: string
}

export interface DemoProxyOptions {
  /** Sources of identities and the rest of the configuration. */
  readonly document: object
  /** `proxy` of the configuration, without API servers. */
  readonly door: object
  readonly standIn: StandInOptions
  /** CA of the proxy. */
  readonly caFile: string
  readonly token: DemoToken | undefined
  /** What to do where there is no token to show. */
  readonly hint: string
  readonly io: CommandIo
}

export interface DemoProxy {
  readonly url: string
  stop(): Promise<void>
}

/** What `kubectl auth whoami` asks. */
const WHOAMI = '/apis/authentication.k8s.io/v1/selfsubjectreviews'

/** Starts the proxy, makes the two requests and prints them, with the line that repeats each. */
export async function demonstrateProxy(options: DemoProxyOptions): Promise<DemoProxy> {
  const { document, door, caFile, token, hint, io } = options
  const standIn = await startStandIn(options.standIn)
  try {
    const admin = { listen: '127.0.0.1:0' }
    const text = JSON.stringify({ ...document, admin, proxy: { ...door, upstreams: [standIn.url] } })
    const config = orExit(() => loadConfig({ file: { path: 'demo', text }, door: 'proxy' }))
    const log = await createLogger({ ...config.logging, level: 'warn' })
    const service = await startProxy(config, { log, version: version(), adminRequired: false })
    const ask = (authorization?: string): Promise<string> => whoami(`${service.url}${WHOAMI}`, caFile, authorization)
    if (token === undefined) io.out(`\n# through the proxy, as somebody: ${hint}\n`)
    else {
      io.out(`\n# through the proxy, as somebody: who an API server takes one for\n`)
      io.out(await ask(`Bearer ${token.secret.reveal()}`))
      const quoted = token.printed.startsWith("'") ? '"$OS_TOKEN"' : token.printed
      io.out(`kubectl --server ${service.url} --certificate-authority ${caFile} --token ${quoted} auth whoami\n`)
    }
    io.out(`\n# through the proxy, as nobody\n${await ask()}`)
    io.out(`curl --cacert ${caFile} ${service.url}/api\n`)
    return {
      url: service.url,
      async stop() {
        await service.stop()
        standIn.close()
      },
    }
  } catch (thrown) {
    standIn.close()
    throw thrown
  }
}

/** Status and body of the answer. */
function whoami(url: string, caFile: string, authorization: string | undefined): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request(url, {
      ca: readFileSync(caFile),
      agent: false,
      headers: authorization === undefined ? {} : { Authorization: authorization },
      timeout: 20_000,
    })
    sent.on('error', reject)
    sent.on('timeout', () => sent.destroy(new Error('the proxy did not answer')))
    sent.on('response', (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('error', reject)
      response.on('data', (chunk: string) => {
        body += chunk
      })
      response.on('end', () => resolve(`HTTP ${response.statusCode}\n${body}`))
    })
    sent.end()
  })
}
