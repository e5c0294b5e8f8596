/** Types of what tests use of setup.cjs. */
interface Lock {
  readonly packages?: object
}

export declare function chooseNode(machine: {
  readonly named: string | undefined
  readonly range: string
  readonly platform: string
  readonly arch: string
  readonly version: string
}): { readonly kind: 'named' | 'pinned' | 'this' | 'none'; readonly reason?: string }

export declare function hasSurplus(installed: Lock, lock: Lock): boolean

export declare function missingFrom(installed: Lock, lock: Lock, platform: string, arch: string): string[]

export declare function satisfies(version: string, range: string): boolean

export declare function stampOf(lockText: string, platform: string, arch: string): string
