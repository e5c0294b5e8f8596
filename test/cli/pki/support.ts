/** `archway pki` run in process, at any time of any year. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { ExitError } from '../../../src/cli/io.ts'
import { addPkiCommands } from '../../../src/cli/pki/pki.ts'
import { createFolder } from '../../support/tls.ts'
import { type Ran, testIo } from '../support.ts'

export interface RunPki {
  readonly now?: Date
  readonly input?: string
}

/** Runs one command; the status is what the process would end with. */
export async function pki(argv: readonly string[], { now = new Date(), input = '' }: RunPki = {}): Promise<Ran> {
  const io = testIo({}, input)
  let status = -1
  const program = new Command('archway')
    .configureOutput({ writeOut: io.out, writeErr: io.err })
    .exitOverride((exit) => {
      throw new ExitError(exit.exitCode === 0 ? 0 : 2, '')
    })
  const done = (code: number): void => {
    status = code
  }
  addPkiCommands(program, io, done, () => now)
  try {
    await program.parseAsync(['pki', ...argv], { from: 'user' })
  } catch (thrown) {
    if (!(thrown instanceof ExitError)) throw thrown
    if (thrown.message !== '') io.err(`${thrown.message}\n`)
    status = thrown.status
  }
  return { status, ...io.printed }
}

/** The same, and it has to succeed. */
export async function done(argv: readonly string[], options: RunPki = {}): Promise<string> {
  const { status, out, err } = await pki(argv, options)
  if (status !== 0) throw new Error(`archway pki ${argv.join(' ')}: status ${status}\n${out}${err}`)
  return out
}

export interface Site extends AsyncDisposable {
  /** The folder of certificates. */
  readonly dir: string
  path(name: string): string
  file(name: string): string
  has(name: string): boolean
  names(): readonly string[]
}

/** A folder for certificates, and one around it for everything else. */
export async function createSite(): Promise<Site> {
  const folder = await createFolder()
  const dir = folder.path('pki')
  return {
    dir,
    path: (name) => folder.path(name),
    file: (name) => join(dir, name),
    has: (name) => existsSync(join(dir, name)),
    names: () => readdirSync(dir, { recursive: true }).map(String).sort(),
    [Symbol.asyncDispose]: () => folder.remove(),
  }
}
