/** Questions in a real pseudo-terminal: what is shown, what is taken, and how the terminal is left. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openTerminal } from '../../src/credential/terminal.ts'
import { runInTerminal, type TerminalAnswer, type TerminalRun } from '../support/pty.ts'

const PROGRAM = fileURLToPath(import.meta.resolve('./ask-in-terminal.ts'))

interface Asked extends TerminalRun {
  readonly answers: unknown
}

/** Asks, and types: each answer at its question. */
async function ask(questions: readonly string[], ...keys: readonly string[]): Promise<Asked> {
  const asked = questions.filter((word) => !word.startsWith('--'))
  const answers = keys.map((send, i): TerminalAnswer => ({ on: prompt(asked[i] ?? ''), send }))
  const run = await runInTerminal(process.execPath, [PROGRAM, ...questions], { answers })
  return { ...run, answers: run.stdout.startsWith('[') ? JSON.parse(run.stdout) : run.stdout.trim() }
}

function prompt(question: string): RegExp {
  return new RegExp(`${question.replace('!', '')} \\((\\d+)\\): `)
}

/** The same between two looks at the terminal's modes, which must be one. */
async function leavesTerminal(options: readonly string[], answers: readonly TerminalAnswer[]): Promise<TerminalRun> {
  const script = 'stty -a >&2; echo == >&2; "$@"; status=$?; echo == >&2; stty -a >&2; exit $status'
  const args = ['-c', script, 'sh', process.execPath, PROGRAM, ...options]
  const run = await runInTerminal('sh', args, { answers })
  const [before, , after] = run.screen.split('==\r\n')
  assert.match(before ?? '', /[^-]echo .*/s)
  assert.equal(after, before)
  return run
}

describe('a question in a terminal', { concurrency: 2 }, () => {
  it('takes the whole line, blanks and all (C-07)', async () => {
    const { answers, screen, status } = await ask(['project', 'next'], 'My  Project \r', 'x\r')
    assert.deepEqual(answers, ['My  Project ', 'x'])
    assert.match(screen, /My {2}Project \r\n/)
    assert.equal(status, 0)
  })

  it('leaves stdout to the answer', async () => {
    const { stdout } = await ask(['user', '!password'], 'alice\r', 'alice-pw\r')
    assert.equal(stdout, '["alice","alice-pw"]\n')
  })

  it('does not show what is hidden, and goes to a new line after it (T-S12)', async () => {
    const { answers, screen } = await ask(['user', '!password'], 'alice\r', 'hunter2\r')
    assert.deepEqual(answers, ['alice', 'hunter2'])
    assert.doesNotMatch(screen, /hunt|ter2/)
    assert.match(screen, /password \(\d+\): \r\ngiven back/)
  })

  const edits: Readonly<Record<string, readonly [string, string]>> = {
    'a backspace': ['pasx\x7fs\r', 'pass'],
    'the other backspace': ['pasx\bs\r', 'pass'],
    'a backspace at the beginning': ['\x7f\x7fpass\r', 'pass'],
    'a backspace over letters of several bytes': ['비밀번\x7f호🔑🔒\x7f\r', '비밀호🔑'],
    'Ctrl-U': ['wrong\x15right\r', 'right'],
    'Ctrl-W': ['one two  \x17three\r', 'one three'],
    'arrow keys, function keys and a lone escape': ['a\x1b[D\x1bOPb\x1b[15~\x1bc\x1b[1;5C\r', 'abc'],
    'the marks around what is pasted': ['\x1b[200~secret\x1b[201~\r', 'secret'],
    'other control characters': ['a\x01\x07\x1ab\r', 'ab'],
    'Ctrl-D within a line': ['ab\x04c\r', 'abc'],
    'a newline for Enter': ['abc\n', 'abc'],
    'a tab, which may be meant': ['a\tb\r', 'a\tb'],
  }
  for (const [name, [keys, value]] of Object.entries(edits)) {
    it(`understands ${name} in a hidden line`, async () => {
      assert.deepEqual((await ask(['!password'], keys)).answers, [value])
    })
  }

  it('drops the marks around what is pasted from a visible line, too', async () => {
    assert.deepEqual((await ask(['user'], '\x1b[200~alice\x1b[201~\r')).answers, ['alice'])
  })

  it('takes what was pasted with line ends as several answers', async () => {
    const { answers, screen } = await ask(['!one', '!two', '!three'], 'first\r\nsecond\rthird\r')
    assert.deepEqual(answers, ['first', 'second', 'third'])
    assert.doesNotMatch(screen, /first|second|third/)
  })

  it('takes a long token', async () => {
    const token = 'gAAAA'.repeat(2000)
    assert.deepEqual((await ask(['!token'], `${token}\r`)).answers, [token])
  })

  it('gives up on what is too long to be one', async () => {
    assert.equal((await ask(['!token'], 'x'.repeat(70_000))).answers, 'credential_input_needed')
  })

  it('ends with the input', async () => {
    for (const question of ['user', '!password']) {
      const { answers, status } = await ask([question, 'never'], '\x04')
      assert.deepEqual([answers, status], ['credential_input_needed', 3])
    }
  })

  it('does not wait for an input that has ended before', async () => {
    const { answers } = await ask(['--again', 'user'], '\x04')
    assert.equal(answers, 'credential_input_needed\ncredential_input_needed')
  })
})

