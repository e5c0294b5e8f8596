import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { usernameFormat } from '../../src/authn/username-format.ts'

const jane = { id: 'abc123', name: 'jane', domain: { id: 'default', name: 'Default' } }

function named(format: string, name: string, domain: string): string | undefined {
  return usernameFormat(format)({ id: 'abc123', name, domain: { id: 'd', name: domain } })
}

describe('a format gives', () => {
  const table: readonly [format: string, name: string][] = [
    ['%n', 'jane'],
    ['%i', 'abc123'],
    ['%n@%d', 'jane@Default'],
    ['%d/%n', 'Default/jane'],
    ['%d\\%n', 'Default\\jane'],
    ['%n-%i', 'jane-abc123'],
    ['%n (%d, %i)', 'jane (Default, abc123)'],
    ['openstack:%n', 'openstack:jane'],
    ['%n%%', 'jane%'],
    ['%%n%n', '%njane'],
    ['%n%%%d', 'jane%Default'],
    ['%n\n@%d', 'jane\n@Default'],
    ['😀%n', '😀jane'],
  ]
  for (const [format, name] of table) {
    test(`${JSON.stringify(format)}: ${JSON.stringify(name)}`, () => assert.equal(usernameFormat(format)(jane), name))
  }
})

describe('a format is refused', () => {
  const only = ': %n, %i, %d and %% are known'
  const table: readonly [format: string, message: string][] = [
    ['', 'the format needs %n (name) or %i (id), or every user would have the same name'],
    ['jane', 'the format needs %n (name) or %i (id), or every user would have the same name'],
    ['%d', 'the format needs %n (name) or %i (id), or every user would have the same name'],
    ['%%n', 'the format needs %n (name) or %i (id), or every user would have the same name'],
    ['%x', `unknown placeholder %x${only}`],
    ['%n@%D', `unknown placeholder %D${only}`],
    ['%n%', `unknown placeholder %${only}`],
    ['%n % d', `unknown placeholder % ${only}`],
    ['%😀%n', `unknown placeholder %😀${only}`],
    ['%\n%n', `unknown placeholder %\n${only}`],
    ['%n@%n', 'a placeholder stands twice'],
    ['%n@%d@%d', 'a placeholder stands twice'],
    ['%n%d', 'two placeholders need some text between them, such as %n@%d'],
    ['%d%i', 'two placeholders need some text between them, such as %n@%d'],
    ['%n%i@%d', 'two placeholders need some text between them, such as %n@%d'],
  ]
  for (const [format, message] of table) {
    test(JSON.stringify(format), () => assert.throws(() => usernameFormat(format), { name: 'TypeError', message }))
  }
})

describe('T-W6 who cannot be named without doubt gets no name', () => {
  const undoubted: readonly [format: string, name: string, domain: string, result: string][] = [
    ['%n', 'jane', '', 'jane'],
    ['%n', 'jane@Default', 'x', 'jane@Default'],
    ['%n@%d', 'jane@corp', 'Default', 'jane@corp@Default'],
    ['%d/%n', 'a/b', 'Default', 'Default/a/b'],
    ['%naa%d', 'xa', 'b', 'xaaab'],
    ['%n - %d', 'jane -', 'b', 'jane - - b'],
    ['%i', 'jane', '', 'abc123'],
  ]
  for (const [format, name, domain, result] of undoubted) {
    test(`${format} of ${name} in ${domain || '(none)'} is ${result}`, () => {
      assert.equal(named(format, name, domain), result)
    })
  }

  const doubtful: readonly [format: string, name: string, domain: string][] = [
    ['%n', '', 'Default'],
    ['%i', '', 'Default'],
    ['%n@%d', 'jane', ''],
    ['%n@%d', 'jane', 'a@b'],
    ['%n@%d', 'jane', '@'],
    ['%d/%n', 'jane', 'a/b'],
    ['%naa%d', 'x', 'ab'],
    ['%daa%n', 'x', 'ba'],
    ['%naba%d', 'x', 'ba'],
    ['%n - %d', 'jane', 'a - b'],
    ['%n%%%d', 'jane', 'a%b'],
    ['%n@%d/%i', 'jane', 'a@b'],
    ['%n@%d/%i', 'jane', 'a/b'],
  ]
  for (const [format, name, domain] of doubtful) {
    test(`${format} of ${name || '(nobody)'} in ${domain || '(none)'}`, () => {
      assert.equal(named(format, name, domain), undefined)
    })
  }

  test('a user without an id', () => assert.equal(usernameFormat('%n')({ ...jane, id: '' }), undefined))

  test('T-H13 names of Object.prototype are names', () => {
    assert.equal(named('%n@%d', '__proto__', 'constructor'), '__proto__@constructor')
  })
})

describe('T-W6 two users of two domains never share a name', () => {
  const formats = [
    '%n@%d',
    '%d/%n',
    '%n aa %d',
    '%naa%d',
    '%daa%n',
    '%naba%d',
    '%daba%n',
    '%n%%%d',
    'x%n@%dx',
    'a%daba%na',
  ]
  // Few letters, so that names hold the separator and its beginning and end again and again.
  const part = fc.array(fc.constantFrom('a', 'b', ' ', '@', '/', '%', 'aa', 'ab', 'aba', ' aa '), { maxLength: 5 })
  const text = part.map((parts) => parts.join(''))

  for (const format of formats) {
    test(format, () => {
      const name = usernameFormat(format)
      const user = (n: string, d: string): string | undefined => name({ id: 'i', name: n, domain: { id: d, name: d } })
      let both = 0
      fc.assert(
        fc.property(text, text, text, text, (n1, d1, n2, d2) => {
          const one = user(n1, d1)
          const two = user(n2, d2)
          if (one === undefined || two === undefined) return
          both += 1
          assert.equal(one === two, n1 === n2 && d1 === d2, `${one}: ${n1} of ${d1}, ${n2} of ${d2}`)
        }),
        { numRuns: 2000 },
      )
      assert.ok(both > 10, 'many pairs have names')
    })

    test(`${format}, every short name and domain of two letters`, () => {
      const name = usernameFormat(format)
      const words = ['', 'a', 'b']
      for (let at = 1; (words[at]?.length ?? 9) < 5; at++) words.push(`${words[at]}a`, `${words[at]}b`)
      const owners = new Map<string, string>()
      for (const n of words) {
        for (const d of words) {
          const made = name({ id: 'i', name: n, domain: { id: 'd', name: d } })
          if (made === undefined) continue
          assert.equal(owners.get(made), undefined, `${made}: ${n} of ${d}, and ${owners.get(made)}`)
          owners.set(made, `${n} of ${d}`)
        }
      }
      assert.ok(owners.size > 100)
    })
  }
})
