/**
 * Which files make up the kubeconfig, and which of them a change goes into: what `kubectl config` does. Reads nothing.
 *
 * @see https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
 * @module
 */
import { delimiter, join, resolve } from 'node:path'
import type { KubeconfigDocument } from './document.ts'
import type { EntryKind } from './entries.ts'

/** What {@link kubeconfigFiles} needs. */
export interface KubeconfigFilesOptions {
  /** `--kubeconfig`. */
  readonly file?: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  readonly home: string
  readonly cwd: string
}

/** Absolute paths, the first one counting most: the file that is named, else those of KUBECONFIG, else `~/.kube/config`. */
export function kubeconfigFiles({ file, env, home, cwd }: KubeconfigFilesOptions): readonly string[] {
  if (file !== undefined) return [resolve(cwd, file)]
  const named = (env['KUBECONFIG'] ?? '').split(delimiter).filter((path) => path !== '')
  if (named.length === 0) return [join(home, '.kube', 'config')]
  return [...new Set(named.map((path) => resolve(cwd, path)))]
}

/** Those of the files that are there, by path, in their order. */
export type LoadedKubeconfigs = ReadonlyMap<string, KubeconfigDocument>

/**
 * Where what stands in none of the files goes: the first that is there; where none is, the last one, as kubectl has it.
 */
export function defaultFile(files: readonly string[], loaded: LoadedKubeconfigs): string {
  return files.find((path) => loaded.has(path)) ?? files.at(-1) ?? ''
}

/** The file whose entry of that name counts; undefined where none has one. */
export function fileOf(kind: EntryKind, name: string, loaded: LoadedKubeconfigs): string | undefined {
  return [...loaded].find(([, document]) => document.entry(kind, name) !== undefined)?.[0]
}

/** The current context of all the files together; '' where none has one. */
export function currentContextOf(loaded: LoadedKubeconfigs): string {
  return [...loaded.values()].find((document) => document.currentContext !== '')?.currentContext ?? ''
}
