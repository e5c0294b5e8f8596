/**
 * JSON as it comes from outside: parsed only if every reader would read the same.
 *
 * @module
 */

import { structureProblem } from '../json.ts'

/** Keystone's documents are flat, and a catalogue is not asked for. */
const LIMITS = { maxDepth: 64, maxKeys: 1024 }

/**
 * The value of a JSON text, or `undefined` when it is not JSON or an object in it has a key twice. JSON leaves open
 * which of two equal keys counts (RFC 8259, section 4), so two readers may see two documents.
 */
export function parseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return structureProblem(text, LIMITS) === undefined ? value : undefined
  } catch {
    // The message of a SyntaxError quotes the text.
    return undefined
  }
}
