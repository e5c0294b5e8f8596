/**
 * A policy file, followed while we run.
 *
 * @module
 */
import type { CallLog } from '../../context.ts'
import { type Reloading, reloading } from '../../reload/reloading.ts'
import { parsePolicy } from '../keystone-policy/index.ts'
import type { PolicyStore } from './policy-store.ts'
import { reportWarnings } from './warnings.ts'

export interface FileSourceOptions {
  readonly path: string
  readonly store: PolicyStore
  readonly log: CallLog
  /** See {@link reloading}. */
  readonly intervalMs?: number
}

/** Loads the file into the store and follows it. Throws `file_invalid` when it cannot be used at start. */
export function fileSource({ path, store, log, intervalMs }: FileSourceOptions): Promise<Reloading<void>> {
  return reloading<void>({
    name: path,
    paths: [path],
    log,
    ...(intervalMs === undefined ? {} : { intervalMs }),
    load(files) {
      const content = files.get(path) ?? Buffer.alloc(0)
      // What follows the first value is ignored in a file, as the predecessor does; `archway policy check` warns of it.
      const document = parsePolicy(content, { where: path, trailing: 'ignore' })
      store.admit(path, document, content.toString('utf8'))
      reportWarnings(document, store.compileOptions, log)
    },
  })
}
