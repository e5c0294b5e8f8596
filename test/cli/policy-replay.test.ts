/** `archway policy replay`: a recording, decided by a candidate. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { openRecorder } from '../../src/authz/recording/recorder.ts'
import { attributesOf } from '../../src/cli/policy/review-lines.ts'
import { recordingLog } from '../support/context.ts'
import { archway, archwayWith, BROKEN, file, MEMBERS, RBAC, review } from './policy-support.ts'

/** Jane gets pods thrice and creates one, which was refused; and deploys, which RBAC allowed. */
async function recording(name: string, hashUsers = false): Promise<string> {
  const path = `${await file(`${name}.folder`, '')}.jsonl`
  const recorder = await openRecorder({ path, maxBytes: 1e6, hashUsers, log: recordingLog(), now: () => new Date(0) })
  const asks = (asked: object) => attributesOf(Buffer.from(JSON.stringify(review(asked))))
  for (let i = 0; i < 3; i++) {
    recorder.record(asks({ verb: 'get', resource: 'pods', namespace: 'default' }), { kind: 'allow', reason: 'members' })
  }
  recorder.record(asks({ verb: 'create', resource: 'pods', namespace: 'default' }), { kind: 'no-opinion' })
  const deploys = { verb: 'create', group: 'apps', resource: 'deployments', namespace: 'team' }
  recorder.record(asks(deploys), { kind: 'allow', reason: 'RBAC' })
  await recorder.close()
  return path
}

describe('archway policy replay', () => {
  test('nothing differs where like is compared with like', async () => {
    const path = await recording('same')
    const { status, out, err } = await archway('policy', 'replay', path, MEMBERS, '--rbac-manifests', RBAC)
    assert.deepEqual([status, err], [0, ''])
    assert.equal(
      out,
      '5 reviews replayed, 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:00.000Z: 0 would be decided otherwise\n',
    )
  })

  test('counts reviews and shows requests', async () => {
    const path = await recording('closed')
    const candidate = await file('closed.json', [
      { users: { projects: ['demo'] }, resource_permissions: { 'default/pods': ['create'] } },
    ])
    const { status, out } = await archway('policy', 'replay', path, candidate, '--rbac-manifests', RBAC)
    assert.equal(status, 1)
    assert.match(out, /: 4 would be decided otherwise\n +3 {2}allow → no-opinion\n +1 {2}no-opinion → allow\n/)
    assert.match(
      out,
      /\njane: get default\/pods \(3 times\)\n {2}allow → no-opinion\n {2}was: {6}members\n {2}would be: Keystone policy: no rule allows this\n/,
    )
    const json = await archway('policy', 'replay', path, candidate, '-o', 'json', '--examples', '1')
    const { reviews, changedReviews, changes, examples } = JSON.parse(json.out)
    assert.deepEqual([reviews, changedReviews, examples.length], [5, 5, 1])
    assert.deepEqual(changes, { 'allow → no-opinion': 4, 'no-opinion → allow': 1 })
    assert.equal(examples[0].user, 'jane')
  })

  test('reads standard input; says which lines are none, and that names are stand-ins', async () => {
    const text = await readFile(await recording('hashed', true), 'utf8')
    const { status, out, err } = await archwayWith(
      `${text}torn`,
      'policy',
      'replay',
      '-',
      MEMBERS,
      '--rbac-manifests',
      RBAC,
    )
    assert.equal(status, 0)
    assert.match(out, / 1 {2}lines were no reviews\n/)
    assert.match(err, /^archway: -:\d+: passed over: the body is not valid JSON\narchway: the recording has stand-ins/)
  })

  test('what is no recording, or no policy, is status 2', async () => {
    const path = await recording('fine')
    for (const words of [
      [MEMBERS, MEMBERS],
      ['/nonexistent.jsonl', MEMBERS],
      [path, BROKEN],
      [path, MEMBERS, '--examples', 'many'],
      [path],
    ]) {
      const { status, out, err } = await archway('policy', 'replay', words)
      assert.deepEqual([status, out], [2, ''], words.join(' '))
      assert.notEqual(err, '')
    }
  })
})
