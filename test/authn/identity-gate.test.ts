import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { SERVICE_ACCOUNT_NAMES } from '../../src/authn/apiserver-token.ts'
import { type AuthnResult, SKIPPED } from '../../src/authn/authenticator.ts'
import { type GateEvent, type IdentityGateOptions, identityGate } from '../../src/authn/identity-gate.ts'
import { foldName, type UserInfo } from '../../src/user.ts'
import { callContext, type TestContext } from '../support/context.ts'
import { authenticated, fakeAuthenticator, userInfo } from './support.ts'

interface Outcome {
  readonly result: AuthnResult
  readonly user: UserInfo | undefined
  readonly events: readonly GateEvent[]
  readonly log: TestContext['log']
}

async function pass(user: Partial<UserInfo>, over: Partial<IdentityGateOptions> = {}): Promise<Outcome> {
  const events: GateEvent[] = []
  const gate = identityGate(
    fakeAuthenticator(() => authenticated({ user: userInfo(user) })),
    {
      usernamePrefix: '',
      groupPrefix: '',
      reservedGroups: 'drop',
      allowReserved: [],
      observe: (event) => events.push(event),
      ...over,
    },
  )
  const ctx = callContext()
  const result = await gate.authenticate('t', ctx)
  return { result, user: result.kind === 'authenticated' ? result.user : undefined, events, log: ctx.log }
}

function refusal(code: string): object {
  return { kind: 'rejected', code, source: 'fake' }
}

/** Names that are Kubernetes' own, or that a person or a careless program takes for one. */
const reserved: readonly [name: string, how: string][] = [
  ['system:masters', 'as it is'],
  ['system:', 'alone'],
  ['system:node:n1', 'a node'],
  ['system:serviceaccount:kube-system:default', 'a service account'],
  ['System:Masters', 'mixed case'],
  ['SYSTEM:MASTERS', 'upper case'],
  ['\uff53\uff59\uff53\uff54\uff45\uff4d\uff1amasters', 'full width'],
  ['system\uff1amasters', 'full-width colon'],
  ['system\ufe55masters', 'small colon'],
  ['system\ufe13masters', 'presentation form of a colon'],
  ['sy\ufb06em:masters', 'ligature st'],
  ['sy\ufb05em:masters', 'ligature of long s and t'],
  ['\u017fy\u017ftem:masters', 'long s'],
  ['\ud835\udc2c\ud835\udc32\ud835\udc2c\ud835\udc2d\ud835\udc1e\ud835\udc26:masters', 'mathematical bold'],
  ['\u24e2\u24e8\u24e2\u24e3\u24d4\u24dc:masters', 'circled letters'],
  ['\u02e2y\u02e2\u1d57\u1d49\u1d50:masters', 'superscript letters'],
  [' system:masters', 'leading blank'],
  ['\u00a0\u2003\u3000system:masters', 'leading blanks of other kinds'],
  ['sys tem:masters', 'a blank inside'],
  ['system :masters', 'a blank before the colon'],
  ['\u034fsystem:masters', 'a combining grapheme joiner'],
  ['sys\u3164tem:masters', 'a Hangul filler'],
  ['system\ufe0f:masters', 'a variation selector'],
  ['system\u{e0100}:masters', 'a variation selector of another plane'],
]

/** The same, with characters no name may have at all. */
const invisible: readonly [name: string, how: string][] = [
  ['system\u200b:masters', 'zero-width space'],
  ['sys\u200dtem:masters', 'zero-width joiner'],
  ['s\u00adystem:masters', 'soft hyphen'],
  ['\u2060system:masters', 'word joiner'],
  ['\ufeffsystem:masters', 'byte order mark'],
  ['\u202esystem:masters', 'right-to-left override'],
  ['\u2066system\u2069:masters', 'isolates'],
  ['\u{e0073}system:masters', 'tag character'],
  ['system:\0masters', 'NUL'],
]

