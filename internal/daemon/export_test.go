package daemon

const (
	// RoundStep is for tests that count steps.
	RoundStep = roundStep
	// KeepPast is for tests that count what is remembered.
	KeepPast = keepPast
)
