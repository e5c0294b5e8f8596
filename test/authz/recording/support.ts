/** Reviews, streams and files that fail on demand, for the tests of recording. */
import type { Attributes, Authorizer, Decision } from '../../../src/authz/authorizer.ts'
import type { RecordingFiles } from '../../../src/authz/recording/recording-files.ts'

export const IDENTITY = 'alpha.kubernetes.io/identity'
export const NOON: Date = new Date('2026-11-21T12:00:00Z')
export const ALLOW: Decision = { kind: 'allow', reason: 'allowed by policy.json[0] "default/pods"' }
export const NO_OPINION: Decision = { kind: 'no-opinion', reason: 'no rule allows this' }

/** Jane of project demo asks for something; more of `extra` than anybody should see again. */
export function review(name = '', over: Partial<Attributes> = {}): Attributes {
  return {
    user: {
      username: 'jane',
      uid: 'uid-canary',
      groups: ['p-1', 'system:authenticated'],
      extra: new Map([
        [`${IDENTITY}/roles`, ['member']],
        [`${IDENTITY}/project/id`, ['p-1']],
        ['authentication.kubernetes.io/credential-id', ['credential-canary']],
        ['scopes', ['scope-canary']],
      ]),
    },
    extraPresent: true,
    kind: 'resource',
    verb: 'get',
    group: 'apps',
    version: 'v1',
    resource: 'deployments',
    subresource: 'scale',
    namespace: 'default',
    name,
    ...over,
  } as Attributes
}

export function authorizer(decide: (attributes: Attributes) => Decision | Promise<Decision>): Authorizer {
  return { name: 'fake', authorize: async (attributes) => decide(attributes) }
}

export async function* chunks(...parts: readonly string[]): AsyncGenerator<Buffer> {
  for (const part of parts) yield Buffer.from(part)
}

export interface MemoryRecordings extends RecordingFiles {
  readonly content: Map<string, string>
  /** Set to have writes fail with it. */
  failWrites: Error | undefined
  failCreates: Error | undefined
}

export function memoryRecordings(): MemoryRecordings {
  const content = new Map<string, string>()
  const self: MemoryRecordings = {
    content,
    failWrites: undefined,
    failCreates: undefined,
    async create(path) {
      if (self.failCreates !== undefined) throw self.failCreates
      if (content.has(path)) throw new Error(`${path} is there`)
      let name = path
      content.set(path, '')
      const renamed = (from: string, to: string): void => {
        if (name === from) name = to
      }
      moves.push(renamed)
      return {
        async append(text) {
          if (self.failWrites !== undefined) throw self.failWrites
          content.set(name, `${content.get(name)}${text}`)
        },
        async close() {
          moves.splice(moves.indexOf(renamed), 1)
        },
      }
    },
    exists: async (path) => content.has(path),
    async rename(from, to) {
      content.set(to, content.get(from) ?? '')
      content.delete(from)
      for (const moved of moves) moved(from, to)
    },
  }
  const moves: ((from: string, to: string) => void)[] = []
  return self
}

/** The lines of a file, parsed. */
export function linesIn(text = ''): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}
