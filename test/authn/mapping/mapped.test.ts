import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { AuthnResult } from '../../../src/authn/authenticator.ts'
import { cached } from '../../../src/authn/cached.ts'
import { identityGate } from '../../../src/authn/identity-gate.ts'
import { type MappedOptions, mapped } from '../../../src/authn/mapping/mapped.ts'
import { InvalidDocumentError } from '../../../src/errors.ts'
import { isReservedName, type UserInfo } from '../../../src/user.ts'
import { authenticatorContract } from '../../contract/authenticator.ts'
import { callContext } from '../../support/context.ts'
import { authenticated, fakeAuthenticator, userInfo } from '../support.ts'

async function mapOf(options: MappedOptions, user: Partial<UserInfo> = {}): Promise<AuthnResult> {
  const inner = fakeAuthenticator(() => authenticated({ user: userInfo(user), source: 'people' }))
  return await mapped(inner, options).authenticate('t', callContext())
}

async function userOf(options: MappedOptions, user: Partial<UserInfo> = {}): Promise<UserInfo | string> {
  const result = await mapOf(options, user)
  return result.kind === 'authenticated' ? result.user : result.kind === 'rejected' ? `!${result.code}` : result.kind
}

function problemsOf(options: MappedOptions): readonly string[] {
  try {
    mapped(
      fakeAuthenticator(() => authenticated()),
      options,
    )
  } catch (thrown) {
    assert.ok(thrown instanceof InvalidDocumentError)
    assert.equal(thrown.code, 'config_invalid')
    assert.equal(thrown.where, 'mapping of fake')
    return thrown.problems.map(({ path, message }) => `${path}: ${message}`)
  }
  return []
}

