/**
 * `archway pki rotate`: leaf certificates renewed before they expire, and authorities replaced in steps.
 *
 * @module
 */
import { Argument, type Command, Option } from 'commander'
import { ArchwayError } from '../../errors.ts'
import { openFolderAuthority } from '../../pki/folder-authority.ts'
import { type Holding, holdingsOf } from '../../pki/holdings.ts'
import type { KeyAlgorithm } from '../../pki/keys.ts'
import { AUTHORITY_NAMES, type AuthorityName } from '../../pki/layout.ts'
import { isDue, issuedBy, type Renewed, renew } from '../../pki/renewal.ts'
import { rotate, STEPS, STEPS_OF, type Step } from '../../pki/rotation.ts'
import { type RotationState, rotationState } from '../../pki/rotation-state.ts'
import type { Secret } from '../../secret.ts'
import { collect, count, DAY_MS, keyAlgorithmOption, passphraseOf, passphraseOption, refusing, usage } from './flags.ts'
import { kubeconfigHoldings } from './kubeconfigs.ts'
import { ADVICE } from './restarts.ts'
import type { PkiWorld } from './world.ts'

const LEAF_EXAMPLES = `
Examples:
  archway pki rotate leafs --dir pki
  archway pki rotate leafs --dir pki --within-days 60 --dry-run
  archway pki rotate leafs --dir pki --all --name apiserver --name admin.conf

Renews what ends within so many days, or has less than a third of its time left: NAME.crt with NAME.key, and the
certificates in kubeconfigs of the folder. Subject, names, usages, kind of key and length of life stay; the key is a new
one. The old files go to DIR/backup/TIME.
Status 0: done, also where nothing was due; 1: one of them could not be renewed; 2: a wrong command line.
`

const CA_EXAMPLES = `
Examples:
  archway pki rotate ca ca --dir pki                   says how far it is, and what is next
  archway pki rotate ca ca --dir pki --step prepare    a second authority, and both are trusted
  archway pki rotate ca ca --dir pki --step issue      the new one issues; leaf certificates are renewed
  archway pki rotate ca ca --dir pki --step finish     the old one is trusted no longer
  archway pki rotate ca ca --dir pki --step undo       one step back

Each step says whom to restart before the next one. A step that was cut off is done again; how far it is stands in the
files: NAME.next is there until it issues, NAME.old from then on. Kubeconfigs of the folder go along.
Status 0: done; 1: refused, or a certificate could not be issued again; 2: a wrong command line.
`

interface LeafFlags {
  readonly dir: string
  readonly withinDays: number
  readonly all?: boolean
  readonly name: readonly string[]
  readonly keepKey?: boolean
  readonly dryRun?: boolean
  readonly passphraseFile?: string
}

interface AuthorityFlags {
  readonly dir: string
  readonly step?: Step
  readonly keyAlgorithm: KeyAlgorithm
  readonly days: number
  readonly passphraseFile?: string
}

export function addRotateCommands(pki: Command, world: PkiWorld): void {
  const group = pki.command('rotate').description('renew certificates, and replace authorities step by step')
  group
    .command('leafs')
    .description('renew leaf certificates before they expire')
    .requiredOption('--dir <DIR>', 'folder with the authorities and the certificates')
    .addOption(new Option('--within-days <N>', 'renew what ends sooner').argParser(count).default(30))
    .option('--all', 'renew also what has time left')
    .option('--name <NAMES>', 'only these, as archway pki check calls them; repeatable', collect, [])
    .option('--keep-key', 'no new keys')
    .option('--dry-run', 'say what would be renewed')
    .addOption(passphraseOption())
    .addHelpText('after', LEAF_EXAMPLES)
    .action((flags: LeafFlags) => refusing(() => rotateLeafs(flags, world)))
  group
    .command('ca')
    .description('replace an authority, in steps')
    .addArgument(new Argument('<name>', 'the authority').choices(AUTHORITY_NAMES))
    .requiredOption('--dir <DIR>', 'folder with the authorities and the certificates')
    .addOption(new Option('--step <STEP>', 'what to do').choices(STEPS))
    .addOption(keyAlgorithmOption('ecdsa-p256'))
    .addOption(new Option('--days <N>', 'how long the new one is good').argParser(count).default(3650))
    .addOption(passphraseOption())
    .addHelpText('after', CA_EXAMPLES)
    .action((name: AuthorityName, flags: AuthorityFlags) => refusing(() => rotateAuthority(name, flags, world)))
}

