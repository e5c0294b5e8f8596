// What a checkout needs before anything can run: the dependencies, and the Node of the project. Both come through
// `npm ci` from a committed lock, without install scripts. A stamp inside node_modules remembers the lock it was made
// from, so that the second time costs two small reads.
'use strict'

const { spawnSync } = require('node:child_process')
const { createHash } = require('node:crypto')
const fs = require('node:fs')
const { join } = require('node:path')
const { say, step } = require('./progress.cjs')
const { withLock } = require('./lock.cjs')

/** A failure of the set-up in the user's words; shown without a stack. */
class SetupError extends Error {}

// --- dependencies ---------------------------------------------------------------

/** Identifies what an install would make: the lock, for this platform. */
function stampOf(lockText, platform = process.platform, arch = process.arch) {
  return createHash('sha256').update(`${platform} ${arch}\n${lockText}`).digest('hex')
}

function readOr(file, otherwise) {
  try {
    return fs.readFileSync(file, 'utf8')
  } catch {
    return otherwise
  }
}

/** What of `lock` npm's own record of an install lacks on this platform, or has in another version. */
function missingFrom(installed, lock, platform = process.platform, arch = process.arch) {
  const { packages = {} } = installed
  const isForUs = ({ os, cpu, libc = ['glibc'] }) =>
    os?.includes(platform) && cpu?.includes(arch) && libc.includes('glibc')
  return Object.entries(lock.packages)
    .filter(([name, wanted]) => {
      const found = packages[name]
      // An optional package may be missing, unless it is plainly the one for this platform.
      if (found === undefined) return name !== '' && (wanted.optional !== true || isForUs(wanted))
      return found.version !== wanted.version || ![undefined, found.integrity].includes(wanted.integrity)
    })
    .map(([name]) => name)
}

function hasSurplus(installed, lock) {
  return Object.keys(installed.packages || {}).some((name) => lock.packages[name] === undefined)
}

function isCurrent(folder) {
  const lockText = fs.readFileSync(join(folder, 'package-lock.json'), 'utf8')
  const stampFile = join(folder, 'node_modules/.archway-stamp')
  const stamp = stampOf(lockText)
  if (readOr(stampFile, '') === stamp) return true
  // Installed by hand? Then npm's own record tells.
  const lock = JSON.parse(lockText)
  const installed = recordOf(folder)
  if (missingFrom(installed, lock).length > 0 || hasSurplus(installed, lock)) return false
  fs.writeFileSync(stampFile, stamp)
  return true
}

function recordOf(folder) {
  return JSON.parse(readOr(join(folder, 'node_modules/.package-lock.json'), '{}'))
}

/** Brings `folder`/node_modules to what its lock says; nothing when it is there. Two runs at once wait for each other. */
async function install(root, folder, title) {
  if (isCurrent(folder)) return
  await withLock(join(root, '.cache/setup.lock'), async () => {
    if (isCurrent(folder)) return // another run has just done it
    const lockText = fs.readFileSync(join(folder, 'package-lock.json'), 'utf8')
    fs.rmSync(join(folder, 'node_modules/.archway-stamp'), { force: true })
    // Given in full, whatever this machine's npm is set to: scripts of strangers never run, nothing is left out.
    const flags = [
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
      '--include=dev',
      '--include=optional',
    ]
    const [command, ...before] = npmCommand()
    const { status, output } = await step(title, command, [...before, 'ci', ...flags], {
      cwd: folder,
      env: { ...process.env, npm_config_update_notifier: 'false', NODE_OPTIONS: nodeOptions() },
    })
    if (status === 127)
      throw new SetupError('npm is not installed: install it (Debian: apt-get install npm), then run this again')
    if (status !== 0) throw new SetupError(explainFailure(folder, output))
    // npm says nothing of an optional package it could not bring.
    const missing = missingFrom(recordOf(folder), JSON.parse(lockText))
    if (missing.length > 0)
      throw new SetupError(`npm ci did not bring ${missing.join(', ')} to ${folder}: run this again`)
    fs.writeFileSync(join(folder, 'node_modules/.archway-stamp'), stampOf(lockText))
  })
}

