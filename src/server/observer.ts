/**
 * What the listener tells whoever counts. Owns the events and their closed lists of reasons; leaves metrics and their
 * names to the room that keeps them.
 *
 * @module
 */
import type { FallBackReason } from './canonical.ts'

/** Why a connection was not served at all. `outdated`: begun under rules that have changed since, or before a stop. */
export type ConnectionRefusal = 'limit' | 'client-certificate' | 'client-name' | 'outdated'

/** Statuses the listener answers with itself. */
export type RefusalStatus = 400 | 408 | 413 | 417 | 431 | 500 | 503

/** Called as things happen, on the hot path: must be quick and must not throw. Whatever is absent is not told. */
export interface ServerObserver {
  /** A connection is through the handshake and may ask. */
  connectionOpened?(): void
  /** One of those that were opened is gone. */
  connectionClosed?(): void
  connectionRefused?(reason: ConnectionRefusal): void
  /** The listener answered in place of the handler, or because the handler failed (500). */
  requestRefused?(status: RefusalStatus): void
  /** A handshake failed. Codes are Node's and OpenSSL's: many, but not the stranger's to invent. */
  tlsError?(code: string): void
  /** A connection left the fast lane for `node:http`; it is served all the same. */
  fellBack?(reason: FallBackReason): void
}