async function rotateLeafs(flags: LeafFlags, { io, now, done }: PkiWorld): Promise<void> {
  const { dir: folder, passphraseFile } = flags
  const passphrase = passphraseOf(passphraseFile)
  const leaves = allHoldings(folder, passphrase).filter(({ authority }) => authority === undefined)
  const missing = flags.name.find((name) => !leaves.some((leaf) => leaf.name === name))
  if (missing !== undefined)
    throw usage(`--name ${missing}: there is none; there are ${leaves.map(({ name }) => name).join(', ')}`)
  const chosen = leaves.filter(({ name }) => flags.name.length === 0 || flags.name.includes(name))
  const due = chosen.filter(({ certificates: [leaf] }) => {
    return leaf !== undefined && (flags.all === true || isDue(leaf, now(), flags.withinDays))
  })
  let status = 0
  for (const holding of due) {
    try {
      const result =
        flags.dryRun === true ? undefined : await renewOne(holding, { folder, passphrase, flags, at: now() })
      io.out(result === undefined ? `would renew ${holding.name}\n` : renewedText(result))
    } catch (thrown) {
      if (!(thrown instanceof ArchwayError)) throw thrown
      io.err(`archway: ${holding.name}: ${thrown.message}\n`)
      status = 1
    }
  }
  if (due.length === 0) io.out(`nothing is due; ${chosen.length} looked at\n`)
  done(status)
}

interface RenewOne {
  readonly folder: string
  readonly passphrase: Secret | undefined
  readonly flags: LeafFlags
  readonly at: Date
}

function renewOne(holding: Holding, { folder, passphrase, flags, at }: RenewOne): Promise<Renewed> {
  for (const name of AUTHORITY_NAMES) {
    const trusted = holdingsOf(folder, passphrase).found.find(({ authority }) => authority === name)
    if (!trusted?.certificates.some((certificate) => issuedBy([holding], certificate).length > 0)) continue
    const authority = openFolderAuthority({ folder, name, passphrase, pastEnd: 'clamp', now: () => at })
    return renew(holding, authority, { folder, now: at, keepKey: flags.keepKey === true })
  }
  throw new ArchwayError('certificate_not_issued', 'no authority of this folder has issued it')
}

function allHoldings(folder: string, passphrase: Secret | undefined): readonly Holding[] {
  return [...holdingsOf(folder, passphrase).found, ...kubeconfigHoldings(folder).found]
}

function renewedText({ name, notAfter, backups }: Renewed): string {
  return `renewed ${name}, until ${notAfter.toISOString()}; the old one is in ${backups.join(', ')}\n`
}

const STATES: Readonly<Record<RotationState, string>> = {
  none: 'one authority; no rotation is going on',
  prepared: 'two are trusted, the old one issues',
  switching: 'cut off between two steps: do the last one again',
  issued: 'two are trusted, the new one issues',
}

async function rotateAuthority(name: AuthorityName, flags: AuthorityFlags, { io, now, done }: PkiWorld): Promise<void> {
  const { dir: folder, step } = flags
  if (step === undefined) {
    io.out(stateText(name, rotationState(folder, name), folder))
    return done(0)
  }
  const kubeconfigs = kubeconfigHoldings(folder)
  const [broken] = kubeconfigs.unreadable
  if (broken !== undefined) throw new ArchwayError('file_invalid', broken.why)
  const { state, renewed, left } = await rotate(step, {
    folder,
    name,
    passphrase: passphraseOf(flags.passphraseFile),
    now: now(),
    algorithm: flags.keyAlgorithm,
    lifeMs: flags.days * DAY_MS,
    holdings: kubeconfigs.found,
    trusting: name === 'ca' ? kubeconfigs.found : [],
  })
  for (const one of renewed) io.out(renewedText(one))
  for (const { why } of left) io.err(`archway: not issued again: ${why}\n`)
  io.out(adviceText(name, step))
  io.out(stateText(name, state, folder))
  done(left.length > 0 ? 1 : 0)
}

/** What a step back undoes has been told: its files are as they were before. */
function adviceText(name: AuthorityName, step: Step): string {
  if (step === 'undo') return 'Tell whom the step before had told; the files are as they were.\n'
  return `Before the next step:\n${ADVICE[name][step].map((line) => `  - ${line}\n`).join('')}`
}

function stateText(name: AuthorityName, state: RotationState, folder: string): string {
  const steps = STEPS_OF[state].map((step) => `  archway pki rotate ca ${name} --dir ${folder} --step ${step}\n`)
  return `${name}: ${STATES[state]}\nPossible now:\n${steps.join('')}`
}
