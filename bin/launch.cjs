// What the three programs of this folder share: find the entry (src/ in a checkout, dist/ in the package) and a Node
// that can run it, hand over the program's name and arguments, keep the exit status. It parses on Node 14 and newer,
// so that an old Node meets a sentence and not a syntax error.
'use strict'

const { existsSync } = require('node:fs')
const { dirname, join } = require('node:path')
const { pathToFileURL } = require('node:url')

const ROOT = dirname(__dirname)
const SOURCE = join(ROOT, 'src/cli/main.ts')
const BUILT = join(ROOT, 'dist/cli/main.js')
const NEEDED = [22, 19] // package.json "engines"; the first 22 that strips types unasked

/** Runs `program` with the arguments of this process, in this process wherever its Node is new enough. */
function launch(program) {
  const entry = existsSync(SOURCE) ? SOURCE : BUILT
  if (!existsSync(entry))
    return refuse(program, `${BUILT} is missing: install the package again (in a checkout: npm run build)`)
  if (isRecent(process.versions.node)) return load(program, entry)
  const node = entry === SOURCE ? pinnedNode() : undefined
  if (node === undefined) {
    const found = `needs Node ${NEEDED.join('.')} or newer, and this is ${process.version} (${process.execPath})`
    const remedy =
      entry === SOURCE
        ? 'run "npm start" once, which brings the right one, or install a newer Node'
        : 'install a newer Node'
    return refuse(program, `${found}: ${remedy}`)
  }
  // The credential plugin tells by its parent who asks, and that is us from now on.
  const env = { ...process.env, ARCHWAY_ASKER_PID: `${process.pid}:${process.ppid}` }
  return runUnder(node, [join(__dirname, program), ...process.argv.slice(2)], { env }).then((status) => {
    process.exitCode = status
  })
}

function refuse(program, message) {
  process.stderr.write(`${program}: ${message}\n`)
  process.exitCode = 1
}

function isRecent(version) {
  const [major, minor] = version.split('.').map(Number)
  return major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])
}

/** The Node that the repository brings (tools/runtime), if it is there. */
function pinnedNode() {
  const node = join(ROOT, `tools/runtime/node_modules/node-${process.platform}-${process.arch}/bin/node`)
  return existsSync(node) ? node : undefined
}

async function load(program, entry) {
  if (entry === SOURCE) {
    silenceTypeStripping()
    // Sources stripped and compiled once start in half the time. In the checkout, where nobody else can put code.
    require('node:module').enableCompileCache(join(ROOT, '.cache/compile'))
  }
  try {
    const { main } = await import(pathToFileURL(entry).href)
    // Only the status is set: process.exit would cut off what stdout still has to write.
    process.exitCode = await main({ program, argv: process.argv.slice(2) })
  } catch (error) {
    refuse(program, error instanceof Error ? error.stack : String(error))
  }
}

/** Node 22 calls type stripping experimental in a warning on every start; any other warning stays. */
function silenceTypeStripping() {
  const emitWarning = process.emitWarning
  process.emitWarning = (warning, ...rest) => {
    if (!String(warning).startsWith('Type Stripping')) emitWarning.call(process, warning, ...rest)
  }
}

/** Runs another Node in this one's place: same terminal, signals passed on, its status (128+n after signal n). */
function runUnder(node, args, options = {}) {
  // Only here: most starts never need them, and kubectl waits for each.
  const { spawn } = require('node:child_process')
  const { constants } = require('node:os')
  const { isatty } = require('node:tty')
  return new Promise((resolve, reject) => {
    const child = spawn(node, args, { stdio: 'inherit', ...options })
    // A terminal sends ^C to the child as well; sent twice, it would mean "stop at once" to a graceful stop.
    const passOn = (signal) => (signal === 'SIGINT' && [0, 1, 2].some(isatty)) || child.kill(signal)
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
    for (const signal of signals) process.on(signal, passOn)
    const settle = (done, value) => {
      for (const signal of signals) process.removeListener(signal, passOn)
      done(value)
    }
    child.once('error', (error) => settle(reject, error))
    child.once('exit', (status, signal) => settle(resolve, status === null ? 128 + constants.signals[signal] : status))
  })
}

module.exports = { launch, runUnder }
