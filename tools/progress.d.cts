/** Types of progress.cjs, which is plain JavaScript because it also runs under Nodes that cannot strip types. */
export interface StepResult {
  readonly status: number
  readonly output: string
}

export declare function say(line: string): void

export declare function step(
  title: string,
  command: string,
  args: readonly string[],
  options?: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv; readonly stdin?: 'inherit' | 'ignore' },
): Promise<StepResult>
