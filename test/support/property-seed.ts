/**
 * Loaded before every test file. Under CI property tests draw the same cases each time, so that a change is judged by
 * what it changed; everywhere else each run draws new ones, and what they find becomes a test of its own.
 */
import fc from 'fast-check'

if (process.env['CI'] === 'true') fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: 20_201_121 })
