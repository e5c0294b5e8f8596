/**
 * What the proxy costs, against nginx in the same run: a small object, a list of 5 MB whole and in chunks, and idle
 * watches. Ratios are what counts: absolute figures move with the machine.
 *
 * `BENCH_PROXY=list npm run bench -- proxy` measures one part: `small`, `list`, `chunks` or `watches`.
 *
 * The parts: `proxy/peers.ts` first, which says what is the same on both sides.
 *
 * @module
 */
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Cost, costs, type Load } from './proxy/cost.ts'
import { LIST, SMALL, writeFiles } from './proxy/files.ts'
import { memoryOfWatches } from './proxy/memory.ts'
import { type Peer, type Peers, startPeers } from './proxy/peers.ts'

/** What a proxy has to be told where watches pass it; the buffers make up for what that costs. */
const UNBUFFERED = 'proxy_buffering off; proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;'
/** Here the buffer is what an idle watch holds. */
const UNBUFFERED_SMALL = 'proxy_buffering off;'

const LOADS: Readonly<Record<'small' | 'list' | 'chunks', Load>> = {
  small: { title: 'small object, 32 connections', path: SMALL, connections: 32, warmup: 8000, slice: 4000 },
  list: { title: 'list of 5 MB, 4 connections', path: LIST, connections: 4, warmup: 32, slice: 24 },
  chunks: { title: 'list of 5 MB in chunks, 4 connections', path: LIST, connections: 4, warmup: 32, slice: 24 },
}

/** Runs every comparison and prints it. */
export async function measureProxy(): Promise<void> {
  if (spawnSync('nginx', ['-v']).status !== 0) {
    console.log('proxy: nginx is not installed (npm run rigs); nothing to compare with')
    return
  }
  const wanted = new Set((process.env['BENCH_PROXY'] ?? 'small,list,chunks,watches').split(','))
  const folder = await mkdtemp(join(tmpdir(), 'archway-bench-'))
  const peers = startPeers(await writeFiles(folder))
  try {
    if (wanted.has('small') || wanted.has('list')) await compareWhole(peers, wanted)
    if (wanted.has('chunks') || wanted.has('watches')) await compareStreams(peers, wanted)
  } finally {
    peers.kill()
    await rm(folder, { recursive: true, force: true })
  }
}

async function compareWhole(peers: Peers, wanted: ReadonlySet<string>): Promise<void> {
  const upstream = await peers.startWeb()
  const nginx = await peers.startNginx('nginx', upstream, '')
  const archway = await peers.startArchway(upstream)
  if (wanted.has('small')) reportCosts(LOADS.small, await costs([nginx, archway], LOADS.small))
  if (!wanted.has('list')) return
  const unbuffered = await peers.startNginx('nginx, buffering off, 64 KB buffers', upstream, UNBUFFERED)
  reportCosts(LOADS.list, await costs([nginx, unbuffered, archway], LOADS.list))
}

async function compareStreams(peers: Peers, wanted: ReadonlySet<string>): Promise<void> {
  const upstream = await peers.startWatched()
  const archway = await peers.startArchway(upstream)
  if (wanted.has('watches')) {
    const nginx = await peers.startNginx('nginx, buffering off', upstream, UNBUFFERED_SMALL)
    await compareWatches([nginx, archway])
  }
  if (!wanted.has('chunks')) return
  const all = [
    await peers.startNginx('nginx', upstream, ''),
    await peers.startNginx('nginx, buffering off, 64 KB buffers', upstream, UNBUFFERED),
    archway,
  ]
  reportCosts(LOADS.chunks, await costs(all, LOADS.chunks))
}

/** The first is what the others are compared with. */
function reportCosts({ title }: Load, measured: ReadonlyMap<Peer, Cost>): void {
  console.log(`\nproxy, ${title}`)
  const [first] = measured.values()
  for (const [{ name }, { cpuMicroseconds, perSecond, megabytesPerCpuSecond }] of measured) {
    const columns = [
      name.padEnd(36),
      `${cpuMicroseconds.toFixed(0).padStart(6)} us CPU/request`,
      `${(cpuMicroseconds / (first?.cpuMicroseconds ?? 1)).toFixed(2)} x nginx`,
      `${perSecond.toFixed(0).padStart(6)}/s`,
      `${megabytesPerCpuSecond.toFixed(0).padStart(5)} MB per CPU second`,
    ]
    console.log(`  ${columns.join('  ')}`)
  }
}

async function compareWatches(peers: readonly Peer[]): Promise<void> {
  console.log('\nproxy, idle watches')
  let first: number | undefined
  for (const peer of peers) {
    const kilobytes = await memoryOfWatches(peer)
    first ??= kilobytes
    const ratio = `${(kilobytes / first).toFixed(2)} x nginx`
    console.log(`  ${peer.name.padEnd(36)}  ${kilobytes.toFixed(0).padStart(6)} KB for each watch  ${ratio}`)
  }
}
