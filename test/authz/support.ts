/**
 * Authorizers that say what a test tells them to, and remember what they were asked.
 *
 * @module
 */
import type { Attributes, Authorizer, Decision } from '../../src/authz/authorizer.ts'
import type { CallContext } from '../../src/context.ts'

export interface FakeAuthorizer extends Authorizer {
  readonly asked: { readonly attributes: Attributes; readonly ctx: CallContext }[]
}

/** A function as an authorizer. */
export function fakeAuthorizer(
  answer: (attributes: Attributes, ctx: CallContext) => Decision | Promise<Decision>,
  name = 'fake',
): FakeAuthorizer {
  const asked: FakeAuthorizer['asked'] = []
  return {
    name,
    asked,
    async authorize(attributes, ctx) {
      asked.push({ attributes, ctx })
      return answer(attributes, ctx)
    },
  }
}
