/** Folders and files that are not what they should be: nothing is read from them, nothing is put there, nobody is kept out. */

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { cachePath } from '../../../src/credential/cache/folder.ts'
import { openStore } from '../../../src/credential/cache/open-store.ts'
import { readPrivate } from '../../../src/credential/cache/private-file.ts'
import type { CredentialStore } from '../../../src/credential/cache/store.ts'
import { credentialOf, filesOf, filled, inCache, newHome, openIn, pluginCommand, SUBJECT } from './cache-rig.ts'

const ASKER = { pid: 1, started: '' }
const isRoot = process.geteuid?.() === 0

/** A store that keeps nothing still does everything but keep. */
async function assertKeepsNothing(store: CredentialStore, why: RegExp): Promise<void> {
  const problem = store.problem() ?? ''
  assert.match(problem, why)
  assert.doesNotMatch(problem, /[\n\r]/)
  const key = store.keyOf(SUBJECT)
  assert.equal(store.keyOf(SUBJECT), key)
  await store.write(key, credentialOf('canary'))
  await store.served(key, credentialOf('canary'), ASKER)
  assert.equal(await store.read(key), undefined)
  assert.equal(await store.wasServed(key, credentialOf('canary'), ASKER), false)
  assert.deepEqual(await store.list(), [])
  const [one, two] = [await store.lock(key, 0), await store.lock(key, 0)]
  assert.ok(one && two, 'a login has to wait for nobody')
  await one.release()
  await store.remove(key)
  assert.equal(store.problem(), problem)
}

describe('the folder', () => {
  it('is where the system keeps caches', () => {
    const place = { env: {}, home: '/home/a', platform: 'linux', uid: 1 } as const
    assert.equal(cachePath(place), '/home/a/.cache/archway')
    assert.equal(cachePath({ ...place, platform: 'darwin' }), '/home/a/.cache/archway')
    assert.equal(cachePath({ ...place, env: { XDG_CACHE_HOME: '/var/c' } }), '/var/c/archway')
    assert.equal(cachePath({ ...place, env: { XDG_CACHE_HOME: '/var/c' }, home: '' }), '/var/c/archway')
    for (const relative of ['', 'c', './c', '~/c']) {
      assert.equal(cachePath({ ...place, env: { XDG_CACHE_HOME: relative } }), '/home/a/.cache/archway')
    }
    for (const home of ['', 'home', '.']) assert.equal(cachePath({ ...place, home }), undefined)
    const windows = { ...place, home: 'C:\\Users\\a', platform: 'win32', uid: undefined } as const
    assert.equal(cachePath(windows), 'C:\\Users\\a\\AppData\\Local\\archway\\cache')
    assert.equal(cachePath({ ...windows, env: { LOCALAPPDATA: 'D:\\l' } }), 'D:\\l\\archway\\cache')
  })

  it('T-S14: is made for its owner alone, with the way to it, and so are the files', async () => {
    const mask = process.umask(0)
    try {
      const { home, store, key } = await filled()
      await store.served(key, credentialOf('x'), ASKER)
      const lock = await store.lock(key, 0)
      for (const path of [join(home, '.cache'), inCache(home)]) assert.equal(statSync(path).mode & 0o777, 0o700, path)
      const names = readdirSync(inCache(home))
      assert.equal(names.length, 4)
      for (const name of names) assert.equal(statSync(inCache(home, name)).mode & 0o777, 0o600, name)
      await lock?.release()
    } finally {
      process.umask(mask)
    }
  })

  it('T-S14: is not used when it is a symbolic link, also one to nowhere', async () => {
    for (const isThere of [true, false]) {
      const home = newHome()
      const target = join(home, 'target')
      if (isThere) mkdirSync(target, { mode: 0o700 })
      mkdirSync(join(home, '.cache'))
      symlinkSync(target, inCache(home))
      await assertKeepsNothing(openIn(home), /archway keeps no credentials: it is a symbolic link; remove it/)
      assert.deepEqual(isThere ? readdirSync(target) : [], [])
    }
  })

  it('T-S14: is not used when others can enter it, until they cannot', async () => {
    const { home, store, key } = await filled()
    assert.ok(await store.read(key))
    for (const mode of [0o755, 0o710, 0o701, 0o770, 0o1777]) {
      chmodSync(inCache(home), mode)
      await assertKeepsNothing(openIn(home), /others can enter it \(mode [01]\d{3}\); chmod 700 it/)
    }
    chmodSync(inCache(home), 0o700)
    assert.ok(await openIn(home).read(key))
  })

  it('T-S14: is not used when it belongs to somebody else', async () => {
    const { home } = await filled()
    const uid = (process.geteuid?.() ?? 0) + 1
    const before = filesOf(inCache(home))
    await assertKeepsNothing(openStore('file', { env: {}, home, uid }), /it belongs to user \d+, and this is user \d+/)
    assert.deepEqual(filesOf(inCache(home)), before)
  })

  it('is not made by root in the home of somebody else', { skip: !isRoot }, async () => {
    const home = newHome()
    chownSync(home, 65534, 65534)
    await assertKeepsNothing(openIn(home), /this runs as root in the home of user 65534/)
    assert.deepEqual(readdirSync(home), [])
  })

  it('is not had where a file is in the way, or no home is known', async () => {
    const home = newHome()
    writeFileSync(join(home, '.cache'), '')
    await assertKeepsNothing(openIn(home), /a part of this path is not a folder/)
    rmSync(join(home, '.cache'))
    mkdirSync(join(home, '.cache'))
    writeFileSync(inCache(home), '')
    await assertKeepsNothing(openIn(home), /it is not a folder; remove it/)
    rmSync(join(home, '.cache'), { recursive: true })
    symlinkSync(join(home, 'nowhere'), join(home, '.cache'))
    await assertKeepsNothing(openIn(home), /a link on the way to it leads nowhere; remove that/)
    await assertKeepsNothing(openIn(''), /no home folder is known; set HOME or XDG_CACHE_HOME/)
    await assertKeepsNothing(openIn(join(newHome(), 'a\nb\u202e', '\0')), /keeps no credentials/)
  })
})

