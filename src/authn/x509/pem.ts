/**
 * Files of certificates and CRLs: PEM, with any text around the blocks, or one value in DER. A file that cannot be used
 * as a whole is not used.
 *
 * @module
 */
import { ArchwayError } from '../../errors.ts'
import { MalformedError } from './der.ts'

/**
 * The blocks of a file, decoded and parsed. Throws `file_invalid` where there is none, one is cut off, or `parse`
 * finds one malformed; the message names the file and the block.
 */
export function parseBlocks<T>(
  content: Buffer,
  { where, label, parse }: { readonly where: string; readonly label: string; readonly parse: (der: Uint8Array) => T },
): T[] {
  const ders = content[0] === 0x30 ? [content] : blocksOf(content.toString('latin1'), label)
  if (ders === undefined || ders.length === 0) {
    throw new ArchwayError('file_invalid', `${where}: has no ${label}, or one that is cut off; expected PEM`)
  }
  return ders.map((der, at) => {
    try {
      return parse(der)
    } catch (thrown) {
      if (!(thrown instanceof MalformedError)) throw thrown
      throw new ArchwayError('file_invalid', `${where}: ${label} ${at + 1}: ${thrown.message}`, { cause: thrown })
    }
  })
}

function blocksOf(text: string, label: string): Buffer[] | undefined {
  const begin = `-----BEGIN ${label}-----`
  const [, ...begun] = text.split(begin)
  const blocks = begun.map((rest) => {
    const [body, end] = rest.split(`-----END ${label}-----`)
    return body === undefined || end === undefined || !/^[A-Za-z\d+/=\s]+$/.test(body) ? undefined : body
  })
  if (blocks.includes(undefined)) return undefined
  return blocks.map((body = '') => Buffer.from(body, 'base64'))
}
