/**
 * Reading a set of files so that what comes back belongs together: one state of all of them, or an error that says
 * which file, why, and what to do. Owns looking and reading; leaves when to look and what to make of the content to
 * `reloading.ts`.
 *
 * @module
 */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { ArchwayError, messageOf } from '../errors.ts'

/** Longer files are refused: nothing that is configuration comes near it, and a log or a disk image would. */
export const MAX_FILE_BYTES: number = 16 * 1024 * 1024

/** How often a set that moves under the reader is read again before that counts as an error. */
const ATTEMPTS = 3

/** What can be told of a file without reading it. Symbolic links are followed. */
export interface FileFacts {
  /** Differs when the file was replaced, written or re-attributed; equal means: most likely the same content. */
  readonly stamp: string
  readonly size: number
  /** Type and permission bits. */
  readonly mode: number
  /** The later of modification and attribute change, milliseconds since the epoch. */
  readonly changedAt: number
  readonly isFile: boolean
}

/** The outside of this room. Failures are the errors of `node:fs`, told apart by `code`. */
export interface FileReads {
  facts(path: string): Promise<FileFacts>
  /** The content, or its first `size + 1` bytes where the file has grown past `size`. */
  content(path: string, size: number): Promise<Buffer>
}

/** The facts of every file of a set, in the order of its paths. */
export interface SetFacts {
  readonly byPath: ReadonlyMap<string, FileFacts>
  readonly stamp: string
  readonly changedAt: number
}

/** One state of all the files. */
export interface FileSet {
  readonly contents: ReadonlyMap<string, Buffer>
  readonly facts: SetFacts
  /** SHA-256 of the content; of one file it is what `sha256sum` prints. */
  readonly digest: string
}

/** The files of this machine. */
export function diskReads(): FileReads {
  return { facts: diskFacts, content: diskContent }
}

/** Looks at every file without reading it. Throws `file_invalid` for the first that cannot be used. */
export async function factsOf(paths: readonly string[], reads: FileReads): Promise<SetFacts> {
  const byPath = new Map<string, FileFacts>()
  for (const path of paths) byPath.set(path, checked(path, await asked(path, reads.facts(path))))
  const all = [...byPath.values()]
  return {
    byPath,
    stamp: all.map((facts) => facts.stamp).join(' '),
    changedAt: Math.max(...all.map((facts) => facts.changedAt)),
  }
}

/**
 * Reads every file. A set that changed meanwhile (a certificate from before and a key from after the swap of a folder)
 * is read again; `file_invalid` when it does not come to rest.
 */
export async function readFileSet(paths: readonly string[], reads: FileReads): Promise<FileSet> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const before = await factsOf(paths, reads)
    const contents = new Map<string, Buffer>()
    for (const [path, { size }] of before.byPath) contents.set(path, await asked(path, reads.content(path, size)))
    const facts = await factsOf(paths, reads)
    if (facts.stamp === before.stamp) return { contents, facts, digest: digestOf([...contents.values()]) }
  }
  throw new ArchwayError(
    'file_invalid',
    `${paths.join(', ')}: changes while it is being read. Write new content beside it and rename it into place`,
  )
}

function checked(path: string, facts: FileFacts): FileFacts {
  if (!facts.isFile) {
    throw new ArchwayError('file_invalid', `${path}: is not a regular file. Name a file that can be read again`)
  }
  if (facts.size > MAX_FILE_BYTES) {
    throw new ArchwayError(
      'file_invalid',
      `${path}: is ${facts.size} bytes long, more than the ${MAX_FILE_BYTES} allowed. Check that it is the right file`,
    )
  }
  return facts
}

/** Turns what the file system says into a sentence with a remedy. */
async function asked<T>(path: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (cause) {
    throw new ArchwayError('file_invalid', `${path}: ${sentenceFor(cause)}`, { cause })
  }
}

function sentenceFor(cause: unknown): string {
  switch (cause instanceof Error && 'code' in cause ? cause.code : undefined) {
    case 'ENOENT':
    case 'ENOTDIR':
      return 'is not there. Check the path, and that its volume is mounted'
    case 'EACCES':
    case 'EPERM':
      return 'may not be read by this user. Check owner and mode of the file and of the folders above it'
    case 'ELOOP':
      return 'is a symbolic link that leads back to itself. Mend the link'
    default:
      return `cannot be read (${messageOf(cause)})`
  }
}

function digestOf(contents: readonly Buffer[]): string {
  const digests = contents.map((content) => createHash('sha256').update(content).digest('hex'))
  const [only] = digests
  return digests.length === 1 && only !== undefined ? only : createHash('sha256').update(digests.join()).digest('hex')
}

async function diskFacts(path: string): Promise<FileFacts> {
  const found = await stat(path, { bigint: true })
  return {
    stamp: [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(':'),
    size: Number(found.size),
    mode: Number(found.mode),
    changedAt: Math.max(Number(found.mtimeNs), Number(found.ctimeNs)) / 1e6,
    isFile: found.isFile(),
  }
}

async function diskContent(path: string, size: number): Promise<Buffer> {
  // Non-blocking: a named pipe put in place of the file since it was looked at must not hold a thread for ever.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    // Not from the pool that unrelated small buffers share: this may be a private key.
    const room = Buffer.alloc(size + 1)
    let length = 0
    while (length < room.length) {
      const { bytesRead } = await handle.read(room, length, room.length - length, null)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return room.subarray(0, length)
  } finally {
    await handle.close()
  }
}
