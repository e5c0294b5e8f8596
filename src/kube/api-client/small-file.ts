/**
 * Reading a file that is known to be small, such as a token or a certificate.
 *
 * @module
 */
import { open } from 'node:fs/promises'
import { ArchwayError, messageOf } from '../../errors.ts'

/** Gives the content of a file, or throws `file_invalid` that names it. */
export type ReadText = (path: string) => Promise<string>

const MAX_BYTES = 1024 * 1024

/** Reads UTF-8 text of at most 1 MiB from the disk. */
export async function readSmallFile(path: string): Promise<string> {
  try {
    const file = await open(path, 'r')
    try {
      const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(MAX_BYTES + 1) })
      if (bytesRead > MAX_BYTES) throw new Error('is longer than 1 MiB')
      return buffer.toString('utf8', 0, bytesRead)
    } finally {
      await file.close()
    }
  } catch (cause) {
    throw new ArchwayError('file_invalid', `${path}: cannot be read (${messageOf(cause)})`, { cause })
  }
}
