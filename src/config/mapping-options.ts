/**
 * Mapping of a source: prefixes, expressions, and the examples they have to keep.
 *
 * @module
 */
import { z } from 'zod'
import { option } from './option.ts'

const text = z.string().min(1)
const user = z.strictObject({
  username: option(text, 'User name.'),
  uid: option(z.string().optional(), 'Id of the user.'),
  groups: option(z.array(text).optional(), 'Groups, in order.'),
  extra: option(z.record(z.string(), z.array(z.string())).optional(), 'Lists of text by their keys.'),
})

/** A member of any source; what it asks of its expressions is checked where the source is opened. */
export const mappingOptions = z
  .strictObject({
    usernamePrefix: option(z.string().optional(), 'Put before every user name of the source.'),
    groupPrefix: option(z.string().optional(), 'Put before every group name of the source.'),
    expressions: z
      .strictObject({
        username: option(text.optional(), 'CEL over `user` and `source` that gives the user name.'),
        groups: option(text.optional(), 'CEL over `user` and `source` that gives the groups.'),
        extra: z
          .array(
            z.strictObject({
              key: option(text, 'Key of `extra`.'),
              valueExpression: option(text, 'CEL over `user` and `source` that gives its values; none: the key goes.'),
            }),
          )
          .optional(),
        rules: z
          .array(
            z.strictObject({
              expression: option(text, 'CEL over `user` and `source` that has to be true.'),
              message: option(z.string().optional(), 'Stands in the log where it is not.'),
            }),
          )
          .optional(),
      })
      .optional(),
    examples: z
      .array(
        z.strictObject({
          user,
          source: option(text.optional(), 'Name of the source.'),
          expect: option(
            z.union([user, z.literal('refused')]),
            'What has to become of it, in the keys of `user`; `refused`: that it is not let in.',
          ),
        }),
      )
      .optional(),
  })
  .describe('What people and groups of a source are called in the cluster. Stands beside the kind of the source.')
