/** Types of lock.cjs. */
export declare function withLock<Result>(folder: string, work: () => Promise<Result>): Promise<Result>
