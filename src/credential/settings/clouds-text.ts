/**
 * The text of clouds.yaml, secure.yaml and clouds-public.yaml. Owns YAML and what of it is taken; leaves which file it
 * is, and which comes first, to `clouds-file.ts`.
 *
 * Every scalar stays the text that was written: `password: 0123` and `project_id: 4e10` are those characters, not
 * numbers. Objects become maps, so that no key is special.
 *
 * @module
 */
import { ArchwayError } from '../../errors.ts'

/** Entries of one file by name. */
export type CloudEntries = ReadonlyMap<string, CloudEntry>

/** One entry: a key's text, from below `auth` where it stands there, else from the entry itself. */
export interface CloudEntry {
  /** `undefined`: not there, or null. Items of a list have blanks between. Throws where it is neither text nor list. */
  value(key: string): string | undefined
}

/** Aliases a file may spend: anchors are used by people, a thousandfold only by bombs. */
const MAX_ALIASES = 100

/** What people see of a mistake: YAML's own messages quote the text, which may hold a password. */
const MISTAKES: Readonly<Record<string, string>> = {
  BAD_INDENT: 'the indentation does not fit',
  DUPLICATE_KEY: 'a key stands twice',
  MULTIPLE_DOCS: 'it holds more than one document',
  TAB_AS_INDENT: 'a tab is no indentation',
  RESOURCE_EXHAUSTION: 'it is nested too deep',
  TAG_RESOLVE_FAILED: 'tags are not understood',
}

/**
 * Reads the entries below `section` (`clouds`, `public-clouds`).
 *
 * @throws ArchwayError `credential_settings_invalid` with file and line; it quotes nothing of the text.
 */
export async function readClouds(path: string, text: string, section: string): Promise<CloudEntries> {
  const root = await parse(path, text)
  if (root === null) return new Map()
  if (!(root instanceof Map)) throw invalid(path, `expected keys, ${section} among them`)
  const entries: unknown = root.get(section) ?? new Map()
  if (!(entries instanceof Map)) throw invalid(path, `${section}: expected entries by name`)
  const found = new Map<string, CloudEntry>()
  for (const [name, entry] of entries) {
    if (typeof name === 'string') found.set(name, cloudEntry(entry ?? new Map(), path, `${section}.${name}`))
  }
  return found
}

async function parse(path: string, text: string): Promise<unknown> {
  const { LineCounter, parseDocument } = await import('yaml')
  const lines = new LineCounter()
  const document = parseDocument(text, {
    schema: 'failsafe',
    customTags: ['null'],
    merge: true,
    lineCounter: lines,
    prettyErrors: false,
    logLevel: 'error',
  })
  const [mistake] = [...document.errors, ...document.warnings]
  if (mistake !== undefined) {
    const { line } = lines.linePos(mistake.pos[0])
    throw invalid(path, `line ${line}: ${MISTAKES[mistake.code] ?? 'this is no YAML'}`)
  }
  try {
    return document.toJS({ mapAsMap: true, maxAliasCount: MAX_ALIASES })
  } catch {
    throw invalid(path, 'its aliases multiply, or name what is not there')
  }
}

function cloudEntry(entry: unknown, path: string, where: string): CloudEntry {
  const absent = new Map<unknown, unknown>()
  return {
    value(key) {
      if (!(entry instanceof Map)) throw invalid(path, `${where}: expected keys`)
      const auth: unknown = entry.get('auth') ?? absent
      if (!(auth instanceof Map)) throw invalid(path, `${where}.auth: expected keys`)
      return textAt(auth, key, path, `${where}.auth`) ?? textAt(entry, key, path, where)
    },
  }
}

/** A key with underscores or with hyphens. */
function textAt(map: ReadonlyMap<unknown, unknown>, key: string, path: string, where: string): string | undefined {
  const value = map.get(key) ?? map.get(key.replaceAll('_', '-')) ?? undefined
  if (value === undefined || typeof value === 'string') return value
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value.join(' ')
  throw invalid(path, `${where}.${key}: expected text`)
}

function invalid(path: string, problem: string): ArchwayError {
  return new ArchwayError('credential_settings_invalid', `${path}: ${problem}`)
}
