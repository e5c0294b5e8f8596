/**
 * An option of the configuration: a schema with its description, and how else than in the file it can be given.
 *
 * @module
 */
import { z } from 'zod'
import { messageOf } from '../errors.ts'

/** How an option can be given besides the file. */
export interface OptionMeta {
  /** Without the dashes. */
  readonly flag?: string
  readonly env?: string
  /** Word for the value in `--help`. */
  readonly value?: string
  /** Of an item of a list: the flag makes the item where there is none. */
  readonly makes?: boolean
  /** The door whose command has the flag, where another door has one of the same name. */
  readonly door?: Door
}

/** What a configuration is for. `none`: a command without a listener. */
export type Door = 'webhook' | 'proxy' | 'none'

/** Flags and variables of the schema's leaves. */
export const optionRegistry: z.core.$ZodRegistry<OptionMeta> = z.registry<OptionMeta>()

export function option<S extends z.ZodType>(schema: S, description: string, meta: OptionMeta = {}): S {
  const described = schema.describe(description)
  optionRegistry.add(described, meta)
  return described
}

/** Text that a parser must take; its message becomes the problem. */
export function checkedText(parse: (text: string) => unknown): z.ZodString {
  return z.string().superRefine((text, ctx) => {
    try {
      parse(text)
    } catch (thrown) {
      ctx.addIssue({ code: 'custom', message: messageOf(thrown) })
    }
  })
}
