/**
 * What the `pki` commands are given beside their flags.
 *
 * @module
 */
import type { CommandIo } from '../io.ts'

export interface PkiWorld {
  readonly io: CommandIo
  readonly done: (status: number) => void
  readonly now: () => Date
}
