/**
 * The schema as a flat list of options, in the order of the schema: for flags, environment variables, suggestions and
 * the reference page.
 *
 * @module
 */
import { z } from 'zod'
import { type Door, optionRegistry } from './option.ts'
import { configSchema } from './schema.ts'

export interface Option {
  /** `['authenticators', '[]', 'keystone', 'url']`; `[]` stands for any item of a list. */
  readonly path: readonly string[]
  /** `server.listen`, `authenticators[].keystone.url`. */
  readonly name: string
  readonly description: string
  /** `text`, `number`, `true or false`, `list of text`, `section`, or the values that are taken. */
  readonly type: string
  /** As written in the file; `undefined` where there is none. */
  readonly defaultValue: unknown
  readonly required: boolean
  readonly flag: string | undefined
  readonly env: string | undefined
  readonly value: string
  /** The value is a list; a flag gives its one item. */
  readonly list: boolean
  /** See {@link OptionMeta}. */
  readonly makes: boolean
  /** See {@link OptionMeta}; `undefined` where every command has the flag. */
  readonly door: Door | undefined
}

interface JsonSchema {
  readonly type?: string
  readonly enum?: readonly unknown[]
  readonly items?: JsonSchema
  readonly anyOf?: readonly JsonSchema[]
  readonly const?: unknown
  readonly default?: unknown
}

let all: readonly Option[] | undefined

/** Every option of the configuration; made once. */
export function listOptions(): readonly Option[] {
  all ??= [...walk(configSchema, [])]
  return all
}

/** Options whose flag a command for this door has. */
export function flagsOf(door: Door): readonly (Option & { readonly flag: string })[] {
  return listOptions().filter((option): option is Option & { readonly flag: string } => {
    return option.flag !== undefined && (option.door === undefined || option.door === door)
  })
}

/** A kind of item of a list: `authorizers[].rbac`. */
export interface ItemKind {
  readonly name: string
  readonly description: string
}

/** Every kind of item, in the order of the schema; one without options as well. */
export function listKinds(): readonly ItemKind[] {
  return Object.entries(configSchema.shape).flatMap(([list, schema]) => {
    const inner = unwrap(schema)
    const item = inner instanceof z.ZodArray ? unwrap(inner.element) : undefined
    if (!(item instanceof z.ZodObject)) return []
    return Object.entries(item.shape).map(([kind, member]) => ({
      name: `${list}[].${kind}`,
      description:
        (unwrap(member as z.core.$ZodType) as z.ZodType).description ?? (member as z.ZodType).description ?? '',
    }))
  })
}

/** Keys that may stand at a path; empty where the path leads to a value. */
export function knownKeys(path: readonly string[]): readonly string[] {
  let current: z.core.$ZodType | undefined = configSchema
  for (const part of path) {
    const inner: z.core.$ZodType = unwrap(current)
    if (inner instanceof z.ZodArray) current = inner.element
    else if (inner instanceof z.ZodObject) current = inner.shape[part] as z.core.$ZodType | undefined
    else return []
    if (current === undefined) return []
  }
  const object = unwrap(current)
  return object instanceof z.ZodObject ? Object.keys(object.shape) : []
}

function* walk(schema: z.core.$ZodType, path: readonly string[]): Generator<Option> {
  const inner = unwrap(schema)
  if (optionRegistry.has(schema as z.ZodType)) {
    yield describe(schema as z.ZodType, path)
  } else if (inner instanceof z.ZodObject) {
    for (const [key, member] of Object.entries(inner.shape)) yield* walk(member as z.core.$ZodType, [...path, key])
  } else if (inner instanceof z.ZodArray) {
    yield* walk(inner.element, [...path, '[]'])
  }
}

/** The schema without its default, its `optional` and its transformation. */
function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional) {
    return unwrap(schema.unwrap() as z.core.$ZodType)
  }
  return schema instanceof z.ZodPipe ? unwrap(schema.in) : schema
}

function describe(schema: z.ZodType, path: readonly string[]): Option {
  const meta = optionRegistry.get(schema)
  const json = z.toJSONSchema(schema, { io: 'input' }) as JsonSchema
  return {
    path,
    name: path.join('.').replaceAll('.[]', '[]'),
    description: schema.description ?? '',
    type: typeName(json),
    defaultValue: json.default,
    required: !schema.safeParse(undefined).success,
    flag: meta?.flag,
    env: meta?.env,
    value: meta?.value ?? 'VALUE',
    list: json.items !== undefined,
    makes: meta?.makes === true,
    door: meta?.door,
  }
}

function typeName(schema: JsonSchema): string {
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(', ')
  if (schema.const !== undefined) return `\`${schema.const}\``
  if (schema.items !== undefined) return `list of ${typeName(schema.items)}`
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeName).join(' or ')
  switch (schema.type) {
    case 'integer':
    case 'number':
      return 'number'
    case 'boolean':
      return 'true or false'
    case 'object':
      return 'section'
    default:
      return 'text'
  }
}
