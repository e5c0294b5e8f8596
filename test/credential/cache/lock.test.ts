/** Who holds, who waits, and who takes over from the dead. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, linkSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { beforeEach, describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { acquireLock, type Clock } from '../../../src/credential/cache/lock.ts'
import type { PrivateFolder } from '../../../src/credential/cache/private-file.ts'
import { UnfitFileError } from '../../../src/credential/cache/private-file.ts'
import { filesOf, killed, newHome, openIn, SUBJECT, started } from './cache-rig.ts'

/** Waiting takes no time, and is counted. */
function quickClock(): Clock & { waited: number } {
  return {
    waited: 0,
    now() {
      return this.waited
    },
    async sleep(ms, signal) {
      this.waited += ms
      await setImmediate()
      signal?.throwIfAborted()
    },
  }
}

describe('a lock', () => {
  let folder: PrivateFolder
  let clock: ReturnType<typeof quickClock>
  beforeEach(() => {
    folder = { path: newHome(), uid: process.geteuid?.() }
    clock = quickClock()
  })

  const acquire = (waitMs = 0, signal?: AbortSignal) => acquireLock({ folder, name: 'x', waitMs, signal, clock })
  const lockFile = () => `${folder.path}/x.lock`

  /** What an own lock's record says, changed: one that somebody else has left. */
  async function leaveRecord(changes: Readonly<Record<string, unknown>>, file = 'x.lock'): Promise<string> {
    const lock = await acquireLock({ folder, name: 'template', waitMs: 0, clock })
    const record = JSON.parse(readFileSync(`${folder.path}/template.lock`, 'utf8'))
    await lock?.release()
    const left = { ...record, id: Buffer.from(file.padEnd(16).slice(-16)).toString('base64url'), ...changes }
    writeFileSync(`${folder.path}/${file}`, JSON.stringify(left), { mode: 0o600 })
    return left.id
  }

  const DEAD = { pid: 0x7ffffffe } // above every pid_max

  function makeOld(file: string, seconds: number): void {
    const then = Date.now() / 1000 - seconds
    utimesSync(`${folder.path}/${file}`, then, then)
  }

  it('is held by one at a time, and free after its release', async () => {
    const first = await acquire()
    assert.ok(first)
    assert.equal(await acquire(), undefined)
    await first.release()
    assert.deepEqual([...filesOf(folder.path).keys()], [])
    const second = await acquire()
    assert.ok(second)
    await first.release() // a second time: not the other's lock
    assert.ok(existsSync(lockFile()))
    await second.release()
  })

  it('is waited for with growing pauses, as long as was said', async () => {
    const first = await acquire()
    assert.equal(await acquire(3_000), undefined)
    assert.ok(Math.abs(clock.waited - 3_000) < 1e-6, `${clock.waited} ms`)
    const waiting = acquire(600_000)
    await first?.release()
    await (await waiting)?.release()
    assert.ok(clock.waited < 4_000, 'it went on waiting for a lock that was free')
  })

  it('is not waited for any longer when the signal aborts, which leaves nothing', async () => {
    const first = await acquire()
    const reason = new Error('enough')
    await assert.rejects(acquire(600_000, AbortSignal.abort(reason)), reason)
    const controller = new AbortController()
    const waiting = acquire(600_000, controller.signal)
    controller.abort(reason)
    await assert.rejects(waiting, reason)
    await first?.release()
    assert.deepEqual([...filesOf(folder.path).keys()], [])
  })

  it('waits on the real clock, and gives that up as well', async () => {
    const first = await acquire()
    const reason = new Error('enough')
    const controller = new AbortController()
    const waiting = acquireLock({ folder, name: 'x', waitMs: 600_000, signal: controller.signal })
    controller.abort(reason)
    await assert.rejects(waiting, reason)
    const next = acquireLock({ folder, name: 'x', waitMs: 60_000 })
    await first?.release()
    await (await next)?.release()
  })

  it('T-S12: is taken over at once from a process of this machine that was killed', async () => {
    const home = newHome()
    const store = openIn(home)
    const key = store.keyOf(SUBJECT)
    const holder = await started({ does: 'hold', kind: 'file', home, user: 'bob' })
    const bobs = store.keyOf({ provider: 'keystone', user: 'bob' })
    assert.equal(await store.lock(bobs, 0), undefined)
    const mine = await store.lock(key, 0)
    assert.ok(mine, 'another key has another lock')
    await killed(holder)
    const taken = await store.lock(bobs, 0)
    assert.ok(taken)
    await taken.release()
    await mine.release()
  })

  it('is taken over from an earlier process that had the pid of a living one', { skip: noStartTimes() }, async () => {
    await leaveRecord({ pid: process.pid, started: '1' })
    assert.ok(await acquire())
  })

  it('stays with a process that lives, however old its heartbeat', { skip: noStartTimes() }, async () => {
    await leaveRecord({})
    makeOld('x.lock', 3_600)
    assert.equal(await acquire(60_000), undefined)
  })

  it('of another machine is taken over when its heartbeat has stopped, and not before', async () => {
    await leaveRecord({ ...DEAD, machine: `not-${hostname()}` })
    makeOld('x.lock', 8)
    assert.equal(await acquire(), undefined)
    makeOld('x.lock', 20)
    assert.ok(await acquire())
  })

  it('of another machine whose heartbeat is far in the future is not waited for either', async () => {
    await leaveRecord({ ...DEAD, machine: 'elsewhere' })
    makeOld('x.lock', -3_600)
    assert.ok(await acquire())
  })

  it('T-S12: whatever is in its file is waited for until it is old, and then replaced', async () => {
    for (const text of ['', '{', 'null', '[]', '{"id":"../../../../tmp/x"}', '\0'.repeat(1024)]) {
      writeFileSync(lockFile(), text, { mode: 0o600 })
      assert.equal(await acquire(5_000), undefined, JSON.stringify(text))
      makeOld('x.lock', 60)
      const lock = await acquire()
      assert.ok(lock, JSON.stringify(text))
      await lock.release()
    }
    assert.deepEqual([...filesOf(folder.path).keys()], [])
  })

  it('is taken over past processes that died while taking it over', async () => {
    const first = await leaveRecord(DEAD)
    const second = await leaveRecord(DEAD, `x.lock.${first}`)
    await leaveRecord({ ...DEAD, machine: 'elsewhere' }, `x.lock.${second}`)
    assert.equal(await acquire(), undefined, 'one from elsewhere may still be at it')
    makeOld(`x.lock.${second}`, 60)
    const lock = await acquire()
    assert.ok(lock)
    assert.deepEqual([...filesOf(folder.path).keys()], ['x.lock'])
    await lock.release()
  })

  it('does not come twice from one dead record, whenever the other takes it over', async () => {
    for (let moment = 1; moment <= 8; moment++) {
      folder = { path: newHome(), uid: process.geteuid?.() }
      await leaveRecord({ ...DEAD, machine: 'elsewhere' })
      makeOld('x.lock', 60)
      let calls = 0
      let rival: ReturnType<typeof acquire> | undefined
      const now = () => {
        if (++calls === moment) rival = acquireLock({ folder, name: 'x', waitMs: 0, clock: quickClock() })
        return 0
      }
      const mine = await acquireLock({ folder, name: 'x', waitMs: 0, clock: { ...quickClock(), now } })
      const held = [mine, await rival].filter((lock) => lock !== undefined)
      assert.equal(held.length, 1, `when it came at look ${moment} at the clock`)
      await held[0]?.release()
      assert.deepEqual([...filesOf(folder.path).keys()], [], `when it came at look ${moment} at the clock`)
    }
  })

  it('T-S12: what is released is only what is still held', async () => {
    const lock = await acquire()
    await leaveRecord({})
    await lock?.release()
    assert.ok(existsSync(lockFile()))
  })

  it('is had, lost and taken over alike where there are no links', async () => {
    const link = () => {
      throw Object.assign(new Error('no links here'), { code: 'EOPNOTSUPP' })
    }
    const acquireLinkless = () => acquireLock({ folder, name: 'x', waitMs: 0, clock, link })
    const first = await acquireLinkless()
    assert.ok(first)
    assert.equal(statSync(lockFile()).mode & 0o777, 0o600)
    assert.equal(await acquireLinkless(), undefined)
    assert.equal(await acquire(), undefined)
    await first.release()
    const dead = await leaveRecord(DEAD)
    await leaveRecord(DEAD, `x.lock.${dead}`)
    const second = await acquireLinkless()
    assert.ok(second)
    assert.equal(await acquireLinkless(), undefined)
    await second.release()
    assert.deepEqual([...filesOf(folder.path).keys()], [])
  })

  it('is not left behind where a server does what it calls an error', async () => {
    const link = (existing: string, name: string) => {
      linkSync(existing, name)
      throw Object.assign(new Error('the server is slow'), { code: 'EIO' })
    }
    await assert.rejects(acquireLock({ folder, name: 'x', waitMs: 0, clock, link }), /slow/)
    assert.deepEqual([...filesOf(folder.path).keys()], [])
    const again = (existing: string, name: string) => {
      linkSync(existing, name)
      linkSync(existing, name)
    }
    const lock = await acquireLock({ folder, name: 'x', waitMs: 0, clock, link: again })
    assert.ok(lock, 'a request that is sent twice finds what the first has made')
    await lock.release()
  })

  it('shows that its holder lives', async () => {
    const lock = await acquireLock({ folder, name: 'x', waitMs: 0, beatMs: 5 })
    makeOld('x.lock', 3_600)
    while (Date.now() - statSync(lockFile()).mtimeMs > 1_800_000) await setImmediate()
    await lock?.release()
  })

  it('T-S14: is not had through a link, and what the link names stays as it is', async () => {
    writeFileSync(`${folder.path}/target`, 'untouched', { mode: 0o600 })
    symlinkSync(`${folder.path}/target`, lockFile())
    await assert.rejects(acquire(), (error) => {
      assert.ok(error instanceof UnfitFileError)
      assert.match(error.message, /x\.lock is not used: it is a symbolic link; remove it/)
      return true
    })
    assert.equal(readFileSync(`${folder.path}/target`, 'utf8'), 'untouched')
  })
})

/** Only Linux tells when a process was started. */
function noStartTimes(): boolean {
  return process.platform !== 'linux' || spawnSync('test', ['-r', '/proc/self/stat']).status !== 0
}
