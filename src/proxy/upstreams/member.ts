/**
 * One API server as the balancer counts it.
 *
 * @module
 */
import type { ServerPool } from '../upstream/upstream.ts'
import type { Health } from './health.ts'
import type { ServerState } from './upstreams.ts'

/** One API server, as it is handed to the balancer. */
export interface BalancedServer {
  /** `host:port`. */
  readonly name: string
  readonly pool: ServerPool
  readonly health: Health
}

/** Its exchanges, those that still wait for a connection included. */
export class Member {
  readonly name: string
  readonly pool: ServerPool
  readonly health: Health
  #short = 0
  #long = 0

  constructor({ name, pool, health }: BalancedServer) {
    this.name = name
    this.pool = pool
    this.health = health
  }

  begin(long: boolean): void {
    if (long) this.#long++
    else this.#short++
  }

  end(long: boolean): void {
    if (long) this.#long--
    else this.#short--
  }

  /** Whether it is to be asked before the other: undoubted, then fewer of this duration, then fewer of the other. */
  isFreerThan(other: Member, long: boolean): boolean {
    if (this.health.doubtful !== other.health.doubtful) return other.health.doubtful
    const [same, rest] = [this.#short - other.#short, this.#long - other.#long]
    return long ? rest < 0 || (rest === 0 && same < 0) : same < 0 || (same === 0 && rest < 0)
  }

  state(): ServerState {
    const { ready, reason } = this.health
    return {
      name: this.name,
      ready,
      ...(reason === undefined ? {} : { reason }),
      busy: this.pool.busy(),
      idle: this.pool.idle(),
    }
  }
}
