/**
 * The single executable: what a person and kubectl need to log in, in one file that wants no Node. Owns which program it
 * was called as and which commands are in it; they are the same as in the package. Built by tools/executable.ts, which
 * also settles that no file of the working folder (.env, bunfig.toml, package.json, tsconfig.json) is looked at.
 *
 * The runtime inside is Bun. `BUN_OPTIONS` and `BUN_BE_BUN` of the environment reach it before this file does, as
 * `LD_PRELOAD` and, with the package, `NODE_OPTIONS` do: whoever sets them is the one who runs it.
 *
 * @module
 */
import { messageOf } from '../errors.ts'
import { type CommandIo, ExitError, processIo } from './io.ts'
import type { PlainCommand } from './plain-command.ts'

/** In the order they are listed. */
const PLAIN: Readonly<Record<string, () => Promise<PlainCommand>>> = {
  credential: async () => (await import('./credential.ts')).credentialCommand,
  login: async () => (await import('./login.ts')).loginCommand,
  logout: async () => (await import('./logout.ts')).logoutCommand,
  whoami: async () => (await import('./whoami.ts')).whoamiCommand,
}

const KUBECONFIG = 'kubeconfig'

/** Runs what the arguments say. Resolves to the exit status. */
async function plugin(calledAs: string, argv: readonly string[], io: CommandIo): Promise<number> {
  if (programOf(calledAs) === 'client-keystone-auth') {
    return (await import('./client-keystone-auth.ts')).clientKeystoneAuth(argv, io)
  }
  const [name = '--help', ...rest] = argv
  const load = Object.hasOwn(PLAIN, name) ? PLAIN[name] : undefined
  if (load !== undefined) return (await load()).run(rest, io)
  switch (name) {
    case KUBECONFIG:
      return kubeconfig(argv, io)
    case '--version': {
      const { version } = await import('./version.ts')
      io.out(`${version()}\n`)
      return 0
    }
    case '--help':
    case '-h':
    case 'help': {
      const [about] = rest
      if (about !== undefined && isCommand(about)) return plugin(calledAs, [about, '--help'], io)
      io.out(await help())
      return 0
    }
    default:
      throw new ExitError(
        2,
        `archway: ${JSON.stringify(name)} is not in this file, which is the credential plugin only: ` +
          `${[...Object.keys(PLAIN), KUBECONFIG].join(', ')}. Everything else is in the package archway, which runs on Node`,
      )
  }
}

function isCommand(name: string): boolean {
  return Object.hasOwn(PLAIN, name) || name === KUBECONFIG
}

/** By the last part of what it was called by, a link's name for instance; any other name is `archway`. */
function programOf(calledAs: string): string {
  return (calledAs.split(/[/\\]/).at(-1) ?? '').replace(/\.exe$/i, '')
}

async function kubeconfig(argv: readonly string[], io: CommandIo): Promise<number> {
  let status = 0
  await (await kubeconfigTree(io, (code) => (status = code))).parseAsync(argv, { from: 'user' })
  return status
}

async function kubeconfigTree(io: CommandIo, done: (status: number) => void) {
  const [{ Command }, { addKubeconfigCommand }] = await Promise.all([import('commander'), import('./kubeconfig.ts')])
  const program = new Command('archway')
    .helpOption('-h, --help', 'print help')
    .configureOutput({ writeOut: io.out, writeErr: io.err })
    .configureHelp({ showGlobalOptions: false })
    .showSuggestionAfterError()
    .exitOverride(({ exitCode }) => {
      throw new ExitError(exitCode === 0 ? 0 : 2, '')
    })
  addKubeconfigCommand(program, io, done)
  return program
}

async function help(): Promise<string> {
  const rows: (readonly [string, string])[] = []
  for (const [name, load] of Object.entries(PLAIN)) rows.push([name, (await load()).description])
  const { commands } = await kubeconfigTree(processIo(), () => {})
  for (const command of commands) rows.push([command.name(), command.description()])
  return [
    'Usage: archway COMMAND [flags]\n',
    'Lets people into Kubernetes with the identity they already have. This file is the credential plugin alone; called',
    'as client-keystone-auth (a link will do) it takes the flags of that program.\n',
    'Commands:',
    ...rows.map(([name, description]) => `  ${name.padEnd(12)}${description}`),
    '\nOptions:',
    '  --version   print the version',
    '  -h, --help  print help',
    '\nEvery command has examples: archway COMMAND --help\n',
  ].join('\n')
}

const io = processIo()
try {
  // Only the status is set: process.exit would cut off what stdout still has to write.
  process.exitCode = await plugin(process.argv0, process.argv.slice(2), io)
} catch (thrown) {
  process.exitCode = thrown instanceof ExitError ? thrown.status : 1
  const text = thrown instanceof Error && !(thrown instanceof ExitError) ? thrown.stack : messageOf(thrown)
  if (text !== undefined && text !== '') io.err(`${text}\n`)
}
