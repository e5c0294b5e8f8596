/**
 * The proxy over time: minutes of everything that clients do, well or badly, in front of two API servers; every answer is
 * looked at. Fails where an answer is wrong, where memory or descriptors grow, and where something is still there when
 * everybody has gone.
 *
 * The parts: `soak/traffic.ts` first.
 *
 * @module
 */
import { setTimeout as passed } from 'node:timers/promises'
import { createFolder } from '../test/support/tls.ts'
import { type SoakedProxy, startProxy } from './soak/proxy.ts'
import { isStill, type Reading } from './soak/readings.ts'
import { CLIENTS, startTraffic, type Traffic } from './soak/traffic.ts'
import { growths } from './soak/verdict.ts'

const READING_MS = 10_000
/** For what is kept on purpose to go: connections to API servers that nobody uses. */
const SETTLING_MS = 60_000
/** Whatever runs for less than this is still warming up. */
const TELLING_MINUTES = 5

/** Runs it and says what came of it; the exit status is 1 where that is not well. */
export async function measureSoak(minutes: number): Promise<void> {
  const folder = await createFolder()
  let proxy: SoakedProxy | undefined
  try {
    proxy = await startProxy(folder, CLIENTS)
    const troubles = await soak(proxy, minutes)
    for (const trouble of troubles) console.log(`  ${trouble}`)
    const growth = minutes < TELLING_MINUTES ? 'too short to tell whether something grows' : 'nothing grew'
    console.log(troubles.length === 0 ? `\nno answer was wrong, nothing was left; ${growth}` : '\nFAILED')
    if (troubles.length > 0) process.exitCode = 1
  } finally {
    proxy?.kill()
    await folder.remove()
  }
}

/** What was not well, in words. */
async function soak(proxy: SoakedProxy, minutes: number): Promise<readonly string[]> {
  const before = await settled(proxy, () => true)
  console.log(`\nproxy, ${minutes} minutes of ${CLIENTS} clients\n\n${heading()}\n${row('before', before)}`)
  const traffic = startTraffic(proxy.place)
  const readings = await readingsOf(proxy, minutes, traffic)
  await traffic.stop()
  const after = await settled(proxy, (reading) => isStill(reading) && reading.descriptors <= before.descriptors)
  console.log(row('after', after))
  sayRounds(traffic, proxy)
  return [
    ...sayGrowths(readings, minutes),
    ...leftovers(proxy, before, after),
    ...faults(proxy, traffic),
    ...(await ending(proxy)),
  ]
}

async function readingsOf(proxy: SoakedProxy, minutes: number, traffic: Traffic): Promise<readonly Reading[]> {
  const readings: Reading[] = []
  const begun = performance.now()
  let saidMinutes = 0
  let saidFailures = 0
  while (saidMinutes < Math.max(1, minutes)) {
    await passed(READING_MS)
    const reading = await proxy.read()
    readings.push(reading)
    await proxy.renew()
    const passedMinutes = Math.floor((performance.now() - begun) / 60_000)
    if (passedMinutes > saidMinutes) console.log(row(`${passedMinutes} min`, reading))
    saidMinutes = passedMinutes
    for (const failure of traffic.failures.slice(saidFailures)) console.log(`  ${failure}`)
    saidFailures = traffic.failures.length
  }
  return readings
}

/** The first reading that is as it should be, or the last that there was time for. */
async function settled(proxy: SoakedProxy, isWell: (reading: Reading) => boolean): Promise<Reading> {
  const deadline = performance.now() + SETTLING_MS
  for (;;) {
    const reading = await proxy.read()
    if (isWell(reading) || performance.now() > deadline) return reading
    await passed(1000)
  }
}

const COLUMNS: readonly (readonly [title: string, of: (reading: Reading) => string])[] = [
  ['RSS MB', ({ rss }) => rss.toFixed(1)],
  ['heap MB', ({ heap }) => heap.toFixed(1)],
  ['native MB', ({ native }) => native.toFixed(1)],
  ['descriptors', ({ descriptors }) => `${descriptors}`],
  ['connections', ({ underWay }) => `${underWay.connections}`],
  ['in flight', ({ underWay }) => `${underWay.short} + ${underWay.long}`],
  ['upstream', ({ underWay, upstreamIdle }) => `${underWay.upstreamBusy} + ${upstreamIdle}`],
  ['requests', ({ requests }) => `${requests}`],
]

function heading(): string {
  return `${''.padEnd(8)}${COLUMNS.map(([title]) => title.padStart(13)).join('')}`
}

function row(title: string, reading: Reading): string {
  return `${title.padEnd(8)}${COLUMNS.map(([, of]) => of(reading).padStart(13)).join('')}`
}

function sayRounds({ rounds }: Traffic, { apiServers }: SoakedProxy): void {
  console.log(`\n${[...rounds].map(([kind, count]) => `${kind}: ${count}`).join('; ')} rounds`)
  console.log(`requests at the API servers: ${apiServers.map((each) => each.requests()).join(' + ')}\n`)
}

function sayGrowths(readings: readonly Reading[], minutes: number): readonly string[] {
  const troubles: string[] = []
  for (const { name, unit, first, last, slope, grows } of growths(readings)) {
    const figures = `${first.toFixed(1)} → ${last.toFixed(1)} ${unit}, ${slope.toFixed(2)} ${unit} a minute`
    console.log(`${name.padEnd(12)} first third → last third: ${figures}`)
    if (grows && minutes >= TELLING_MINUTES) troubles.push(`${name} grows: ${figures}`)
  }
  return troubles
}

function leftovers({ apiServers }: SoakedProxy, before: Reading, after: Reading): readonly string[] {
  const open = apiServers.reduce((sum, each) => sum + each.open(), 0)
  return [
    ...(isStill(after) ? [] : [`still under way when nobody asks: ${JSON.stringify(after.underWay)}`]),
    ...(after.descriptors <= before.descriptors
      ? []
      : [`descriptors: ${after.descriptors}, ${before.descriptors} before`]),
    ...(open === 0 ? [] : [`the API servers still have ${open} exchanges`]),
  ]
}

/** Wrong answers, what the proxy itself calls an error, and requests it has other books on than their clients. */
function faults({ log }: SoakedProxy, { failures }: Traffic): readonly string[] {
  const lines = log()
  const errors = lines.filter(({ level, message }) => message !== 'request' && (level === 'error' || level === 'fatal'))
  const misread = lines.filter(({ outcome, resource, verb }) => outcome === 'canceled' && isWaitedFor(resource, verb))
  return [
    ...(failures.length === 0 ? [] : [`${failures.length} rounds failed`]),
    ...errors.slice(0, 10).map((line) => `in the log: ${JSON.stringify(line)}`),
    ...(misread.length === 0 ? [] : [`${misread.length} answers were taken, and recorded otherwise`]),
  ]
}

/** No client leaves before it has the answer to these. */
function isWaitedFor(resource: unknown, verb: unknown): boolean {
  return resource === 'configmaps' && (verb === 'get' || verb === 'create')
}

async function ending(proxy: SoakedProxy): Promise<readonly string[]> {
  const status = await proxy.stop()
  return status === 0 ? [] : [`the proxy ended with status ${status}`]
}
