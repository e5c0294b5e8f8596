/**
 * What an idle watch holds of a proxy's memory.
 *
 * @module
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { TLSSocket } from 'node:tls'
import { passed } from '../load.ts'
import { dial, requestFor } from './asking.ts'
import { LIST } from './files.ts'
import type { Peer } from './peers.ts'

/** Opened first, so that what a process takes once is taken. */
const FIRST = 100
const WATCHES = 300
const SETTLING_MS = 1500

/** Private memory for each watch, in KB. */
export async function memoryOfWatches({ port, pid }: Peer): Promise<number> {
  const first = await open(port, FIRST)
  await passed(SETTLING_MS)
  const before = privateKilobytes(pid)
  const measured = await open(port, WATCHES)
  await passed(SETTLING_MS)
  const after = privateKilobytes(pid)
  const isLost = [...first, ...measured].some((socket) => socket.destroyed || socket.readableEnded)
  for (const socket of [...first, ...measured]) socket.destroy()
  if (isLost) throw new Error('a watch was closed')
  return (after - before) / WATCHES
}

/** Each has had one event. */
async function open(port: number, count: number): Promise<readonly TLSSocket[]> {
  const sockets: TLSSocket[] = []
  while (sockets.length < count) {
    const socket = await dial(port)
    socket.on('error', () => {})
    socket.write(requestFor(`${LIST}?watch=true`))
    while (!String((await once(socket, 'data'))[0]).includes('BOOKMARK'));
    sockets.push(socket.on('data', () => {}))
  }
  return sockets
}

function privateKilobytes(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  return ['Private_Clean', 'Private_Dirty']
    .map((field) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1]))
    .reduce((sum, value) => sum + value, 0)
}
