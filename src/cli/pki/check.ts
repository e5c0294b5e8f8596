/**
 * `archway pki check`: whether the certificates of a folder are in order, for people and for monitoring.
 *
 * @module
 */
import { type Command, Option } from 'commander'
import { type CheckedItem, checkHoldings, worstOf } from '../../pki/check.ts'
import { duration, type Severity, THRESHOLDS } from '../../pki/findings.ts'
import { holdingsOf } from '../../pki/holdings.ts'
import { rotationItems } from '../../pki/rotation-state.ts'
import { serviceAccountItem } from '../../pki/service-account.ts'
import { asJson, printable } from '../terminal.ts'
import { count, passphraseOf, passphraseOption, refusing, usage } from './flags.ts'
import { kubeconfigHoldings } from './kubeconfigs.ts'
import { prometheusText } from './prometheus.ts'
import type { PkiWorld } from './world.ts'

const EXAMPLES = `
Examples:
  archway pki check /etc/kubernetes/pki
  archway pki check pki --warn-days 60 --critical-days 14
  archway pki check pki -o prometheus > /var/lib/node_exporter/archway-pki.prom

Looks at chains, keys that do not match, expiry, weak keys and signatures, servers without names, file modes, the
authority of front proxies (which must not be that of clients), and rotations that are not finished; in NAME.crt with
NAME.key, in sa.key with sa.pub, and in kubeconfigs (.conf, .kubeconfig). A certificate that was for a short time is
reported when a third, and a sixth, of that time is left.
Status, as monitoring has it: 0 in order; 1 warning; 2 critical; 3 something could not be told.
`

interface CheckFlags {
  readonly warnDays: number
  readonly criticalDays: number
  readonly passphraseFile?: string
  readonly output: 'text' | 'json' | 'prometheus'
}

const STATUS = { note: 0, warning: 1, critical: 2, unknown: 3 } as const satisfies Record<Severity, number>

export function addCheckCommand(pki: Command, world: PkiWorld): void {
  pki
    .command('check')
    .description('check the certificates of a folder: chains, keys, expiry, modes')
    .argument('<folder>', 'folder of archway pki init, or of kubeadm')
    .addOption(
      new Option('--warn-days <N>', 'days left that are a warning').argParser(count).default(THRESHOLDS.warnDays),
    )
    .addOption(
      new Option('--critical-days <N>', 'days left that are critical')
        .argParser(count)
        .default(THRESHOLDS.criticalDays),
    )
    .addOption(passphraseOption())
    .addOption(
      new Option('-o, --output <FORMAT>', 'for people, JSON, or Prometheus text')
        .choices(['text', 'json', 'prometheus'])
        .default('text'),
    )
    .addHelpText('after', EXAMPLES)
    .action((folder: string, flags: CheckFlags) => refusing(() => check(folder, flags, world), STATUS.unknown))
}

async function check(folder: string, flags: CheckFlags, { io, now, done }: PkiWorld): Promise<void> {
  if (flags.criticalDays > flags.warnDays) throw usage('--critical-days: expected no more than --warn-days')
  const passphrase = passphraseOf(flags.passphraseFile)
  const [pairs, kubeconfigs] = [holdingsOf(folder, passphrase), kubeconfigHoldings(folder)]
  const at = now()
  const holdings = {
    found: [...pairs.found, ...kubeconfigs.found],
    unreadable: [...pairs.unreadable, ...kubeconfigs.unreadable],
  }
  const items = [
    ...checkHoldings(holdings, { now: at, thresholds: flags }),
    ...serviceAccountItem(folder),
    ...rotationItems(folder),
  ]
  const worst = items.length === 0 ? 'unknown' : worstOf(items.flatMap(({ findings }) => findings))
  const write = { text: inText, json: inJson, prometheus: prometheusText }[flags.output]
  io.out(items.length === 0 ? `${folder}: holds no certificate\n` : await write(items, at))
  done(worst === undefined ? 0 : STATUS[worst])
}

function inText(items: readonly CheckedItem[], now: Date): string {
  const width = Math.max(...items.map(({ name }) => name.length)) + 2
  const lines = items.flatMap(({ name, certificate, findings }) => {
    const state = worstOf(findings) ?? 'ok'
    const left = certificate === undefined ? '' : lifeLeft(certificate.notAfter, now)
    const head = `${name.padEnd(width)}${(state === 'note' ? 'ok' : state).padEnd(10)}${left}`.trimEnd()
    return [head, ...findings.map(({ severity, message }) => `  ${severity}: ${message}`)]
  })
  return `${lines.map(printable).join('\n')}\n`
}

function lifeLeft(notAfter: Date, now: Date): string {
  const left = notAfter.getTime() - now.getTime()
  return left < 0 ? `expired ${duration(-left)} ago` : `${duration(left)} left`
}

function inJson(items: readonly CheckedItem[]): string {
  const documents = items.map(({ name, certificate, findings }) => ({
    name,
    state: worstOf(findings) ?? 'ok',
    subject: certificate?.subject.text ?? null,
    notAfter: certificate?.notAfter.toISOString() ?? null,
    findings,
  }))
  return asJson(documents)
}
