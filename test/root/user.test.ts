import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { foldName, hasForbiddenCharacters, isReservedName } from '../../src/user.ts'

/** Every code point, surrogates included. */
function* codePoints(): Generator<string> {
  for (let code = 0; code <= 0x10ffff; code++) yield String.fromCodePoint(code)
}

/** Those that are letters, signs or nothing to be seen: without the ideographs and planes for private use. */
function* signs(): Generator<string> {
  for (let code = 0; code <= 0x1ffff; code++) yield String.fromCodePoint(code)
  for (let code = 0xe0000; code <= 0xe0fff; code++) yield String.fromCodePoint(code)
}

describe('T-W6 folding', () => {
  const table: readonly [name: string, folded: string][] = [
    ['jane', 'jane'],
    ['', ''],
    ['System:Masters', 'system:masters'],
    ['\uff33\uff39\uff33\uff34\uff25\uff2d\uff1a', 'system:'],
    [' s\ty s\u00a0tem :\u3000', 'system:'],
    ['s\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u180e\ufe0fystem:', 'system:'],
    ['sy\ufb06em:', 'system:'],
    ['\u017fystem:', 'system:'],
    ['\u212aelvin', 'kelvin'],
    ['김', '김'],
    ['\u1100\u1175\u11b7', '김'],
    ['é', 'é'],
    ['e\u0301', 'é'],
    ['e\u034f\u0301', 'é'],
  ]
  for (const [name, folded] of table) {
    test(`${JSON.stringify(name)} is taken for ${JSON.stringify(folded)}`, () => assert.equal(foldName(name), folded))
  }

  test('twice is once, with any character in any place of a reserved name', () => {
    for (const char of signs()) {
      const folded = foldName(char)
      if (folded === char.toLowerCase() && char === folded) continue
      for (const name of [char, `${char}system:x`, `sys${char}tem:x`, `system${char}:x`]) {
        const once = foldName(name)
        // What a second folding makes reserved, a first one must not let through.
        if (foldName(once).startsWith('system:') !== once.startsWith('system:')) {
          assert.fail(`U+${char.codePointAt(0)?.toString(16)}: ${JSON.stringify(name)}`)
        }
      }
    }
  })

  test('no character that a name may have hides a reserved name by standing in it unseen', () => {
    for (const char of signs()) {
      const ignorable = /[\p{Default_Ignorable_Code_Point}\p{White_Space}]/u.test(char)
      if (ignorable) {
        for (const name of [`${char}system:x`, `sy${char}stem:x`, `system${char}:x`]) {
          assert.ok(isReservedName(name), `U+${char.codePointAt(0)?.toString(16)}`)
        }
      }
    }
  })

  test('every spelling of a letter by another character that means the same is folded', () => {
    for (const char of signs()) {
      for (const [at, letter] of [...'system:'].entries()) {
        const alike = char.normalize('NFKC').toLowerCase() === letter || char.toLowerCase() === letter
        if (alike) assert.ok(isReservedName(`${'system:'.slice(0, at)}${char}${'system:'.slice(at + 1)}x`), char)
      }
    }
  })
})

describe('T-W6 reserved names', () => {
  test('are those that begin with `system:`, alone or not', () => {
    for (const name of ['system:', 'system:masters', 'system:serviceaccount:a:b', 'SYSTEM:', ' system:x']) {
      assert.equal(isReservedName(name), true, name)
    }
    for (const name of ['', 'system', 'systems:x', 'xsystem:', 'my system:x', ':system:', 'sistem:', '__proto__']) {
      assert.equal(isReservedName(name), false, name)
    }
  })

  test('stay reserved with anything behind them, and with blanks anywhere', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme' }),
        fc.string({ unit: fc.constantFrom(' ', '\u200b', '\u3000') }),
        (tail, gap) => {
          assert.ok(isReservedName(`system:${tail}`))
          assert.ok(isReservedName(`${gap}sys${gap}tem${gap}:${tail}`))
        },
      ),
    )
  })
})

describe('T-H14 forbidden characters', () => {
  test('are controls, format characters, separators of lines, surrogates and noncharacters, all of them', () => {
    for (const char of codePoints()) {
      const code = char.codePointAt(0) ?? 0
      const control = code < 0x20 || (code >= 0x7f && code <= 0x9f)
      const half = code >= 0xd800 && code <= 0xdfff
      const none = (code & 0xfffe) === 0xfffe || (code >= 0xfdd0 && code <= 0xfdef)
      const separator = code === 0x2028 || code === 0x2029
      const expected = control || half || none || separator || /\p{Cf}/u.test(char)
      if (hasForbiddenCharacters(char) !== expected) assert.fail(`U+${code.toString(16)}`)
    }
  })

  test('count wherever they stand, and letters of all scripts are none', () => {
    for (const name of ['\0a', 'a\0', 'a\0b', 'a\ud83d']) assert.ok(hasForbiddenCharacters(name))
    for (const name of ['', 'a b', '김철수', 'محمد', '王小明', '😀', '❤️', '\u3164', 'a\u0301']) {
      assert.ok(!hasForbiddenCharacters(name), name)
    }
  })
})
