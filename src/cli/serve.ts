/**
 * `archway serve`: the webhook, until a signal ends it.
 *
 * @module
 */
import type { Command } from 'commander'
import { describeRevocation } from '../authn/revocation.ts'
import { type ComposeOptions, type Service, startService } from '../compose/service.ts'
import type { Config } from '../config/schema.ts'
import { createLogger, type Logger } from '../telemetry/logger.ts'
import { addConfigFlags, configOf } from './config-flags.ts'
import type { CommandIo } from './io.ts'
import { runService } from './run-service.ts'
import { version } from './version.ts'

const EXAMPLES = `
Examples:
  archway serve --config archway.yaml
  archway serve --keystone-url https://keystone.example:5000/v3 --tls-cert-file tls.crt --tls-private-key-file tls.key
  archway serve --token-file tokens.csv --tls-cert-file tls.crt --tls-private-key-file tls.key --listen 127.0.0.1:8443

kube-apiserver asks it with --authentication-token-webhook-config-file, whose cluster is https://HOST:8443/webhook.
SIGHUP looks at every file at once; SIGTERM and SIGINT let running requests finish, then end with status 0.
`

export function addServeCommand(program: Command, io: CommandIo, done: (status: number) => void): void {
  addConfigFlags(program.command('serve').description('answer TokenReview and SubjectAccessReview over HTTPS'))
    .addHelpText('after', EXAMPLES)
    .action(async (given: Readonly<Record<string, unknown>>) => {
      const config = configOf(given, io)
      done(await serve(config, io, { adminRequired: true }))
    })
}

export interface ServeOptions extends Partial<Pick<ComposeOptions, 'adminRequired'>> {
  /** Said once everything is up; a rejection ends the service. */
  readonly onReady?: (service: Service) => Promise<void>
  /** Further warnings of the start. */
  readonly warnings?: readonly string[]
}

/** Runs the service until SIGTERM or SIGINT. Resolves to the exit status. */
export async function serve(config: Config, io: CommandIo, options: ServeOptions = {}): Promise<number> {
  const log = await createLogger(config.logging)
  const { adminRequired = true } = options
  return runService<Service>({
    log,
    io,
    drainMs: config.server.drain,
    start: () => startService(config, { log, version: version(), adminRequired }),
    async ready(service) {
      announce(service, config, log, options.warnings ?? [])
      await options.onReady?.(service)
    },
  })
}

function announce(service: Service, config: Config, log: Logger, warnings: readonly string[]): void {
  for (const warning of warnings) log.warn({}, warning)
  const loopback = /^(127\.|\[::1\]|localhost:)/.test(config.server.listen)
  if (config.server.tls.clientCAFile === undefined && !loopback) {
    log.warn(
      { listen: config.server.listen },
      'whoever reaches the port may test tokens: set server.tls.clientCAFile so that only kube-apiserver may ask',
    )
  }
  log.info(
    { parts: service.revocation.parts, totalMs: service.revocation.totalMs },
    describeRevocation(service.revocation),
  )
  log.info({ url: `${service.url}/webhook`, admin: service.adminUrl, version: version() }, 'ready')
}
