import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { z } from 'zod'
import { parseRequestInfo } from '../../src/kube/request-info.ts'

const Expected = z.strictObject({
  isResourceRequest: z.boolean(),
  verb: z.string(),
  path: z.string(),
  apiPrefix: z.string(),
  apiGroup: z.string(),
  apiVersion: z.string(),
  namespace: z.string(),
  resource: z.string(),
  subresource: z.string(),
  name: z.string(),
  parts: z
    .array(z.string())
    .nullable()
    .transform((parts) => parts ?? []),
  fieldSelector: z.string(),
  labelSelector: z.string(),
})
const Vectors = z.object({
  vectors: z.array(
    z.object({ name: z.string(), method: z.string(), target: z.string(), expect: Expected, expectError: z.boolean() }),
  ),
})

describe('a request to Kubernetes, as kube-apiserver reads it', () => {
  const file = new URL('../vectors/requestinfo-vectors.json', import.meta.url)
  const { vectors } = Vectors.parse(JSON.parse(readFileSync(file, 'utf8')))
  test('are all there', () => assert.equal(vectors.length, 98))

  for (const { name, method, target, expect, expectError } of vectors) {
    test(name, () => {
      const { info, problem } = parseRequestInfo(method, target)
      assert.deepEqual(info, expect)
      assert.equal(problem !== undefined, expectError)
    })
  }
})

describe('what a request is about', () => {
  const about = (method: string, target: string) => parseRequestInfo(method, target).info

  test('T-H5 is read off the path decoded once, never twice', () => {
    assert.equal(about('GET', '/api/v1/namespaces/ns/pods/%252e%252e').name, '%2e%2e')
    assert.equal(about('GET', '/api/v1/namespaces/ns/pods/a%2fexec').subresource, 'exec')
    assert.equal(about('GET', '/api/v1/namespaces/%EA%B0%9C%EB%B0%9C/pods').namespace, '개발')
  })

  test('T-H5 takes dots and empty segments for names', () => {
    const up = about('GET', '/api/v1/namespaces/ns/../pods')
    assert.deepEqual([up.namespace, up.resource, up.name], ['ns', '..', 'pods'])
    const empty = about('GET', '/api/v1/namespaces//pods')
    assert.deepEqual([empty.namespace, empty.resource], ['', 'pods'])
  })

  test('T-H5 an escape that is none is a problem, wherever it stands in the path', () => {
    for (const target of ['/%', '/%2', '/%zz', '/api/v1/pods/%e', '/%ff%']) {
      assert.equal(parseRequestInfo('GET', target).problem, 'path-malformed', target)
    }
    assert.equal(parseRequestInfo('GET', '/api/v1/pods?x=%zz').problem, undefined)
  })

  test('bytes that are not UTF-8 do not spoil the path', () => {
    assert.equal(about('GET', '/api/v1/namespaces/ns/pods/%ff').name, '\ufffd')
  })

  test('T-W11 a query that servers of different versions read differently is a problem', () => {
    for (const query of ['x=1;watch=true', 'x;fieldSelector=a%3Db&fieldSelector=metadata.name%3Dc']) {
      assert.equal(parseRequestInfo('GET', `/api/v1/secrets?${query}`).problem, 'query-ambiguous', query)
    }
    assert.equal(parseRequestInfo('GET', '/api/v1/namespaces/n/pods/p/proxy/x?a;b').problem, undefined)
  })

  test('the verb proxy in the path leaves no subresource', () => {
    const { verb, name, subresource } = about('GET', '/api/v1/proxy/namespaces/ns/pods/p/exec')
    assert.deepEqual([verb, name, subresource], ['proxy', 'p', ''])
  })

  test('other prefixes can be set, with a group behind them or without', () => {
    const prefixes = { all: ['oapi', 'more'], groupless: ['oapi'] }
    assert.equal(parseRequestInfo('GET', '/oapi/v1/builds/b', prefixes).info.name, 'b')
    assert.equal(parseRequestInfo('GET', '/more/g/v1/builds/b', prefixes).info.apiGroup, 'g')
    assert.equal(parseRequestInfo('GET', '/api/v1/pods', prefixes).info.isResourceRequest, false)
  })

  const named: readonly [query: string, name: string][] = [
    ['fieldSelector=metadata.name%3Da', 'a'],
    ['fieldSelector=metadata.name=b,x!=y', 'b'],
    ['fieldSelector=metadata.name%3Da%5C%2Cb', 'a,b'],
    ['fieldSelector=metadata.name=b,metadata.name=a', 'a'],
    ['fieldSelector=metadata.name!=a', ''],
    ['fieldSelector=metadata.name%3Da%5Cb', ''],
    ['fieldSelector=metadata.name%3Da=b', ''],
    ['fieldSelector=metadata.name%3D%25', ''],
    ['fieldSelector=metadata.name%3Da%2Fb', ''],
    ['fieldSelector=metadata.name%3Da&fieldSelector=metadata.name%3Db', 'a'],
    ['fieldSelector=metadata.name%3Da&limit=500', 'a'],
    ['fieldSelector=metadata.name%3Da&limit=', ''],
    ['fieldSelector=metadata.name%3Da&limit=9223372036854775808', ''],
    ['fieldSelector=metadata.name%3Da&timeoutSeconds=1s', ''],
    ['fieldSelector=metadata.name%3Da&labelSelector=app+in+(a,%20b),!c,d!=e,f,x.io/g==h,n>5', 'a'],
    ['fieldSelector=metadata.name%3Da&labelSelector=app+in+()', ''],
    ['fieldSelector=metadata.name%3Da&labelSelector=a,,b', ''],
    ['fieldSelector=metadata.name%3Da&labelSelector=-a', ''],
  ]
  for (const [query, name] of named) {
    test(`a list narrowed by ${query} is for "${name}"`, () => {
      assert.equal(about('GET', `/api/v1/namespaces/ns/secrets?${query}`).name, name)
    })
  }

  test('T-W15 is read off any target, without a throw, and never as two things at once', () => {
    const text = fc.string({
      unit: fc.constantFrom('/', '?', '%', '2', 'f', 'a', '&', '=', ';', '\\', ',', 'watch', 'api'),
    })
    fc.assert(
      fc.property(fc.constantFrom('GET', 'POST', 'X'), text, (method, target) => {
        const { info } = parseRequestInfo(method, `/${target}`)
        if (!info.isResourceRequest) assert.equal(info.resource + info.name + info.namespace, '')
      }),
    )
  })

  test('T-W15 a selector of any length is read in a moment', () => {
    const long = `${'a'.repeat(20_000)}${' '.repeat(20_000)}${'(,'.repeat(10_000)}`
    assert.equal(about('GET', `/api/v1/pods?fieldSelector=metadata.name%3Da&labelSelector=${long}`).name, '')
  })
})
