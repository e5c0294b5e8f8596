/**
 * One process at a time, also over NFS and past the death of a holder. Owns the files `NAME.lock` and `NAME.lock.*`.
 *
 * Only what a server does in one step is used: link(2), which fails where the name is taken, and rename(2). There is no
 * flock, no look at the clock of this machine, and no listing that a client might have kept from before.
 *
 * - To hold is to have one's record at `NAME.lock`. A record says who holds, has an id that never comes again, and is
 *   written anew every few seconds, so that its modification time is a heartbeat by the clock of the file system.
 * - A record is dead when its process has ended, which the same machine can tell at once, or when the heartbeat has
 *   stopped, judged by the modification time of a file of one's own that was written just before.
 * - A dead record is never removed, because whoever removes a file by its name may meet the one that came after. It is
 *   replaced by one process: the one that links its record to `NAME.lock.ID`, ID being that of the dead record, then
 *   finds the dead record still in place, and renames its own over it. Those that come later find another record there
 *   and start again. If the replacing process dies as well, its own claim is a dead record, and is overcome alike.
 *
 * A process that is stopped for longer than the heartbeat allows and then goes on may hold beside its successor, when
 * they are on different machines. No lease can do better; what is guarded is a second login, not a secret.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  CAREFULLY,
  codeOf,
  discard,
  makeTemporary,
  type PrivateFolder,
  readPrivate,
  UnfitFileError,
} from './private-file.ts'
import { processOf } from './processes.ts'
import type { CacheLock } from './store.ts'

/** The passing of time. Tests hand in their own. */
export interface Clock {
  /** Milliseconds on a monotonic clock. */
  now(): number
  /** Rejects with the reason of `signal` when that aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export interface LockOptions {
  readonly folder: PrivateFolder
  /** A file name without its ending. */
  readonly name: string
  readonly waitMs: number
  readonly signal?: AbortSignal | undefined
  readonly clock?: Clock | undefined
  /** How often a holder shows that it lives. */
  readonly beatMs?: number
  /** link(2). Tests hand in that of a file system without. */
  readonly link?: (existing: string, name: string) => void
}

const systemClock: Clock = {
  now: () => performance.now(),
  async sleep(ms, signal) {
    await sleep(ms, undefined, signal === undefined ? {} : { signal }).catch((error: unknown) => {
      signal?.throwIfAborted() // its own reason, not the AbortError of node:timers
      throw error
    })
  },
}

const BEAT_MS = 4_000
/** Beats that may be missed: disks stall, and machines are busy. */
const MISSED_BEATS = 4
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 250
const RECORD_BYTES = 1024
/** Processes that died one after the other while replacing a dead record. */
const MAX_CLAIMS = 16

/**
 * Waits for the lock. Undefined after `waitMs`; rejects with the reason of `signal`, with {@link UnfitFileError}, or
 * with what `node:fs` throws.
 */
export async function acquireLock(options: LockOptions): Promise<CacheLock | undefined> {
  const { waitMs, signal, clock = systemClock } = options
  signal?.throwIfAborted()
  const contender = enter(options, clock)
  try {
    const end = clock.now() + waitMs
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 1.5, LONGEST_PAUSE_MS)) {
      if (contender.tries()) return contender.hold()
      const left = end - clock.now()
      if (left <= 0) return undefined
      await clock.sleep(Math.min(left, pause * (0.5 + Math.random())), signal)
    }
  } finally {
    contender.leave()
  }
}

/** A record as it was found. */
interface Found {
  readonly id: string
  readonly machine: string
  readonly pid: number
  readonly started: string
  /** By the clock of the file system, ms. */
  readonly beatAt: number
}

interface Contender {
  /** One attempt. */
  tries(): boolean
  /** Only after an attempt that succeeded. */
  hold(): CacheLock
  /** Leaves nothing that is not held. */
  leave(): void
}