/** Characters that must be in no name, whatever the name is. */
const forbidden: readonly [char: string, what: string][] = [
  ['\0', 'NUL'],
  ['\t', 'tab'],
  ['\n', 'line feed'],
  ['\r', 'carriage return'],
  ['\x1b', 'escape'],
  ['\x7f', 'delete'],
  ['\x85', 'next line'],
  ['\u2028', 'line separator'],
  ['\u2029', 'paragraph separator'],
  ['\u200e', 'left-to-right mark'],
  ['\u202a', 'left-to-right embedding'],
  ['\u202e', 'right-to-left override'],
  ['\u2066', 'isolate'],
  ['\u200b', 'zero-width space'],
  ['\u200c', 'zero-width non-joiner'],
  ['\u2060', 'word joiner'],
  ['\ufeff', 'byte order mark'],
  ['\u00ad', 'soft hyphen'],
  ['\ufff9', 'interlinear annotation'],
  ['\u{e0041}', 'tag character'],
  ['\ud800', 'half a character'],
  ['\udfff', 'the other half'],
  ['\uffff', 'noncharacter'],
  ['\ufdd0', 'noncharacter of the Arabic block'],
  ['\u{10ffff}', 'noncharacter of the last plane'],
]

/** Names that are somebody's, and must come out byte for byte. */
const fine: readonly string[] = [
  'jane',
  'Jane.Doe+k8s@example.com',
  '김철수',
  '\u1100\u1175\u11b7', // 김 in conjoining letters, as some systems store it
  '王小明',
  'さくら・ガガ',
  'محمد عبدالله',
  'שרה',
  'Đặng Thị Ngọc',
  'Ærøskøbing',
  'İstanbul',
  'ß',
  '😀',
  '❤️',
  'नमस्ते',
  'ไทย',
  '__proto__',
  'constructor',
  'systems:x',
  'system',
  'my-system:masters',
  'os:system:masters',
  'it\'s <b>&"\\',
  ' padded ',
]

describe('T-W6 reserved names', () => {
  for (const [name, how] of reserved) {
    test(`a user name is refused: ${how}`, async () => {
      const { result, events } = await pass({ username: name })
      assert.deepEqual(result, refusal('username_reserved'))
      assert.deepEqual(events, ['username_reserved'])
    })

    test(`a group is left out: ${how}`, async () => {
      const { user, events } = await pass({ groups: ['a', name, 'b'] })
      assert.deepEqual(user?.groups, ['a', 'b'])
      assert.deepEqual(events, ['group_reserved'])
    })

    test(`a group refuses the identity where so configured: ${how}`, async () => {
      const { result, events } = await pass({ groups: ['a', name, 'b'] }, { reservedGroups: 'refuse' })
      assert.deepEqual(result, refusal('group_reserved'))
      assert.deepEqual(events, ['group_reserved'])
    })
  }

  for (const [name, how] of invisible) {
    test(`hidden behind what no name may have: ${how}`, async () => {
      assert.deepEqual((await pass({ username: name })).result, refusal('identity_invalid'))
      const { user, events } = await pass({ groups: ['a', name] }, { reservedGroups: 'refuse' })
      assert.deepEqual(user?.groups, ['a'])
      assert.deepEqual(events, ['group_invalid'])
    })
  }

  test('letters of other scripts that merely look alike pass: to Kubernetes they are other names', async () => {
    const alike = ['\u0455y\u0455tem:masters', 'syst\u0435m:masters', 'system\ua789masters', '\u2800system:masters']
    const { user, events } = await pass({ username: alike[0] ?? '', groups: alike })
    assert.deepEqual(user?.groups, alike)
    assert.equal(user?.username, alike[0])
    assert.deepEqual(events, [])
  })

  test('a name that is allowed passes, exactly as it is written', async () => {
    const allowReserved = ['system:masters', 'system:node:n1']
    const groups = ['system:masters', 'system:Masters', 'system:masters ', 'system:masters:x', 'system:nodes']
    const { user, events } = await pass({ username: 'system:node:n1', groups }, { allowReserved })
    assert.equal(user?.username, 'system:node:n1')
    assert.deepEqual(user?.groups, ['system:masters'])
    assert.deepEqual(events, Array(4).fill('group_reserved'))
  })

  test('a list of names that may pass opens nothing else', async () => {
    for (const allowed of ['system', 'system:', 'system:*', '*', '', 'constructor']) {
      const { user } = await pass({ groups: ['system:masters'] }, { allowReserved: [allowed] })
      assert.deepEqual(user?.groups, [], allowed)
    }
  })
})

