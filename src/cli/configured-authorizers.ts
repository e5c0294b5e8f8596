/**
 * The authorizers of a configuration file, for commands that ask them without serving anybody.
 *
 * @module
 */
import { setTimeout as pause } from 'node:timers/promises'
import { type Authorization, openAuthorization } from '../compose/authorizers.ts'
import { ArchwayError } from '../errors.ts'
import { createLogger } from '../telemetry/logger.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import type { AuthorizerSources, RulesFor } from './authorizer-sources.ts'
import { configOf } from './config-flags.ts'
import { type CommandIo, ExitError } from './io.ts'
import { rulesOfPolicy } from './policy/rules-of-policy.ts'
import { version } from './version.ts'

/** What is watched in the cluster has to be there before anybody is asked. */
const READY_MS = 10_000
const LOOK_MS = 50

/** Kinds that can decide and not tell beforehand. */
const UNLISTED: ReadonlySet<string> = new Set(['webhook', 'alwaysAllow'])

/** Opens the whole chain, as `serve` does, but records nothing. Whatever cannot be opened ends with status 2. */
export async function configuredAuthorizers(path: string, io: CommandIo): Promise<AuthorizerSources> {
  const config = configured(path, io)
  if (config.authorizers.length === 0) throw new ExitError(2, `archway: ${path}: has no authorizers`)
  const log = await createLogger({ level: 'warn', format: 'human', write: io.err })
  const authorization = await opened({
    config: { ...config, recorder: { ...config.recorder, path: undefined } },
    metrics: createMetrics(version()),
    log,
    version: version(),
  })
  try {
    await ready(authorization)
  } catch (thrown) {
    await authorization.close()
    throw thrown
  }
  return {
    authorizer: authorization.authorizer,
    listings: [
      ...authorization.stores.map(
        (store): RulesFor =>
          (who, namespace) =>
            rulesOfPolicy(store.current(), who, namespace),
      ),
      ...authorization.listers.map(
        (list): RulesFor =>
          ({ user }, namespace) =>
            list(user, namespace),
      ),
    ],
    unlisted: config.authorizers.flatMap((settings) => Object.keys(settings).filter((kind) => UNLISTED.has(kind))),
    close: () => authorization.close(),
  }
}

function configured(path: string, io: CommandIo): ReturnType<typeof configOf> {
  try {
    return configOf({ config: path }, io, 'none')
  } catch (thrown) {
    if (thrown instanceof ExitError) throw new ExitError(2, thrown.message)
    throw thrown
  }
}

async function opened(options: Parameters<typeof openAuthorization>[0]): Promise<Authorization> {
  try {
    return await openAuthorization(options)
  } catch (thrown) {
    if (thrown instanceof ArchwayError) throw new ExitError(2, `archway: ${thrown.message}`)
    throw thrown
  }
}

async function ready({ checks }: Authorization): Promise<void> {
  for (const deadline = performance.now() + READY_MS; ; await pause(LOOK_MS)) {
    const results = await Promise.all(checks.map(async (check) => ({ name: check.name, ...(await check.check()) })))
    const waiting = results.filter(({ ok }) => !ok)
    if (waiting.length === 0) return
    if (performance.now() > deadline) {
      const causes = waiting.map(({ name, detail }) => `${name}: ${detail ?? 'not ready'}`)
      throw new ExitError(2, `archway: not known in time: ${causes.join('; ')}`)
    }
  }
}