describe('a mapping', () => {
  test('without rules leaves an identity as it is', async () => {
    const user = userInfo({ extra: new Map([['example.com/a', ['1']]]) })
    assert.deepEqual(await userOf({}, user), user)
  })

  test('puts prefixes before names and groups, and nothing else', async () => {
    assert.deepEqual(await userOf({ usernamePrefix: 'os:', groupPrefix: 'os-' }, { groups: ['dev', '개발'] }), {
      username: 'os:jane',
      uid: 'u-1',
      groups: ['os-dev', 'os-개발'],
      extra: new Map(),
    })
  })

  test('T-W6 makes no name out of an empty one', async () => {
    assert.equal(await userOf({ usernamePrefix: 'os:' }, { username: '' }), '!mapping_failed')
    assert.equal(
      await userOf({ usernamePrefix: 'os:', expressions: { username: 'user.uid' } }, { uid: '' }),
      '!mapping_failed',
    )
    const user = await userOf({ groupPrefix: 'os:' }, { groups: ['', 'a'] })
    assert.ok(typeof user !== 'string')
    assert.deepEqual(user.groups, ['', 'os:a'], 'the gate leaves it out')
  })

  test('makes names by expressions, and puts prefixes before what they give', async () => {
    const options: MappedOptions = {
      usernamePrefix: 'p:',
      groupPrefix: 'g:',
      expressions: {
        username: 'user.username.lowerAscii() + "@" + source',
        groups: 'user.groups.filter(g, g.startsWith("k8s-")).map(g, g.substring(4))',
        extra: [
          { key: 'example.com/uid', valueExpression: 'user.uid' },
          { key: 'example.com/gone', valueExpression: '[]' },
        ],
      },
    }
    const extra = new Map([
      ['example.com/gone', ['1']],
      ['example.com/kept', ['2']],
    ])
    assert.deepEqual(await userOf(options, { username: 'Jane', groups: ['k8s-dev', 'x'], extra }), {
      username: 'p:jane@people',
      uid: 'u-1',
      groups: ['g:dev'],
      extra: new Map([
        ['example.com/kept', ['2']],
        ['example.com/uid', ['u-1']],
      ]),
    })
  })

  test('refuses whom a rule keeps out, and whom it cannot judge', async () => {
    const rules = [{ expression: '"dev" in user.groups', message: 'developers only' }]
    assert.ok(typeof (await userOf({ expressions: { rules } })) !== 'string')
    assert.equal(await userOf({ expressions: { rules } }, { groups: [] }), '!mapping_refused')
    const unsure = [{ expression: 'user.extra["example.com/a"][0] == "1"' }]
    assert.equal(await userOf({ expressions: { rules: unsure } }), '!mapping_failed')
    assert.equal(await userOf({ expressions: { username: 'user.groups[3]' } }), '!mapping_failed')
  })

  test('T-W15 refuses an identity that is too wide for expressions, and no other', async () => {
    const groups = Array.from({ length: 501 }, (_, index) => `g${index}`)
    assert.ok(typeof (await userOf({ groupPrefix: 'x' }, { groups })) !== 'string')
    assert.equal(await userOf({ expressions: { username: 'user.uid' } }, { groups }), '!mapping_failed')
  })

  test('says why in the log, without the name of anybody', async () => {
    const ctx = callContext()
    const inner = fakeAuthenticator(() => authenticated({ user: userInfo({ username: 'c4n4ry' }) }))
    await mapped(inner, {
      expressions: { rules: [{ expression: 'user.username == ""', message: 'nobody' }] },
    }).authenticate('t', ctx)
    assert.deepEqual(
      ctx.log.lines.map(({ fields }) => fields),
      [{ source: 'fake', code: 'mapping_refused', detail: 'nobody' }],
    )
  })

  test('leaves refusals, skips and outages alone', async () => {
    const results: AuthnResult[] = [{ kind: 'skipped' }, { kind: 'rejected', code: 'token_expired', source: 'x' }]
    for (const result of results) {
      assert.equal(
        await mapped(
          fakeAuthenticator(() => result),
          { usernamePrefix: 'x' },
        ).authenticate('t', callContext()),
        result,
      )
    }
    const down = fakeAuthenticator(() => Promise.reject(new Error('down')))
    await assert.rejects(mapped(down, {}).authenticate('t', callContext()), /down/)
  })

  test('keeps audiences and expiry, and maps what is remembered once', async () => {
    const result = authenticated({ audiences: ['a'], expiresAt: new Date(0) })
    const inner = { ...fakeAuthenticator(() => result), recall: () => result }
    const wrapped = mapped(inner, { usernamePrefix: 'x:' })
    const first = await wrapped.authenticate('t', callContext())
    assert.deepEqual(first, { ...result, user: userInfo({ username: 'x:jane' }) })
    assert.equal(wrapped.recall?.('t', callContext()), first)
    assert.equal(wrapped.name, 'fake')
  })

  test('T-W6 the gate judges what comes out of it', async () => {
    const inner = fakeAuthenticator(() =>
      authenticated({ user: userInfo({ username: 'masters', groups: ['masters'] }) }),
    )
    const rules = { usernamePrefix: '', groupPrefix: '', reservedGroups: 'drop', allowReserved: [] } as const
    const gated = identityGate(mapped(inner, { groupPrefix: 'system:' }), rules)
    const result = await gated.authenticate('t', callContext())
    assert.ok(result.kind === 'authenticated')
    assert.deepEqual(result.user.groups, [])
    const named = identityGate(mapped(inner, { expressions: { username: '"SYSTEM:" + user.username' } }), rules)
    assert.deepEqual(await named.authenticate('t', callContext()), {
      kind: 'rejected',
      code: 'username_reserved',
      source: 'fake',
    })
  })

  test('T-W6 whatever a source says and a mapping makes of it, no reserved name leaves the gate', async () => {
    const name = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('system:masters', 'ｓystem:x', 'sys', 'tem:x', ''),
    )
    await fc.assert(
      fc.asyncProperty(
        name,
        fc.array(name, { maxLength: 4 }),
        name,
        name,
        async (username, groups, usernamePrefix, groupPrefix) => {
          const inner = fakeAuthenticator(() => authenticated({ user: userInfo({ username, groups }) }))
          const rules = { usernamePrefix: '', groupPrefix: '', reservedGroups: 'drop', allowReserved: [] } as const
          const result = await identityGate(mapped(inner, { usernamePrefix, groupPrefix }), rules).authenticate(
            't',
            callContext(),
          )
          if (result.kind !== 'authenticated') return
          for (const out of [result.user.username, ...result.user.groups]) assert.ok(out !== '' && !isReservedName(out))
        },
      ),
    )
  })
})

