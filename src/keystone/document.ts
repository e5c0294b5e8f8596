/**
 * Documents of the Identity API, read at the door: what passes has the right types, what does not is named by its
 * place and never by its content.
 *
 * @module
 */
import { z } from 'zod'
import { ArchwayError } from '../errors.ts'
import type { Target } from './failure.ts'

/** An id as Keystone makes them, able to stand in a path as one segment. */
export const id: z.ZodString = z
  .string()
  .min(1)
  .refine((text) => text.isWellFormed() && text !== '.' && text !== '..')

/** A name, exactly as Keystone has it. */
export const name: z.ZodString = z.string().min(1)

/** A domain as it stands inside other things. */
export const domain: z.ZodType<{ id: string; name: string }> = z.object({ id, name })

/**
 * Reads a document; fields that are not asked for are left out.
 *
 * @throws ArchwayError `keystone_answer_invalid` naming the first field that is missing or of the wrong type.
 */
export function readDocument<T>(schema: z.ZodType<T>, document: unknown, target: Target): T {
  const parsed = schema.safeParse(document)
  if (parsed.success) return parsed.data
  const path = parsed.error.issues[0]?.path.join('.') ?? ''
  const place = path === '' ? 'the document' : path
  const message = `${target.name}: the answer is not what the Identity API v3 defines: ${place} is missing or of the wrong type`
  throw new ArchwayError('keystone_answer_invalid', message, { retryAfter: 1 })
}