describe('a file', () => {
  it('T-S14: that is a link is not followed, neither to read nor to write', async () => {
    for (const ending of ['.json', '.served']) {
      const { home, store, key } = await filled()
      const other = await filled('of-another')
      await other.store.served(other.key, credentialOf('the-token'), ASKER)
      const target = inCache(other.home, `${other.key}${ending}`)
      const before = readFileSync(target, 'utf8')
      rmSync(inCache(home, `${key}${ending}`), { force: true })
      symlinkSync(target, inCache(home, `${key}${ending}`))
      assert.equal(
        ending === '.json'
          ? await store.read(key)
          : (await store.wasServed(key, credentialOf('x'), ASKER)) || undefined,
        undefined,
      )
      await store.served(key, credentialOf('the-token'), ASKER)
      assert.match(store.problem() ?? '', /it is a symbolic link; remove it/)
      await store.write(key, credentialOf('mine'))
      assert.equal(readFileSync(target, 'utf8'), before)
      assert.equal((await store.read(key))?.token.reveal(), 'mine')
      assert.ok(lstatSync(inCache(home, `${key}.json`)).isFile())
    }
  })

  it('T-S14: that is the lock, and a link, keeps nobody from a login', async () => {
    const { home, store, key } = await filled()
    symlinkSync('/dev/zero', inCache(home, `${key}.lock`))
    const lock = await store.lock(key, 0)
    assert.ok(lock)
    await lock.release()
    assert.match(store.problem() ?? '', /\.lock is not used: it is a symbolic link/)
    assert.ok(lstatSync(inCache(home, `${key}.lock`)).isSymbolicLink())
  })

  it('T-S14: that is the key has to be one of ours', async () => {
    const spoilers: Readonly<Record<string, (file: string) => void>> = {
      'a symbolic link': (file) => symlinkSync('/dev/zero', file),
      'not a regular file': (file) => mkdirSync(file),
      'mode 0640': (file) => writeFileSync(file, 'k'.repeat(32), { mode: 0o640 }),
      'longer than anything': (file) => writeFileSync(file, 'k'.repeat(33), { mode: 0o600 }),
    }
    for (const [why, spoil] of Object.entries(spoilers)) {
      const { home } = await filled()
      rmSync(inCache(home, 'key'))
      spoil(inCache(home, 'key'))
      await assertKeepsNothing(openIn(home), new RegExp(`key is not used: .*${why}`))
    }
  })

  it('that is half a key is made anew', async () => {
    const { home, key } = await filled()
    writeFileSync(inCache(home, 'key'), 'half', { mode: 0o600 })
    const store = openIn(home)
    assert.equal(store.problem(), undefined)
    assert.notEqual(store.keyOf(SUBJECT), key)
    assert.equal(openIn(home).keyOf(SUBJECT), store.keyOf(SUBJECT))
    assert.deepEqual([...filesOf(inCache(home)).keys()].sort(), [`${key}.json`, 'key'].sort())
  })

  it('T-S14: that others may have read is a miss, and is replaced', async () => {
    for (const mode of [0o644, 0o640, 0o602, 0o700]) {
      const { home, store, key } = await filled()
      chmodSync(inCache(home, `${key}.json`), mode)
      assert.equal(await store.read(key), undefined)
      assert.deepEqual(await store.list(), [])
      assert.match(store.problem() ?? '', /others may have read it \(mode 0\d{3} instead of 0600\); remove it/)
      await store.write(key, credentialOf('new'))
      assert.equal((await store.read(key))?.token.reveal(), 'new')
    }
  })

  it('T-S14: of somebody else is a miss', async () => {
    const { home, key } = await filled()
    const uid = (process.geteuid?.() ?? 0) + 1
    const state = readPrivate({ path: inCache(home), uid }, `${key}.json`, 10_000)
    assert.equal(state.kind, 'unfit')
    assert.match(state.problem, /it belongs to user \d+, and this is user \d+; remove it/)
  })

  it('T-S14: of somebody else, put into the folder, is a miss', { skip: !isRoot }, async () => {
    const { home, store, key } = await filled()
    chownSync(inCache(home, `${key}.json`), 65534, 65534)
    assert.equal(await store.read(key), undefined)
    assert.match(store.problem() ?? '', /it belongs to user 65534, and this is user 0; remove it/)
  })

  it('that is a pipe or a device keeps nobody waiting', async () => {
    const { home, store, key } = await filled()
    for (const ending of ['.json', '.served', '.lock']) {
      rmSync(inCache(home, `${key}${ending}`), { force: true })
      execFileSync('mkfifo', ['-m', '600', inCache(home, `${key}${ending}`)])
    }
    assert.equal(await store.read(key), undefined)
    assert.equal(await store.wasServed(key, credentialOf('x'), ASKER), false)
    await store.served(key, credentialOf('x'), ASKER)
    assert.ok(await store.lock(key, 0))
    assert.match(store.problem() ?? '', /it is not a regular file; remove it/)
  })

  it('that is a folder is told of, and costs no login', async () => {
    const { home, store, key } = await filled()
    for (const ending of ['.json', '.served']) {
      rmSync(inCache(home, `${key}${ending}`), { force: true })
      mkdirSync(inCache(home, `${key}${ending}`))
    }
    assert.equal(await store.read(key), undefined)
    await store.write(key, credentialOf('x'))
    await store.served(key, credentialOf('x'), ASKER)
    assert.match(store.problem() ?? '', /it is not a regular file; remove it/)
  })
})

