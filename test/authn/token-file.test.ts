import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import { z } from 'zod'
import { type AuthnResult, SKIPPED } from '../../src/authn/authenticator.ts'
import { bearerToken } from '../../src/authn/bearer.ts'
import { type TokenFileOptions, tokenFile } from '../../src/authn/token-file.ts'
import type { CallContext } from '../../src/context.ts'
import { ArchwayError } from '../../src/errors.ts'
import { LATER, memoryFiles, type RecordingLog, recordingLog } from '../reload/support.ts'

const PATH = '/etc/tokens.csv'

const ctx: CallContext = {
  requestId: 'r1',
  signal: new AbortController().signal,
  log: recordingLog(),
  audiences: [],
}

interface Setup {
  readonly files: ReturnType<typeof memoryFiles>
  readonly log: RecordingLog
  readonly authenticator: Awaited<ReturnType<typeof tokenFile>>
  ask(token: string): Promise<AuthnResult>
}

async function setUp(content: string, over: Partial<TokenFileOptions> = {}): Promise<Setup> {
  const files = memoryFiles({ [PATH]: content })
  const log = recordingLog()
  const authenticator = await tokenFile({ path: PATH, log, intervalMs: 0, now: () => LATER, reads: files, ...over })
  return { files, log, authenticator, ask: (token) => authenticator.authenticate(token, ctx) }
}

const User = z.object({ name: z.string(), uid: z.string(), groups: z.array(z.string()) })
const Vector = z.object({
  name: z.string(),
  kind: z.enum(['load', 'lookup', 'header']),
  file: z.string().optional(),
  content: z.string().optional(),
  token: z.string().optional(),
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
  const text = readFileSync(new URL('../vectors/tokenfile-vectors.json', import.meta.url), 'utf8')
  const { count, fixtures, vectors } = Vectors.parse(JSON.parse(text))

  test('are all there', () => assert.equal(vectors.length, count))

  for (const vector of vectors)
    test(vector.name, () => follow(vector, vector.content ?? fixtures[vector.file ?? ''] ?? ''))

  async function follow(vector: Vector, content: string): Promise<void> {
    if (vector.expect.load === 'error') {
      await assert.rejects(setUp(content), { code: 'file_invalid' })
      return
    }
    const { ask } = await setUp(content)
    if (vector.kind === 'load') return
    const token = vector.kind === 'header' ? bearerToken(vector.authorization ?? '') : vector.token
    const result = token === undefined ? SKIPPED : await ask(token)
    if (vector.expect.user?.name === '') {
      // kube-apiserver lets a nameless user in; Archway produces none.
      assert.deepEqual(result, { kind: 'rejected', code: 'identity_invalid', source: 'token-file' })
      return
    }
    assert.equal(result.kind === 'authenticated', vector.expect.authenticated)
    if (result.kind === 'authenticated') {
      const { username: name, uid, groups } = result.user
      assert.deepEqual({ name, uid, groups }, vector.expect.user)
    }
    // A token nobody knows is an error to kube-apiserver's bearer layer; here that is the end of the chain.
    if (vector.kind === 'header') assert.equal(token !== undefined && result === SKIPPED, vector.expect.error)
  }
})

