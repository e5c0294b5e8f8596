/**
 * What was settled when the program was built. Only the single executable is told something (tools/executable.ts); there
 * nothing of the package lies beside the program: no package.json, no other program, no native module.
 *
 * @module
 */

/** Put in by the build, as a string literal. */
declare const ARCHWAY_EXECUTABLE_VERSION: unknown

/** The version of the single executable; undefined where the program lies in files. */
export const executableVersion: string | undefined =
  typeof ARCHWAY_EXECUTABLE_VERSION === 'string' ? ARCHWAY_EXECUTABLE_VERSION : undefined
