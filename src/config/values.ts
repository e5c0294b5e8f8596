/**
 * Values of the configuration that have a form of their own: durations, addresses, sizes. Each is text in the file,
 * on the command line and in the environment, and typed once parsed.
 *
 * @module
 */
import { z } from 'zod'

const UNITS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
])

/** `1m30s`, `500ms`, `0s` → milliseconds; `undefined` for anything else. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return undefined
  let total = 0
  for (const [, amount = '', unit = ''] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
    total += Number(amount) * (UNITS.get(unit) ?? Number.NaN)
  }
  return Math.round(total)
}

export interface DurationBounds {
  readonly min?: string
  readonly max?: string
}

/** A duration such as `30s`; milliseconds once parsed. */
export function duration(bounds: DurationBounds = {}): z.ZodType<number, string> {
  const min = parseDuration(bounds.min ?? '0') ?? 0
  const max = bounds.max === undefined ? Number.MAX_SAFE_INTEGER : (parseDuration(bounds.max) ?? 0)
  return z.string({ error: 'expected a duration such as 30s, 500ms or 1m30s' }).transform((text, ctx) => {
    const ms = parseDuration(text)
    if (ms === undefined) {
      ctx.issues.push({ code: 'custom', message: 'expected a duration such as 30s, 500ms or 1m30s', input: text })
      return z.NEVER
    }
    if (ms < min || ms > max) {
      const range = bounds.max === undefined ? `at least ${bounds.min}` : `from ${bounds.min ?? '0s'} to ${bounds.max}`
      ctx.issues.push({ code: 'custom', message: `out of range: expected ${range}`, input: text })
      return z.NEVER
    }
    return ms
  })
}

/** Path of a file; relative ones count from the working directory. */
export function filePath(): z.ZodString {
  return z.string().min(1, 'expected the path of a file')
}

/** `host:port`; `[::1]:8443`, `:8443` and `0.0.0.0:8443` too. */
export function listenAddress(): z.ZodString {
  return z
    .string()
    .regex(/^(\[[0-9a-fA-F:.]+\]|[^:[\]\s/]*):\d{1,5}$/, 'expected host:port, such as 0.0.0.0:8443 or [::1]:8443')
}