describe('tokenFile', () => {
  test('a known token is authenticated, and its shared result cannot be changed', async () => {
    const { ask, authenticator } = await setUp('t,user,uid,"a,b"\n', { name: 'people' })
    const result = await ask('t')
    assert.deepEqual(result, {
      kind: 'authenticated',
      user: { username: 'user', uid: 'uid', groups: ['a', 'b'], extra: new Map() },
      source: 'people',
    })
    assert.equal(await ask('t'), result, 'made once')
    assert.ok(result.kind === 'authenticated')
    assert.ok([result, result.user, result.user.groups].every(Object.isFrozen))
    assert.equal(authenticator.name, 'people')
    assert.equal(authenticator.status().name, 'people')
  })

  test('an unknown token is skipped, so that the next source is asked', async () => {
    const { ask } = await setUp('token,user,uid\n')
    for (const token of ['', 'tok', 'Token', 'token ', 'token\0', 'tokens', 'user', '__proto__']) {
      assert.equal(await ask(token), SKIPPED)
    }
  })

  test('a token with half a character does not pass for one with the replacement character', async () => {
    const { ask } = await setUp('t\ufffd,user,uid\n')
    assert.equal((await ask('t\ufffd')).kind, 'authenticated')
    assert.equal(await ask('t\ud800'), SKIPPED)
  })

  test('T-H13 names of Object.prototype are tokens, users and groups like any other', async () => {
    const { ask } = await setUp('__proto__,constructor,toString,"__proto__,valueOf"\n')
    const result = await ask('__proto__')
    assert.ok(result.kind === 'authenticated')
    assert.equal(result.user.username, 'constructor')
    assert.deepEqual(result.user.groups, ['__proto__', 'valueOf'])
    assert.equal(await ask('constructor'), SKIPPED)
  })

  test('T-W6 a record without user name is refused and never an identity', async () => {
    const { ask, log } = await setUp('t,,uid\n')
    assert.deepEqual(await ask('t'), { kind: 'rejected', code: 'identity_invalid', source: 'token-file' })
    assert.match(inspect(log.lines, { depth: 9 }), /the user name is empty/)
  })

  test('a file that cannot be used at start is file_invalid, with path and line', async () => {
    await assert.rejects(setUp('t,u,i\nx,y\n'), (thrown) => {
      assert.ok(thrown instanceof ArchwayError)
      assert.equal(thrown.code, 'file_invalid')
      assert.match(thrown.message, /^\/etc\/tokens\.csv: line 2: has 2 columns, fewer than 3\./)
      return true
    })
  })

  test('T-W7 a change of the file brings new tokens, ends old ones and is announced', async () => {
    let changes = 0
    const { files, authenticator, ask } = await setUp('old,u,i\n', { onChange: () => changes++ })
    files.write(PATH, 'new,u,i\n')
    assert.equal(await authenticator.check(), 'reloaded')
    assert.equal(await ask('old'), SKIPPED)
    assert.equal((await ask('new')).kind, 'authenticated')
    assert.equal(changes, 1)
    assert.equal(authenticator.status().reloads, 1)
  })

  test('T-S9 a mistake in a changed file leaves the last good tokens in force and says so', async () => {
    const { files, authenticator, ask, log } = await setUp('t,u,i\n')
    for (const broken of ['t,u\n', 't,"u,i\n', 't"t,u,i\n']) {
      files.write(PATH, broken)
      assert.equal(await authenticator.check(), 'failed')
      assert.equal((await ask('t')).kind, 'authenticated')
    }
    files.remove(PATH)
    assert.equal(await authenticator.check(), 'failed')
    assert.equal((await ask('t')).kind, 'authenticated')
    assert.deepEqual([authenticator.status().ok, authenticator.status().failures], [false, 4])
    assert.deepEqual(
      log.lines.map(({ level }) => level),
      ['error', 'error', 'error', 'error'],
    )
  })

  test('after close the tokens stay and the file is followed no more', async () => {
    const { files, authenticator, ask } = await setUp('t,u,i\n')
    authenticator.close()
    files.write(PATH, 'x,u,i\n')
    assert.equal(await authenticator.check(), 'unchanged')
    assert.equal((await ask('t')).kind, 'authenticated')
  })

  test('doubtful records are logged once a load, with their lines', async () => {
    const { files, authenticator, log } = await setUp('t,u,i\nt,u2,i\n')
    await authenticator.check()
    const doubts = () => log.lines.filter(({ message }) => message === 'token file has doubtful records')
    assert.equal(doubts().length, 1)
    assert.deepEqual(doubts()[0]?.fields, {
      file: 'token-file',
      path: PATH,
      count: 1,
      warnings: [{ line: 2, message: 'the token is that of line 1 too; this record wins' }],
    })
    files.write(PATH, ',u,i\n'.repeat(1000))
    await authenticator.check()
    assert.equal(doubts().length, 2)
    assert.ok(inspect(doubts(), { depth: 9, maxArrayLength: null }).length < 4000)
  })

  test('T-S14 a file that everybody may read is warned of, and used', async () => {
    const files = memoryFiles()
    files.write(PATH, 't,u,i\n', { mode: 0o100644 })
    const { log, ask } = await setUp('', { reads: files })
    assert.equal((await ask('t')).kind, 'authenticated')
    assert.match(inspect(log.lines), /mode 0644 lets every user of this machine/)
  })

  test('T-S1 a token is in no log line, warning, error or status', async () => {
    const canary = 'c4n4ry-t0ken'
    const shown: unknown[] = []
    const note = (thrown: unknown) => shown.push(thrown instanceof Error ? [thrown.stack, thrown.cause] : thrown)
    const good = `${canary},u,i\n${canary},,i,,x\n`
    const { files, authenticator, ask, log } = await setUp(good)
    const broken = [
      `${canary}\n`,
      `${canary}"x,u,i\n`,
      `"${canary},u,i\n`,
      `"${canary}"x,u,i\n`,
      `\ufeff"${canary}",u,i`,
    ]
    for (const content of [...broken, Buffer.from(`${canary},\xf6,i`, 'latin1')]) {
      files.write(PATH, content)
      await authenticator.check()
      shown.push(authenticator.status())
      await setUp(String(content)).catch(note)
    }
    shown.push(await ask(canary), await ask(`${canary}x`), authenticator, log.lines)
    const text = inspect(shown, { depth: Infinity, showHidden: true, maxArrayLength: null, maxStringLength: null })
    assert.match(text, /has one column/)
    assert.ok(!text.includes(canary))
  })
})