describe('T-S12: a plugin', () => {
  interface Report {
    readonly before: number
    readonly after: number
    readonly locked: boolean
    readonly problem: string
  }

  /** What a plugin process finds whose shell runs `preparation` first, $HOME being the home. */
  function reportUnder(preparation: string, home: string, wrap: readonly string[] = []): Report {
    const command = pluginCommand({ does: 'report', kind: 'file', home, user: 'alice', tokenLength: 5_000 })
    const script = `set -e\n${preparation}\nexec "$@"`
    const [program = '', ...args] = [...wrap, 'bash', '-c', script, 'bash', ...command]
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const { stdout, stderr, status } = spawnSync(program, args, { encoding: 'utf8', env: { ...env, HOME: home } })
    assert.equal(status, 0, stderr)
    return JSON.parse(stdout)
  }

  /** A mount namespace of its own: whatever is mounted goes with the process. */
  const ALONE = ['unshare', ...(isRoot ? ['-m'] : ['-rm']), '--propagation', 'private']
  const cannotMount = spawnSync(ALONE[0] ?? '', [...ALONE.slice(1), 'true']).status !== 0 && 'no mount namespaces here'

  it('keeps nothing in a home that is read-only, and logs in', { skip: cannotMount }, () => {
    const home = newHome()
    const readOnly = 'mount --bind "$HOME" "$HOME" && mount -o remount,bind,ro "$HOME"'
    const { problem, ...rest } = reportUnder(readOnly, home, ALONE)
    assert.match(problem, /\.cache\/archway keeps no credentials: the file system is read-only/)
    assert.deepEqual(rest, { before: 0, after: 0, locked: true, listed: 0 })
  })

  it('reads what is in a home that has become read-only, and keeps nothing new', { skip: cannotMount }, () => {
    const home = newHome()
    assert.deepEqual(reportUnder('', home), { before: 0, after: 5_000, locked: true, listed: 1, problem: '' })
    const before = filesOf(inCache(home))
    const readOnly = 'mount --bind "$HOME" "$HOME" && mount -o remount,bind,ro "$HOME"'
    const { problem, ...rest } = reportUnder(readOnly, home, ALONE)
    assert.match(problem, /archway keeps nothing: the file system is read-only; point XDG_CACHE_HOME/)
    assert.deepEqual(rest, { before: 5_000, after: 5_000, locked: true, listed: 1 })
    assert.deepEqual(filesOf(inCache(home)), before)
  })

  it('keeps nothing on a disk that is full, and the old entry stays', { skip: cannotMount }, () => {
    const home = newHome()
    const small = 'mount -t tmpfs -o size=32k,mode=700 none "$HOME"'
    const fill = 'head -c 1M /dev/zero > "$HOME/fill" 2>/dev/null || true'
    const once = pluginCommand({ does: 'report', kind: 'file', home, user: 'alice' })
    const first = `${once.map((word) => `'${word}'`).join(' ')} > /dev/null`
    const { problem, ...rest } = reportUnder(`${small}\n${first}\n${fill}`, home, ALONE)
    assert.match(problem, /archway keeps nothing: no space is left on the device; make room/)
    assert.deepEqual(rest, { before: 10, after: 10, locked: true, listed: 1 })
  })

  it('keeps nothing when files may not grow, and leaves no half of one', () => {
    const home = newHome()
    const limit = "trap '' XFSZ\nulimit -f"
    const { problem, ...rest } = reportUnder(`${limit} 1`, home)
    assert.match(problem, /archway keeps nothing: the limit for the size of files/)
    assert.deepEqual(rest, { before: 0, after: 0, locked: true, listed: 0 })
    assert.deepEqual([...filesOf(inCache(home)).keys()], ['key'])
    const none = newHome()
    assert.match(reportUnder(`${limit} 0`, none).problem, /key cannot be made: the limit for the size of files/)
    assert.deepEqual([...filesOf(inCache(none)).keys()], [])
  })

  it('keeps nothing in a home it may not write to', { skip: !isRoot || cannotRead() }, () => {
    const home = newHome()
    chmodSync(home, 0o755)
    const { problem, ...rest } = reportUnder('', home, ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'])
    assert.match(problem, /keeps no credentials: permission denied/)
    assert.deepEqual(rest, { before: 0, after: 0, locked: true, listed: 0 })
  })

  /** Whether an unprivileged user can start the program at all. */
  function cannotRead(): string | false {
    for (const path of [process.execPath, import.meta.filename]) {
      for (let folder = dirname(realpathSync(path)); folder !== '/'; folder = dirname(folder)) {
        if ((statSync(folder).mode & 0o001) === 0) return `${folder} is closed to others`
      }
    }
    return false
  }
})
