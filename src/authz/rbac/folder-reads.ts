/**
 * A folder of files that `reload/` follows as if it were one file: its stamp is that of all its files together, its
 * content theirs one after the other. A file that comes, goes or changes is a change of the folder.
 *
 * @module
 */
import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { messageOf } from '../../errors.ts'
import { diskReads, type FileFacts, type FileReads } from '../../reload/file-set.ts'

/** What {@link folderReads} needs besides the files themselves. */
export interface FolderReadsOptions {
  /** Which names count. */
  readonly accepts: (name: string) => boolean
  readonly list?: (folder: string) => Promise<readonly string[]>
  readonly reads?: FileReads
}

/**
 * Reads folders, or one file by its own path. Hidden files never count: a volume of Kubernetes keeps its old content in such. Folders inside are
 * passed over; a file whose name counts and that cannot be read is an error that names it.
 */
export function folderReads({ accepts, list = readdir, reads = diskReads() }: FolderReadsOptions): FileReads {
  async function filesOf(path: string, own: FileFacts): Promise<readonly Found[]> {
    if (own.isFile) return [{ name: basename(path), path, facts: own }]
    const names = (await list(path)).filter((name) => !name.startsWith('.') && accepts(name)).sort()
    const files = names.map(async (name): Promise<Found> => {
      const file = join(path, name)
      return { name, path: file, facts: await named(name, reads.facts(file)) }
    })
    return (await Promise.all(files)).filter(({ facts }) => facts.isFile)
  }

  return {
    async facts(path) {
      const own = await reads.facts(path)
      const files = await filesOf(path, own)
      return {
        stamp: JSON.stringify(files.map(({ name, facts }) => [name, facts.stamp])),
        size: files.reduce((sum, { facts }) => sum + facts.size, 0),
        mode: own.mode,
        changedAt: Math.max(own.changedAt, ...files.map(({ facts }) => facts.changedAt)),
        isFile: true,
      }
    },
    async content(path) {
      const parts: (readonly [string, Buffer])[] = []
      for (const { name, path: file, facts } of await filesOf(path, await reads.facts(path))) {
        parts.push([name, await named(name, reads.content(file, facts.size))])
      }
      return pack(parts)
    },
  }
}

interface Found {
  readonly name: string
  readonly path: string
  readonly facts: FileFacts
}

/** The files again, of what {@link folderReads} gave as the content of a folder. */
export function unpack(packed: Buffer): readonly (readonly [name: string, content: Buffer])[] {
  const files: (readonly [string, Buffer])[] = []
  for (let at = 0; at < packed.length; ) {
    const nameEnd = at + LENGTHS + packed.readUInt32BE(at)
    const end = nameEnd + packed.readUInt32BE(at + 4)
    files.push([packed.toString('utf8', at + LENGTHS, nameEnd), packed.subarray(nameEnd, end)])
    at = end
  }
  return files
}

/** Two lengths of four bytes, of the name and of the content, stand before each file. */
const LENGTHS = 8

function pack(files: readonly (readonly [string, Buffer])[]): Buffer {
  return Buffer.concat(
    files.flatMap(([name, content]) => {
      const bytes = Buffer.from(name)
      const lengths = Buffer.alloc(LENGTHS)
      lengths.writeUInt32BE(bytes.length, 0)
      lengths.writeUInt32BE(content.length, 4)
      return [lengths, bytes, content]
    }),
  )
}

/** Whoever reports the failure knows the folder only. */
async function named<T>(name: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (cause) {
    throw new Error(`${name}: ${messageOf(cause)}`, { cause })
  }
}