describe('prefixes', () => {
  test('stand before every name, and what is then no longer reserved passes', async () => {
    const { user, events } = await pass(
      { username: 'system:admin', groups: ['system:masters', 'dev'] },
      { usernamePrefix: 'os:', groupPrefix: 'os-group:' },
    )
    assert.equal(user?.username, 'os:system:admin')
    assert.deepEqual(user?.groups, ['os-group:system:masters', 'os-group:dev'])
    assert.deepEqual(events, [])
  })

  test('T-W6 are part of the name that is checked', async () => {
    for (const [usernamePrefix, username] of [
      ['system:', 'jane'],
      ['sys', 'tem:admin'],
      ['\u3000', 'system:admin'],
      ['\u034f', 'system:admin'],
      ['system', ':admin'],
    ] as const) {
      assert.deepEqual((await pass({ username }, { usernamePrefix })).result, refusal('username_reserved'))
    }
    for (const [groupPrefix, group] of [
      ['system:', 'dev'],
      ['sy', 'stem:masters'],
      [' ', 'System:masters'],
    ] as const) {
      assert.deepEqual((await pass({ groups: [group] }, { groupPrefix })).user?.groups, [])
    }
  })

  test('are part of the name that is allowed', async () => {
    const options = { groupPrefix: 'system:', allowReserved: ['system:dev'] }
    assert.deepEqual((await pass({ groups: ['dev', 'system:dev', 'ops'] }, options)).user?.groups, ['system:dev'])
  })

  test('make no name of nothing', async () => {
    const options = { usernamePrefix: 'os:', groupPrefix: 'os:' }
    assert.deepEqual((await pass({ username: '' }, options)).result, refusal('identity_invalid'))
    const { user, events } = await pass({ groups: ['', 'dev'] }, options)
    assert.deepEqual(user?.groups, ['os:dev'])
    assert.deepEqual(events, ['group_invalid'])
  })
})

describe('characters', () => {
  for (const [char, what] of forbidden) {
    test(`a user name or uid with ${what} is refused, a group with it left out`, async () => {
      for (const name of [char, `${char}jane`, `ja${char}ne`, `jane${char}`]) {
        assert.deepEqual((await pass({ username: name })).result, refusal('identity_invalid'))
        assert.deepEqual((await pass({ uid: name })).result, refusal('identity_invalid'))
        const { user, events } = await pass({ groups: ['a', name, 'b'] }, { reservedGroups: 'refuse' })
        assert.deepEqual(user?.groups, ['a', 'b'])
        assert.deepEqual(events, ['group_invalid'])
      }
    })
  }

  for (const name of fine) {
    test(`${JSON.stringify(name)} passes untouched`, async () => {
      const { user, events } = await pass({ username: name, groups: [name, name], uid: name })
      assert.deepEqual(Buffer.from(user?.username ?? ''), Buffer.from(name))
      assert.deepEqual(user?.groups, [name, name])
      assert.equal(user?.uid, name)
      assert.deepEqual(events, [])
    })
  }

  test('an empty user name is refused, an empty uid is none', async () => {
    const { result, events } = await pass({ username: '' })
    assert.deepEqual(result, refusal('identity_invalid'))
    assert.deepEqual(events, ['identity_invalid'])
    assert.equal((await pass({ uid: '' })).user?.uid, '')
  })

  test('a name has at most 1024 characters, its prefix included', async () => {
    const long = 'x'.repeat(1024)
    const { user } = await pass({ username: long, uid: long, groups: [long] })
    assert.deepEqual([user?.username, user?.uid, user?.groups], [long, long, [long]])
    assert.deepEqual((await pass({ username: long }, { usernamePrefix: 'p' })).result, refusal('identity_invalid'))
    assert.deepEqual((await pass({ uid: `${long}x` })).result, refusal('identity_invalid'))
    assert.deepEqual((await pass({ groups: [long] }, { groupPrefix: 'p' })).user?.groups, [])
  })
})

