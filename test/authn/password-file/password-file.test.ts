import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, describe, test } from 'node:test'
import { inspect } from 'node:util'
import { z } from 'zod'
import { type AuthnResult, SKIPPED } from '../../../src/authn/authenticator.ts'
import { hashPassword, type PasswordVerifier, passwordVerifier } from '../../../src/authn/password-file/hashing.ts'
import { type PasswordFileOptions, passwordFile } from '../../../src/authn/password-file/password-file.ts'
import type { StoredHash } from '../../../src/authn/password-file/stored-hash.ts'
import { headerCredential } from '../../../src/authn/request/credentials.ts'
import type { CallContext } from '../../../src/context.ts'
import { LATER, type MemoryFiles, memoryFiles, type RecordingLog, recordingLog } from '../../reload/support.ts'

const PATH = '/etc/users'
const GROUPS = '/etc/groups.csv'

/** Hashes of `correct horse`, by crypt(3) and openssl; the one of {@link SHA1} is of `battery staple`. */
const BCRYPT = '$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2'
const SHA256 = '$5$rounds=1000$abc$/cRuvrIiQqQvcPwD.a/LO47x90cA9f8oqYBouKihds1'
const SHA512 = '$6$abc$dv7vAygfDghQeO8lNAuLv4y4HAQXw9d6a14dcjFGfTijFc0S6MgzM7g53hZv6MaGDXhNpGxhpXakWuTlqHtzn.'
const APR1 = '$apr1$s.L/t9Zz$M.nbf6eLDaBB04ylJnIoY.'
const SHA1_TOO = '{SHA}L55TUjtiq8FBorTWAZ0jy6g129A='
const SHA1 = '{SHA}4/8EauNSRAt2M2wN8hy6sNnX6do='

interface CountingVerifier extends PasswordVerifier {
  /** Every comparison, by its effort. */
  readonly done: string[]
}

const shared = passwordVerifier()
after(() => shared.close())

function counting(): CountingVerifier {
  const done: string[] = []
  return {
    done,
    matches(stored: StoredHash, password: string) {
      done.push(stored.effort)
      return shared.matches(stored, password)
    },
    close: () => undefined,
  }
}

interface Setup {
  readonly files: MemoryFiles
  readonly log: RecordingLog
  readonly ctx: CallContext
  readonly verifier: CountingVerifier
  readonly authenticator: Awaited<ReturnType<typeof passwordFile>>
  ask(username: string, password: string): Promise<AuthnResult>
}

async function setUp(content: string, over: Partial<PasswordFileOptions> = {}, groups?: string): Promise<Setup> {
  const files = memoryFiles({ [PATH]: content, ...(groups === undefined ? {} : { [GROUPS]: groups }) })
  const log = recordingLog()
  const ctx: CallContext = { requestId: 'r1', signal: new AbortController().signal, log, audiences: [] }
  const verifier = counting()
  const authenticator = await passwordFile({
    path: PATH,
    log,
    intervalMs: 0,
    now: () => LATER,
    reads: files,
    verifier,
    ...(groups === undefined ? {} : { groupsFile: GROUPS }),
    ...over,
  })
  const ask = (username: string, password: string) => authenticator.authenticate({ username, password }, ctx)
  return { files, log, ctx, verifier, authenticator, ask }
}

const FAILED: AuthnResult = { kind: 'rejected', code: 'login_failed', source: 'password-file' }

const User = z.object({ name: z.string(), uid: z.string(), groups: z.array(z.string()) })
const Vector = z.object({
  name: z.string(),
  kind: z.enum(['load', 'login', 'header']),
  file: z.string().optional(),
  content: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  authorization: z.string().optional(),
  expect: z.object({
    load: z.enum(['ok', 'error']),
    authenticated: z.boolean().optional(),
    error: z.boolean().optional(),
    user: User.optional(),
  }),
})
type Vector = z.infer<typeof Vector>
const Vectors = z.object({ count: z.number(), fixtures: z.record(z.string(), z.string()), vectors: z.array(Vector) })

