/**
 * Expressions over claims and identities, in CEL (https://cel.dev) as kube-apiserver's AuthenticationConfiguration has
 * it. Owns compiling and evaluating; leaves what a value means to whoever asked for it, and the functions of strings
 * to `string-functions.ts`.
 *
 * An expression is the operator's and is checked once, when it is read. What it works on is a caller's: evaluation has
 * no loop but those over lists, those are bounded in length and in nesting, and patterns match in linear time.
 *
 * @module
 */
import { type ASTNode, Environment } from '@marcbachmann/cel-js'
import { messageOf } from '../../errors.ts'
import type { UserInfo } from '../../user.ts'
import {
  MAX_ENTRIES,
  OWN_PREFIX,
  type PatternTable,
  patternTable,
  STRING_FUNCTIONS,
  withStringFunctions,
} from './string-functions.ts'

/** Longest expression, in characters. */
const MAX_TEXT = 4096
/** Loops within loops: the costs multiply. */
const MAX_NESTING = 2

const LIMITS = { maxAstNodes: 2000, maxDepth: 64, maxListElements: 256, maxMapEntries: 256, maxCallArguments: 8 }

/** What stands for a caller in an expression. */
export type Variables = 'claims' | 'user' | 'user-and-source'

/** What an expression has to give: a text; a text, a list of texts or nothing; true or false. */
export type Returns = 'string' | 'strings' | 'bool'

/** What evaluating came to. A failure (a claim that is not there, a wrong type) is the caller's, and is a no. */
export type Evaluated =
  | { readonly kind: 'value'; readonly value: unknown }
  /** `reason` has nothing of the values. */
  | { readonly kind: 'failed'; readonly reason: string }

export interface Expression {
  readonly text: string
  /** Never throws. Maps stand for objects; whole numbers are `bigint`. */
  evaluate(variables: Readonly<Record<string, unknown>>): Evaluated
  /** Whether a field is looked at by name: `claims.email`, `claims.?email`, `claims["email"]`. */
  selects(variable: string, field: string): boolean
}

export interface ExpressionOptions {
  readonly variables: Variables
  readonly returns: Returns
}

/** Types as the library prints them; what is `dyn` is known only when the value is. */
const STATIC_TYPES: Readonly<Record<Returns, ReadonlySet<string>>> = {
  string: new Set(['string', 'dyn']),
  strings: new Set(['string', 'dyn', 'list', 'list<string>', 'list<dyn>', 'list<T>', 'null']),
  bool: new Set(['bool']),
}

const WANTED: Readonly<Record<Returns, string>> = {
  string: 'a string',
  strings: 'a string or a list of strings',
  bool: 'true or false; a claim alone is neither, compare it: claims.admin == true',
}

/** Functions that can be called; whatever else Kubernetes or the library has is a mistake that is found at load. */
const FUNCTIONS: ReadonlySet<string> = new Set(['size', 'has', 'string', 'dyn', 'type'])
const LOOPS: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'map', 'filter'])
const METHODS: ReadonlySet<string> = new Set([
  ...LOOPS,
  ...STRING_FUNCTIONS,
  ...['contains', 'startsWith', 'endsWith', 'size', 'join'],
  ...['of', 'none', 'hasValue', 'value', 'or', 'orValue'],
])

/**
 * Reads and checks an expression.
 *
 * @throws TypeError with a sentence that says what is wrong, and at which character.
 */
export function compileExpression(text: string, { variables, returns }: ExpressionOptions): Expression {
  if (text.trim() === '') throw new TypeError('the expression is empty')
  if (text.length > MAX_TEXT) throw new TypeError(`the expression is longer than ${MAX_TEXT} characters`)
  const patterns = patternTable()
  const parsed = parse(withStringFunctions(environment(variables), patterns), text)
  const { ast } = parsed
  const selections = new Set<string>()
  inspect(ast, 0, { patterns, selections })
  const { valid, type = '', error } = parsed.check()
  if (!valid) throw fault(error)
  if (type.startsWith('optional')) throw new TypeError('it gives an optional; end it with .orValue(…)')
  if (!STATIC_TYPES[returns].has(type)) throw new TypeError(`it gives ${type}, and has to give ${WANTED[returns]}`)
  return {
    text,
    selects: (variable, field) => selections.has(selection(variable, field)),
    evaluate(values) {
      try {
        return { kind: 'value', value: parsed({ ...values }) }
      } catch (thrown) {
        return { kind: 'failed', reason: reasonOf(thrown) }
      }
    },
  }
}

/**
 * Whether a value is small enough for expressions: no list or map in it is longer than {@link MAX_ENTRIES}, so that a
 * loop within a loop ends in reasonable time.
 */
