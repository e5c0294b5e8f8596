// One set-up at a time: a lock that is a folder with its owner's pid in it. The folder is made aside and renamed into
// place, so it never exists without its owner; a lock whose owner is gone is taken over.
'use strict'

const fs = require('node:fs')
const { dirname, join } = require('node:path')
const { say } = require('./progress.cjs')

const POLL_MS = 200

/** Runs `work` while holding the lock `folder`; waits for whoever holds it. */
async function withLock(folder, work) {
  fs.mkdirSync(dirname(folder), { recursive: true })
  const mine = `${process.pid} ${startOf(process.pid)}`
  let told = false
  while (!take(folder, mine)) {
    const owner = ownerOf(folder)
    if (owner !== undefined && !isAlive(owner)) {
      release(folder, owner)
    } else {
      if (!told)
        say(`archway: waiting for another run that is at the same step (pid ${(owner || '?').split(' ')[0]}) …`)
      told = true
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }
  const giveBack = () => release(folder, mine)
  process.once('exit', giveBack)
  try {
    return await work()
  } finally {
    process.removeListener('exit', giveBack)
    giveBack()
  }
}

function take(folder, owner) {
  const made = fs.mkdtempSync(`${folder}.`)
  try {
    fs.writeFileSync(join(made, 'owner'), owner)
    fs.renameSync(made, folder) // fails where the folder is there: it is never empty
    return true
  } catch (error) {
    fs.rmSync(made, { recursive: true, force: true })
    if (error.code === 'ENOTEMPTY' || error.code === 'EEXIST') return false
    throw error
  }
}

/** Removes the lock if it is still `owner`'s; another's, taken in between, is put back. */
function release(folder, owner) {
  const aside = `${folder}.gone.${process.pid}`
  try {
    fs.renameSync(folder, aside)
    if (fs.readFileSync(join(aside, 'owner'), 'utf8') === owner) fs.rmSync(aside, { recursive: true, force: true })
    else fs.renameSync(aside, folder)
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
  }
}

function ownerOf(folder) {
  try {
    return fs.readFileSync(join(folder, 'owner'), 'utf8')
  } catch {
    return undefined // just given back
  }
}

/** A pid alone is not enough, pids are used again: Linux also tells when a process started. */
function isAlive(owner) {
  const [pid, start] = owner.split(' ')
  try {
    process.kill(Number(pid), 0)
  } catch (error) {
    return error.code === 'EPERM'
  }
  return startOf(pid) === start
}

function startOf(pid) {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return 'unknown'
  }
}

module.exports = { withLock }
