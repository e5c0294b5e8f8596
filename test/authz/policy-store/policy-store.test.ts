import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { InvalidDocumentError, messageOf } from '../../../src/errors.ts'
import { allowed, example, rules, type TestStore, testStore, text } from './support.ts'

const VERBS = ['get', 'list', 'watch', 'delete'] as const

/** Everything that can be seen of a store. */
function snapshot(store: TestStore): object {
  return {
    policy: store.current(),
    digest: store.digest(),
    missing: store.missing(),
    size: store.size(),
    changedAt: store.changedAt(),
  }
}

describe('before anything came', () => {
  const store = testStore(['a', 'b'])

  test('T-W13 nothing is allowed, and what is missing is said', () => {
    assert.equal(allowed(store, ...VERBS), '')
    assert.deepEqual(store.missing(), ['a', 'b'])
    assert.equal(store.size(), 0)
  })
})

describe('what is taken', () => {
  test('is in force at once', () => {
    const store = testStore(['a'])
    store.take('a', text(rules('get')))
    assert.equal(allowed(store, ...VERBS), 'get')
    store.take('a', text(rules('list', 'watch')))
    assert.equal(allowed(store, ...VERBS), 'list watch')
    assert.equal(store.size(), 1)
  })

  test('of all sources adds up', () => {
    const store = testStore(['a', 'b'])
    store.take('b', text([...rules('list'), ...rules('watch')]))
    store.take('a', text(rules('get')))
    assert.equal(allowed(store, ...VERBS), 'get list watch')
    assert.equal(store.size(), 3)
  })

  test('is asked in the order of the sources, not in that of their coming', () => {
    const store = testStore(['a', 'b'])
    store.take('b', text(rules('get')))
    store.take('a', text(rules('get')))
    assert.deepEqual(
      store.current().documents.map(({ where }) => where),
      ['a', 'b'],
    )
  })

  test('is compiled as the store was told', () => {
    const compile = { subresources: 'compat' } as const
    const store = testStore(['a'], { compile })
    assert.equal(store.compileOptions, compile)
  })

  test('has the time of its taking', () => {
    let at = new Date('2026-01-01T00:00:00Z')
    const store = testStore(['a'], { now: () => at })
    at = new Date('2026-01-02T00:00:00Z')
    store.take('a', text(rules('get')))
    assert.equal(store.changedAt(), at)
    const before = at
    at = new Date('2026-01-03T00:00:00Z')
    assert.throws(() => store.take('a', text(rules('get'), example('get', 'no-opinion'))))
    assert.equal(store.changedAt(), before)
  })

  test('is told to whoever listens, once it is in force; what is refused is not', () => {
    const store = testStore(['a', 'b'])
    const heard: string[] = []
    store.onTaken((source) => heard.push(`${source} ${allowed(store, ...VERBS)}`))
    store.take('a', text(rules('get')))
    assert.throws(() => store.take('b', '[{"users": 5}]'))
    store.take('b', text(rules('list')))
    store.drop('a')
    assert.deepEqual(heard, ['a get', 'b get list', 'a list'])
  })

  test('of a source that nobody named is a fault', () => {
    assert.throws(() => testStore(['a']).take('b', text(rules('get'))), TypeError)
    for (const name of ['__proto__', 'constructor', '']) {
      assert.throws(() => testStore(['a']).take(name, text(rules('get'))), TypeError)
    }
  })
})

describe('T-W13 what is refused changes nothing', () => {
  const refused: readonly [name: string, content: string][] = [
    ['no JSON', '{"policies": ['],
    ['a wrong type', '[{"users": ["alice"], "resource_permissions": {"default/pods": ["get"]}}]'],
    ['a guard of a wrong type', '[{"users": {"roles": "admin"}, "resource_permissions": {"*/*": ["*"]}}]'],
    ['an empty text', ''],
    ['two values', '[] []'],
    ['a failing example', text(rules('get'), example('delete', 'allow'))],
    ['an example that fails the other way', text(rules('delete'), example('delete', 'no-opinion'))],
    ['an example with a mistake', text(rules('get'), { verb: 'get' })],
    ['no rule where there was one', '[]'],
    ['null where there was a rule', 'null'],
  ]
  for (const [name, content] of refused) {
    test(name, () => {
      const store = testStore(['a'])
      store.take('a', text(rules('get', 'list'), example('get', 'allow')))
      const before = snapshot(store)
      assert.throws(() => store.take('a', content), InvalidDocumentError)
      assert.deepEqual(snapshot(store), before)
      assert.equal(allowed(store, ...VERBS), 'get list')
      store.take('a', text(rules('watch')))
      assert.equal(allowed(store, ...VERBS), 'watch')
    })
  }
})

describe('emptiness', () => {
  test('is no mistake at the beginning, nor while nothing is in force', () => {
    const store = testStore(['a'])
    store.take('a', '[]')
    store.take('a', 'null')
    assert.deepEqual([store.size(), store.missing()], [0, []])
  })

  test('of one source is taken where another one has rules', () => {
    const store = testStore(['a', 'b'])
    store.take('a', text(rules('get')))
    store.take('b', text(rules('list')))
    store.take('a', '[]')
    assert.equal(allowed(store, ...VERBS), 'list')
    assert.throws(() => store.take('b', '[]'), { message: /^b: takes every rule away\. To allow nothing, delete/ })
    assert.equal(allowed(store, ...VERBS), 'list')
  })
})

