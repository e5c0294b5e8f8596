/**
 * A change to the kubeconfig, which may be several files: what it comes to, and making it. Owns which entry goes into
 * which file and what is refused; the rules are those of `kubectl config`.
 *
 * Each file is replaced whole or not at all. Of a change that goes into several, the first ones stay where a later one
 * fails.
 *
 * @module
 */
import { ArchwayError } from '../../errors.ts'
import { type Difference, differences, sameSettings } from './compare.ts'
import { type KubeconfigDocument, parseKubeconfig } from './document.ts'
import { editKubeconfig } from './edit.ts'
import type { Entry } from './entries.ts'
import { currentContextOf, defaultFile, fileOf, type LoadedKubeconfigs } from './locate.ts'
import { readKubeconfigFile, replaceKubeconfigFile, withKubeconfigLocks } from './replace-file.ts'

/** What the kubeconfig is to have. */
export interface ChangeRequest {
  /** Of `kubeconfigFiles`. */
  readonly files: readonly string[]
  readonly entries: readonly Entry[]
  /** Name of a context to make the current one. */
  readonly current: { readonly name: string; readonly when: 'always' | 'none-yet' | 'never' }
  /** Whether the values of a flag of the program to run may be shown. */
  readonly isHarmlessFlag: (name: string) => boolean
}

/** What a request means for one entry. */
export interface EntryChange {
  readonly entry: Entry
  readonly path: string
  readonly state: 'new' | 'same' | 'different'
  /** Nothing secret. */
  readonly differences: readonly Difference[]
}

/** What a request comes to; nothing is written yet. */
export interface ChangePlan {
  readonly entries: readonly EntryChange[]
  /** Only where it changes; `''` is none. */
  readonly currentContext: { readonly path: string; readonly from: string; readonly to: string } | undefined
}

/** The files that are there, read and checked. Throws `file_invalid`. */
export function loadKubeconfigs(files: readonly string[]): LoadedKubeconfigs {
  const loaded = new Map<string, KubeconfigDocument>()
  for (const path of files) {
    const content = readKubeconfigFile(path)
    if (content !== undefined) loaded.set(path, parseKubeconfig(path, content))
  }
  return loaded
}

/** What is to be done where, and what is in the way. */
export function planChange(request: ChangeRequest, loaded: LoadedKubeconfigs): ChangePlan {
  const { files, entries, current, isHarmlessFlag } = request
  const fallback = defaultFile(files, loaded)
  const from = currentContextOf(loaded)
  const wanted = current.when === 'always' || (current.when === 'none-yet' && from === '')
  return {
    entries: entries.map((entry) => {
      const { kind, name, settings } = entry
      const path = fileOf(kind, name, loaded)
      const existing = path === undefined ? undefined : loaded.get(path)?.entry(kind, name)
      if (path === undefined || existing === undefined) return { entry, path: fallback, state: 'new', differences: [] }
      if (sameSettings(existing, settings)) return { entry, path, state: 'same', differences: [] }
      return {
        entry,
        path,
        state: 'different',
        differences: differences({ existing, wanted: settings, isHarmlessFlag }),
      }
    }),
    currentContext: wanted && from !== current.name ? { path: fallback, from, to: current.name } : undefined,
  }
}

/** Whether there is anything to do. */
export function changesAnything({ entries, currentContext }: ChangePlan): boolean {
  return currentContext !== undefined || entries.some(({ state }) => state !== 'same')
}

/** What {@link applyChange} needs. */
export interface ApplyOptions {
  readonly request: ChangeRequest
  /** Replace entries that differ. */
  readonly overwrite: boolean
  /** Keep each old file beside the new one. */
  readonly backup: boolean
  readonly now: Date
  /** How long to wait for kubectl's lock. */
  readonly lockWaitMs: number
  /** Ends the waiting. */
  readonly signal?: AbortSignal
}

/** What was written. */
export interface AppliedFile {
  readonly path: string
  readonly backup: string | undefined
}

/**
 * Makes the change: reads everything again under the locks, and writes the files that change.
 *
 * @throws ArchwayError `file_invalid`, `kubeconfig_locked`, `kubeconfig_uneditable`, `kubeconfig_unwritable`
 */
export async function applyChange(options: ApplyOptions): Promise<readonly AppliedFile[]> {
  const { request } = options
  const planned = pathsOf(planChange(request, loadKubeconfigs(request.files)))
  if (planned.length === 0) return []
  const { lockWaitMs: waitMs, signal } = options
  return withKubeconfigLocks({ paths: planned, waitMs, signal }, () => writeUnderLocks(options, planned))
}

function pathsOf({ entries, currentContext }: ChangePlan): readonly string[] {
  const changing = entries.filter(({ state }) => state !== 'same').map(({ path }) => path)
  return [...new Set([...changing, ...(currentContext === undefined ? [] : [currentContext.path])])]
}

function writeUnderLocks(
  { request, overwrite, backup, now }: ApplyOptions,
  locked: readonly string[],
): readonly AppliedFile[] {
  const loaded = loadKubeconfigs(request.files)
  const plan = planChange(request, loaded)
  const paths = pathsOf(plan)
  const inTheWay = !overwrite && plan.entries.some(({ state }) => state === 'different')
  if (inTheWay || !paths.every((path) => locked.includes(path))) {
    const [path = ''] = paths
    throw new ArchwayError(
      'kubeconfig_unwritable',
      `${path}: somebody else has just changed it; nothing was written. Try again`,
    )
  }
  // All are made before the first is written: one that cannot be edited leaves every file as it is.
  const edited = paths.map((path) => {
    const before = loaded.get(path) ?? parseKubeconfig(path, '')
    const entries = plan.entries.filter((change) => change.path === path).map(({ entry }) => entry)
    const currentContext = plan.currentContext?.path === path ? plan.currentContext.to : undefined
    return { path, previous: loaded.get(path), after: editKubeconfig(before, { entries, currentContext }) }
  })
  return edited.map(({ path, previous, after }) => {
    const content = after.text
    return { path, backup: replaceKubeconfigFile({ path, content, previous: previous?.text, backup, now }) }
  })
}