export function isNarrow(value: unknown): boolean {
  if (Array.isArray(value)) return value.length <= MAX_ENTRIES && value.every(isNarrow)
  if (value instanceof Map) return value.size <= MAX_ENTRIES && [...value.values()].every(isNarrow)
  return true
}

/** An identity as expressions see it. */
export function userVariable({ username, uid, groups, extra }: UserInfo): ReadonlyMap<string, unknown> {
  return new Map<string, unknown>([
    ['username', username],
    ['uid', uid],
    ['groups', groups],
    ['extra', extra],
  ])
}

function environment(variables: Variables): Environment {
  const made = new Environment({ enableOptionalTypes: true, homogeneousAggregateLiterals: false, limits: LIMITS })
  if (variables === 'claims') return made.registerVariable('claims', 'map<string, dyn>')
  made.registerVariable({
    name: 'user',
    schema: { username: 'string', uid: 'string', groups: 'list<string>', extra: 'map<string, list<string>>' },
  })
  return variables === 'user' ? made : made.registerVariable('source', 'string')
}

function parse(environment: Environment, text: string): ReturnType<Environment['parse']> {
  try {
    return environment.parse(text)
  } catch (thrown) {
    throw fault(thrown)
  }
}

interface Notes {
  readonly patterns: PatternTable
  readonly selections: Set<string>
}

/**
 * Walks the whole expression: refuses functions that are not listed, puts our functions of strings in the place of the
 * library's, and notes what is looked at.
 */
function inspect(node: ASTNode, loops: number, notes: Notes): void {
  switch (node.op) {
    case 'call': {
      const [name, args] = node.args
      if (!FUNCTIONS.has(name)) throw unsupported(name, node)
      for (const arg of args) inspect(arg, loops, notes)
      return
    }
    case 'rcall': {
      const [name, receiver, args] = node.args
      if (!METHODS.has(name)) throw unsupported(name, node)
      const inner = LOOPS.has(name) ? loops + 1 : loops
      if (inner > MAX_NESTING) throw new TypeError(`loops are nested deeper than ${MAX_NESTING}${place(node)}`)
      inspect(receiver, loops, notes)
      for (const arg of args) inspect(arg, inner, notes)
      if (name === 'matches') notes.patterns.add(literalPattern(args, node), place(node))
      if (STRING_FUNCTIONS.has(name)) node.args[0] = OWN_PREFIX + name
      return
    }
    case '.':
    case '.?': {
      const [object, field] = node.args
      if (object.op === 'id') notes.selections.add(selection(object.args, field))
      inspect(object, loops, notes)
      return
    }
    case '[]':
    case '[?]': {
      const [object, key] = node.args
      if (object.op === 'id' && key.op === 'value') notes.selections.add(selection(object.args, String(key.args)))
      inspect(object, loops, notes)
      inspect(key, loops, notes)
      return
    }
    case 'map':
      for (const entry of node.args) for (const part of entry) inspect(part, loops, notes)
      return
    case '!_':
    case '-_':
      inspect(node.args, loops, notes)
      return
    case 'value':
    case 'id':
      return
    default:
      for (const operand of node.args) inspect(operand, loops, notes)
  }
}

function literalPattern(args: readonly ASTNode[], node: ASTNode): string {
  const [pattern] = args
  if (pattern?.op === 'value' && typeof pattern.args === 'string') return pattern.args
  throw new TypeError(`the pattern of matches() has to be written out as a text${place(node)}`)
}

function selection(variable: string, field: string): string {
  return JSON.stringify([variable, field])
}

function unsupported(name: string, node: ASTNode): TypeError {
  return new TypeError(`${name}() is not a function that is supported here${place(node)}`)
}

function place({ start }: { readonly start: number }): string {
  return `, at character ${start + 1}`
}

/** The library's message without the picture of the expression below it. */
function fault(thrown: unknown): TypeError {
  const summary = fieldOf(thrown, 'summary')
  const text = typeof summary === 'string' ? summary : messageOf(thrown)
  return new TypeError(`${text.replaceAll(OWN_PREFIX, '')}${placeOf(thrown)}`)
}

/** By code and place alone: messages can quote what was evaluated. */
function reasonOf(thrown: unknown): string {
  const code = fieldOf(thrown, 'code')
  return `${typeof code === 'string' ? code.replaceAll('_', ' ') : 'it cannot be evaluated'}${placeOf(thrown)}`
}

function placeOf(thrown: unknown): string {
  const range = fieldOf(thrown, 'range')
  const start = fieldOf(range, 'start')
  return typeof start === 'number' ? place({ start }) : ''
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}
