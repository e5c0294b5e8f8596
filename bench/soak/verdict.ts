/**
 * Whether something grew: the first third of the readings beside the last, and the slope of the second half.
 *
 * @module
 */
import { median } from '../contest.ts'
import type { Reading } from './readings.ts'

/**
 * What may not grow: how much more of it at the end is still no growth (a share, and something on top), and how much it
 * may rise a minute in the second half. Only both together are growth: a heap takes its size in steps, and keeps it.
 * All memory together is not judged, since V8 takes more for young objects wherever there is more.
 */
const BOUNDED = [
  { name: 'rss', unit: 'MB', share: Number.POSITIVE_INFINITY, more: 0, rise: 0 },
  { name: 'heap', unit: 'MB', share: 0.1, more: 4, rise: 0.4 },
  { name: 'native', unit: 'MB', share: 0.1, more: 10, rise: 2 },
  { name: 'descriptors', unit: '', share: 0.15, more: 10, rise: 1 },
] as const

export interface Growth {
  readonly name: string
  /** Medians of the first and the last third. */
  readonly first: number
  readonly last: number
  /** For each minute of the second half. */
  readonly slope: number
  readonly unit: string
  readonly grows: boolean
}

export function growths(readings: readonly Reading[]): readonly Growth[] {
  const third = Math.ceil(readings.length / 3)
  const secondHalf = readings.slice(Math.floor(readings.length / 2))
  return BOUNDED.map(({ name, unit, share, more, rise }) => {
    const of = (some: readonly Reading[]): number => median(some.map((reading) => reading[name]))
    const [first, last] = [of(readings.slice(0, third)), of(readings.slice(-third))]
    const slope = slopeOf(secondHalf.map((reading) => [reading.seconds / 60, reading[name]]))
    return { name, unit, first, last, slope, grows: last > first * (1 + share) + more && slope > rise }
  })
}

/** Of the straight line that is nearest to the points. */
function slopeOf(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
  const [x0, y0] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))]
  const rise = points.reduce((sum, [x, y]) => sum + (x - x0) * (y - y0), 0)
  const run = points.reduce((sum, [x]) => sum + (x - x0) ** 2, 0)
  return run === 0 ? 0 : rise / run
}
