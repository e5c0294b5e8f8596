import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { codeLabel, resourceLabels, verbLabel } from '../../../src/proxy/observe/labels.ts'
import { info } from './support.ts'

describe('the label of a verb', () => {
  for (const verb of ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection', 'proxy']) {
    test(`is itself: ${verb}`, () => assert.equal(verbLabel(info({ verb }), 'GET'), verb))
  }

  test('is the method where the request was not understood', () => {
    assert.equal(verbLabel(undefined, 'POST'), 'post')
  })

  for (const verb of ['', 'GET', 'foo', 'constructor', '__proto__']) {
    test(`T-W7 is "other" where it is none: ${JSON.stringify(verb)}`, () => {
      assert.equal(verbLabel(info({ verb }), 'GET'), 'other')
      assert.equal(verbLabel(undefined, `X${verb}`), 'other')
    })
  }
})

describe('the label of a status', () => {
  test('is the number, 0 where none was sent', () => {
    assert.deepEqual([0, 101, 200, 404, 503].map(codeLabel), ['0', '101', '200', '404', '503'])
  })

  test('T-W7 is "other" for numbers that no answer should have', () => {
    assert.deepEqual([1, 99, 600, 999].map(codeLabel), ['other', 'other', 'other', 'other'])
  })
})

describe('the label of a resource', () => {
  test('has the group, but for the core group', () => {
    const label = resourceLabels()
    assert.equal(label(info(), 200), 'pods')
    assert.equal(
      label(info({ apiGroup: 'apps', resource: 'deployments', subresource: 'scale' }), 200),
      'apps/deployments',
    )
  })

  test('is "none" where the request was for no resource', () => {
    const label = resourceLabels()
    assert.equal(label(undefined, 400), 'none')
    assert.equal(label(info({ isResourceRequest: false, resource: '' }), 200), 'none')
  })

  test('T-W7 is "other" until the API server has shown that there is one', () => {
    const label = resourceLabels()
    for (const status of [0, 400, 401, 403, 404, 405, 429, 500, 503]) assert.equal(label(info(), status), 'other')
    for (const status of [101, 200, 201, 304]) {
      const resource = `r${status}`
      assert.equal(label(info({ resource }), status), resource)
      assert.equal(label(info({ resource }), 404), resource, 'known from now on')
    }
  })

  test('is not mistaken for one of another group', () => {
    const label = resourceLabels()
    label(info({ apiGroup: 'a', resource: 'b' }), 200)
    assert.equal(label(info({ apiGroup: '', resource: 'b' }), 404), 'other')
    assert.equal(label(info({ apiGroup: 'b', resource: 'a' }), 404), 'other')
  })

  test('T-W7 has at most so many values, however many exist', () => {
    const label = resourceLabels(3)
    const labels = Array.from({ length: 1000 }, (_, i) => label(info({ resource: `r${i}` }), 200))
    assert.deepEqual([...new Set(labels)], ['r0', 'r1', 'r2', 'other'])
    assert.equal(label(info({ resource: 'r1' }), 500), 'r1')
  })

  test('T-H13 may be any name', () => {
    const label = resourceLabels()
    for (const name of ['__proto__', 'constructor', 'hasOwnProperty']) {
      assert.equal(label(info({ apiGroup: name, resource: name }), 404), 'other')
      assert.equal(label(info({ apiGroup: name, resource: name }), 200), `${name}/${name}`)
    }
  })
})
