/**
 * A CallContext whose log remembers: what tests hand to anything that takes a call.
 *
 * @module
 */
import type { CallContext } from '../../src/context.ts'
import { type RecordingLog, recordingLog } from '../reload/support.ts'

export { recordingLog }

export interface TestContext extends CallContext {
  readonly log: RecordingLog
}

export function callContext(over: Partial<TestContext> = {}): TestContext {
  return {
    requestId: 'r1',
    signal: new AbortController().signal,
    log: recordingLog(),
    audiences: [],
    ...over,
  }
}
