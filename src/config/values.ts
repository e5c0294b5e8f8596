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
function parseDuration(text: string): number | undefined {
  if (text === '0') return 0
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return undefined
  let total = 0
  for (const [, amount = '', unit = ''] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
    total += Number(amount) * (UNITS.get(unit) ?? Number.NaN)
  }
  return Math.round(total)
}

/** Timers hold 31 bits of milliseconds; what is longer would fire at once. */
const LONGEST = '596h'

export interface DurationBounds {
  readonly min?: string
  readonly max?: string
}

/** A duration such as `30s`; milliseconds once parsed. */
export function duration(bounds: DurationBounds = {}): z.ZodType<number, string> {
  const { min: shortest = '0s', max: longest = LONGEST } = bounds
  const min = parseDuration(shortest) ?? 0
  const max = parseDuration(longest) ?? 0
  return z.string({ error: 'expected a duration such as 30s, 500ms or 1m30s' }).transform((text, ctx) => {
    const ms = parseDuration(text)
    if (ms === undefined) {
      ctx.issues.push({ code: 'custom', message: 'expected a duration such as 30s, 500ms or 1m30s', input: text })
      return z.NEVER
    }
    if (ms < min || ms > max) {
      ctx.issues.push({
        code: 'custom',
        message: `out of range: expected from ${shortest} to ${longest}`,
        input: text,
      })
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
    .regex(/^(\[[0-9a-fA-F:.]+\]|[^:[\]\s/]*):\d{1,5}$/, {
      error: 'expected host:port, such as 0.0.0.0:8443 or [::1]:8443',
      abort: true,
    })
    .refine((text) => Number(text.slice(text.lastIndexOf(':') + 1)) <= 65_535, 'a port is at most 65535')
}

const DNS_NAME = '[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?'

/** An object in a namespace: `namespace/name`, or a name in `kube-system`. */
export function objectName(): z.ZodString {
  return z.string().regex(new RegExp(`^(?:${DNS_NAME}/)?${DNS_NAME}$`), 'expected name or namespace/name')
}

/** `namespace/name` of what {@link objectName} takes: as the predecessor has it, a bare name is in `kube-system`. */
export function qualifiedName(text: string): string {
  return text.includes('/') ? text : `kube-system/${text}`
}