describe('the terminal is left as it was', { concurrency: 2 }, () => {
  it('after an answer', async () => {
    const { stdout } = await leavesTerminal(['!password'], [{ on: prompt('password'), send: 'pw\r' }])
    assert.equal(stdout, '["pw"]\n')
  })

  it('after Ctrl-C at a hidden question, of which the client would not know', async () => {
    const { screen, stdout, status } = await leavesTerminal(
      ['!password'],
      [{ on: prompt('password'), send: 'half\x03' }],
    )
    assert.deepEqual([stdout, status], ['credential_interrupted\n', 3])
    assert.match(screen, /the client is told/)
  })

  it('after Ctrl-C at a visible one', async () => {
    const { answers, screen, status } = await ask(['user'], 'half\x03')
    assert.deepEqual([answers, status], ['credential_interrupted', 3])
    assert.match(screen, /\^C\r\ngiven back/) // the terminal has interrupted the client as well
  })

  const kill = (signal: NodeJS.Signals): TerminalAnswer => ({
    on: prompt('password'),
    send([, pid]) {
      process.kill(Number(pid), signal)
      return ''
    },
  })
  for (const [signal, expected] of [
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    it(`after ${signal}, which still ends the process`, async () => {
      const { stdout, status } = await leavesTerminal(['!password'], [kill(signal)])
      assert.deepEqual([stdout, status], ['', expected])
    })
  }

  it('after SIGINT from elsewhere', async () => {
    const { stdout, status } = await leavesTerminal(['!password'], [kill('SIGINT')])
    assert.deepEqual([stdout, status], ['credential_interrupted\n', 3])
  })

  it('after a signal somebody else listens to, who then has his say', async () => {
    const { stdout, screen, status } = await leavesTerminal(['--listen', '!password'], [kill('SIGTERM')])
    assert.deepEqual([stdout, status], ['credential_interrupted\n', 3])
    assert.match(screen, /heard/)
  })

  it('after an exit in the middle of a question', async () => {
    const { status } = await leavesTerminal(['--exit-at=!password', '!password'], [])
    assert.equal(status, 7)
  })

  it('after it was closed in the middle of a question', async () => {
    const { stdout, status } = await leavesTerminal(['--close-at=!password', '!password'], [])
    assert.deepEqual([stdout, status], ['credential_input_needed\n', 3])
  })
})

describe('there is nobody to ask', () => {
  it('where standard input is no terminal', () => {
    const { stdout, stderr, status } = spawnSync(process.execPath, [PROGRAM, '!password'], {
      input: 'hunter2\n',
      encoding: 'utf8',
    })
    assert.deepEqual([stdout, stderr, status], ['no terminal\n', '', 0])
  })

  it('where the client allows no prompts', async () => {
    const env = { ...process.env, INTERACTIVE: 'no' }
    const { stdout, screen } = await runInTerminal(process.execPath, [PROGRAM, '!password'], { env, answers: [] })
    assert.deepEqual([stdout, screen], ['no terminal\n', ''])
  })

  it('and then nothing is opened', () => {
    assert.equal(openTerminal({ interactive: false }), undefined)
  })
})
