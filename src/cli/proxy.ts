/**
 * `archway proxy`: the door in front of API servers, until a signal ends it.
 *
 * @module
 */
import type { Command } from 'commander'
import { type ProxyService, startProxy } from '../compose/proxy.ts'
import type { Config } from '../config/schema.ts'
import { createLogger } from '../telemetry/logger.ts'
import { addConfigFlags, configOf } from './config-flags.ts'
import type { CommandIo } from './io.ts'
import { runService } from './run-service.ts'
import { version } from './version.ts'

const EXAMPLES = `
Examples:
  archway proxy --config archway.yaml
  archway proxy --listen 0.0.0.0:6443 --tls-cert-file tls.crt --tls-private-key-file tls.key \\
    --upstream https://10.0.0.1:6443 --upstream https://10.0.0.2:6443 --upstream-ca-file ca.crt \\
    --upstream-client-cert-file front-proxy-client.crt --upstream-client-key-file front-proxy-client.key \\
    --keystone-url https://keystone.example:5000/v3

The API servers need --requestheader-client-ca-file with the CA of the client certificate, --requestheader-allowed-names
with its common name, and --requestheader-username-headers=X-Remote-User, --requestheader-group-headers=X-Remote-Group,
--requestheader-extra-headers-prefix=X-Remote-Extra-. The start checks it and says what is missing.
SIGHUP looks at every file at once; SIGTERM and SIGINT end watches, let other requests finish, then end with status 0.
`

export function addProxyCommand(program: Command, io: CommandIo, done: (status: number) => void): void {
  addConfigFlags(program.command('proxy').description('authenticate in front of API servers, and forward to them'), {
    doors: ['proxy'],
  })
    .addHelpText('after', EXAMPLES)
    .action(async (given: Readonly<Record<string, unknown>>) => {
      done(await runProxy(configOf(given, io, 'proxy'), io))
    })
}

async function runProxy(config: Config, io: CommandIo): Promise<number> {
  const log = await createLogger(config.logging)
  return runService<ProxyService>({
    log,
    io,
    drainMs: config.proxy.drain,
    start: () => startProxy(config, { log, version: version(), adminRequired: true }),
    ready: ({ url, adminUrl }) => log.info({ url, admin: adminUrl, version: version() }, 'ready'),
  })
}
