/** The rigs as tests use them; how each is run is the business of test/rigs/. */

export { type KeyringState, onKeyring } from '../rigs/keyring.ts'
export { type KeystoneRig, keystoneRig, startKeystone } from '../rigs/keystone.ts'
export { type ApiServer, type KubeApiserverRig, startKubeApiserver } from '../rigs/kube-apiserver.ts'
export { type KubeletStandIn, startKubeletStandIn } from '../rigs/kubelet-stand-in.ts'
export { freePorts } from '../rigs/script.ts'
export { type SlapdRig, startSlapd } from '../rigs/slapd.ts'
export { startValkey, type ValkeyRig } from '../rigs/valkey.ts'
