/**
 * The servers that tests can bring up, and what this machine lacks for each. `npm run rigs` installs them all; each
 * rig's script (test/rigs/) knows its own packages.
 *
 * usage: node tools/rigs.ts [keystone | slapd | nginx | valkey | keyring | executable | kubectl | kube-apiserver | kubelet-stand-in …]
 */

import { execFileSync } from 'node:child_process'
import { type RigName, scriptOf } from '../test/rigs/script.ts'
import { say, step } from './progress.cjs'

/** Rig → what its installation brings, and whether it is quick enough for `npm test` to do unasked. */
const RIGS: Readonly<Record<RigName, { readonly brings: string; readonly quick: boolean }>> = {
  keystone: { brings: 'OpenStack Keystone from Debian packages, 1 to 3 minutes', quick: true },
  slapd: { brings: 'OpenLDAP from Debian packages, half a minute', quick: true },
  nginx: { brings: 'nginx from Debian packages, 10 seconds', quick: true },
  valkey: { brings: 'Redis from Debian packages, half a minute', quick: true },
  keyring: { brings: 'GNOME Keyring and D-Bus from Debian packages, half a minute', quick: true },
  kubectl: { brings: "Debian's kubectl beside the one that is there, 10 seconds", quick: true },
  executable: { brings: 'Bun from npm, 40 MB, which makes the single executable', quick: true },
  'kube-apiserver': { brings: 'Kubernetes, built from its Debian source, 5 to 10 minutes', quick: false },
  'kubelet-stand-in': { brings: 'a node with a pod, built from the same source, 1 to 2 minutes', quick: true },
}

/** The packages or programs that a rig lacks here. */
function missingFor(rig: RigName): string[] {
  return execFileSync(scriptOf(rig), ['missing'], { encoding: 'utf8' }).split('\n').filter(Boolean)
}

/** Rigs that could not be installed: once is enough to know. */
const failed = new Set<RigName>()

/** Installs a rig; resolves to what went wrong, if something did. */
async function installRig(rig: RigName): Promise<string | undefined> {
  const title = `installing ${rig} (${RIGS[rig].brings})`
  const { status, output } = await step(title, scriptOf(rig), ['install'], { stdin: 'inherit' })
  if (status === 0) return undefined
  failed.add(rig)
  return output
}

/** Why these rigs cannot be brought up here, after installing those that are quickly installed; nothing if they can. */
export async function whatIsMissing(rigs: readonly RigName[]): Promise<{ why: string; remedy: string } | undefined> {
  for (const rig of rigs) {
    const isWorthATry = RIGS[rig].quick && !failed.has(rig) && missingFor(rig).length > 0
    const problem = isWorthATry ? await installRig(rig) : undefined
    if (problem !== undefined) say(problem)
    const missing = missingFor(rig)
    const why = missing.includes(rig) ? `${rig} is not built` : `${rig} lacks ${missing.join(', ')}`
    if (missing.length > 0) return { why, remedy: 'npm run rigs' }
  }
  return undefined
}

async function main(names: readonly string[]): Promise<number> {
  const known = Object.keys(RIGS) as RigName[]
  const strange = names.filter((name) => !Object.hasOwn(RIGS, name))
  if (strange.length > 0) {
    say(`archway: no rig "${strange[0]}": there are ${known.join(', ')}`)
    return 2
  }
  let problems = 0
  for (const rig of known.filter((name) => names.length === 0 || names.includes(name))) {
    const problem = missingFor(rig).length === 0 ? undefined : await installRig(rig)
    say(problem === undefined ? `archway: ${rig} is installed` : `${problem}\narchway: ${rig} is not installed`)
    if (problem !== undefined) problems++
  }
  return problems === 0 ? 0 : 1
}

if (process.argv[1] === import.meta.filename) process.exitCode = await main(process.argv.slice(2))
