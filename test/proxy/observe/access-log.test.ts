import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { OUTCOMES, type ProxyOutcome } from '../../../src/proxy/observation.ts'
import { accessLog } from '../../../src/proxy/observe/access-log.ts'
import { createLogger } from '../../../src/telemetry/logger.ts'
import { info, type Line, observation, recordingLog, unfit } from './support.ts'

function written(seen: Parameters<ReturnType<typeof accessLog>>[0]): Line {
  const log = recordingLog()
  accessLog(log)(seen)
  assert.equal(log.lines.length, 1)
  return log.lines[0] as Line
}

describe('the line of a request', () => {
  test('says who did what to which object, and what came of it', () => {
    const scale = info({ verb: 'update', apiGroup: 'apps', resource: 'deployments', subresource: 'scale', name: 'web' })
    const { message, fields } = written(observation({ info: scale, method: 'PUT', bytesIn: 12, traceId: 'ab' }))
    assert.equal(message, 'request')
    assert.deepEqual(fields, {
      requestId: 'r-1',
      outcome: 'forwarded',
      user: 'jane',
      source: 'keystone',
      verb: 'update',
      resource: 'apps/deployments/scale',
      namespace: 'default',
      name: 'web',
      method: 'PUT',
      path: '/api/v1/namespaces/default/pods',
      protocol: 'HTTP/1.1',
      code: 200,
      bytesIn: 12,
      bytesOut: 856,
      upstream: '10.0.0.1:6443',
      ms: 12.346,
      headMs: 10,
      auditId: '7f3e',
      traceId: 'ab',
      remote: '192.0.2.7',
    })
  })

  test('has only what is known: of a request that hygiene refused, its shape', () => {
    const { fields } = written(unfit({ spoofed: 0 }))
    assert.deepEqual(Object.keys(fields), [
      ...['requestId', 'outcome', 'cause', 'method', 'path', 'protocol', 'code', 'bytesIn', 'bytesOut', 'ms', 'remote'],
    ])
  })

  test('T-S15 is not as long as a stranger likes', () => {
    const long = 'x'.repeat(60_000)
    const made = info({ apiGroup: long, resource: long, subresource: long, namespace: long, name: long })
    const { fields } = written(observation({ info: made, method: long, path: `/${long}` }))
    assert.ok(JSON.stringify(fields).length < 8_000)
    assert.match(String(fields['namespace']), /^x{1024}…$/)
  })

  test('has no object where the request was for none', () => {
    const { fields } = written(observation({ info: info({ isResourceRequest: false, verb: 'get', path: '/version' }) }))
    assert.deepEqual(
      ['verb', 'resource', 'namespace', 'name'].map((key) => fields[key]),
      ['get', undefined, undefined, undefined],
    )
  })

  test('names the core group by nothing', () => {
    const exec = info({ verb: 'create', subresource: 'exec', name: 'web-1' })
    assert.equal(written(observation({ info: exec })).fields['resource'], 'pods/exec')
  })

  test('T-H2 tells that identity headers were left out', () => {
    assert.equal(written(observation({ spoofed: 2 })).fields['spoofed'], 2)
  })

  test('is bounded, however long the path', () => {
    const { fields } = written(observation({ path: `/${'a'.repeat(100_000)}` }))
    assert.equal(String(fields['path']).length, 1025)
  })
})

test('the level says who acts: nobody on what a client did, an operator where people are kept out', () => {
  const levels = OUTCOMES.map((outcome) => [outcome, written(observation({ outcome })).level])
  const expected: Readonly<Record<ProxyOutcome, string>> = {
    forwarded: 'decision',
    refused: 'decision',
    unauthenticated: 'decision',
    undecided: 'error',
    forbidden: 'decision',
    limited: 'decision',
    unavailable: 'error',
    failed: 'warn',
    canceled: 'decision',
    upgraded: 'decision',
  }
  assert.deepEqual(Object.fromEntries(levels), expected)
})

test('T-S1 names that a stranger chose neither break the line nor move the cursor', async () => {
  const lines: string[] = []
  const log = await createLogger({ level: 'debug', format: 'json', write: (line) => lines.push(line) })
  const nasty = 'a\r\n\u001b[2J\u202e\u009b{"level":"error"}'
  accessLog(log)(observation({ user: nasty, path: nasty, info: info({ name: nasty, namespace: nasty }) }))
  assert.equal(lines.length, 1)
  assert.ok(!/[\p{Cc}\p{Cf}]/u.test((lines[0] ?? '').slice(0, -1)))
  const { level, user, name } = JSON.parse(lines[0] ?? '')
  assert.deepEqual([level, user, name], ['decision', nasty, nasty])
})
