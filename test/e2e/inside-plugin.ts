/**
 * Loaded into the plugin's process by NODE_OPTIONS: stops it at a point of its way until the test has seen enough, then
 * kills it; or writes down the environment of the program that asks the keyring. Told by the environment:
 *
 * - `INSIDE_FOLDER`: where `paused` (the pid) is written, and `go` is waited for
 * - `INSIDE_PAUSE`: at which {@link Point}; nothing is paused without it
 *
 * @module
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'

/** Of the way to a kept token. */
export type Point = 'locked' | 'half written' | 'not yet renamed' | 'renamed'

const folder = process.env['INSIDE_FOLDER'] ?? ''
const point = process.env['INSIDE_PAUSE']
const { existsSync, linkSync, renameSync, writeFileSync, writeSync } = fs

if (/keyring-program/.test(process.argv[1] ?? '')) {
  writeFileSync(join(folder, 'environment'), JSON.stringify(process.env))
} else if (point !== undefined) {
  fs.linkSync = (existing, name) => {
    linkSync(existing, name)
    if (point === 'locked' && String(name).endsWith('.lock')) dieWhenTold()
  }
  fs.writeFileSync = (file, content, options) => {
    const isEntry = Buffer.isBuffer(content) && content.includes('"expiresAtText"')
    if (isEntry && point === 'half written' && typeof file === 'number') {
      writeSync(file, content, 0, content.length >> 1)
      dieWhenTold()
    }
    writeFileSync(file, content, options)
  }
  fs.renameSync = (from, to) => {
    const isEntry = String(to).endsWith('.json')
    if (isEntry && point === 'not yet renamed') dieWhenTold()
    renameSync(from, to)
    if (isEntry && point === 'renamed') dieWhenTold()
  }
  syncBuiltinESMExports()
}

function dieWhenTold(): never {
  writeFileSync(join(folder, 'paused.part'), String(process.pid))
  renameSync(join(folder, 'paused.part'), join(folder, 'paused'))
  const sleeper = new Int32Array(new SharedArrayBuffer(4))
  while (!existsSync(join(folder, 'go')) && existsSync(folder)) Atomics.wait(sleeper, 0, 0, 20)
  process.kill(process.pid, 'SIGKILL')
  throw new Error('a process outlived SIGKILL')
}