describe('examples', () => {
  const expressions = {
    username: 'user.username.lowerAscii()',
    rules: [{ expression: 'user.username != "root"', message: 'no root' }],
  }

  test('that hold are no hindrance', () => {
    const examples: MappedOptions['examples'] = [
      { user: { username: 'Jane', groups: ['a'] }, expect: { username: 'x:jane', groups: ['a'] } },
      { user: { username: 'root' }, expect: 'refused' },
      {
        user: { username: 'J', uid: '7', extra: { b: ['1'], a: ['2'] } },
        expect: { username: 'x:j', uid: '7', extra: { a: ['2'], b: ['1'] } },
      },
    ]
    assert.deepEqual(problemsOf({ usernamePrefix: 'x:', expressions, examples }), [])
  })

  test('that fail keep the mapping from being used, all told at once', () => {
    const examples: MappedOptions['examples'] = [
      { user: { username: 'Jane' }, expect: { username: 'Jane' } },
      { user: { username: 'Jane' }, expect: 'refused' },
      { user: { username: 'root' }, expect: { username: 'root' } },
      { user: { username: 'a', groups: ['x', 'y'] }, expect: { username: 'a', groups: ['y', 'x'] } },
      { user: { username: 'a' }, expect: { username: 'a', uid: '1' } },
    ]
    const nobody = '"groups":[],"extra":{}'
    assert.deepEqual(problemsOf({ expressions, examples }), [
      `examples[0]: "Jane" becomes {"username":"jane","uid":"",${nobody}}, and has to be {"username":"Jane","uid":"",${nobody}}`,
      `examples[1]: "Jane" becomes {"username":"jane","uid":"",${nobody}}, and has to be refused`,
      'examples[2]: "root" is refused: no root',
      'examples[3]: "a" becomes {"username":"a","uid":"","groups":["x","y"],"extra":{}}, and has to be {"username":"a","uid":"","groups":["y","x"],"extra":{}}',
      `examples[4]: "a" becomes {"username":"a","uid":"",${nobody}}, and has to be {"username":"a","uid":"1",${nobody}}`,
    ])
  })

  test('name a source, or have that of the one that is wrapped', () => {
    const written = { expressions: { username: 'source' } }
    assert.deepEqual(
      problemsOf({ ...written, examples: [{ user: { username: 'a' }, expect: { username: 'fake' } }] }),
      [],
    )
    assert.deepEqual(
      problemsOf({ ...written, examples: [{ user: { username: 'a' }, source: 's', expect: { username: 's' } }] }),
      [],
    )
  })

  test('are not tried where expressions are wrong, which are told with their places', () => {
    const wrong: MappedOptions = {
      expressions: {
        username: 'user.name',
        groups: '[1]',
        extra: [{ key: 'example.com/a', valueExpression: 'x' }],
        rules: [{ expression: 'user.username' }],
      },
      examples: [{ user: { username: 'a' }, expect: 'refused' }],
    }
    assert.deepEqual(
      problemsOf(wrong).map((problem) => problem.split(': ')[0]),
      [
        'expressions.username',
        'expressions.groups',
        'expressions.extra[0].valueExpression',
        'expressions.rules[0].expression',
      ],
    )
  })
})

authenticatorContract('mapped', () => {
  let down = false
  const good = new Map([
    ['one', 'x:jane'],
    ['two', 'x:joe'],
  ])
  const inner = fakeAuthenticator((token) => {
    if (down) throw new InvalidDocumentError('file_invalid', 'x', [])
    const username = good.get(token)?.slice(2)
    return username === undefined
      ? { kind: 'rejected', code: 'token_unknown', source: 'fake' }
      : authenticated({ user: userInfo({ username }) })
  })
  const remembered = cached(inner, { ttlMs: 60_000, negativeTtlMs: 60_000, entries: 100, lookupTimeoutMs: 5000 })
  return {
    authenticator: mapped(remembered, { usernamePrefix: 'x:', expressions: { username: 'user.username' } }),
    good,
    breakDown: () => {
      down = true
    },
  }
})
