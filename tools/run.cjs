#!/usr/bin/env node
// The one entry behind every npm script: brings what a fresh checkout lacks (dependencies, the right Node), says so,
// then runs the command. Plain CommonJS without dependencies, because it has to work before there are any and under
// the Node a machine happens to have (18 and newer).
'use strict'

const { existsSync } = require('node:fs')
const { delimiter, dirname, join } = require('node:path')
const { runUnder } = require('../bin/launch.cjs')
const { SetupError, install, projectNode } = require('./setup.cjs')

const ROOT = dirname(__dirname)
const BIN = join(ROOT, 'node_modules/.bin')

/** Command → what it does, and the script that does it (under the project's Node). */
const COMMANDS = {
  demo: { does: 'start a webhook and a proxy on embedded defaults (npm start)', script: ['bin/archway', 'demo'] },
  test: {
    does: 'run the test suites this machine can bring up (npm test; npm test -- --help)',
    script: ['tools/test.ts'],
  },
  rigs: { does: 'install every server the tests can use (npm run rigs)', script: ['tools/rigs.ts'] },
  bench: { does: 'measure (npm run bench)', script: ['bench/main.ts'] },
  hygiene: { does: 'try hostile requests on a proxy (npm run hygiene -- --help)', script: ['tools/hygiene.ts'] },
  check: { does: 'types, lint, layers, unused code (npm run check)', script: ['tools/check.ts'] },
  docs: { does: 'write the generated reference pages (npm run docs)', script: ['tools/docs.ts'] },
  exec: { does: 'CMD …: run a tool of node_modules/.bin, or node itself' },
}

function help() {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length))
  const lines = Object.entries(COMMANDS).map(([name, { does }]) => `  ${name.padEnd(width)}  ${does}`)
  return `usage: node tools/run.cjs COMMAND [ARGUMENT …]\n\n${lines.join('\n')}\n\nARCHWAY_NODE=PATH names another Node to run them under.\n`
}

async function main([name, ...args]) {
  if (name === '--help' || name === '-h') return print(process.stdout, help(), 0)
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command === undefined)
    return print(process.stderr, `archway: ${name === undefined ? 'no command' : `no command "${name}"`}\n${help()}`, 2)
  if (command.script === undefined && args.length === 0)
    return print(process.stderr, 'archway: exec needs the name of a tool, e.g. exec tsc --version\n', 2)
  if (process.platform === 'win32') throw new SetupError('Windows is not supported: use WSL, which is Linux')

  await install(ROOT, ROOT, 'installing the dependencies (npm ci, once)')
  const node = await projectNode(ROOT)
  const env = { ...process.env, PATH: [dirname(node), BIN, process.env.PATH].join(delimiter) }
  if (command.script === undefined) return runUnder(args[0] === 'node' ? node : tool(args[0]), args.slice(1), { env })
  const [script, ...before] = command.script
  if (!existsSync(join(ROOT, script))) throw new SetupError(`${script} is not in this checkout`)
  return runUnder(node, [join(ROOT, script), ...before, ...args], { env })
}

function tool(name) {
  const path = join(BIN, name)
  if (existsSync(path)) return path
  throw new SetupError(
    `there is no tool "${name}" in node_modules/.bin: check its name, or add its package to devDependencies`,
  )
}

function print(stream, text, status) {
  stream.write(text)
  return status
}

main(process.argv.slice(2)).then(
  (status) => {
    process.exitCode = status
  },
  (error) => {
    print(process.stderr, error instanceof SetupError ? `archway: ${error.message}\n` : `${error.stack}\n`)
    process.exitCode = 1
  },
)
