/**
 * Recording: an authorizer whose decisions are noted down. Off unless somebody wants it.
 *
 * @module
 */
import type { Attributes, Authorizer, Decision } from '../authorizer.ts'

/** Where decisions go. It neither waits nor throws. */
export interface RecordSink {
  record(attributes: Attributes, decision: Decision): void
}

/** The same authorizer, and the sink learns of each decision. What could not be decided is not recorded. */
export function recorded(authorizer: Authorizer, sink: RecordSink): Authorizer {
  return {
    name: authorizer.name,
    async authorize(attributes, ctx) {
      const decision = await authorizer.authorize(attributes, ctx)
      try {
        sink.record(attributes, decision)
      } catch (error) {
        ctx.log.error({ authorizer: authorizer.name, error }, 'fault: a review could not be recorded')
      }
      return decision
    },
  }
}