describe('examples', () => {
  test('hold over all sources: those of one count on the rules of another', () => {
    const store = testStore(['a', 'b'])
    store.take('b', text(rules('list')))
    store.take('a', text(rules('get'), example('list', 'allow'), example('watch', 'no-opinion')))
    assert.equal(allowed(store, ...VERBS), 'get list')
    // The other source may break neither: not by giving less, nor by giving more.
    for (const verbs of [['delete'], ['list', 'watch']]) {
      assert.throws(() => store.take('b', text(rules(...verbs))), { code: 'file_invalid' })
      assert.equal(allowed(store, ...VERBS), 'get list')
    }
  })

  test('wait for the sources that are missing, and are looked at once all are there', () => {
    const store = testStore(['a', 'b'])
    store.take('a', text(rules('get'), example('list', 'allow')))
    assert.equal(allowed(store, ...VERBS), 'get')
    assert.throws(() => store.take('b', text(rules('delete'))), { code: 'file_invalid' })
    assert.deepEqual(store.missing(), ['b'])
    store.take('b', text(rules('list')))
    assert.deepEqual(store.missing(), [])
  })

  test('that fail are told by their place, each once, and without what they say', () => {
    const store = testStore(['a', 'b'])
    store.take('a', text(rules('get'), example('get', 'allow', 'canary-a'), example('list', 'allow', 'canary-b')))
    const content = JSON.stringify(
      { policies: rules('watch'), examples: [{ ...example('get', 'no-opinion', 'canary-c'), verb: ['get', 'watch'] }] },
      null,
      1,
    )
    assert.throws(
      () => store.take('b', content),
      (thrown) => {
        assert.ok(thrown instanceof InvalidDocumentError)
        assert.deepEqual(
          thrown.problems.map(({ path, message }) => `${path}: ${message}`),
          [
            'a examples[1]: expects allow; of its requests 1 of 1 come out otherwise',
            'examples[0]: expects no-opinion; of its requests 2 of 2 come out otherwise',
          ],
        )
        assert.equal(thrown.problems[0]?.line, undefined) // the line would be one of another text
        const line = content.split('\n').findIndex((each) => each.includes('"examples"')) + 2
        assert.equal(thrown.problems[1]?.line, line)
        assert.equal(messageOf(thrown).includes('canary'), false)
        assert.equal(messageOf(thrown).includes('jane'), false)
        return true
      },
    )
  })
})

describe('deletion', () => {
  test('empties its source, whatever the examples of others and emptiness say', () => {
    const store = testStore(['a', 'b'])
    store.take('a', text(rules('get'), example('list', 'allow')))
    store.take('b', text(rules('list')))
    store.drop('b')
    assert.equal(allowed(store, ...VERBS), 'get')
    store.drop('a')
    assert.equal(allowed(store, ...VERBS), '')
    assert.equal(store.size(), 0)
  })

  test('is not missing: it is known that there is nothing', () => {
    const store = testStore(['a'])
    store.drop('a')
    assert.deepEqual(store.missing(), [])
  })

  test('can be undone', () => {
    const store = testStore(['a'])
    store.take('a', text(rules('get')))
    store.drop('a')
    store.take('a', text(rules('list')))
    assert.equal(allowed(store, ...VERBS), 'list')
  })
})

describe('digest', () => {
  const digestOf = (sources: readonly string[], ...texts: readonly string[]): string => {
    const store = testStore(sources)
    for (const [index, content] of texts.entries()) store.take(sources[index] ?? '', content)
    return store.digest()
  }
  const [one, two] = [text(rules('get')), text(rules('list'))]

  test('is equal for equal texts, whatever the sources are called and in whatever order they came', () => {
    assert.equal(digestOf(['a', 'b'], one, two), digestOf(['x', 'y'], one, two))
    const late = testStore(['a', 'b'])
    late.take('b', two)
    late.take('a', one)
    assert.equal(late.digest(), digestOf(['a', 'b'], one, two))
    assert.match(late.digest(), /^[0-9a-f]{64}$/)
  })

  test('differs for another order, another text and another division of it', () => {
    const digests = [
      digestOf(['a', 'b']),
      digestOf(['a', 'b'], one),
      digestOf(['a', 'b'], two),
      digestOf(['a', 'b'], one, two),
      digestOf(['a', 'b'], two, one),
      digestOf(['a', 'b'], one, one),
      digestOf(['a'], `${one}\n`),
      digestOf(['a', 'b'], one, `${two}\n`),
      digestOf(['a', 'b'], `${one}\n`, two),
    ]
    assert.equal(new Set(digests).size, digests.length)
  })

  test('comes back with the text, and is not that of a source that is missing', () => {
    const store = testStore(['a'])
    store.take('a', one)
    const before = store.digest()
    store.take('a', two)
    assert.notEqual(store.digest(), before)
    store.take('a', one)
    assert.equal(store.digest(), before)
    store.drop('a')
    assert.notEqual(store.digest(), testStore(['a']).digest())
  })
})
