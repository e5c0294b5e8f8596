/**
 * How far the rotation of an authority has come, told from its files alone, so that a step that was cut off is done
 * again and nothing has to be remembered.
 *
 * @module
 */
import { join } from 'node:path'
import type { CheckedItem } from './check.ts'
import { isThere } from './files.ts'
import { finding } from './findings.ts'
import { AUTHORITY_NAMES, type AuthorityName, type PairPaths, pairPaths } from './layout.ts'

/**
 * `none`: one authority. `prepared`: two are trusted, the old one issues. `switching`: cut off on the way from the one to
 * the other. `issued`: two are trusted, the new one issues.
 */
export type RotationState = 'none' | 'prepared' | 'switching' | 'issued'

export interface RotationPaths {
  /** What issues now, and in `certificate` all that are trusted. */
  readonly current: PairPaths
  /** There until it issues. */
  readonly next: PairPaths
  /** There from when it no longer issues. */
  readonly old: PairPaths
  /** The certificate that issues, alone: kube-controller-manager takes no bundle to sign with. */
  readonly issuing: string
}

export function rotationPaths(folder: string, name: AuthorityName): RotationPaths {
  return {
    current: pairPaths(folder, name),
    next: pairPaths(folder, `${name}.next`),
    old: pairPaths(folder, `${name}.old`),
    issuing: join(folder, `${name}.issuing.crt`),
  }
}

export function rotationState(folder: string, name: AuthorityName): RotationState {
  const { next, old } = rotationPaths(folder, name)
  if (isWhole(next)) return isWhole(old) ? 'switching' : 'prepared'
  return isWhole(old) ? 'issued' : 'none'
}

function isWhole({ certificate, key }: PairPaths): boolean {
  return isThere(certificate) && isThere(key)
}

/** For a check: rotations that are not finished. */
export function rotationItems(folder: string): readonly CheckedItem[] {
  return AUTHORITY_NAMES.flatMap((name) => {
    const state = rotationState(folder, name)
    if (state === 'none') return []
    const message = `its rotation is ${state}, and not finished; archway pki rotate ca ${name} says what is next`
    return [
      { name: `${name} (rotation)`, certificate: undefined, findings: [finding('note', 'rotation_open', message)] },
    ]
  })
}