/**
 * npm leaves out optional packages that are not for the Node which runs it, and so, under Debian's, the native parts of
 * our tools. They are for the project's Node: an older one tells npm that version.
 */
function nodeOptions(env = process.env) {
  if (Number(process.versions.node.split('.')[0]) >= 22) return env.NODE_OPTIONS || ''
  return `${env.NODE_OPTIONS || ''} --require ${JSON.stringify(join(__dirname, 'npm-node-version.cjs'))}`
}

/** npm's words, without the page of usage it adds, and what to do. */
function explainFailure(folder, output) {
  const words = output
    .split(/\n.*Clean install a project/)[0]
    .split('\n')
    .slice(0, 40)
    .join('\n')
  const outOfStep = /can only install packages when your package\.json/.test(output)
  const remedy = outOfStep
    ? 'package-lock.json and package.json do not agree: run "npm install --ignore-scripts", then "node tools/check-lock.ts --fix"'
    : "check that npm's registry can be reached (npm ping; behind a proxy: npm config set proxy … and cafile …), then run this again"
  return `${words}\n\nnpm ci failed in ${folder}: ${remedy}`
}

/** The npm that started us, under the Node that runs it; else the one on PATH. */
function npmCommand(env = process.env) {
  const script = env.npm_execpath
  return script !== undefined && /npm-cli\.c?js$/.test(script) ? [process.execPath, script] : ['npm']
}

// --- the project's Node ---------------------------------------------------------

/** Does `version` (v24.1.0) reach what package.json's engines ask (>=22.19)? */
function satisfies(version, range) {
  const [major, minor] = version.replace(/^v/, '').split('.').map(Number)
  const [needMajor, needMinor = 0] = range
    .replace(/^>=\s*/, '')
    .split('.')
    .map(Number)
  return major > needMajor || (major === needMajor && minor >= needMinor)
}

/** Which Node should run the project: one that was named, the pinned one, or this one. A choice, nothing is done. */
function chooseNode({ named, range, platform, arch, version }) {
  if (named) return { kind: 'named' }
  if (platform === 'linux' && (arch === 'x64' || arch === 'arm64')) return { kind: 'pinned' }
  if (satisfies(version, range)) return { kind: 'this' }
  return {
    kind: 'none',
    reason: `there is no pinned Node for ${platform}-${arch}, and this one is ${version}: install Node ${range} and run this again`,
  }
}

/** The path of the Node to run under, installed first when it is the pinned one. */
async function projectNode(root) {
  const range = JSON.parse(fs.readFileSync(join(root, 'package.json'), 'utf8')).engines.node
  const named = process.env.ARCHWAY_NODE
  const choice = chooseNode({ named, range, platform: process.platform, arch: process.arch, version: process.version })
  if (choice.kind === 'none') throw new SetupError(choice.reason)
  if (choice.kind === 'this') return process.execPath
  if (choice.kind === 'named') {
    const version = versionOf(named)
    if (version === undefined)
      throw new SetupError(`ARCHWAY_NODE names ${named}, which does not run: name a node binary, or unset it`)
    if (satisfies(version, range)) return named
    throw new SetupError(`ARCHWAY_NODE names ${named}, which is Node ${version}: name a Node ${range}, or unset it`)
  }
  return pinnedNode(root, range)
}

async function pinnedNode(root, range) {
  const folder = join(root, 'tools/runtime')
  const node = join(folder, `node_modules/node-linux-${process.arch}/bin/node`)
  try {
    if (!isCurrent(folder)) {
      await install(root, folder, 'bringing the Node this repository runs on (tools/runtime, once)')
      if (versionOf(node) === undefined)
        throw new SetupError(`${node} does not run here (it needs glibc 2.28 or newer)`)
    }
    return node
  } catch (error) {
    if (!(error instanceof SetupError) || !satisfies(process.version, range)) throw error
    say(`${error.message}\narchway: going on with ${process.execPath} (${process.version})`)
    return process.execPath
  }
}

function versionOf(node) {
  const { status, stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : undefined
}

module.exports = { SetupError, chooseNode, hasSurplus, install, missingFrom, projectNode, satisfies, stampOf }
