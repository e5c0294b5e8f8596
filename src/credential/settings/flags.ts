/**
 * A command line without a framework: the plugin runs at every kubectl. Takes what Go's flag libraries take, since the
 * drop-in's kubeconfigs are written for them: `--name value`, `--name=value`, underscores for hyphens, one hyphen for
 * two, `-v6`. Owns the text of the command line and its help; leaves what the values mean to its callers.
 *
 * @module
 */
import { ArchwayError } from '../../errors.ts'
import { Secret } from '../../secret.ts'
import type { FlagRow } from './table.ts'

/** What stood on a command line, by the long name of the flag. */
export interface ParsedFlags {
  /** Every value in the order given; a switch has `true` or `false`. */
  readonly texts: ReadonlyMap<string, readonly string[]>
  /** Values of secret flags; of several the last one, and none where that is empty. */
  readonly secrets: ReadonlyMap<string, Secret>
  /** What is not a flag, and all after `--`. */
  readonly positionals: readonly string[]
}

/**
 * Reads a command line. Values are never repeated in a message.
 *
 * @throws ArchwayError `credential_settings_invalid` for an unknown flag (naming the nearest one), one without its
 * value, or a switch that is neither true nor false.
 */
export function parseFlags(argv: readonly string[], rows: readonly FlagRow[]): ParsedFlags {
  const known = flagsByName(rows)
  const texts = new Map<string, string[]>()
  const secrets = new Map<string, Secret>()
  const positionals: string[] = []
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i] ?? ''
    if (argument === '--') return { texts, secrets, positionals: [...positionals, ...argv.slice(i + 1)] }
    if (!argument.startsWith('-') || argument === '-') {
      positionals.push(argument)
      continue
    }
    const { name, attached } = splitFlag(argument, known)
    const found = known.get(name)
    if (found === undefined) throw invalid(`unknown flag ${shown(name)}${suggestion(name, known)}`)
    const { flag, row } = found
    const value = row.value === undefined ? switchValue(flag, attached ?? 'true') : (attached ?? argv[++i])
    if (value === undefined) throw invalid(`--${flag} needs a value: --${flag} ${row.value}`)
    if (row.secret === true && value === '') secrets.delete(flag)
    else if (row.secret === true) secrets.set(flag, new Secret(value))
    else texts.set(flag, [...(texts.get(flag) ?? []), value])
  }
  return { texts, secrets, positionals }
}

/** The value of a flag that is given once; of several the last one. */
export function lastText(flags: ParsedFlags, flag: string): string | undefined {
  return flags.texts.get(flag)?.at(-1)
}

type KnownFlags = ReadonlyMap<string, { readonly flag: string; readonly row: FlagRow }>

function flagsByName(rows: readonly FlagRow[]): KnownFlags {
  const known = new Map<string, { flag: string; row: FlagRow }>()
  for (const row of rows) {
    const { flag } = row
    if (flag !== undefined) for (const name of [flag, ...(row.aliases ?? [])]) known.set(name, { flag, row })
  }
  return known
}

function splitFlag(argument: string, known: KnownFlags): { name: string; attached: string | undefined } {
  const [, letter = '', digits] = /^-([A-Za-z])(\d+)$/.exec(argument) ?? []
  if (digits !== undefined && known.get(letter)?.row.value !== undefined) return { name: letter, attached: digits }
  const body = argument.startsWith('--') ? argument.slice(2) : argument.slice(1)
  const equals = body.indexOf('=')
  const name = (equals === -1 ? body : body.slice(0, equals)).replaceAll('_', '-')
  return { name, attached: equals === -1 ? undefined : body.slice(equals + 1) }
}

function switchValue(flag: string, text: string): string {
  const value = readBoolean(text)
  if (value === undefined) throw invalid(`--${flag} is a switch: write --${flag}, --${flag}=true or --${flag}=false`)
  return String(value)
}

/** `true`, `yes`, `on`, `1`, `t`, `y` and their opposites in any case; `undefined`: neither. */
export function readBoolean(text: string): boolean | undefined {
  if (/^(true|t|yes|y|on|1)$/i.test(text)) return true
  return /^(false|f|no|n|off|0)$/i.test(text) ? false : undefined
}

// --- unknown flags -----------------------------------------------------------------------------------------------

/** No more of it than a name would have: what is mistaken for a flag may be anything. */
function shown(name: string): string {
  return `--${name.slice(0, 40).replace(/[^\x21-\x7e]/g, '?')}`
}

function suggestion(name: string, known: KnownFlags): string {
  const wanted = name.slice(0, 60).toLowerCase()
  let nearest: { readonly flag: string; readonly distance: number } | undefined
  for (const [candidate, { flag }] of known) {
    const distance = editDistance(wanted, candidate)
    const near = distance <= Math.max(1, candidate.length / 3) && candidate.length > 1
    if (near && distance < (nearest?.distance ?? Number.POSITIVE_INFINITY)) nearest = { flag, distance }
  }
  return nearest === undefined ? '; --help lists them all' : `; did you mean --${nearest.flag}?`
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}

function invalid(message: string): ArchwayError {
  return new ArchwayError('credential_settings_invalid', message)
}

// --- help --------------------------------------------------------------------------------------------------------

const COLUMN = 40

/**
 * The flags as help shows them: names, never values (C-01). Settings that have variables but no flag stand at the end.
 */
export function flagsHelp(rows: readonly FlagRow[]): string {
  const groups = Map.groupBy(
    rows.filter(({ flag }) => flag !== undefined),
    ({ group }) => group,
  )
  const sections = [...groups].map(([group, members]) => [`${group}:`, ...members.map(flagLine)].join('\n'))
  const variables = rows.filter(({ flag, env }) => flag === undefined && env !== undefined)
  if (variables.length > 0) sections.push(['By environment only:', ...variables.map(variableLine)].join('\n'))
  return `${sections.join('\n\n')}\n`
}

function flagLine(row: FlagRow): string {
  const { flag = '', aliases = [], value, help, env = [] } = row
  const short = [flag, ...aliases].find((name) => name.length === 1)
  const left = `  ${short === undefined ? '    ' : `-${short}, `}--${flag}${value === undefined ? '' : ` ${value}`}`
  const note = env.length === 0 ? '' : ` [${env.map((name) => `$${name}`).join(', ')}]`
  return `${left.padEnd(COLUMN)} ${help}${note}`
}

function variableLine({ env = [], help }: FlagRow): string {
  return `${`      $${env.join(', $')}`.padEnd(COLUMN)} ${help}`
}