describe('the vectors of kube-apiserver', () => {
  const text = readFileSync(new URL('../../vectors/basicauthfile-vectors.json', import.meta.url), 'utf8')
  const { count, fixtures, vectors } = Vectors.parse(JSON.parse(text))

  test('are all there', () => assert.equal(vectors.length, count))

  for (const format of ['auto', 'csv'] as const) {
    for (const vector of vectors) {
      const content = vector.content ?? fixtures[vector.file ?? ''] ?? ''
      test(`${format}: ${vector.name}`, () => follow(vector, content, format))
    }
  }

  async function follow(vector: Vector, content: string, format: 'auto' | 'csv'): Promise<void> {
    if (vector.expect.load === 'error') {
      await assert.rejects(setUp(content, { format }), { code: 'file_invalid' })
      return
    }
    const { ask } = await setUp(content, { format })
    if (vector.kind === 'load') return
    const shown =
      vector.kind === 'header'
        ? headerCredential([['Authorization', vector.authorization ?? '']])
        : { kind: 'basic' as const, username: vector.username ?? '', password: vector.password ?? '' }
    const result = shown.kind === 'basic' ? await ask(shown.username, shown.password) : SKIPPED
    assert.equal(result.kind === 'authenticated', vector.expect.authenticated)
    if (result.kind === 'authenticated') {
      const { username: name, uid, groups } = result.user
      assert.deepEqual({ name, uid, groups }, vector.expect.user)
    }
    if (vector.kind === 'header') assert.equal(result.kind === 'rejected', vector.expect.error)
  }
})

describe('a CSV', () => {
  test('T-S5 is taken, and loudly complained of at each load', async () => {
    const { log, files, authenticator } = await setUp('pw,u,i\n')
    files.write(PATH, 'pw2,u,i\n')
    await authenticator.check()
    const complaints = log.lines.filter(({ message }) => message === 'password file holds passwords in clear')
    assert.deepEqual(
      complaints.map(({ level }) => level),
      ['warn', 'warn'],
    )
    assert.match(inspect(complaints[0]), /make an htpasswd file with `archway passwd`/)
  })

  test('of two records of a user the last counts, as in kube-apiserver', async () => {
    const { ask } = await setUp('one,u,1\ntwo,u,2\n')
    assert.deepEqual(await ask('u', 'one'), FAILED)
    const result = await ask('u', 'two')
    assert.ok(result.kind === 'authenticated' && result.user.uid === '2')
  })

  test('an empty password that stands there is one, and only for its user', async () => {
    const { ask } = await setUp(',open,1\npw,u,2\n')
    assert.equal((await ask('open', '')).kind, 'authenticated')
    assert.deepEqual(await ask('open', 'x'), FAILED)
    assert.deepEqual(await ask('u', ''), FAILED)
    assert.deepEqual(await ask('nobody', ''), FAILED)
  })

  test('T-W6 nobody logs in as nobody', async () => {
    const { ask } = await setUp('pw,,i\n')
    assert.deepEqual(await ask('', 'pw'), FAILED)
  })

  test('brings its groups itself', async () => {
    await assert.rejects(setUp('pw,u,i\n', {}, 'u,1\n'), { code: 'file_invalid', message: /`groupsFile` goes with/ })
    await assert.rejects(setUp('pw,u,i\n', { format: 'csv' }, 'u,1\n'), { code: 'config_invalid' })
  })
})

