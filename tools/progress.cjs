// Long steps of the set-up: says what is done, that it still goes on, and how long it took. The command's own output
// is kept and shown only when it fails. All of it goes to stderr, so that stdout belongs to the command that was asked for.
'use strict'

const { spawn } = require('node:child_process')
const { constants } = require('node:os')

const EVERY_MS = { terminal: 1_000, plain: 10_000 }

function say(line) {
  process.stderr.write(`${line}\n`)
}

function seconds(since) {
  return `${Math.round((Date.now() - since) / 1000)} s`
}

/**
 * Runs a command as one step named `title`; resolves to its status and its output. On failure the caller decides
 * what to say. A signal to this process ends the step, then this process.
 */
function step(title, command, args, options = {}) {
  const terminal = Boolean(process.stderr.isTTY)
  const begin = Date.now()
  let output = ''
  say(`archway: ${title} …`)
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      stdio: [options.stdin || 'ignore', 'pipe', 'pipe'],
      cwd: options.cwd,
      env: options.env,
    })
    const keep = (chunk) => {
      output += chunk
    }
    child.stdout.setEncoding('utf8').on('data', keep)
    child.stderr.setEncoding('utf8').on('data', keep)
    const tick = setInterval(
      () => {
        const last = output.trimEnd().split('\n').pop().trim()
        const line = `  … ${seconds(begin)}${last === '' ? '' : `: ${last.slice(0, 90)}`}`
        process.stderr.write(terminal ? `\r\x1b[K${line}` : `${line}\n`)
      },
      terminal ? EVERY_MS.terminal : EVERY_MS.plain,
    )
    const stop = (signal) => {
      child.kill(signal)
      process.exit(128 + constants.signals[signal])
    }
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
    for (const signal of signals) process.once(signal, stop)
    const end = (status) => {
      clearInterval(tick)
      for (const signal of signals) process.removeListener(signal, stop)
      if (terminal) process.stderr.write('\r\x1b[K')
      if (status === 0) say(`  done in ${seconds(begin)}`)
      resolve({ status, output: output.trim() })
    }
    child.once('error', (error) => {
      output += error.message
      end(127)
    })
    child.once('close', (status) => end(status === null ? 1 : status))
  })
}

module.exports = { say, step }
