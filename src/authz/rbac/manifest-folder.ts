/**
 * Roles and bindings from a folder of manifests, followed while we run. On any mistake in any file the last good state
 * of all of them stays in force.
 *
 * @module
 */
import type { CallLog } from '../../context.ts'
import { ArchwayError } from '../../errors.ts'
import type { FileReads } from '../../reload/file-set.ts'
import { type Reloading, type ReloadStatus, reloading } from '../../reload/reloading.ts'
import { folderReads, unpack } from './folder-reads.ts'
import { type Manifests, parseManifests } from './manifests.ts'
import type { RbacObjects } from './objects.ts'
import type { RbacSource } from './rbac.ts'

/** How many warnings of one load are logged in full. */
const LOGGED_WARNINGS = 20

/** What {@link manifestFolder} needs. */
export interface ManifestFolderOptions {
  /** Every `.yaml`, `.yml` and `.json` file right in it counts, as for `kubectl apply -f`; or it is one file itself. */
  readonly path: string
  readonly log: CallLog
  /** Default `rbac-manifests`. */
  readonly name?: string
  /** Take a change that leaves no binding where there were some. Without it that is a mistake: an empty volume. */
  readonly allowEmpty?: boolean
  /** See {@link reloading}. */
  readonly intervalMs?: number
  readonly onChange?: () => void
  readonly now?: () => Date
  readonly reads?: FileReads
}

/** The folder as a source of roles and bindings. */
export interface ManifestFolder extends RbacSource, Pick<Reloading<unknown>, 'check' | 'close'> {
  current(): RbacObjects
  status(): ReloadStatus
}

/** Loads the folder and follows it. Throws `file_invalid` when it cannot be used at start. */
export async function manifestFolder(options: ManifestFolderOptions): Promise<ManifestFolder> {
  const { path, log, name = 'rbac-manifests', allowEmpty = false, onChange, intervalMs, now } = options
  let bindings = 0

  async function load(files: ReadonlyMap<string, Buffer>): Promise<Manifests> {
    const manifests = await parseManifests(unpack(files.get(path) ?? Buffer.alloc(0)), path)
    const after = manifests.objects.bindings.length
    if (bindings > 0 && after === 0 && !allowEmpty) {
      throw new ArchwayError('file_invalid', `${path}: would take away every binding there is. Remove them on purpose`)
    }
    bindings = after
    return manifests
  }

  const folder = await reloading<Manifests>({
    name,
    paths: [path],
    log,
    load,
    reads: options.reads ?? folderReads({ accepts: (file) => /\.(ya?ml|json)$/.test(file) }),
    onChange: (manifests) => {
      report(manifests)
      onChange?.()
    },
    ...(intervalMs === undefined ? {} : { intervalMs }),
    ...(now === undefined ? {} : { now }),
  })
  report(folder.current())

  function report({ objects, warnings, others }: Manifests): void {
    const counts = { roles: objects.roles.length, bindings: objects.bindings.length, others }
    log.info({ file: name, path, ...counts }, 'RBAC manifests are in force')
    if (warnings.length === 0) return
    const shown = warnings.slice(0, LOGGED_WARNINGS).map((warning) => `${warning.path}: ${warning.message}`)
    log.warn({ file: name, path, count: warnings.length, warnings: shown }, 'RBAC manifests have doubtful parts')
  }

  return {
    current: () => folder.current().objects,
    check: folder.check,
    status: folder.status,
    close: folder.close,
  }
}
