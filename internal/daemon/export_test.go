package daemon

// RoundStep is for tests that count steps.
const RoundStep = roundStep
