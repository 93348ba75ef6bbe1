package jail

// Escalation says how the ban time of a repeat offender grows.
type Escalation struct{}