function enter({ folder, name, beatMs = BEAT_MS, link = linkSync }: LockOptions, clock: Clock): Contender {
  const root = `${name}.lock`
  const pathOf = (file: string) => join(folder.path, file)
  const id = randomBytes(16).toString('base64url')
  const content = Buffer.from(`${JSON.stringify({ id, machine: machine(), pid: process.pid, started: ownStart() })}\n`)
  const temporary = makeTemporary(folder, content)
  let fd = temporary.fd
  let beatAt = fstatSync(fd).mtimeMs
  let beaten = clock.now()
  let isHeld = false
  /** The record of ours that stands for a dead one, while we replace that. */
  let claim: string | undefined

  /** The contents as before; what matters is when. Written, not set: the time is then the server's. */
  function beat(): void {
    writeSync(fd, content, 0, content.length, 0)
    fsyncSync(fd)
    beatAt = fstatSync(fd).mtimeMs
    beaten = clock.now()
  }

  function isDead(found: Found): boolean {
    const state = found.machine === machine() ? processOf(found.pid) : undefined
    if (state?.kind === 'ended') return true
    if (state?.kind === 'running' && found.started !== '') return state.started !== found.started
    const serverNow = beatAt + (clock.now() - beaten)
    return Math.abs(serverNow - found.beatAt) > beatMs * MISSED_BEATS // far ahead is no heartbeat either
  }

  /** Puts our record at a name that is free. Whether it did. */
  function place(file: string): boolean {
    try {
      link(temporary.path, pathOf(file))
      return true
    } catch (error) {
      const code = codeOf(error)
      if (code === 'EEXIST') return find(folder, file)?.id === id // a request that NFS sent twice
      if (!LINKLESS.includes(code)) throw error
      return placeCopy(file)
    }
  }

  /** Where the file system has no links. A reader may meet it half written, which it takes for somebody's heartbeat. */
  function placeCopy(file: string): boolean {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | CAREFULLY
    let copy: number
    try {
      copy = openSync(pathOf(file), flags, 0o600)
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false
      throw error
    }
    closeSync(fd)
    fd = copy
    try {
      if (folder.uid !== undefined) fchmodSync(fd, 0o600)
      beat()
      return true
    } catch (error) {
      discard(pathOf(file))
      throw error
    }
  }

  /** Puts our record in the place of a dead one, if that is still there. `own` is what we have placed to be alone in it. */
  function replace(dead: string, own: string): boolean {
    claim = own
    if (find(folder, root)?.id !== dead) {
      dropClaim()
      return false
    }
    try {
      renameSync(pathOf(own), pathOf(root))
    } catch (error) {
      if (find(folder, root)?.id !== id) throw error
    }
    claim = undefined
    sweepClaims()
    return true
  }

  /** Once the dead record is gone, whatever claims there are come to nothing. */
  function sweepClaims(): void {
    try {
      const files = readdirSync(folder.path).filter((file) => file.startsWith(`${root}.`))
      for (const file of files) discard(pathOf(file))
    } catch {
      // they are in nobody's way
    }
  }

  function dropClaim(): void {
    if (claim !== undefined) discard(pathOf(claim))
    claim = undefined
  }

  function removeOwn(): void {
    const found = readPrivate(folder, root, RECORD_BYTES)
    if (found.kind === 'content' && parse(found.bytes)?.id === id) discard(pathOf(root))
  }

  function tries(): boolean {
    if (clock.now() - beaten > beatMs) beat()
    let file = root
    let dead: string | undefined
    for (let claims = 0; claims <= MAX_CLAIMS; claims++) {
      const found = find(folder, file)
      if (found === undefined) {
        if (!place(file)) return false
        isHeld = dead === undefined || replace(dead, file)
        return isHeld
      }
      if (!isDead(found)) return false
      dead ??= found.id
      file = `${root}.${found.id}`
    }
    return false
  }

  return {
    tries,

    hold() {
      const timer = setInterval(() => {
        try {
          beat()
        } catch {
          clearInterval(timer) // a disk that is gone: the others judge by what they see
        }
      }, beatMs)
      timer.unref()
      let isReleased = false
      return {
        async release() {
          if (isReleased) return
          isReleased = true
          clearInterval(timer)
          closeSync(fd)
          removeOwn()
        },
      }
    },

    leave() {
      discard(temporary.path)
      if (isHeld) return
      closeSync(fd)
      dropClaim()
      removeOwn() // a server may have done what it called an error
    },
  }
}

/** What link(2) answers where there are no links: FAT, and some FUSE and SMB mounts. */
const LINKLESS: readonly string[] = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']

/** Reads the record at a name. A file that holds none is known by what it is, and lives by its heartbeat. */
function find(folder: PrivateFolder, file: string): Found | undefined {
  const state = readPrivate(folder, file, RECORD_BYTES)
  if (state.kind === 'missing') return undefined
  if (state.kind === 'unfit') throw new UnfitFileError(state.problem)
  const { bytes, inode, modifiedMs } = state
  const record = parse(bytes) ?? { id: `${inode}-${Math.trunc(modifiedMs)}`, machine: '', pid: 0, started: '' }
  return { ...record, beatAt: modifiedMs }
}

function parse(bytes: Buffer): Omit<Found, 'beatAt'> | undefined {
  try {
    const { id, machine, pid, started }: Readonly<Record<string, unknown>> = JSON.parse(bytes.toString('utf8'))
    if (typeof id !== 'string' || !/^[\w-]{22}$/.test(id)) return undefined
    if (typeof machine !== 'string' || machine === '' || typeof started !== 'string') return undefined
    if (typeof pid !== 'number' || !Number.isInteger(pid) || pid < 1 || pid > 0xffffffff) return undefined
    return { id, machine, pid, started }
  } catch {
    return undefined
  }
}

let knownMachine: string | undefined

/** Equal for processes that can see each other's pids: this boot of this machine, and this container on it. */
function machine(): string {
  knownMachine ??= [
    hostname(),
    tryRead(() => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()),
    tryRead(() => readlinkSync('/proc/self/ns/pid')),
  ].join(' ')
  return knownMachine
}

function tryRead(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}

function ownStart(): string {
  const own = processOf(process.pid)
  return own.kind === 'running' ? own.started : ''
}
