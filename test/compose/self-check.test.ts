import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type SelfCheckWatchOptions, watchSelfCheck } from '../../src/compose/self-check.ts'
import type { Finding } from '../../src/proxy/upstreams/self-check.ts'
import { keepLog, type LogLine } from '../server/support.ts'

const DISTRUST: Finding = { server: 'a:1', check: 'identity-headers', level: 'error', message: 'not trusted: do this' }
const FINE: Finding = { server: 'a:1', check: 'identity-headers', level: 'ok', message: 'believed' }
const AWAY: Finding = { server: 'a:1', check: 'identity-headers', level: 'undecided', message: 'no answer' }
const LOST: Finding = { server: 'a:1', check: 'groups', level: 'warning', message: 'groups are not read' }

/** Looks as often as there are answers, the last of which stands. */
async function watch(answers: readonly (readonly Finding[])[], mode: SelfCheckWatchOptions['mode'] = 'require') {
  const lines: LogLine[] = []
  const asked = Promise.withResolvers<void>()
  let at = 0
  const watched = watchSelfCheck(
    {
      firstRound: Promise.resolve(),
      async selfCheck() {
        const findings = answers[at] ?? answers.at(-1) ?? []
        at += 1
        if (at >= answers.length) setImmediate(asked.resolve)
        return findings
      },
    },
    { mode, log: keepLog(lines), againMs: 1 },
  )
  if (mode !== 'off') await asked.promise
  watched.close()
  return { watched, lines, asked: () => at }
}

describe('the self-check of the proxy (T-H7)', () => {
  test('what is set up wrongly is said with its remedy, and the proxy is not ready', async () => {
    const { watched, lines } = await watch([[DISTRUST]])
    assert.deepEqual(await watched.checks[0]?.check(), { ok: false, detail: 'a:1: not trusted: do this' })
    assert.deepEqual(
      lines.map(({ level, fields }) => [level, fields['finding']]),
      [['error', 'not trusted: do this']],
    )
  })

  test('it is asked again until it is right, and what stays wrong is said once', async () => {
    const { watched, lines, asked } = await watch([[DISTRUST], [DISTRUST], [FINE]])
    assert.ok(asked() >= 3)
    assert.equal((await watched.checks[0]?.check())?.ok, true)
    assert.deepEqual(
      lines.map(({ level }) => level),
      ['error', 'debug'],
    )
  })

  test('a server that is away is no fault of the set-up, and is asked when it is back', async () => {
    const { watched, lines, asked } = await watch([[AWAY], [FINE, LOST]])
    assert.ok(asked() >= 2)
    assert.equal((await watched.checks[0]?.check())?.ok, true)
    assert.deepEqual(
      lines.map(({ level }) => level),
      ['info', 'debug', 'warn'],
    )
  })

  test('where it only warns, it keeps nobody waiting', async () => {
    const { watched } = await watch([[DISTRUST]], 'warn')
    assert.deepEqual(await watched.checks[0]?.check(), { ok: true, detail: 'a:1: not trusted: do this' })
  })

  test('where it is off, nobody is asked', async () => {
    const { watched, asked } = await watch([[DISTRUST]], 'off')
    assert.equal(asked(), 0)
    assert.deepEqual(watched.checks, [])
  })
})