describe('extra', () => {
  const kept = [
    'alpha.kubernetes.io/identity/project/id',
    'alpha.kubernetes.io/identity/roles',
    'example.com/team',
    'kubernetes.io.example.com/x',
    'mykubernetes.io/x',
    'team',
    '팀',
    '__proto__',
    'constructor',
  ]
  const dropped = [
    '',
    'kubernetes.io',
    'kubernetes.io/x',
    'k8s.io/x',
    'authentication.kubernetes.io/credential-id',
    'authentication.kubernetes.io/pod-name',
    'scheduling.k8s.io/x',
    'alpha.kubernetes.io/identity',
    'alpha.kubernetes.io/other',
    'Team',
    'ALPHA.kubernetes.io/identity/roles',
    'É',
    'a\nb',
    'a\u200bb',
    'x'.repeat(1025),
  ]

  test('T-H13 keys that are nobody’s, and those of the Keystone contract, pass with their values', async () => {
    const extra = new Map(kept.map((key) => [key, [`${key} value`, '']]))
    const { user, events } = await pass({ extra })
    assert.deepEqual(user?.extra, extra)
    assert.deepEqual([...(user?.extra.keys() ?? [])], kept)
    assert.deepEqual(events, [])
  })

  for (const key of dropped) {
    test(`T-W6 the key ${JSON.stringify(key.slice(0, 50))} is left out, and the identity passes`, async () => {
      const { user, events } = await pass({
        extra: new Map([
          [key, ['v']],
          ['team', ['dev']],
        ]),
      })
      assert.deepEqual(user?.extra, new Map([['team', ['dev']]]))
      assert.deepEqual(events, ['extra_dropped'])
    })
  }
})

