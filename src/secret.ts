/**
 * Secret: a string that does not print itself.
 *
 * @module
 */
const REDACTED = '[redacted]'
/** `inspect.custom` of `node:util`, which takes longer to load than the rest of a credential plugin together. */
const INSPECT: unique symbol = Symbol.for('nodejs.util.inspect.custom')

/** A secret value. Every way of printing it gives `[redacted]`; {@link Secret.reveal} is the one way to the value. */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** The value itself. Call it where the secret leaves for its destination, and nowhere else. */
  reveal(): string {
    return this.#value
  }

  toString(): string {
    return REDACTED
  }

  toJSON(): string {
    return REDACTED
  }

  [INSPECT](): string {
    return REDACTED
  }
}
