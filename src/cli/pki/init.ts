/**
 * `archway pki init`: a cluster's authorities and the keys of its service accounts.
 *
 * @module
 */
import { type Command, Option } from 'commander'
import { type CreatedItem, createCluster, ITEM_NAMES, type ItemName } from '../../pki/create-cluster.ts'
import type { KeyAlgorithm } from '../../pki/keys.ts'
import { AUTHORITIES } from '../../pki/layout.ts'
import {
  collect,
  count,
  keyAlgorithmOption,
  lifetime,
  passphraseOf,
  passphraseOption,
  refusing,
  usage,
} from './flags.ts'
import type { PkiWorld } from './world.ts'

const EXAMPLES = `
Examples:
  archway pki init /etc/kubernetes/pki
  archway pki init pki --key-algorithm rsa-3072 --days 1825
  archway pki init pki --permit-dns cluster.local,example.org --permit-ip 10.0.0.0/8
  archway pki init pki --passphrase-file passphrase
  archway pki init pki --replace webhook-ca

Makes ca, front-proxy-ca, etcd/ca, webhook-ca (.crt and .key) and sa.key, sa.pub, as kubeadm lays them out. Keys have mode
0600, folders that are made 0700. What is there already stays; --replace makes one of them anew, and everything it has
issued is then worth nothing. With a passphrase the keys of the authorities are encrypted: kube-controller-manager can
then sign no requests, and archway signer or archway pki issue has to. Name constraints are for the authorities that
certify servers.
Status 0: everything is there; 1: refused; 2: a wrong command line.
`

interface InitFlags {
  readonly keyAlgorithm: KeyAlgorithm
  readonly days: number
  readonly pathLength: string
  readonly permitDns: readonly string[]
  readonly permitIp: readonly string[]
  readonly excludeDns: readonly string[]
  readonly excludeIp: readonly string[]
  readonly passphraseFile?: string
  readonly replace: readonly string[]
}

export function addInitCommand(pki: Command, world: PkiWorld): void {
  pki
    .command('init')
    .description("make a cluster's authorities and service account keys")
    .argument('<dir>', 'folder; made if it is not there')
    .addOption(keyAlgorithmOption('ecdsa-p256'))
    .addOption(new Option('--days <N>', 'how long the authorities are good').argParser(count).default(3650))
    .option('--path-length <N>', 'authorities that may stand below them; "none" for any number', '0')
    .option('--permit-dns <DOMAINS>', 'only these domains and what is below them; repeatable', collect, [])
    .option('--permit-ip <NETWORKS>', 'only addresses of these networks; repeatable', collect, [])
    .option('--exclude-dns <DOMAINS>', 'never these domains; repeatable', collect, [])
    .option('--exclude-ip <NETWORKS>', 'never these networks; repeatable', collect, [])
    .addOption(passphraseOption())
    .option('--replace <NAMES>', `make anew what is there: ${ITEM_NAMES.join(', ')}; repeatable`, collect, [])
    .addHelpText('after', EXAMPLES)
    .action((folder: string, flags: InitFlags) => refusing(() => init(folder, flags, world)))
}

async function init(folder: string, flags: InitFlags, { io, now, done }: PkiWorld): Promise<void> {
  const items = await createCluster({
    folder,
    algorithm: flags.keyAlgorithm,
    ...lifetime(now(), flags),
    pathLength: pathLengthOf(flags.pathLength),
    nameConstraints: {
      permitted: { dns: flags.permitDns, ip: flags.permitIp },
      excluded: { dns: flags.excludeDns, ip: flags.excludeIp },
    },
    passphrase: passphraseOf(flags.passphraseFile),
    replace: new Set(flags.replace.map(itemName)),
  })
  for (const item of items) io.out(`${inText(item)}\n`)
  const swapped = items.filter(({ algorithm, state }) => algorithm !== flags.keyAlgorithm && state !== 'kept')
  for (const { name, algorithm } of swapped) {
    io.err(`archway: ${name} has a key of ${algorithm}: Kubernetes takes no ${flags.keyAlgorithm} there\n`)
  }
  done(0)
}

function pathLengthOf(text: string): number | undefined {
  if (text === 'none') return undefined
  if (!/^\d{1,2}$/.test(text)) throw usage(`--path-length ${text}: expected a number, or "none"`)
  return Number(text)
}

function itemName(text: string): ItemName {
  const name = ITEM_NAMES.find((one) => one === text)
  if (name === undefined) throw usage(`--replace ${text}: expected ${ITEM_NAMES.join(', ')}`)
  return name
}

function inText({ name, state, paths }: CreatedItem): string {
  const what = name === 'sa' ? 'tokens of service accounts' : AUTHORITIES[name].certifies
  return `${state.padEnd(8)} ${paths.join(', ')}  (${what})`
}