describe('the gate', () => {
  test('lets pass what is no proof, and what is thrown', async () => {
    const rejected: AuthnResult = { kind: 'rejected', code: 'token_expired', source: 'x' }
    const rules = { usernamePrefix: 'p', groupPrefix: 'p', reservedGroups: 'drop', allowReserved: [] } as const
    for (const result of [rejected, SKIPPED]) {
      assert.equal(
        await identityGate(
          fakeAuthenticator(() => result),
          rules,
        ).authenticate('t', callContext()),
        result,
      )
    }
    const outage = new Error('outage')
    const failing = fakeAuthenticator(() => {
      throw outage
    })
    await assert.rejects(identityGate(failing, rules).authenticate('t', callContext()), outage)
    assert.equal(identityGate(failing, rules).name, 'fake')
  })

  test('keeps source, audiences, expiry and uid, and changes no shared result', async () => {
    const user = Object.freeze(userInfo({ groups: Object.freeze(['system:masters', 'dev']) }))
    const inner = Object.freeze(authenticated({ source: 's', user, audiences: ['a'], expiresAt: new Date(7) }))
    const gate = identityGate(
      fakeAuthenticator(() => inner),
      {
        usernamePrefix: 'p:',
        groupPrefix: '',
        reservedGroups: 'drop',
        allowReserved: [],
      },
    )
    assert.deepEqual(await gate.authenticate('t', callContext()), {
      ...inner,
      user: { username: 'p:jane', uid: 'u-1', groups: ['dev'], extra: new Map() },
    })
    assert.deepEqual(inner.user.groups, ['system:masters', 'dev'])
  })

  test('judges a result once, however often a cache hands it out', async () => {
    const events: GateEvent[] = []
    const results = [authenticated({ user: userInfo({ groups: ['system:masters'] }) }), authenticated()]
    const gate = identityGate(
      fakeAuthenticator((token) => results[Number(token)] ?? SKIPPED),
      {
        usernamePrefix: '',
        groupPrefix: '',
        reservedGroups: 'drop',
        allowReserved: [],
        observe: (event) => events.push(event),
      },
    )
    const ctx = callContext()
    const first = await gate.authenticate('0', ctx)
    assert.notEqual(await gate.authenticate('1', ctx), first)
    for (let i = 0; i < 5; i++) assert.equal(await gate.authenticate('0', ctx), first)
    assert.deepEqual(events, ['group_reserved'])
    assert.equal(ctx.log.lines.length, 1)
  })

  test('T-W6 lets nothing that is recalled pass unchecked, and judges it once with what is asked', async () => {
    const events: GateEvent[] = []
    const user = userInfo({ groups: ['system:masters', 'dev'] })
    const result = authenticated({ user })
    const refused = authenticated({ user: userInfo({ username: 'system:admin' }) })
    const rules = { usernamePrefix: '', groupPrefix: '', reservedGroups: 'drop', allowReserved: [] } as const
    const observe = (event: GateEvent): unknown => events.push(event)
    const inner = {
      ...fakeAuthenticator(() => result),
      recall: (token: string) => ({ jane: result, admin: refused, other: SKIPPED })[token],
    }
    const gate = identityGate(inner, { ...rules, observe })
    const recalled = gate.recall?.('jane', callContext())
    assert.ok(recalled?.kind === 'authenticated')
    assert.deepEqual(recalled.user.groups, ['dev'])
    assert.equal(await gate.authenticate('jane', callContext()), recalled)
    assert.deepEqual(gate.recall?.('admin', callContext()), refusal('username_reserved'))
    assert.equal(gate.recall?.('other', callContext()), SKIPPED)
    assert.equal(gate.recall?.('unknown', callContext()), undefined)
    assert.deepEqual(events, ['group_reserved', 'username_reserved'])
    assert.equal(
      identityGate(
        fakeAuthenticator(() => result),
        rules,
      ).recall?.('jane', callContext()),
      undefined,
    )
  })

  test('judges equal results of two look-ups each for itself', async () => {
    const events: GateEvent[] = []
    const gate = identityGate(
      fakeAuthenticator(() => authenticated({ user: userInfo({ username: 'system:x' }) })),
      {
        usernamePrefix: '',
        groupPrefix: '',
        reservedGroups: 'drop',
        allowReserved: [],
        observe: (event) => events.push(event),
      },
    )
    await gate.authenticate('t', callContext())
    await gate.authenticate('t', callContext())
    assert.equal(events.length, 2)
  })

  test('counts and warns of every name it keeps out, and works without an observer', async () => {
    const identity = {
      groups: ['system:masters', 'a\nb', '', 'System:nodes'],
      extra: new Map([['kubernetes.io/x', ['v']]]),
    }
    const { events, log } = await pass(identity)
    assert.deepEqual(events, ['group_reserved', 'group_invalid', 'group_invalid', 'group_reserved', 'extra_dropped'])
    assert.ok(log.lines.every(({ level }) => level === 'warn'))
    assert.deepEqual(
      log.lines.map(({ fields }) => fields),
      ['system:masters', 'a\\u{a}b', '', 'System:nodes', 'kubernetes.io/x'].map((name) => ({
        source: 'fake',
        uid: 'u-1',
        name,
      })),
    )
  })

  test('writes names to the log in visible ASCII and short, so that none can forge or hide a line', async () => {
    for (const field of ['username', 'uid'] as const) {
      const { log } = await pass({ [field]: `\u202e\x1b[2J\n김${'x'.repeat(5000)}` })
      assert.equal(log.lines.length, 1)
      const text = JSON.stringify(log.lines)
      assert.match(text, /^[\x20-\x7e]+$/)
      assert.ok(text.length < 600, text)
    }
  })

  test('T-W6 nothing leaves that folds to a reserved name, unless it is allowed exactly', async () => {
    const pieces = fc.constantFrom(
      's',
      'S',
      '\u017f',
      '\uff53',
      'y',
      'st',
      '\ufb06',
      'tem',
      'e',
      'm',
      ':',
      '\uff1a',
      'system',
      'system:',
      'masters',
      ' ',
      '\u200b',
      '\u00ad',
      '\u034f',
      '\ufe0f',
      '\u3164',
      '\u0301',
      'i\u0307',
      '\u0130',
      '김',
      '😀',
      '\0',
      '\ud800',
      'x',
    )
    const name = fc.oneof(
      fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join('')),
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'binary' }).map((tail) => `system:${tail}`),
    )
    const prefix = fc.oneof(
      fc.constant(''),
      fc.array(pieces, { maxLength: 3 }).map((parts) => parts.join('')),
    )
    let passed = 0
    await fc.assert(
      fc.asyncProperty(
        name,
        fc.array(name, { maxLength: 5 }),
        prefix,
        prefix,
        fc.array(name, { maxLength: 2 }),
        fc.constantFrom('drop' as const, 'refuse' as const),
        async (username, groups, usernamePrefix, groupPrefix, allowReserved, reservedGroups) => {
          const rules = { usernamePrefix, groupPrefix, allowReserved, reservedGroups }
          const { user, events } = await pass({ username, groups }, rules)
          if (user === undefined) {
            assert.ok(events.length > 0)
            return
          }
          passed += 1
          assert.equal(user.username, usernamePrefix + username)
          assert.equal(groups.length - user.groups.length, events.length)
          for (const left of [user.username, ...user.groups]) {
            assert.ok(allowReserved.includes(left) || !foldName(left).startsWith('system:'), JSON.stringify(left))
            assert.ok(!/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u.test(left), JSON.stringify(left))
            assert.ok(left.isWellFormed() && left !== '')
            assert.ok(allowReserved.includes(left) || !left.toLowerCase().trimStart().startsWith('system:'))
          }
        },
      ),
      { numRuns: 3000 },
    )
    assert.ok(passed > 100, 'some identities pass')
  })
})

