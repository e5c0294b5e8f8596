/**
 * Keystone policies: read, compiled, decided, explained, checked, converted. Owns the policy language and everything
 * about it; leaves where texts come from and what becomes of findings to others.
 *
 * The way of a policy: `parse` (text → documents) → `compile` (documents → lines → conditions → index) → `decide`.
 * Everything else reads what these make: `explain`, `lint`, `examples`, `convert-*`, `diff`, `matrix`.
 *
 * @module
 */
export { type CompiledPolicy, type CompileOptions, compilePolicy } from './compile.ts'
export type { Loss } from './convert.ts'
export { type RbacConversion, type RbacManifest, type RbacOptions, rbacYaml, toRbac } from './convert-rbac.ts'
export { type ConvertOptions, toVersion2, type Version2 } from './convert-v1.ts'
export { decide } from './decide.ts'
export { type Change, compareDecisions, type Decide, diffPolicies, type PolicyDiff } from './diff.ts'
export { type ExampleResult, inWords, requestsOf, runExamples } from './examples.ts'
export { type ExplainedLine, type Explanation, explain } from './explain.ts'
export type { Finding, FindingCode, LintOptions, Severity } from './finding.ts'
export { type GenerateOptions, generateRequests } from './generate.ts'
export { DANGEROUS_SUBRESOURCES, type SubresourceMode } from './key.ts'
export { type KeystonePolicyOptions, keystonePolicy } from './keystone-policy.ts'
export { lint } from './lint.ts'
export { type Matrix, type MatrixCell, type MatrixRow, matrix } from './matrix.ts'
export { matrixHtml } from './matrix-html.ts'
export { matrixText } from './matrix-text.ts'
export type { Example, Policy, PolicyDocument, PolicyWarning } from './model.ts'
export { type ParseOptions, parsePolicy } from './parse.ts'
export { userInWords } from './people-words.ts'
export type { PolicyJson } from './policy-json.ts'