describe('an htpasswd file', () => {
  test('lets its users in, whatever the kind of hash, and nobody else', async () => {
    const hashes = [BCRYPT, SHA256, SHA512, APR1, SHA1_TOO, await hashPassword('argon2id', 'correct horse')]
    const { ask } = await setUp(hashes.map((hash, index) => `user${index}:${hash}\n`).join(''))
    for (const index of hashes.keys()) {
      const result = await ask(`user${index}`, 'correct horse')
      assert.deepEqual(result, {
        kind: 'authenticated',
        user: { username: `user${index}`, uid: '', groups: [], extra: new Map() },
        source: 'password-file',
      })
      assert.equal(await ask(`user${index}`, 'correct horse'), result, 'made once')
      assert.ok(result.kind === 'authenticated')
      assert.ok([result, result.user, result.user.groups].every(Object.isFrozen))
      for (const wrong of ['correct horsf', 'correct hors', 'correct horse ', 'Correct horse']) {
        assert.deepEqual(await ask(`user${index}`, wrong), FAILED)
      }
    }
    for (const name of ['User0', 'user', 'user0 ', '__proto__', 'constructor', '']) {
      assert.deepEqual(await ask(name, 'correct horse'), FAILED)
    }
  })

  test('T-S3 each failed login is one comparison of the most common cost, or of the own', async () => {
    const bcrypt = (name: string) => `${name}:${BCRYPT}\n`
    const { ask, verifier } = await setUp(`odd:${SHA1}\n${bcrypt('ann')}${bcrypt('bob')}other:${SHA1.replace('4', '5')}
${bcrypt('cy')}`)
    const work = async (name: string, password: string) => {
      verifier.done.length = 0
      assert.deepEqual(await ask(name, password), FAILED)
      return [...verifier.done]
    }
    assert.deepEqual(await work('ann', 'wrong'), ['bcrypt 5'])
    assert.deepEqual(await work('nobody', 'wrong'), ['bcrypt 5'])
    assert.deepEqual(await work('nobody', 'x'.repeat(80)), ['bcrypt 5'])
    assert.deepEqual(await work('ann', 'x'.repeat(80)), ['bcrypt 5'])
    assert.deepEqual(await work('odd', 'wrong'), ['sha1'])
    for (const name of ['ann', 'odd', 'nobody']) {
      for (const password of ['', 'a\0b', '\ud800', 'x'.repeat(1025)]) assert.deepEqual(await work(name, password), [])
    }
  })

  test('T-S3 an unknown user with the password of the hash he is compared with stays unknown', async () => {
    const { ask, verifier } = await setUp(`ann:${BCRYPT}\n`)
    assert.deepEqual(await ask('nobody', 'correct horse'), FAILED)
    assert.deepEqual(verifier.done, ['bcrypt 5'])
  })

  test('T-S5 CVE-2021-3563 a password that bcrypt would read in part is refused', async () => {
    const long = 'x'.repeat(72)
    const hash = await hashPassword('bcrypt', long)
    const { ask } = await setUp(`ann:${hash}\n`)
    assert.equal((await ask('ann', long)).kind, 'authenticated')
    assert.deepEqual(await ask('ann', `${long}y`), FAILED)
  })

  test('T-S5 NUL and half characters do not make two passwords one', async () => {
    const a = await hashPassword('bcrypt', 'a')
    const replaced = await hashPassword('bcrypt', '\ufffd')
    const { ask } = await setUp(`ann:${a}\nbob:${replaced}\n`)
    assert.equal((await ask('ann', 'a')).kind, 'authenticated')
    assert.deepEqual(await ask('ann', 'a\0a'), FAILED)
    assert.equal((await ask('bob', '\ufffd')).kind, 'authenticated')
    assert.deepEqual(await ask('bob', '\ud800'), FAILED)
  })

  test('without users it refuses everybody', async () => {
    const { ask } = await setUp('# nobody yet\n')
    assert.deepEqual(await ask('ann', 'x'), FAILED)
  })

  test('T-S4 a hash that asks for too much work is told at start, with line and remedy', async () => {
    await assert.rejects(setUp(`ann:${BCRYPT}\nbob:$6$rounds=999999999$salt$${'.'.repeat(86)}\n`), {
      code: 'file_invalid',
      message: `${PATH}: line 2: SHA-crypt with 999999999 rounds is more work than is done for a login (up to 700000). Set the password again with \`archway passwd\``,
    })
  })

  test('the groups file gives uids and groups, and the two files change together', async () => {
    const { ask, files, authenticator, log } = await setUp(
      `ann:${BCRYPT}\nbob:${BCRYPT}\n`,
      {},
      'ann,7,"devs,ops"\ngone,8,admins\n',
    )
    const user = async (name: string) => {
      const result = await ask(name, 'correct horse')
      return result.kind === 'authenticated' ? [result.user.uid, ...result.user.groups] : result.kind
    }
    assert.deepEqual(await user('ann'), ['7', 'devs', 'ops'])
    assert.deepEqual(await user('bob'), [''])
    assert.match(inspect(log.lines, { depth: 9 }), /line: 2,\s+message: 'of the groups file: the user is not in/)
    files.write(GROUPS, 'bob,9,devs\nbob,9,devs\n')
    assert.equal(await authenticator.check(), 'failed')
    assert.deepEqual(await user('ann'), ['7', 'devs', 'ops'])
    files.write(GROUPS, 'bob,9,devs\n')
    assert.equal(await authenticator.check(), 'reloaded')
    assert.deepEqual([await user('ann'), await user('bob')], [[''], ['9', 'devs']])
    await assert.rejects(setUp('', { groupsFile: PATH }), { code: 'config_invalid', message: /groupsFile: is the/ })
  })
})

describe('a password file', () => {
  test('T-W7 T-S9 a change ends old passwords and is announced; a mistake leaves the last good ones', async () => {
    let changes = 0
    const { files, authenticator, ask } = await setUp(`ann:${BCRYPT}\n`, { onChange: () => changes++ })
    files.write(PATH, `ann:${await hashPassword('bcrypt', 'battery staple')}\nann:x\n`)
    assert.equal(await authenticator.check(), 'failed')
    assert.equal((await ask('ann', 'correct horse')).kind, 'authenticated')
    assert.deepEqual([authenticator.status().ok, changes], [false, 0])
    files.write(PATH, `ann:${await hashPassword('bcrypt', 'battery staple')}\n`)
    assert.equal(await authenticator.check(), 'reloaded')
    assert.deepEqual(await ask('ann', 'correct horse'), FAILED)
    assert.equal((await ask('ann', 'battery staple')).kind, 'authenticated')
    assert.deepEqual([authenticator.status().ok, changes], [true, 1])
    authenticator.close()
    files.write(PATH, '')
    assert.equal(await authenticator.check(), 'unchanged')
  })

  test('a file of both formats, or of bytes that are no text, is told at start', async () => {
    await assert.rejects(setUp(`ann:${BCRYPT}\npw,u,i\n`), { code: 'file_invalid', message: /`format`/ })
    await assert.rejects(setUp(`ann:${BCRYPT}\n`, { format: 'csv' }), { code: 'file_invalid' })
    await assert.rejects(setUp('pw,u,i\n', { format: 'htpasswd' }), { code: 'file_invalid' })
  })

  test('nothing is compared for a caller who has gone', async () => {
    const { authenticator, ctx, verifier } = await setUp(`ann:${BCRYPT}\n`)
    const gone = { ...ctx, signal: AbortSignal.abort() }
    await assert.rejects(authenticator.authenticate({ username: 'ann', password: 'correct horse' }, gone))
    assert.deepEqual(verifier.done, [])
  })

  test('a comparison that fails is could-not-tell, never a refusal', async () => {
    const verifier: PasswordVerifier = { matches: () => Promise.reject(new Error('no memory')), close: () => undefined }
    const { ask } = await setUp(`ann:${BCRYPT}\n`, { verifier })
    await assert.rejects(ask('ann', 'correct horse'), /no memory/)
    await assert.rejects(ask('nobody', 'correct horse'), /no memory/)
  })

  test('T-S14 a file that everybody may read is warned of, and used', async () => {
    const files = memoryFiles()
    files.write(PATH, `ann:${BCRYPT}\n`, { mode: 0o100644 })
    const { log, ask } = await setUp('', { reads: files })
    assert.equal((await ask('ann', 'correct horse')).kind, 'authenticated')
    assert.match(inspect(log.lines), /mode 0644 lets every user of this machine.*Set 0600/s)
  })

  test('T-S1 a password, typed or in the file, and a hash are in no log line, result, error or status', async () => {
    const canary = 'c4n4ry-p4ssw0rd'
    const hash = await hashPassword('bcrypt', canary)
    const shown: unknown[] = []
    const note = (thrown: unknown) => shown.push(thrown instanceof Error ? [thrown.stack, thrown.cause] : thrown)
    const contents = [`${canary},u,i\n${canary},,i,,x\n`, `u:${hash}\nbob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n`]
    const broken = [
      `${canary}\n`,
      `u:${canary}\n`,
      `u:${hash}x`,
      `${canary}"x,u,i\n`,
      `u:${hash}\nu:${hash}`,
      `u:${hash}\n${canary},u,i`,
    ]
    for (const content of contents) {
      const { files, authenticator, ask, log } = await setUp(content)
      shown.push(
        await ask('u', canary),
        await ask('u', `${canary}x`),
        await ask(canary, canary),
        authenticator,
        log.lines,
      )
      for (const bad of broken) {
        files.write(PATH, bad)
        await authenticator.check()
        shown.push(authenticator.status())
        await setUp(bad).catch(note)
      }
    }
    const text = inspect(shown, { depth: Infinity, showHidden: true, maxArrayLength: null, maxStringLength: null })
    assert.match(text, /login refused/)
    assert.match(text, /the hash is none of/)
    assert.ok(!text.includes(canary))
    assert.ok(!text.includes(hash.slice(0, 40)))
  })
})