describe('a source behind which Kubernetes stands', () => {
  const trusted = new Map([['fake', SERVICE_ACCOUNT_NAMES]])
  const account = {
    username: 'system:serviceaccount:ci:build',
    groups: ['system:serviceaccounts', 'system:serviceaccounts:ci', 'system:authenticated'],
    extra: new Map([['authentication.kubernetes.io/pod-name', ['p']]]),
  }

  test('T-W6 brings service accounts, whole', async () => {
    const { user, events } = await pass(account, { trusted })
    assert.deepEqual([user?.username, user?.groups, user?.extra], [account.username, account.groups, account.extra])
    assert.deepEqual(events, [])
  })

  test('T-W6 and nobody else can, not even under the same name', async () => {
    const { user } = await pass(account, { trusted: new Map([['another', SERVICE_ACCOUNT_NAMES]]) })
    assert.equal(user, undefined)
  })

  const others = [
    'system:admin',
    'system:serviceaccount:ci',
    'system:serviceaccount:ci:a:b',
    'System:serviceaccount:ci:build',
    'system:serviceaccount:ci:BUILD',
    'system:masters',
    'system:serviceaccount::x',
    'system:node:n',
  ]
  for (const name of others) {
    test(`T-W6 never ${name}`, async () => {
      assert.equal((await pass({ username: name, groups: [] }, { trusted })).user, undefined)
      assert.deepEqual((await pass({ username: 'jane', groups: [name] }, { trusted })).user?.groups, [])
    })
  }
})
